//! PLANE: people in browsers, with a session cookie. API keys, service keys and access tokens are nothing here.
//!
//! A feature has a folder: `page` draws, `load` reads what is drawn, `fns` are the server functions and `act` what they
//! do, and `routes` answers browsers. What runs in the browser is in `ui`: one island, around whatever form is in it; and
//! `shell.js`, for what needs no more than a few lines.

pub mod error;
pub mod model;
pub mod ui;

#[cfg(feature = "ssr")]
pub mod appearance;
#[cfg(feature = "ssr")]
pub mod assets;
#[cfg(feature = "ssr")]
pub mod audit_log;
#[cfg(feature = "ssr")]
pub mod door;
#[cfg(feature = "ssr")]
pub mod forms;
#[cfg(feature = "ssr")]
pub mod keys;
#[cfg(feature = "ssr")]
pub mod members;
#[cfg(feature = "ssr")]
pub mod nodes;
#[cfg(feature = "ssr")]
pub mod render;
#[cfg(feature = "ssr")]
pub mod router;
#[cfg(feature = "ssr")]
mod sessions;
#[cfg(feature = "ssr")]
pub mod settings;
#[cfg(feature = "ssr")]
pub mod shell;
#[cfg(feature = "ssr")]
pub mod sign_in;
#[cfg(feature = "ssr")]
pub mod support;
#[cfg(feature = "ssr")]
mod time_format;
#[cfg(feature = "ssr")]
pub mod webhooks;
