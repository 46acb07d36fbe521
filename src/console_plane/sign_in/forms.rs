//! The forms before one is signed in, and the one that ends it.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::act;
use crate::console_plane::{
    answers::{GoTo, Typed},
    error::ConsoleError,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignInForm {
    pub email: String,
    pub password: Typed,
    /// Where the person was going.
    #[serde(default)]
    pub next: String,
}

/// Starts a session. Answers the same, in the same time, whatever is wrong.
#[server(prefix = "/console/fn", endpoint = "sign-in")]
pub async fn sign_in(#[server(flatten)] form: SignInForm) -> Result<GoTo, ConsoleError> {
    act::sign_in(form).await
}

/// Ends this session here and everywhere it was known.
#[server(prefix = "/console/fn", endpoint = "sign-out")]
pub async fn sign_out() -> Result<GoTo, ConsoleError> {
    act::sign_out().await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetUpForm {
    pub token: Typed,
    pub organization: String,
    pub name: String,
    pub email: String,
    pub password: Typed,
}

/// The first organization and its owner, with the one-time token that `keydesk serve` printed.
#[server(prefix = "/console/fn", endpoint = "setup")]
pub async fn set_up(#[server(flatten)] form: SetUpForm) -> Result<GoTo, ConsoleError> {
    act::set_up(form).await
}
