//! One's own sessions, password and access tokens.

use leptos::prelude::*;

use crate::console_plane::{door, error::ConsoleError, model::IssuedAccessToken, settings::act};

/// Ends one of one's own sessions.
#[server(prefix = "/console/fn", endpoint = "sessions/end")]
pub async fn end_session(session_id: String) -> Result<(), ConsoleError> {
    door::answer(act::end_session(session_id)).await.map(drop)
}

/// Ends all of one's own sessions, this one included.
#[server(prefix = "/console/fn", endpoint = "sessions/end-all")]
pub async fn end_all_sessions() -> Result<(), ConsoleError> {
    door::answer(act::end_all_sessions()).await.map(drop)
}

/// Changes one's own password; every other session ends, and this one gets a new id.
#[server(prefix = "/console/fn", endpoint = "account/password")]
pub async fn change_password(current: String, new: String) -> Result<(), ConsoleError> {
    door::answer(act::change_password(current.into(), new.into())).await.map(drop)
}

/// Says how pages look in this browser.
#[server(prefix = "/console/fn", endpoint = "account/look")]
pub async fn set_look(theme: String, density: String) -> Result<(), ConsoleError> {
    door::answer(act::set_look(theme, density)).await.map(drop)
}

/// Mints an access token from this session and answers it, this once.
#[server(prefix = "/console/fn", endpoint = "account/access-token")]
pub async fn create_access_token() -> Result<IssuedAccessToken, ConsoleError> {
    door::answer(act::create_access_token()).await
}
