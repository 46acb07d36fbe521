-- What a transaction is about is asked once for a statement, not once for each row that the statement looks at: of an
-- organization's ten thousand keys that was half the time. A subquery that names no row is what Postgres evaluates once; the
-- rule is the same. Only for tables of which many rows are read at a time.

alter policy tenant on api_keys using (org_id = (select current_org()));
alter policy reach on api_keys using ((select current_reach() in ('support', 'operator')));

alter policy tenant on key_last_used using (org_id = (select current_org()));
alter policy reach on key_last_used using ((select current_reach() in ('support', 'operator')));

alter policy tenant on key_usage using (org_id = (select current_org()));

alter policy tenant on refusals using (org_id = (select current_org()));
alter policy reach on refusals using ((select current_reach() in ('support', 'operator')));

alter policy tenant on audit_events using (chain = (select current_org()));
alter policy operator on audit_events using ((select current_reach() = 'operator'));
