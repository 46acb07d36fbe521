//! Who belongs to the organization, and what they may do in it.

pub mod forms;

#[cfg(feature = "ssr")]
mod act;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "ssr")]
pub mod routes;
