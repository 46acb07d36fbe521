-- Scripts repeat a request when its answer got lost. With an Idempotency-Key the repeat makes nothing: it is answered with
-- what was made the first time, less the secret, which is nowhere to be had again.

create table repeatable_requests (
    org_id      uuid        not null references orgs (id),
    -- Whose script it is: two people's keys do not meet.
    user_id     uuid        not null references users (id),
    -- As it was sent.
    key         text        not null,
    -- SHA-256 of method, path and body: the same key with another request is a mistake.
    digest      bytea       not null,
    -- What was made, without its secret. Null only while it is being made.
    answer      jsonb,
    created_at  timestamptz not null,
    primary key (org_id, user_id, key),
    constraint repeatable_requests_key_form check (length(key) between 1 and 255),
    constraint repeatable_requests_digest_form check (octet_length(digest) = 32)
);
create index repeatable_requests_by_age on repeatable_requests (created_at);

grant select, insert, delete on repeatable_requests to keydesk_console;
grant update (answer) on repeatable_requests to keydesk_console;
alter table repeatable_requests enable row level security, force row level security;
create policy tenant on repeatable_requests to keydesk_console
    using (org_id = current_org()) with check (org_id = current_org());
-- To forget the old ones, whosever they are.
create policy operator on repeatable_requests to keydesk_console using (current_reach() = 'operator');
