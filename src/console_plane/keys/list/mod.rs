//! The list of keys: searched, filtered, sorted, paged, downloaded, and some of it revoked. All of what is looked at is in
//! the address, so reload, the back button and a link to a colleague keep it.

pub mod act;
mod csv;
pub mod load;
pub mod page;
mod preview;
pub mod routes;
pub mod view;
