-- Keys: those that customers' programs hold, and those of the provider's own services.
--
-- No secret is stored, only its SHA-256, as bytes: a text column would be compared by a collation, and some collations
-- fold case.

create table api_keys (
    id                uuid        primary key,
    org_id            uuid        not null references orgs (id),
    environment       text        not null,
    tier              text        not null,
    name              text        not null,
    digest            bytea       not null,
    -- Prefix, first four and last four characters: all of the secret that may be shown again.
    hint              text        not null,
    scopes            text[]      not null,
    -- Empty: the key may enter every namespace, or none where the catalog requires namespaces.
    namespaces        text[]      not null default '{}',
    -- Empty: the key may be used from every address.
    ip_allowlist      cidr[]      not null default '{}',
    -- Null: the key was made on the command line.
    created_by        uuid        references users (id),
    created_at        timestamptz not null,
    -- The request that made the key. A request sent twice makes one key.
    idempotency_key   uuid,
    -- A key is shown once. Whoever made it can confirm that they stored it, by typing how it ends. A key that nobody
    -- confirmed and nothing has used may be lost.
    confirmed_at      timestamptz,

    -- What ends or pauses a key. key_state() below says what state that makes.
    expires_at        timestamptz,
    disabled_at       timestamptz,
    revoked_at        timestamptz,
    -- Who revoked the key, by the name that the organization may know: a member's name, "Sam (support)", "Operator".
    revoked_by        text,
    revoked_reason    text,

    -- A rotation makes a successor. The old key keeps working until overlap_ends_at, so that whoever holds it has time
    -- to change over. A key has one successor at most, for good: twenty people who rotate it at once make one key.
    --
    -- The key that this key replaces.
    predecessor       uuid        references api_keys (id),
    -- When a replaced key ends. This is never later than its own expiry.
    overlap_ends_at   timestamptz,
    -- The overlap was ended at once or early. Then no node's clock has a say in it, as it has in overlap_ends_at.
    overlap_ended     boolean     not null default false,
    -- The overlap was extended, which is possible once.
    overlap_extended  boolean     not null default false,

    constraint api_keys_digest_unique unique (digest),
    constraint api_keys_digest_form check (octet_length(digest) = 32),
    constraint api_keys_idempotency_key_unique unique (org_id, idempotency_key),
    -- This is also how a key's successor is found.
    constraint api_keys_successor_unique unique (predecessor),
    constraint api_keys_revoked_complete check (
        (revoked_at is null) = (revoked_by is null) and (revoked_at is null) = (revoked_reason is null)),
    constraint api_keys_overlap_complete check (overlap_ends_at is not null or not (overlap_ended or overlap_extended))
);

-- The state of a key at a moment. Of several that apply, the first counts: what nobody can undo comes before what a person
-- did, and that before what time did. KeyLifespan::state in src/keys/lifespan.rs is the same rule, and a test ties the two.
-- The function takes columns and not a row, since no plane may read them all. Postgres inlines it, so that a query which
-- uses it can still be answered from an index alone.
create function key_state(
    revoked_at timestamptz, overlap_ended boolean, overlap_ends_at timestamptz, disabled_at timestamptz,
    expires_at timestamptz, now timestamptz
) returns text language sql immutable parallel safe as $$
    select case
        when revoked_at is not null then 'revoked'
        when overlap_ended or overlap_ends_at <= now then 'rotated'
        when disabled_at is not null then 'disabled'
        when expires_at <= now then 'expired'
        else 'active'
    end
$$;

-- Lists of keys are filtered, sorted and paged in the database, however many keys there are. An organization's keys lie
-- scattered over the table, since all organizations make keys in turn: to visit ten thousand of them is to visit ten
-- thousand pages. This index holds, newest first, all that a list is searched, filtered and sorted by. Scopes are the
-- exception: a key may have more of them than an index entry can hold.
--
-- No index covers the text of names. The usual one needs an extension that not every owner of a database may install,
-- and the keys of one organization, read from here, are few enough to be searched.
create index api_keys_list on api_keys (org_id, id desc)
    include (name, hint, environment, tier, created_by, created_at, expires_at, disabled_at, revoked_at, overlap_ends_at, overlap_ended);
-- The list offers a filter by creator: its query walks from one creator of an organization to the next.
create index api_keys_by_creator on api_keys (org_id, created_by);
-- Support finds a key by its hint.
create index api_keys_by_hint on api_keys (hint);

-- When, from where and by which agent each key was last used. The key plane writes this table in batches. It is separate
-- so that a use never touches (or locks) the row that a verdict is read from.
create table key_last_used (
    key_id   uuid        primary key references api_keys (id),
    org_id   uuid        not null references orgs (id),
    used_at  timestamptz not null,
    -- Null where it was not known.
    address  inet,
    agent    text        not null,
    -- The service that asked on the client's behalf, if one did.
    via      text
);
-- The index leaves the time out on purpose: the time changes with nearly every call, and an update that changes no index
-- is cheaper.
create index key_last_used_by_org on key_last_used (org_id);

create table service_keys (
    id            uuid        primary key,
    name          text        not null,
    digest        bytea       not null,
    hint          text        not null,
    capabilities  text[]      not null,
    created_at    timestamptz not null,
    revoked_at    timestamptz,
    constraint service_keys_name_unique unique (name),
    constraint service_keys_digest_unique unique (digest),
    constraint service_keys_digest_form check (octet_length(digest) = 32),
    constraint service_keys_capabilities_known check (capabilities <@ array['verify', 'operate'])
);
