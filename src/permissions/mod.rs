//! DOMAIN: what each role may do, in one table, and the permit that proves that somebody may.

pub mod permit;
pub mod role;

pub use permit::{Denied, Permit};
pub use role::Action;
