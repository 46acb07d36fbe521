-- The provider's back office: a role of its own, which sees organizations, their keys and how much they call, and changes
-- what its few requests change. It reads no password hash, no session, no digest of a key and no webhook secret.

-- The namespaces that an organization is bound to. Where the catalog has every key bound to some, a new key has these
-- unless it is given its own.
alter table orgs add column namespaces text[] not null default '{}';

grant usage on schema public to keydesk_operator;

-- As everywhere, a transaction says whose rows it may touch; to read across organizations it says 'operator'.
grant select (id, slug, name, created_at, suspended_at, namespaces), insert (id, slug, name, created_at),
      update (suspended_at, namespaces) on orgs to keydesk_operator;
create policy back_office on orgs to keydesk_operator using (id = current_org()) with check (id = current_org());
create policy back_office_reach on orgs for select to keydesk_operator using (current_reach() = 'operator');

grant select (id, org_id, environment, tier, name, hint, scopes, namespaces, ip_allowlist, created_at, expires_at,
              disabled_at, revoked_at, idempotency_key, predecessor, overlap_ends_at, overlap_ended, overlap_extended),
      insert (id, org_id, environment, tier, name, digest, hint, scopes, namespaces, ip_allowlist, created_by, created_at,
              expires_at, idempotency_key, predecessor),
      update (namespaces, overlap_ends_at, overlap_ended, overlap_extended) on api_keys to keydesk_operator;
create policy back_office on api_keys to keydesk_operator
    using (org_id = current_org()) with check (org_id = current_org());
create policy back_office_reach on api_keys for select to keydesk_operator using (current_reach() = 'operator');

grant select (key_id, org_id, minute, code, calls) on key_usage to keydesk_operator;
create policy back_office_reach on key_usage for select to keydesk_operator using (current_reach() = 'operator');

-- Who comes in.
grant select (name, digest, capabilities, revoked_at) on service_keys to keydesk_operator;

-- What it does is in the organization's own log.
grant insert on audit_events to keydesk_operator;
create policy back_office on audit_events for insert to keydesk_operator with check (chain = current_org());
grant select, insert, update (seq, hash) on audit_heads to keydesk_operator;
create policy back_office on audit_heads to keydesk_operator
    using (chain = current_org()) with check (chain = current_org());

-- Its changes hold everywhere before they are acknowledged.
grant select on key_revision to keydesk_operator;
grant select, delete on key_plane_nodes to keydesk_operator;
