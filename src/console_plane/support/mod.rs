//! The support desk: a customer's key, found and revoked.

mod act;
pub mod fns;
pub mod load;
pub mod page;
pub mod routes;
