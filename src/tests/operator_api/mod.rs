//! What the provider's back office does.

mod document;
mod operations;
