//! What the planes have in common: the domains, called as a plane calls them.

mod audit_log;
mod edits;
mod key_state;
mod rotation;
