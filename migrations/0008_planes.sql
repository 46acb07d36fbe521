-- What each plane may touch. Roles belong to the whole cluster, so the application makes them before migrations run.
--
--   keydesk_console   serves people in browsers, their scripts, and the command line.
--   keydesk_keys      answers for keys. It reads no password hash, no session and no webhook secret.
--   keydesk_operator  is the provider's back office. It sees organizations, their keys and how much they call, and changes
--                     what its few requests change. It reads no password hash, no session, no digest of a key and no
--                     webhook secret.
--
-- No role owns anything, so row-level security binds all three; FORCE makes it bind the owner as well.
--
-- A transaction says what it is about:
--   keydesk.org    the one organization whose rows it may touch
--   keydesk.user   the person whose memberships it may read (at sign-in no organization is known yet)
--   keydesk.reach  'support' to look for a key in all organizations; 'operator' for the command line, set-up and the back
--                  office's reading across organizations
-- On a pooled connection a setting that is not set reads as an empty string, which is no uuid: hence nullif.

create function current_org() returns uuid language sql stable as
    $$ select nullif(current_setting('keydesk.org', true), '')::uuid $$;
create function current_person() returns uuid language sql stable as
    $$ select nullif(current_setting('keydesk.user', true), '')::uuid $$;
create function current_reach() returns text language sql stable as
    $$ select coalesce(current_setting('keydesk.reach', true), '') $$;

-- Where statements read many rows, a policy asks for these in a subquery. A subquery that names no row is evaluated once
-- for a statement; without it the function runs for each row, which was half the time of reading an organization's ten
-- thousand keys. The rule is the same.

grant usage on schema public to keydesk_console, keydesk_keys, keydesk_operator;

-- People. They are not an organization's rows: one person can belong to several organizations.
grant select, insert,
      update (name, password_hash, failed_sign_ins, paused_until, last_sign_in_at, disabled_at) on users to keydesk_console;
grant select, insert, update (last_seen_at, digest), delete on sessions to keydesk_console;
grant select, insert, update, delete on setup_links to keydesk_console;
grant select (id, disabled_at) on users to keydesk_keys;

-- Organizations.
grant select, insert, update (suspended_at) on orgs to keydesk_console;
grant select (id, slug, suspended_at) on orgs to keydesk_keys;
grant select (id, slug, name, created_at, suspended_at, namespaces), insert (id, slug, name, created_at),
      update (suspended_at, namespaces) on orgs to keydesk_operator;
alter table orgs enable row level security, force row level security;
create policy tenant on orgs to keydesk_console using (id = current_org()) with check (id = current_org());
create policy sign_in on orgs for select to keydesk_console
    using (exists (select from members m where m.org_id = orgs.id and m.user_id = current_person()));
create policy reach on orgs for select to keydesk_console using (current_reach() in ('support', 'operator'));
create policy look_up on orgs for select to keydesk_keys using (true);
create policy back_office on orgs to keydesk_operator using (id = current_org()) with check (id = current_org());
create policy back_office_reach on orgs for select to keydesk_operator using (current_reach() = 'operator');

-- Members. Where the catalog says so, what a key's creator may do today bounds the key: the key plane reads roles.
grant select, insert, update (role), delete on members to keydesk_console;
grant select (org_id, user_id, role) on members to keydesk_keys;
alter table members enable row level security, force row level security;
create policy tenant on members to keydesk_console using (org_id = current_org()) with check (org_id = current_org());
create policy sign_in on members for select to keydesk_console using (user_id = current_person());
create policy look_up on members for select to keydesk_keys using (true);

-- Keys. The key plane reads exactly the columns that a verdict is made of. It starts from a digest, and the organization
-- is what it wants to know, so no setting narrows it.
grant select, insert,
      update (name, scopes, namespaces, ip_allowlist, confirmed_at, expires_at, disabled_at, revoked_at, revoked_by,
              revoked_reason, overlap_ends_at, overlap_ended, overlap_extended) on api_keys to keydesk_console;
grant select (id, org_id, environment, tier, name, digest, scopes, namespaces, ip_allowlist, created_by, expires_at,
              disabled_at, revoked_at, predecessor, overlap_ends_at, overlap_ended) on api_keys to keydesk_keys;
grant select (id, org_id, environment, tier, name, hint, scopes, namespaces, ip_allowlist, created_at, expires_at,
              disabled_at, revoked_at, idempotency_key, predecessor, overlap_ends_at, overlap_ended, overlap_extended),
      insert (id, org_id, environment, tier, name, digest, hint, scopes, namespaces, ip_allowlist, created_by, created_at,
              expires_at, idempotency_key, predecessor),
      update (namespaces, overlap_ends_at, overlap_ended, overlap_extended) on api_keys to keydesk_operator;
alter table api_keys enable row level security, force row level security;
create policy tenant on api_keys to keydesk_console
    using (org_id = (select current_org())) with check (org_id = current_org());
