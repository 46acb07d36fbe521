-- The arithmetic of window.rs, on this server's clock. The value of a subject is its sub-buckets, oldest
-- first, in one flat list: how many calls, when the last of them was (in microseconds), how many calls, when, ...
-- KEYS[1]: the subject. ARGV: 'take' or 'peek', limit, window, width; or 'give_back', when it was taken, width.
local packed = redis.call('GET', KEYS[1])
local spent = packed and cmsgpack.unpack(packed) or {}

if ARGV[1] == 'give_back' then
  local width = tonumber(ARGV[3])
  local bucket = math.floor(tonumber(ARGV[2]) / width)
  for i = 1, #spent, 2 do
    if spent[i] > 0 and math.floor(spent[i + 1] / width) == bucket then
      spent[i] = spent[i] - 1
      redis.call('SET', KEYS[1], cmsgpack.pack(spent), 'KEEPTTL')
      break
    end
  end
  return { 0, 0, 0, 0 }
end

local limit, window, width = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local asked = clock[1] * 1000000 + clock[2]
local now = math.max(asked, spent[#spent] or asked)

local live, used = {}, 0
for i = 1, #spent, 2 do
  if now - spent[i + 1] < window then
    live[#live + 1] = spent[i]
    live[#live + 1] = spent[i + 1]
    used = used + spent[i]
  end
end

local taken = used < limit
local needed = taken and 1 or used - limit + 1
if taken then
  used = used + 1
  if #live > 0 and math.floor(live[#live] / width) == math.floor(now / width) then
    live[#live - 1] = live[#live - 1] + 1
    live[#live] = now
  else
    live[#live + 1] = 1
    live[#live + 1] = now
  end
  if ARGV[1] == 'take' then
    -- One width more than it matters: the server expires keys by a coarser clock.
    local keep = math.ceil((now - asked + window + width) / 1000)
    redis.call('SET', KEYS[1], cmsgpack.pack(live), 'PX', keep)
  end
end

local wait, freed = 0, 0
for i = 1, #live, 2 do
  freed = freed + live[i]
  if freed >= needed then
    wait = live[i + 1] + window - asked
    break
  end
end
return { taken and 1 or 0, used, wait, now }
