-- Keys change while they live, and are replaced without a gap.
--
-- A rotation makes a successor; the old key goes on until `overlap_ends_at`, so that whoever holds it has time to change over.
-- A key has one successor at most, for good: twenty people who rotate it at once make one key.

alter table api_keys
    -- The key that this one replaces.
    add column predecessor     uuid references api_keys (id),
    -- When a key that was replaced ends: never later than its own expiry.
    add column overlap_ends_at       timestamptz,
    -- Ended at once, or before its time: no clock of any node has a say in it, as it has in overlap_ends_at.
    add column overlap_ended         boolean not null default false,
    -- More time was asked for; that is granted once.
    add column overlap_extended boolean not null default false,
    -- This is also how a key's successor is found.
    add constraint api_keys_successor_once unique (predecessor),
    add constraint api_keys_overlap_whole check (overlap_ends_at is not null or not (overlap_ended or overlap_extended));

grant insert (predecessor) on api_keys to keydesk_console;
grant update (name, scopes, namespaces, ip_allowlist, expires_at, overlap_ends_at, overlap_ended, overlap_extended)
    on api_keys to keydesk_console;
grant select (predecessor, overlap_ends_at, overlap_ended) on api_keys to keydesk_keys;

grant update (role), delete on members to keydesk_console;
-- What whoever made a key may do today bounds the key, where the catalog says so.
grant select (role) on members to keydesk_keys;
