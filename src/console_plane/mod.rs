//! PLANE: people in browsers, with a session cookie. API keys, service keys and access tokens are nothing here.
//!
//! A feature has a folder: `page` draws, `load` reads what is drawn, `fns` are the server functions and `act` what they
//! do, `routes` answers browsers, and `islands` is what runs in the browser.

pub mod error;
pub mod model;
pub mod ui;

pub mod keys;
pub mod settings;
pub mod sign_in;
pub mod support;
pub mod webhooks;

#[cfg(feature = "ssr")]
pub mod audit_log;
#[cfg(feature = "ssr")]
pub mod members;
#[cfg(feature = "ssr")]
pub mod nodes;

#[cfg(feature = "ssr")]
pub mod assets;
#[cfg(feature = "ssr")]
pub mod door;
#[cfg(feature = "ssr")]
pub mod draw;
#[cfg(feature = "ssr")]
pub mod forms;
#[cfg(feature = "ssr")]
pub mod router;
#[cfg(feature = "ssr")]
pub mod shell;
#[cfg(feature = "ssr")]
mod when;
