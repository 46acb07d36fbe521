-- What the key plane counts and leaves behind.

-- How many calls of its tier's monthly quota a key has spent. One row for each key and calendar month (UTC).
create table key_quotas (
    key_id  uuid    not null references api_keys (id),
    month   date    not null,
    used    bigint  not null,
    primary key (key_id, month),
    constraint key_quotas_month_form check (extract(day from month) = 1)
);

-- Calls, rolled up by key, minute, client address, agent family, asking service and verdict. Written in batches.
create table key_usage (
    key_id   uuid         not null references api_keys (id),
    org_id   uuid         not null references orgs (id),
    minute   timestamptz  not null,
    code     text         not null,
    -- Null where it was not known, or where there were too many to tell apart.
    address  inet,
    agent    text         not null,
    -- The service that asked; null where the client called with the key itself.
    via      text,
    calls    bigint       not null,
    -- Two that are not known are one: their calls add up.
    constraint key_usage_unique unique nulls not distinct (key_id, minute, code, address, agent, via)
);
-- Old rows are deleted by their minute.
create index key_usage_by_minute on key_usage (minute);

-- Why a request was refused, by the request id that its answer carried. Rows are kept for some days.
create table refusals (
    request_id  uuid         primary key,
    at          timestamptz  not null,
    code        text         not null,
    -- Null where no key matched.
    key_id      uuid         references api_keys (id),
    org_id      uuid         references orgs (id),
    address     inet,
    agent       text         not null,
    -- What was asked of the key, and what each gate said; JSON.
    asked       jsonb        not null,
    gates       jsonb        not null
);
create index refusals_by_org on refusals (org_id, at desc);
-- A key's page lists its refusals, newest first, however many the organization's other keys have.
create index refusals_by_key on refusals (key_id, at desc);
create index refusals_by_time on refusals (at);
