//! The webhook signing secret of each environment.

pub mod forms;

#[cfg(feature = "ssr")]
mod act;
#[cfg(feature = "ssr")]
pub mod load;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "ssr")]
pub mod routes;
