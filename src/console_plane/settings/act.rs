//! What one can do to one's own account.

use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    accounts::{
        access_token,
        password::NewPassword,
        sign_in::{Attempt, attempt},
        store,
    },
    audit::{self, Event},
    console_plane::{
        answers::GoTo,
        appearance::Appearance,
        context::{CurrentUser, RequestContext},
        error::ConsoleError,
        settings::forms::{AppearanceForm, ChangePasswordForm, EndSessionForm, IssuedAccessToken},
    },
    database,
};

async fn enter() -> Result<(RequestContext, CurrentUser), ConsoleError> {
    let cx = RequestContext::current()?;
    let who = cx.who().await?.ok_or(ConsoleError::SignedOut)?;
    Ok((cx, who))
}

fn event<'a>(
    cx: &RequestContext,
    who: &'a CurrentUser,
    action: &'static str,
    summary: &str,
    details: Value,
) -> Event<'a> {
    Event {
        action,
        subject: format!("user:{}", who.user.0),
        summary: summary.to_owned(),
        details,
        refused: false,
        actor: &who.actor,
        at: cx.console.clock.now(),
    }
}

pub async fn end_session(form: EndSessionForm) -> Result<GoTo, ConsoleError> {
    let EndSessionForm { session_id } = form;
    let (cx, who) = enter().await?;
    // One that is over already, or somebody else's, is as gone as one just ended.
    if let Ok(id) = session_id.parse::<Uuid>() {
        let mut tx = database::begin(&cx.console.db, who.rls_scope()).await?;
        if store::end_session_of(&mut tx, who.user, id).await? {
            let event = event(&cx, &who, "session.end", "Ended one of their sessions", json!({ "session": id }));
            audit::record(&mut tx, &cx.console.server_keys.audit, who.chain(), event).await?;
        }
        tx.commit().await?;
    }
    Ok(GoTo::new("/settings?done=session"))
}

pub async fn end_all_sessions() -> Result<GoTo, ConsoleError> {
    let (cx, who) = enter().await?;
    let mut tx = database::begin(&cx.console.db, who.rls_scope()).await?;
    let count = store::end_sessions_of(&mut tx, who.user).await?;
    let event = event(&cx, &who, "session.end_all", "Signed out everywhere", json!({ "sessions": count }));
    audit::record(&mut tx, &cx.console.server_keys.audit, who.chain(), event).await?;
    tx.commit().await?;
    cx.end_session().await?;
    Ok(GoTo::new("/sign-in?done=signed-out-everywhere"))
}

pub async fn change_password(form: ChangePasswordForm) -> Result<GoTo, ConsoleError> {
    let (current, new) = (SecretString::from(form.current.0), SecretString::from(form.new.0));
    let (cx, who) = enter().await?;
    let console = &cx.console;
    let org = who.org.as_ref().map(|org| org.name.clone()).unwrap_or_default();
    let about = [who.name.as_str(), who.email.as_str(), who.email.split('@').next().unwrap_or_default(), org.as_str()];
    let password = NewPassword::parse(&new, &about).map_err(|message| ConsoleError::field("new", message))?;
    let hash = console.hasher.hash(password).await?;
    let now = console.clock.now();
    let (mut tx, outcome) = attempt(&console.db, &console.hasher, &who.email, &current, now).await?;
    database::set_rls_scope(&mut tx, who.rls_scope()).await?;
    let accepted = matches!(outcome, Attempt::Accepted(_));
    let event = if accepted {
        store::set_password(&mut tx, who.user, &hash).await?;
        store::end_sessions_of(&mut tx, who.user).await?;
        event(&cx, &who, "password.change", "Changed their password", json!({}))
    } else {
        let refused =
            event(&cx, &who, "password.change", "Refused a change of password: the current one was wrong", json!({}));
        Event { refused: true, ..refused }
    };
    audit::record(&mut tx, &console.server_keys.audit, who.chain(), event).await?;
    tx.commit().await?;
    if !accepted {
        let message = "This is not your current password, or there were too many attempts: wait a few minutes then.";
        return Err(ConsoleError::field("current", message));
    }
    cx.begin_session(who.user).await?;
    Ok(GoTo::new("/settings?done=password"))
}

pub async fn set_appearance(form: AppearanceForm) -> Result<GoTo, ConsoleError> {
    let AppearanceForm { theme, density } = form;
    let (cx, _) = enter().await?;
    let look =
        Appearance::parse(&theme, &density).map_err(|field| ConsoleError::field(field, "Choose one of the list."))?;
    cx.cookies.add(look.cookie(cx.console.origin.is_https()));
    Ok(GoTo::new("/settings?done=look"))
}

pub async fn create_access_token() -> Result<IssuedAccessToken, ConsoleError> {
    let (cx, who) = enter().await?;
    let console = &cx.console;
    let keys = &console.server_keys;
    let mut tx = database::begin(&console.db, who.rls_scope()).await?;
    let (now, session) = (console.clock.now(), who.session_id);
    let token =
        access_token::mint(&mut tx, &keys.audit, &keys.tokens, &console.origin, &who.actor, session, now).await?;
    tx.commit().await?;
    let token = token.reveal();
    let curl = format!("curl -H 'Authorization: Bearer {token}' {}/api/v1/api-keys", console.origin);
    Ok(IssuedAccessToken { token, curl })
}
