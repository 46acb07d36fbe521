//! One key's page: what is known of it, what can be changed of it, and what happened to it.

pub mod act;
mod explain;
mod figures;
mod forms;
pub mod load;
pub mod page;
mod refused;
pub mod rotate;
mod rotation;
pub mod routes;
mod usage;
pub mod view;
