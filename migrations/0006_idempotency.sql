-- Scripts repeat a request when its answer was lost. With an Idempotency-Key header the repeat makes nothing: it gets the
-- first answer again, without the secret, which no table holds.

create table repeatable_requests (
    org_id      uuid        not null references orgs (id),
    -- The person whose script it is: two people's keys never collide.
    user_id     uuid        not null references users (id),
    -- The header's value as it was sent.
    key         text        not null,
    -- SHA-256 of method, path and body. The same key with another request is a mistake of the script.
    digest      bytea       not null,
    -- What was made, without its secret. Null only while it is being made.
    answer      jsonb,
    created_at  timestamptz not null,
    primary key (org_id, user_id, key),
    constraint repeatable_requests_key_form check (length(key) between 1 and 255),
    constraint repeatable_requests_digest_form check (octet_length(digest) = 32)
);
create index repeatable_requests_by_age on repeatable_requests (created_at);
