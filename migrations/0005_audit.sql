-- The audit log. Each organization has a chain of its own. One more chain, the nil UUID, holds what belongs to no
-- organization, such as a failed sign-in with an unknown address. Rows are only ever added, in the transaction that they
-- report. Each row carries HMAC-SHA256(HMAC key, previous hash || row), and that HMAC key is not in the database.

create table audit_events (
    chain       uuid        not null,
    seq         bigint      not null,
    at          timestamptz not null,
    actor_kind  text        not null,
    actor_id    uuid,
    actor_name  text        not null,
    action      text        not null,
    subject     text        not null,
    summary     text        not null,
    -- JSON as text, byte for byte as it was hashed.
    details     text        not null,
    refused     boolean     not null,
    address     text        not null,
    agent       text        not null,
    request_id  uuid        not null,
    hash        bytea       not null,
    primary key (chain, seq)
);
-- A key's page shows the history of that key.
create index audit_events_by_subject on audit_events (chain, subject, seq desc);

-- The last row of each chain. Whoever adds a row locks its head first.
create table audit_heads (
    chain  uuid    primary key,
    seq    bigint  not null,
    hash   bytea   not null
);
