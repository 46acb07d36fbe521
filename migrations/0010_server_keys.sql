-- Fingerprints of the server's keys that this database was written with. The keys are files beside it: a server that comes
-- with others, or without, would break the audit log and lose the webhook secrets for good, so it refuses to start.
create table server_key_fingerprints (
    -- The name of the file in the data folder: 'audit.key'
    name text primary key,
    -- SHA-256, which tells nothing about a key of 256 random bits.
    fingerprint bytea not null check (octet_length(fingerprint) = 32)
);
grant select, insert on server_key_fingerprints to keydesk_console;
