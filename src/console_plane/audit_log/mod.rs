//! What was done in the organization, by whom.

pub mod load;
pub mod page;
pub mod routes;
