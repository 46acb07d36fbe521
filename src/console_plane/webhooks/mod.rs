//! The webhook signing secret of each environment.

mod act;
pub mod fns;
pub mod load;
pub mod page;
pub mod routes;
