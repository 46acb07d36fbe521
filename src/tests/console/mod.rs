//! What a person does in a browser.

mod browser_rules;
mod key_page;
mod keys;
mod keys_list;
mod members;
mod nodes;
mod rotation;
mod sign_in;
mod support;
mod usage;
mod webhooks;
