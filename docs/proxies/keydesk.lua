-- HAProxy's action `http-request lua.keydesk`. It asks Keydesk about a request, and ends the request unless the answer is 200.

-- The headers of an answer with the status 200. Some may be empty.
local identity = {
    "x-keydesk-org", "x-keydesk-org-id", "x-keydesk-key-id", "x-keydesk-environment", "x-keydesk-tier",
    "x-keydesk-scopes", "x-keydesk-namespaces",
}
-- The headers of a refusal that the client gets.
local passed_on = {
    "content-type", "www-authenticate", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id",
    "cache-control",
}

-- The statuses of Keydesk's refusals.
local refusals = { [400] = true, [401] = true, [403] = true, [429] = true, [503] = true }

local function refuse(txn, status, headers, body)
    local reply = txn:reply({ status = status })
    for _, name in ipairs(passed_on) do
        for _, value in pairs(headers[name] or {}) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(body)
    txn:done(reply)
end

-- Refuses a request about which Keydesk gave no answer, or one that cannot be understood.
local function unavailable(txn)
    refuse(txn, 503, { ["content-type"] = { "application/problem+json" } },
        '{"type":"about:blank","title":"Service Unavailable","status":503,' ..
        '"detail":"Your API key could not be checked. Try again in a moment."}')
end

core.register_action("keydesk", { "http-req" }, function(txn)
    local sent = txn.http:req_get_headers()
    local ask = {
        ["x-forwarded-method"] = { txn.f:method() },
        -- The path and query that the API gets.
        ["x-forwarded-uri"] = { txn.f:pathq() },
        ["x-forwarded-for"] = { txn.f:src() },
    }
    -- All values of each header are sent, so that Keydesk can refuse a header that is there twice.
    for _, name in ipairs({ "x-api-key", "authorization", "user-agent" }) do
        if sent[name] then
            ask[name] = {}
            for _, value in pairs(sent[name]) do
                table.insert(ask[name], value)
            end
        end
    end
    local asked, answer = pcall(function()
        return core.httpclient():get({ url = txn:get_var("txn.keydesk_url"), headers = ask, timeout = 20000 })
    end)
    if not asked or not answer or not answer.headers then
        return unavailable(txn)
    end
    if answer.status ~= 200 then
        local kind = answer.headers["content-type"]
        if refusals[answer.status] and kind and kind[0] == "application/problem+json" then
            return refuse(txn, answer.status, answer.headers, answer.body)
        end
        return unavailable(txn)
    end
    for _, name in ipairs(identity) do
        local values = answer.headers[name]
        -- The answer is not Keydesk's.
        if not values or not values[0] then
            return unavailable(txn)
        end
        txn.http:req_set_header(name, values[0])
    end
end, 0)
