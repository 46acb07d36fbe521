-- Keys: those that customers' programs hold, and those of the provider's own services.
--
-- A secret is never here, only its SHA-256, as bytes: a text column would compare by a collation, and some fold case.

create table api_keys (
    id             uuid        primary key,
    org_id         uuid        not null references orgs (id),
    environment    text        not null,
    tier           text        not null,
    name           text        not null,
    digest         bytea       not null,
    -- Prefix, first four and last four characters: all of the secret that may be shown again.
    hint           text        not null,
    scopes         text[]      not null,
    -- Null: made on the command line.
    created_by     uuid        references users (id),
    created_at     timestamptz not null,
    expires_at     timestamptz,
    disabled_at    timestamptz,
    revoked_at     timestamptz,
    -- Whoever revoked it, as the organization may know them: a member's name, "Sam (support)", "Operator".
    revoked_by     text,
    revoked_reason text,
    -- The form that made it, so that a form sent twice makes one key.
    idempotency_key        uuid,
    constraint api_keys_digest_once unique (digest),
    constraint api_keys_digest_form check (octet_length(digest) = 32),
    constraint api_keys_idempotency_key_once unique (org_id, idempotency_key),
    constraint api_keys_revoked_whole check (
        (revoked_at is null) = (revoked_by is null) and (revoked_at is null) = (revoked_reason is null))
);
-- The list of an organization's keys, newest first, page by page.
create index api_keys_by_org on api_keys (org_id, id desc);
-- Support finds a key by its hint.
create index api_keys_by_hint on api_keys (hint);

-- When, from where and by what each key was last used. A table of its own, written in batches by the key plane, so that
-- use never touches (or locks) the row a verdict is read from.
create table key_last_used (
    key_id   uuid        primary key references api_keys (id),
    org_id   uuid        not null references orgs (id),
    used_at  timestamptz not null,
    address  inet        not null,
    agent    text        not null,
    -- The service that asked on the client's behalf, if one did.
    via      text
);

create table service_keys (
    id            uuid        primary key,
    name          text        not null,
    digest        bytea       not null,
    hint          text        not null,
    capabilities  text[]      not null,
    created_at    timestamptz not null,
    revoked_at    timestamptz,
    constraint service_keys_name_once unique (name),
    constraint service_keys_digest_once unique (digest),
    constraint service_keys_digest_form check (octet_length(digest) = 32),
    constraint service_keys_capabilities_known check (capabilities <@ array['verify', 'operate'])
);