create policy reach on api_keys for select to keydesk_console
    using ((select current_reach() in ('support', 'operator')));
create policy look_up on api_keys for select to keydesk_keys using (true);
create policy back_office on api_keys to keydesk_operator
    using (org_id = current_org()) with check (org_id = current_org());
create policy back_office_reach on api_keys for select to keydesk_operator using (current_reach() = 'operator');

grant select on key_last_used to keydesk_console;
grant select, insert, update on key_last_used to keydesk_keys;
alter table key_last_used enable row level security, force row level security;
create policy tenant on key_last_used for select to keydesk_console using (org_id = (select current_org()));
create policy reach on key_last_used for select to keydesk_console
    using ((select current_reach() in ('support', 'operator')));
create policy recorded on key_last_used to keydesk_keys using (true) with check (true);

-- Service keys belong to no organization. The other planes read who comes in with one.
grant select, insert, update (revoked_at) on service_keys to keydesk_console;
grant select (id, name, digest, capabilities, revoked_at) on service_keys to keydesk_keys;
grant select (name, digest, capabilities, revoked_at) on service_keys to keydesk_operator;

-- Usage. The key plane writes it for all organizations; the others read it.
grant select, insert, update on key_quotas to keydesk_keys;

grant select on key_usage to keydesk_console;
grant select, insert, update, delete on key_usage to keydesk_keys;
grant select (key_id, org_id, minute, code, calls) on key_usage to keydesk_operator;
alter table key_usage enable row level security, force row level security;
create policy tenant on key_usage for select to keydesk_console using (org_id = (select current_org()));
create policy recorded on key_usage to keydesk_keys using (true) with check (true);
create policy back_office_reach on key_usage for select to keydesk_operator using (current_reach() = 'operator');

-- Refusals. Support staff and operators see the last ones of the whole deployment.
grant select on refusals to keydesk_console;
grant select (at), insert, delete on refusals to keydesk_keys;
alter table refusals enable row level security, force row level security;
create policy tenant on refusals for select to keydesk_console using (org_id = (select current_org()));
create policy reach on refusals for select to keydesk_console
    using ((select current_reach() in ('support', 'operator')));
create policy recorded on refusals to keydesk_keys using (true) with check (true);

-- Webhook secrets.
grant select, insert, update (ciphertext, retired_at) on webhook_secrets to keydesk_console;
alter table webhook_secrets enable row level security, force row level security;
create policy tenant on webhook_secrets to keydesk_console
    using (org_id = current_org()) with check (org_id = current_org());

-- The audit log. Rows can be added and read; no role can change or remove one. The console may also add to the
-- deployment's own chain, which only the command line reads. The back office adds to the log of the organization it acts
-- on. A key that is allowed to reads its organization's log on the key plane.
grant select, insert on audit_events to keydesk_console;
grant select on audit_events to keydesk_keys;
grant insert on audit_events to keydesk_operator;
alter table audit_events enable row level security, force row level security;
create policy tenant on audit_events for select to keydesk_console using (chain = (select current_org()));
create policy operator on audit_events for select to keydesk_console using ((select current_reach() = 'operator'));
create policy append on audit_events for insert to keydesk_console
    with check (chain in (current_org(), '00000000-0000-0000-0000-000000000000'));
create policy chain on audit_events for select to keydesk_keys using (chain = current_org());
create policy back_office on audit_events for insert to keydesk_operator with check (chain = current_org());

grant select, insert, update (seq, hash) on audit_heads to keydesk_console, keydesk_operator;
alter table audit_heads enable row level security, force row level security;
create policy tenant on audit_heads to keydesk_console
    using (chain in (current_org(), '00000000-0000-0000-0000-000000000000'))
    with check (chain in (current_org(), '00000000-0000-0000-0000-000000000000'));
create policy operator on audit_heads for select to keydesk_console using (current_reach() = 'operator');
create policy back_office on audit_heads to keydesk_operator
    using (chain = current_org()) with check (chain = current_org());

-- Repeatable requests.
grant select, insert, update (answer), delete on repeatable_requests to keydesk_console;
alter table repeatable_requests enable row level security, force row level security;
create policy tenant on repeatable_requests to keydesk_console
    using (org_id = current_org()) with check (org_id = current_org());
-- Old rows are deleted for all organizations at once.
create policy operator on repeatable_requests to keydesk_console using (current_reach() = 'operator');

-- Revocation. Nodes read the log, prune it and keep their registrations. The planes that change keys wait for a receipt:
-- they read how far the nodes are, and delete the registration of a node that stays behind.
grant select on key_revision to keydesk_console, keydesk_keys, keydesk_operator;
grant select, delete on key_changes to keydesk_keys;
grant select, insert, update, delete on key_plane_nodes to keydesk_keys;
grant select, delete on key_plane_nodes to keydesk_console, keydesk_operator;
