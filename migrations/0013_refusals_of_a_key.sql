-- A key's page tells why its requests were refused, newest first, however many others of the organization were.
create index refusals_by_key on refusals (key_id, at desc);
