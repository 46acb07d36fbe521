-- Key planes hold leases of their own length, and every plane proves how old what it reads of a service key is.

-- The operator API looks up service keys. A node of before reads nothing new.
grant select (revision, token) on key_changes to keydesk_operator;

-- How long the node may answer after a round. It never changes in a row. A node of before writes none, and holds a lease of
-- two seconds.
alter table key_plane_nodes add column lease_ms integer not null default 2000;
alter table key_plane_nodes add constraint key_plane_nodes_lease_known check (lease_ms between 2000 and 300000);

-- A row may be deleted only when its node can hold no lease any more, or changes would not wait for a node that still
-- answers. Whoever deletes one says for how many milliseconds it has seen the row stand still. A process of before says
-- nothing, and has waited for a lease of two seconds: it is refused where that is too short, and its change then says that it
-- could not be confirmed.
create function lease_is_over() returns trigger language plpgsql as $$
declare
    waited bigint := coalesce(nullif(current_setting('keydesk.waited_ms', true), '')::bigint, 2000);
begin
    if waited < old.lease_ms then
        raise exception 'the node % may hold a lease for % ms, and was waited for % ms', old.name, old.lease_ms, waited;
    end if;
    return old;
end $$;
create trigger only_when_lease_is_over before delete on key_plane_nodes
    for each row execute function lease_is_over();
