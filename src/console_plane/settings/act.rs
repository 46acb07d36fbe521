//! What one can do to one's own account.

use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    accounts::{access_token, lifecycle, password::NewPassword, sign_in},
    console_plane::{
        answers::GoTo,
        appearance::Appearance,
        context::RequestContext,
        error::ConsoleError,
        settings::forms::{AppearanceForm, ChangePasswordForm, EndSessionForm, IssuedAccessToken},
    },
};

pub async fn end_session(form: EndSessionForm) -> Result<GoTo, ConsoleError> {
    let (mut m, _) = RequestContext::current().await?.begin_own().await?;
    // What is no id is nobody's.
    if let Ok(id) = form.session_id.parse::<Uuid>() {
        lifecycle::end_session(&mut m, id).await?;
        m.commit().await?;
    }
    Ok(GoTo::new("/settings?done=session"))
}

pub async fn end_all_sessions() -> Result<GoTo, ConsoleError> {
    let cx = RequestContext::current().await?;
    let (mut m, _) = cx.begin_own().await?;
    lifecycle::end_all_sessions(&mut m).await?;
    m.commit().await?;
    cx.end_session().await?;
    Ok(GoTo::new("/sign-in?done=signed-out-everywhere"))
}

pub async fn change_password(form: ChangePasswordForm) -> Result<GoTo, ConsoleError> {
    let (current, new) = (SecretString::from(form.current.0), SecretString::from(form.new.0));
    let cx = RequestContext::current().await?;
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
    Ok(GoTo::new("/settings?done=password"))
}

pub async fn set_appearance(form: AppearanceForm) -> Result<GoTo, ConsoleError> {
    let cx = RequestContext::current().await?;
    cx.who().await?.ok_or(ConsoleError::SignedOut)?;
    let look = Appearance::parse(&form.theme, &form.density)
        .map_err(|field| ConsoleError::field(field, "Choose one of the list."))?;
    cx.cookies.add(look.cookie(cx.console.origin.is_https()));
    Ok(GoTo::new("/settings?done=look"))
}

pub async fn create_access_token() -> Result<IssuedAccessToken, ConsoleError> {
    let cx = RequestContext::current().await?;
    let (mut m, who) = cx.begin_own().await?;
    let console = &cx.console;
    let token = access_token::mint(&mut m, &console.server_keys.tokens, &console.origin, who.session_id).await?;
    m.commit().await?;
    let token = token.reveal();
    let curl = format!("curl -H 'Authorization: Bearer {token}' {}/api/v1/api-keys", console.origin);
    Ok(IssuedAccessToken { token, curl })
}
