//! What a program with a key is answered, directly and through a proxy.

mod answers;
pub mod conformance;
mod document;
mod example;
mod gates;
mod limiter_by_tls;
mod presets;
pub mod proxies;
mod rolling;
