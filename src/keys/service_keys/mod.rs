//! Keys of the provider's own services: those that ask the key plane on a client's behalf, and back offices.

pub mod store;
