//! What one can do to one's own account.

use http::header;
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    accounts::{access_token, lifecycle, password::NewPassword, sign_in},
    console_plane::{
        appearance::Appearance,
        door::{self, GoTo},
        error::ConsoleError,
        model::IssuedAccessToken,
    },
};

pub async fn end_session(session_id: String) -> Result<GoTo, ConsoleError> {
    let (mut m, _) = door::cx()?.begin_own().await?;
    // What is no id is nobody's.
    if let Ok(id) = session_id.parse::<Uuid>() {
        lifecycle::end_session(&mut m, id).await?;
        m.commit().await?;
    }
    Ok(GoTo("/settings?done=session".to_owned()))
}

pub async fn end_all_sessions() -> Result<GoTo, ConsoleError> {
    let cx = door::cx()?;
    let (mut m, _) = cx.begin_own().await?;
    lifecycle::end_all_sessions(&mut m).await?;
    m.commit().await?;
    cx.end_session().await?;
    Ok(GoTo("/sign-in?done=signed-out-everywhere".to_owned()))
}

pub async fn change_password(current: SecretString, new: SecretString) -> Result<GoTo, ConsoleError> {
    let cx = door::cx()?;
    let who = cx.who().await?.ok_or(ConsoleError::SignedOut)?;
    let console = &cx.console;
    let org = who.org.as_ref().map(|org| org.name.clone()).unwrap_or_default();
    let about = [who.name.as_str(), who.email.as_str(), who.email.split('@').next().unwrap_or_default(), org.as_str()];
    let password = NewPassword::parse(&new, &about).map_err(|message| ConsoleError::field("new", message))?;
    let hash = console.hasher.hash(password).await?;
    let checked = sign_in::check(&console.db, &console.hasher, &who.email, &current).await?;
    let (mut m, who) = cx.begin_own().await?;
    let attempt = sign_in::attempt(&mut m, &who.email, checked).await?;
    let accepted = lifecycle::change_password(&mut m, &attempt, &hash).await?;
    m.commit().await?;
    if !accepted {
        let message = "This is not your current password, or there were too many attempts: wait a few minutes then.";
        return Err(ConsoleError::field("current", message));
    }
    cx.begin_session(who.user).await?;
    Ok(GoTo("/settings?done=password".to_owned()))
}

pub async fn set_look(theme: String, density: String) -> Result<GoTo, ConsoleError> {
    let cx = door::cx()?;
    cx.who().await?.ok_or(ConsoleError::SignedOut)?;
    let look =
        Appearance::parse(&theme, &density).map_err(|field| ConsoleError::field(field, "Choose one of the list."))?;
    if let Some(options) = use_context::<ResponseOptions>() {
        options.append_header(header::SET_COOKIE, look.cookie(cx.console.origin.is_https()));
    }
    Ok(GoTo("/settings?done=look".to_owned()))
}

pub async fn create_access_token() -> Result<IssuedAccessToken, ConsoleError> {
    let cx = door::cx()?;
    let (mut m, who) = cx.begin_own().await?;
    let console = &cx.console;
    let token = access_token::mint(&mut m, &console.server_keys.tokens, &console.origin, who.session_id).await?;
    m.commit().await?;
    let token = token.reveal();
    let curl = format!("curl -H 'Authorization: Bearer {token}' {}/api/v1/api-keys", console.origin);
    Ok(IssuedAccessToken { token, curl })
}
