-- People, the organizations they belong to, and their browser sessions.
--
-- The application makes all ids (UUID v7) and gives all times: it reads its clock in one place, and the database's clock
-- decides nothing. Every constraint has a name, because the application translates a violation by its name into a
-- sentence that a person can act on.

create table users (
    id               uuid        primary key,
    email            text        not null,
    name             text        not null,
    -- A PHC string (argon2id). No other table holds anything derived from a password.
    password_hash    text        not null,
    -- 'support' marks the provider's own people. It makes them a member of no organization.
    staff_role       text,
    -- The number of consecutive failures. All servers share it. It belongs to the account, not to an address, and a
    -- successful sign-in resets it.
    failed_sign_ins  integer     not null default 0,
    -- Until this time no password is accepted, right or wrong.
    paused_until     timestamptz,
    created_at       timestamptz not null,
    last_sign_in_at  timestamptz,
    disabled_at      timestamptz,
    constraint users_staff_role_known check (staff_role in ('support'))
);

-- One e-mail address is one account, whatever its capitals.
create unique index users_email_unique on users (lower(email));

create table orgs (
    id            uuid        primary key,
    slug          text        not null,
    name          text        not null,
    created_at    timestamptz not null,
    -- The provider has stopped serving this customer. Every key of the organization is refused while this is set.
    suspended_at  timestamptz,
    -- The namespaces that the organization is bound to. Where the catalog binds every key to namespaces, a new key gets
    -- these unless it is given its own.
    namespaces    text[]      not null default '{}',
    constraint orgs_slug_unique unique (slug),
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
    -- A list of sessions names a session by this id. It is worthless as a credential.
    id            uuid        primary key,
    -- SHA-256 of the cookie's value.
    digest        bytea       not null,
    user_id       uuid        not null references users (id),
    created_at    timestamptz not null,
    last_seen_at  timestamptz not null,
    agent         text        not null,
    address       inet,
    constraint sessions_digest_unique unique (digest),
    constraint sessions_digest_form check (octet_length(digest) = 32)
);
create index sessions_by_user on sessions (user_id);

-- The one-time set-up link, which exists while there is no user. There is at most one row, so a new link replaces the
-- one printed before.
create table setup_links (
    only_one    boolean     primary key default true,
    digest      bytea       not null,
    expires_at  timestamptz not null,
    constraint setup_links_only_one check (only_one)
);
