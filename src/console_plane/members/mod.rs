//! Who belongs to the organization.

pub mod page;
pub mod routes;
