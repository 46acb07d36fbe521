//! What the provider's back office does.

mod operations;
