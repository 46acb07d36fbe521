//! PLANE: people in browsers, with a session cookie. API keys, service keys and access tokens are nothing here.
//!
//! # What runs where
//!
//! - The **server** draws every page whole, and every form works without JavaScript.
//! - An **island** is what changes on a page that stays: a dialog and what is said in it, a copy button, relative times, a
//!   toast, boxes that tick each other. What an island stands around is its child, drawn by the server.
//! - A **script** is only what must hold before the browser half arrives. There is one: `support/paste.js`, which keeps a
//!   pasted key in the browser.
//!
//! # A feature
//!
//! has a folder: `forms` are its forms and server functions and compile for both halves; `routes` answers browsers, `load`
//! reads what pages show, and `page` draws it.
//!
//! # To add a form
//!
//! 1. In the feature's `forms`: a struct with the form's fields, and a `#[server]` function that takes it, flattened, as its
//!    one argument. A field that is no text needs a `deserialize_with`.
//! 2. In its `routes`: `impl Form` for the function's type: the page that says what was done, and the page that shows the
//!    form again. `SECRETS` names the fields that no page repeats.
//! 3. In [`router`]: a line in `forms`.
//! 4. In the page: a `<form method="post">` to `TheFunction::PATH`. In a dialog: a `FormDialog` around it, an `OpenButton`
//!    for it, and a line in `send_to` of [`ui::dialog`].
//! 5. In `tests/house_rules/doors.rs`: a form that would be accepted.

pub mod answers;
pub mod error;
pub mod keys;
pub mod members;
pub mod moment;
pub mod settings;
pub mod sign_in;
pub mod support;
pub mod ui;
pub mod webhooks;

#[cfg(feature = "ssr")]
pub mod appearance;
#[cfg(feature = "ssr")]
pub mod assets;
#[cfg(feature = "ssr")]
pub mod audit_log;
#[cfg(feature = "ssr")]
pub mod authorize;
#[cfg(feature = "ssr")]
pub mod context;
#[cfg(feature = "ssr")]
mod domain_errors;
#[cfg(feature = "ssr")]
pub mod form;
#[cfg(feature = "ssr")]
pub mod nodes;
#[cfg(feature = "ssr")]
pub mod render;
#[cfg(feature = "ssr")]
pub mod router;
#[cfg(feature = "ssr")]
mod sessions;
#[cfg(feature = "ssr")]
pub mod shell;
#[cfg(feature = "ssr")]
pub mod state;
#[cfg(feature = "ssr")]
mod time_format;
