-- A key that may reads its organization's audit log on the key plane: that plane's role reads rows, of the one organization
-- that a transaction names, and adds or changes none.
grant select on audit_events to keydesk_keys;
create policy chain on audit_events for select to keydesk_keys using (chain = current_org());
