//! Who belongs to the organization, and what they may do in it.

mod act;
pub mod fns;
pub mod page;
pub mod routes;
