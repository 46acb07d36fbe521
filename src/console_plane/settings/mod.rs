//! One's own sessions, password and access tokens.

pub mod forms;

#[cfg(feature = "ssr")]
mod act;
#[cfg(feature = "ssr")]
pub mod load;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "ssr")]
pub mod routes;
