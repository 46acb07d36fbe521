//! One's own sessions, password and access tokens.

mod act;
pub mod fns;
pub mod load;
pub mod page;
pub mod routes;
