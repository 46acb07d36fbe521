-- What each plane may touch. The roles themselves belong to the whole cluster and are made before migrations run.
--
-- keydesk_console serves people in browsers (and the command line); keydesk_keys answers for keys and cannot read a
-- password hash, a session or a webhook secret. Neither owns anything, so row-level security binds both; FORCE makes it
-- bind the owner as well.
--
-- A transaction says what it is about:
--   keydesk.org    the one organization whose rows it may touch
--   keydesk.user   the person whose memberships it may read (sign-in: no organization is known yet)
--   keydesk.reach  'support' to look for a key in all organizations, 'operator' for the command line and set-up
-- On a pooled connection an unset setting reads as an empty string, which is no uuid: hence nullif.

create function current_org() returns uuid language sql stable as
    $$ select nullif(current_setting('keydesk.org', true), '')::uuid $$;
create function current_person() returns uuid language sql stable as
    $$ select nullif(current_setting('keydesk.user', true), '')::uuid $$;
create function current_reach() returns text language sql stable as
    $$ select coalesce(current_setting('keydesk.reach', true), '') $$;

grant usage on schema public to keydesk_console, keydesk_keys;

-- People are not tenants' rows: one person can belong to several organizations.
grant select, insert on users to keydesk_console;
grant update (name, password_hash, failed_sign_ins, paused_until, last_sign_in_at, disabled_at) on users to keydesk_console;
grant select, insert, delete on sessions to keydesk_console;
grant update (last_seen_at, digest) on sessions to keydesk_console;
grant select, insert, update, delete on setup_links to keydesk_console;

grant select, insert on orgs, members to keydesk_console;
alter table orgs enable row level security, force row level security;
create policy tenant on orgs to keydesk_console using (id = current_org()) with check (id = current_org());
create policy sign_in on orgs for select to keydesk_console
    using (exists (select from members m where m.org_id = orgs.id and m.user_id = current_person()));
create policy reach on orgs for select to keydesk_console using (current_reach() in ('support', 'operator'));
create policy look_up on orgs for select to keydesk_keys using (true);

alter table members enable row level security, force row level security;
create policy tenant on members to keydesk_console using (org_id = current_org()) with check (org_id = current_org());
create policy sign_in on members for select to keydesk_console using (user_id = current_person());

grant select, insert on api_keys to keydesk_console;
grant update (disabled_at, revoked_at, revoked_by, revoked_reason) on api_keys to keydesk_console;
alter table api_keys enable row level security, force row level security;
create policy tenant on api_keys to keydesk_console using (org_id = current_org()) with check (org_id = current_org());
create policy reach on api_keys for select to keydesk_console using (current_reach() in ('support', 'operator'));
-- The key plane starts from a digest: which organization it is about is what it wants to know.
create policy look_up on api_keys for select to keydesk_keys using (true);

grant select on key_last_used to keydesk_console;
alter table key_last_used enable row level security, force row level security;
create policy tenant on key_last_used for select to keydesk_console using (org_id = current_org());
create policy reach on key_last_used for select to keydesk_console using (current_reach() in ('support', 'operator'));
create policy recorded on key_last_used to keydesk_keys using (true) with check (true);

grant select, insert on service_keys to keydesk_console;
grant update (revoked_at) on service_keys to keydesk_console;

grant select, insert on webhook_secrets to keydesk_console;
grant update (ciphertext, retired_at) on webhook_secrets to keydesk_console;
alter table webhook_secrets enable row level security, force row level security;
create policy tenant on webhook_secrets to keydesk_console using (org_id = current_org()) with check (org_id = current_org());

-- Audit rows can be added and read, by nobody changed or removed. Anyone may add to the deployment's own chain; only the
-- command line reads it.
grant select, insert on audit_events to keydesk_console;
alter table audit_events enable row level security, force row level security;
create policy tenant on audit_events for select to keydesk_console using (chain = current_org());
create policy operator on audit_events for select to keydesk_console using (current_reach() = 'operator');
create policy append on audit_events for insert to keydesk_console
    with check (chain in (current_org(), '00000000-0000-0000-0000-000000000000'));
grant select, insert on audit_heads to keydesk_console;
grant update (seq, hash) on audit_heads to keydesk_console;
alter table audit_heads enable row level security, force row level security;
create policy tenant on audit_heads to keydesk_console
    using (chain in (current_org(), '00000000-0000-0000-0000-000000000000'))
    with check (chain in (current_org(), '00000000-0000-0000-0000-000000000000'));
create policy operator on audit_heads for select to keydesk_console using (current_reach() = 'operator');

-- The key plane: exactly the columns that a verdict is made of, and where it notes the last use.
grant select (id, org_id, environment, tier, name, digest, scopes, expires_at, disabled_at, revoked_at) on api_keys to keydesk_keys;
grant select (id, slug) on orgs to keydesk_keys;
grant select (id, name, digest, capabilities, revoked_at) on service_keys to keydesk_keys;
grant select, insert, update on key_last_used to keydesk_keys;
