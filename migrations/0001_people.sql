-- Who there is: people, the organizations they belong to, and their browser sessions.
--
-- Ids are UUID v7, made by the application. Times are timestamptz, given by the application, which reads its clock in
-- one place. Constraints have names because the application translates them, once each, into errors a person can read.

create table users (
    id                uuid        primary key,
    email             text        not null,
    name              text        not null,
    -- A PHC string (argon2id). No other table holds anything made from a password.
    password_hash     text        not null,
    -- 'support' for the provider's own people. Staff are not members of any organization by being staff.
    staff_role        text,
    -- Consecutive failures. Shared by all servers, kept by account and not by address, and reset by a success.
    failed_sign_ins   integer     not null default 0,
    -- Until then no password is accepted, right or wrong.
    paused_until      timestamptz,
    created_at        timestamptz not null,
    last_sign_in_at   timestamptz,
    disabled_at       timestamptz,
    constraint users_staff_role_known check (staff_role in ('support'))
);

-- An address is one account, however it is capitalised.
create unique index users_email_once on users (lower(email));

create table orgs (
    id          uuid        primary key,
    slug        text        not null,
    name        text        not null,
    created_at  timestamptz not null,
    constraint orgs_slug_once unique (slug),
    constraint orgs_slug_form check (slug ~ '^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$')
);

create table members (
    org_id      uuid        not null references orgs (id),
    user_id     uuid        not null references users (id),
    role        text        not null,
    created_at  timestamptz not null,
    primary key (org_id, user_id),
    constraint members_role_known check (role in ('owner', 'admin', 'developer', 'viewer'))
);
create index members_by_user on members (user_id);

create table sessions (
    -- What a list of sessions may name; worthless as a credential.
    id            uuid        primary key,
    -- SHA-256 of what the cookie holds.
    digest        bytea       not null,
    user_id       uuid        not null references users (id),
    created_at    timestamptz not null,
    last_seen_at  timestamptz not null,
    agent         text        not null,
    address       inet,
    constraint sessions_digest_once unique (digest),
    constraint sessions_digest_form check (octet_length(digest) = 32)
);
create index sessions_by_user on sessions (user_id);

-- The one-time set-up link, while there is no user. One row at most: printing a new link kills the old one.
create table setup_links (
    only_one    boolean     primary key default true,
    digest      bytea       not null,
    expires_at  timestamptz not null,
    constraint setup_links_only_one check (only_one)
);
