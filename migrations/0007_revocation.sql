-- Revoked means revoked. These tables log every change to what a verdict depends on, in an order that every key plane can
-- follow, and register the key planes that answer from memory. docs/revocation.md tells the protocol.

-- One row, the last lock that any change takes. A sequence would not do: its order is not the order of commits.
create table key_revision (
    only_one  boolean  primary key default true,
    revision  bigint   not null,
    -- Renewed with each change: a node that remembers the same revision under another token has seen another history
    -- (of a database restored from a backup, say).
    token     uuid     not null,
    constraint key_revision_only_one check (only_one)
);
insert into key_revision (revision, token) values (0, gen_random_uuid());

-- What changed with a revision: a key (named by the digest that it is looked up by), everything of an organization,
-- everything that a person made, or a service key.
create table key_changes (
    revision  bigint  not null,
    token     uuid    not null,
    kind      text    not null,
    id        uuid    not null,
    -- Only keys and service keys have one.
    digest    bytea,
    primary key (revision, kind, id),
    constraint key_changes_kind_known check (kind in ('start', 'key', 'org', 'person', 'service')),
    constraint key_changes_digest_of_keys check ((digest is not null) = (kind in ('key', 'service')))
);
-- The row before any change: a node that starts now compares its revision and token with this one.
insert into key_changes (revision, token, kind, id)
    select revision, token, 'start', '00000000-0000-0000-0000-000000000000' from key_revision;

-- Deferred triggers write the log, at COMMIT. So no change can be forgotten, whoever makes it and however, and the
-- counter's lock is the last one taken. All that a transaction changes gets one revision. Every other transaction waits
-- for its end before it gets the next, so revisions become visible in order.
create function log_key_change() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
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

create constraint trigger log_new_key after insert or delete on api_keys
    deferrable initially deferred for each row execute function log_key_change('key');
create constraint trigger log_changed_key after update on api_keys
    deferrable initially deferred for each row when (old is distinct from new) execute function log_key_change('key');
create constraint trigger log_changed_org after update on orgs
    deferrable initially deferred for each row
    when (old.slug is distinct from new.slug or old.suspended_at is distinct from new.suspended_at)
    execute function log_key_change('org');
create constraint trigger log_changed_person after update on users
    deferrable initially deferred for each row when (old.disabled_at is distinct from new.disabled_at)
    execute function log_key_change('person');
create constraint trigger log_changed_member after insert or update or delete on members
    deferrable initially deferred for each row execute function log_key_change('person');
create constraint trigger log_new_service_key after insert or delete on service_keys
    deferrable initially deferred for each row execute function log_key_change('service');
create constraint trigger log_changed_service_key after update on service_keys
    deferrable initially deferred for each row when (old is distinct from new) execute function log_key_change('service');

-- The key planes that answer from memory. A row is a registration. Its id is fresh and stored nowhere else, and a node
-- that finds its own row gone drops everything it remembers. Only the node itself ever updates its row; others may only
-- delete it.
create table key_plane_nodes (
    id                uuid         primary key,
    -- Where the node runs, for people to read.
    name              text         not null,
    -- What counts its calls: 'memory' or 'redis'.
    limiter           text         not null,
    -- The node answers nothing from memory that changed up to this revision.
    applied_revision  bigint       not null,
    -- The number of rounds the node has made. A row whose number stands still belongs to a node that stands still.
    rounds            bigint       not null default 0,
    started_at        timestamptz  not null,
    -- By the database's clock, for people to read. No rule depends on it.
    renewed_at        timestamptz  not null
);
