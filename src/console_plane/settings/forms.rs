//! The forms of one's own account.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::act;
use crate::console_plane::{
    answers::{GoTo, Typed},
    error::ConsoleError,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndSessionForm {
    pub session_id: String,
}

/// Ends one of one's own sessions.
#[server(prefix = "/console/fn", endpoint = "sessions/end")]
pub async fn end_session(#[server(flatten)] form: EndSessionForm) -> Result<GoTo, ConsoleError> {
    act::end_session(form).await
}

/// Ends all of one's own sessions, this one included.
#[server(prefix = "/console/fn", endpoint = "sessions/end-all")]
pub async fn end_all_sessions() -> Result<GoTo, ConsoleError> {
    act::end_all_sessions().await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangePasswordForm {
    pub current: Typed,
    pub new: Typed,
}

/// Changes one's own password; every other session ends, and this one gets a new id.
#[server(prefix = "/console/fn", endpoint = "account/password")]
pub async fn change_password(#[server(flatten)] form: ChangePasswordForm) -> Result<GoTo, ConsoleError> {
    act::change_password(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppearanceForm {
    pub theme: String,
    pub density: String,
}

/// Says how pages look in this browser.
#[server(prefix = "/console/fn", endpoint = "account/look")]
pub async fn set_appearance(#[server(flatten)] form: AppearanceForm) -> Result<GoTo, ConsoleError> {
    act::set_appearance(form).await
}

/// SECRET. In exactly one response: the answer to the form that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedAccessToken {
    pub token: String,
    pub curl: String,
}

impl std::fmt::Debug for IssuedAccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedAccessToken").finish_non_exhaustive()
    }
}

/// Mints an access token from this session and answers it, this once.
#[server(prefix = "/console/fn", endpoint = "account/access-token")]
pub async fn create_access_token() -> Result<IssuedAccessToken, ConsoleError> {
    act::create_access_token().await
}
