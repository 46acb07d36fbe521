//! The nodes: which key planes run, how far each has followed, and what was refused last.

pub mod load;
pub mod page;
pub mod routes;
