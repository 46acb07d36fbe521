-- A key is shown once. Whoever made it can say that they stored it, by typing how it ends; one of which nobody said so, and
-- that nothing has used, may have got lost.

alter table api_keys add column confirmed_at timestamptz;
grant update (confirmed_at) on api_keys to keydesk_console;
