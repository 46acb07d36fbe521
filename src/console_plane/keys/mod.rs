//! API keys: the list, one key's page, create, edit, revoke, revoke some, revoke all.

pub(super) mod act;
pub mod fns;
pub mod list;
pub mod load;
pub mod one;
pub mod page;
pub mod routes;
pub mod snippets;
