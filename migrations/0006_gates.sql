-- What the key plane's further gates judge by, and what it leaves behind.

-- Empty: no restriction (or none allowed, where the catalog requires namespaces).
alter table api_keys
    add column namespaces   text[]  not null default '{}',
    add column ip_allowlist cidr[]  not null default '{}';

-- The provider has stopped serving this customer; every key of theirs is refused while it stands.
alter table orgs add column suspended_at timestamptz;

-- How many calls a key has spent of its tier's monthly quota. One row for each key and calendar month (UTC).
create table key_quotas (
    key_id  uuid    not null references api_keys (id),
    month   date    not null,
    used    bigint  not null,
    primary key (key_id, month),
    constraint key_quotas_month_begins check (extract(day from month) = 1)
);

-- Calls, rolled up: key × minute × client address × agent family × asking service × verdict. Written in batches.
create table key_usage (
    key_id   uuid         not null references api_keys (id),
    org_id   uuid         not null references orgs (id),
    minute   timestamptz  not null,
    code     text         not null,
    -- The unspecified address (0.0.0.0) where it was not known, or where there were too many to tell apart.
    address  inet         not null,
    agent    text         not null,
    -- The service that asked; empty where the key came itself.
    via      text         not null,
    calls    bigint       not null,
    primary key (key_id, minute, code, address, agent, via)
);
create index key_usage_by_minute on key_usage (minute);

-- Why a request was refused, by the request id that its answer carried. Kept for some days.
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
create index refusals_by_time on refusals (at);

-- The key planes that are alive: each says so every few seconds.
create table key_plane_nodes (
    id          uuid         primary key,
    limiter     text         not null,
    started_at  timestamptz  not null,
    seen_at     timestamptz  not null
);

grant insert (namespaces, ip_allowlist) on api_keys to keydesk_console;
grant update (suspended_at) on orgs to keydesk_console;
grant select (namespaces, ip_allowlist, created_by) on api_keys to keydesk_keys;
grant select (suspended_at) on orgs to keydesk_keys;
grant select (id, disabled_at) on users to keydesk_keys;
grant select (org_id, user_id) on members to keydesk_keys;
create policy look_up on members for select to keydesk_keys using (true);

grant select, insert, update on key_quotas to keydesk_keys;

grant select on key_usage to keydesk_console;
grant select, insert, update, delete on key_usage to keydesk_keys;
alter table key_usage enable row level security, force row level security;
create policy tenant on key_usage for select to keydesk_console using (org_id = current_org());
create policy recorded on key_usage to keydesk_keys using (true) with check (true);

grant select on refusals to keydesk_console;
grant select (at), insert, delete on refusals to keydesk_keys;
alter table refusals enable row level security, force row level security;
create policy tenant on refusals for select to keydesk_console using (org_id = current_org());
create policy support on refusals for select to keydesk_console using (current_reach() = 'support');
create policy recorded on refusals to keydesk_keys using (true) with check (true);

grant select on key_plane_nodes to keydesk_console;
grant select, insert, update, delete on key_plane_nodes to keydesk_keys;
