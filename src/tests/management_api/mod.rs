//! What a script does as its person.

pub mod access_tokens;
mod document;
mod keys;
