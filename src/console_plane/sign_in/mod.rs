//! Signing in and out, and the first owner's set-up.

pub mod forms;

#[cfg(feature = "ssr")]
mod act;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "ssr")]
pub mod routes;
