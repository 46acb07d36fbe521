-- The audit log: one chain for each organization, and one (the nil UUID) for what belongs to none, such as a failed
-- sign-in with an unknown address. Rows are only ever added, in the transaction of what they tell of. Each carries
-- HMAC-SHA256(key, previous hash || row), and the key is not in the database.

create table audit_events (
    chain         uuid        not null,
    seq           bigint      not null,
    at            timestamptz not null,
    actor_kind    text        not null,
    actor_id      uuid,
    actor_name    text        not null,
    action        text        not null,
    subject       text        not null,
    summary       text        not null,
    -- JSON as text, byte for byte as it was hashed.
    details       text        not null,
    refused       boolean     not null,
    address       text        not null,
    agent         text        not null,
    request_id    uuid        not null,
    hash          bytea       not null,
    primary key (chain, seq)
);
-- What the log knows of one key.
create index audit_events_by_subject on audit_events (chain, subject, seq desc);

create table audit_heads (
    chain  uuid    primary key,
    seq    bigint  not null,
    hash   bytea   not null
);
