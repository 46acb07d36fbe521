//! Integration tests: real routers, a real Postgres with a database for each test, and time as the test says.
//! They are grouped by the plane they call, as `src/` is.
//!
//! No expectation depends on how long a step takes. A test waits for what it needs to see, and gives up only after
//! [`process::PATIENCE`]; a window of time that it hits by chance is tried until it is hit.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops where something is wrong"
)]

mod commands;
mod console;
mod domains;
mod house_rules;
mod key_plane;
mod management_api;
mod operator_api;
mod process;
mod revocation;
mod world;
