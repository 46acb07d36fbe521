//! One's own sessions and password.

pub mod fns;

#[cfg(feature = "ssr")]
mod act;
#[cfg(feature = "ssr")]
pub mod load;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "ssr")]
pub mod routes;
