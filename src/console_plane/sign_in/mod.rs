//! Signing in and out, and the first owner's set-up.

mod act;
pub mod fns;
pub mod page;
pub mod routes;
