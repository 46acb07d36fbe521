//! Signing in and out, and the first owner's set-up.

use leptos::prelude::*;

use crate::console_plane::{door, error::ConsoleError, sign_in::act};

/// Starts a session. Answers the same, in the same time, whatever is wrong (SECURITY A5).
#[server(prefix = "/console/fn", endpoint = "sign-in")]
pub async fn sign_in(email: String, password: String, #[server(default)] next: String) -> Result<(), ConsoleError> {
    door::answer(act::sign_in(email, password.into(), next)).await.map(drop)
}

/// Ends this session here and everywhere it was known.
#[server(prefix = "/console/fn", endpoint = "sign-out")]
pub async fn sign_out() -> Result<(), ConsoleError> {
    door::answer(act::sign_out()).await.map(drop)
}

/// The first organization and its owner, with the one-time token that `keydesk serve` printed.
#[server(prefix = "/console/fn", endpoint = "setup")]
pub async fn set_up(
    token: String,
    organization: String,
    name: String,
    email: String,
    password: String,
) -> Result<(), ConsoleError> {
    door::answer(act::set_up(token.into(), organization, name, email, password.into())).await.map(drop)
}
