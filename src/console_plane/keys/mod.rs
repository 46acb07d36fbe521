//! API keys: the list, one key's page, create, edit, rotate, revoke, revoke some, revoke all.

pub mod forms;
pub mod row;

#[cfg(feature = "ssr")]
pub(super) mod act;
#[cfg(feature = "ssr")]
pub mod list;
#[cfg(feature = "ssr")]
pub mod load;
#[cfg(feature = "ssr")]
pub mod one;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "ssr")]
pub mod routes;
#[cfg(feature = "ssr")]
pub mod snippets;
