-- Revoked means revoked: a log of every change to what a verdict is made of, in an order that every key plane can follow,
-- and the key planes that answer from memory. The protocol is told in docs/revocation.md.

-- One row, the last lock of every change. A sequence would not do: its order is not the order of commits.
create table key_revision (
    only_one  boolean  primary key default true,
    revision  bigint   not null,
    -- Renewed with each change: whoever remembers a revision under another token has seen another history.
    token     uuid     not null,
    constraint key_revision_only_one check (only_one)
);
insert into key_revision (revision, token) values (0, gen_random_uuid());

-- What changed with a revision: a key (by the digest it is looked up by), everything of an organization, everything made
-- by a person, or a service key.
create table key_changes (
    revision  bigint  not null,
    token     uuid    not null,
    kind      text    not null,
    id        uuid    not null,
    -- Of keys and service keys.
    digest    bytea,
    primary key (revision, kind, id),
    constraint key_changes_kind_known check (kind in ('start', 'key', 'org', 'person', 'service')),
    constraint key_changes_digest_of_keys check ((digest is not null) = (kind in ('key', 'service')))
);
-- Before any change: what a node that begins now compares with.
insert into key_changes (revision, token, kind, id)
    select revision, token, 'start', '00000000-0000-0000-0000-000000000000' from key_revision;

-- The log is written by deferred triggers, at COMMIT: no change can be forgotten, whoever makes it and however, and the
-- counter's lock is the last one taken. All that a transaction changes gets one revision, and everyone else waits for
-- its end before they get the next, so that revisions become visible in order.
create function note_key_change() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
declare
    mine   bigint := nullif(current_setting('keydesk.revision', true), '')::bigint;
    what   text   := tg_argv[0];
    whose  uuid;
    by_digest bytea;
    fresh  uuid;
begin
    if what = 'person' and tg_table_name = 'members' then
        whose := case when tg_op = 'DELETE' then old.user_id else new.user_id end;
    else
        whose := case when tg_op = 'DELETE' then old.id else new.id end;
    end if;
    if what in ('key', 'service') then
        by_digest := case when tg_op = 'DELETE' then old.digest else new.digest end;
    end if;
    if mine is null then
        update key_revision set revision = revision + 1, token = gen_random_uuid() returning revision into mine;
        -- Until the transaction ends.
        perform set_config('keydesk.revision', mine::text, true);
        -- Wakes the nodes; those that miss it look several times a second anyway.
        perform pg_notify('keydesk_changes', '');
    end if;
    select token into fresh from key_revision;
    insert into key_changes (revision, token, kind, id, digest) values (mine, fresh, what, whose, by_digest)
        on conflict do nothing;
    return null;
end $$;

create constraint trigger note_new_key after insert or delete on api_keys
    deferrable initially deferred for each row execute function note_key_change('key');
create constraint trigger note_changed_key after update on api_keys
    deferrable initially deferred for each row when (old is distinct from new) execute function note_key_change('key');
create constraint trigger note_changed_org after update on orgs
    deferrable initially deferred for each row
    when (old.slug is distinct from new.slug or old.suspended_at is distinct from new.suspended_at)
    execute function note_key_change('org');
create constraint trigger note_changed_person after update on users
    deferrable initially deferred for each row when (old.disabled_at is distinct from new.disabled_at)
    execute function note_key_change('person');
create constraint trigger note_changed_member after insert or update or delete on members
    deferrable initially deferred for each row execute function note_key_change('person');
create constraint trigger note_new_service_key after insert or delete on service_keys
    deferrable initially deferred for each row execute function note_key_change('service');
create constraint trigger note_changed_service_key after update on service_keys
    deferrable initially deferred for each row when (old is distinct from new) execute function note_key_change('service');

-- The key planes that answer from memory. A row is a registration: its id is fresh, never stored anywhere else, and
-- whoever finds its own row gone drops everything it remembers. It is never written again by anyone but its node, except
-- to be deleted.
drop table key_plane_nodes;
create table key_plane_nodes (
    id                uuid         primary key,
    -- For people: where it runs.
    name              text         not null,
    -- What counts its calls: 'memory' or 'redis'.
    limiter           text         not null,
    -- Nothing that changed up to here is answered from its memory.
    applied_revision  bigint       not null,
    -- Counts the rounds: a row that does not move belongs to a node that does not.
    rounds            bigint       not null default 0,
    started_at        timestamptz  not null,
    -- For people, by the database's clock. No rule depends on it.
    renewed_at        timestamptz  not null
);

grant select on key_revision, key_changes to keydesk_keys;
grant delete on key_changes to keydesk_keys;
grant select, insert, update, delete on key_plane_nodes to keydesk_keys;
-- Who waits for a receipt reads how far the nodes are, and strikes those that stayed behind.
grant select on key_revision to keydesk_console;
grant select, delete on key_plane_nodes to keydesk_console;
