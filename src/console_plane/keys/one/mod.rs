//! One key's page: what is known of it, what can be changed of it, and what happened to it.

pub mod act;
pub mod load;
pub mod page;
pub mod rotate;
pub mod routes;
pub mod view;

mod explain;
mod figures;
mod forms;
mod refused;
mod rotation;
mod usage;
