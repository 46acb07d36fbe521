-- Webhook signing secrets. They must sign, so they cannot be hashed. They are sealed (AEAD) under a key that is not in the
-- database, and bound to their organization and row.

create table webhook_secrets (
    id               uuid        primary key,
    org_id           uuid        not null references orgs (id),
    environment      text        not null,
    -- Null once retired: a retired secret is not kept.
    ciphertext       bytea,
    -- The server key that seals it.
    sealed_by        text        not null,
    created_by       uuid        not null references users (id),
    created_at       timestamptz not null,
    retired_at       timestamptz,
    -- The request that made the secret. A request sent twice makes one secret.
    idempotency_key  uuid        not null,
    constraint webhook_secrets_idempotency_key_unique unique (org_id, idempotency_key),
    constraint webhook_secrets_retired_or_sealed check ((retired_at is null) = (ciphertext is not null))
);
create unique index webhook_secrets_one_active on webhook_secrets (org_id, environment) where retired_at is null;
