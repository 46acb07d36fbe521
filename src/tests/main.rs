//! Integration tests: real routers, a real Postgres with a database for each test, and time as the test says.

mod access_tokens;
mod architecture;
mod audit_log;
mod browser_rules;
mod commands;
mod conformance;
mod doors;
mod edits;
mod gates;
mod key_plane;
mod keys;
mod keys_list;
mod management_api;
mod nodes;
mod operator_api;
mod process;
mod prove;
mod proxies;
mod revocation;
mod rotation;
mod sign_in;
mod support;
mod systems;
mod tenancy;
mod webhooks;
mod world;
