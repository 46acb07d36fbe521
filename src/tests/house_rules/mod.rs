//! What holds for all planes at once.

mod architecture;
mod doors;
mod queries;
mod tenancy;
