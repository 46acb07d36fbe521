//! Keydesk: a self-hosted API key console. The map, in reading order.
//!
//! Outermost is *who is asking*: each plane has its own door and its own database role. The rules about a key exist
//! once, in `keys`, and know neither cookies nor HTTP. The laws that keep it so are tested in `src/tests/house_rules/architecture.rs`.

// A view's type nests as deep as its markup.
#![recursion_limit = "256"]

/// PLANE: people in browsers, with a session cookie.
pub mod console_plane;
/// PLANE: programs ask whether a key is good.
#[cfg(feature = "ssr")]
pub mod key_plane;
/// PLANE: a person's scripts, with an access token.
#[cfg(feature = "ssr")]
pub mod management_api;
/// PLANE: the provider's back office, with a service key that may operate.
#[cfg(feature = "ssr")]
pub mod operator_api;

/// DOMAIN: the life of a key: what it is made of, what is judged of it, who may change it.
pub mod keys;

/// DOMAIN: organizations and their members.
#[cfg(feature = "ssr")]
pub mod orgs;

/// DOMAIN: what each role may do, and the permit that proves it.
#[cfg(feature = "ssr")]
pub mod permissions;

/// DOMAIN: people, passwords, sign-in, sessions, access tokens.
#[cfg(feature = "ssr")]
pub mod accounts;

/// DOMAIN: webhook signing secrets.
#[cfg(feature = "ssr")]
pub mod webhooks;

/// DOMAIN: since when a change that restricts access holds, and where.
#[cfg(feature = "ssr")]
pub mod revocation;

/// DOMAIN: a key plane that follows every change, and what it remembers meanwhile.
#[cfg(feature = "ssr")]
pub mod node;

/// DOMAIN: when, from where and by what each key was last used.
#[cfg(feature = "ssr")]
pub mod usage;

/// DOMAIN: the audit log, append-only and hash-chained.
#[cfg(feature = "ssr")]
pub mod audit;

/// DOMAIN: the deployment's product rules: environments, tiers, scopes.
#[cfg(feature = "ssr")]
pub mod catalog;

/// Ids of people, organizations and keys.
#[cfg(feature = "ssr")]
pub mod ids;

/// The rules for what people type as a name.
pub mod text;

/// Who acts, in which role.
#[cfg(feature = "ssr")]
pub mod actor;

/// What kind of error an error is, and how it is told to people.
#[cfg(feature = "ssr")]
pub mod error_kind;
/// One change: its transaction, who makes it and when, and the one way to commit it.
#[cfg(feature = "ssr")]
pub mod mutation;

/// How Postgres is reached: embedded or given, with a role for each plane.
#[cfg(feature = "ssr")]
pub mod database;

/// Secrets as types that neither print nor serialise.
#[cfg(feature = "ssr")]
pub mod secrets;

/// The folder beside the database: secrets in files.
#[cfg(feature = "ssr")]
pub mod data_dir;

/// The server's own keys.
#[cfg(feature = "ssr")]
pub mod server_keys;

/// What the environment says, parsed once.
#[cfg(feature = "ssr")]
pub mod config;

/// What the doors for programs share: credentials in headers, service keys, problem documents.
#[cfg(feature = "ssr")]
pub mod machine_http;

/// Where a request comes from and by what: sockets, proxies, forwarding headers, user agents.
#[cfg(feature = "ssr")]
pub mod client;

/// What every answer on the console's listener carries.
#[cfg(feature = "ssr")]
pub mod response_headers;

/// The one place that reads the wall clock.
#[cfg(feature = "ssr")]
pub mod clock;

/// What is logged, and what never is.
#[cfg(feature = "ssr")]
pub mod telemetry;

/// Builds the planes, binds, serves, shuts down.
#[cfg(feature = "ssr")]
pub mod server;

/// The commands of `keydesk`.
#[cfg(feature = "ssr")]
pub mod commands;

#[cfg(feature = "hydrate")]
mod browser;
