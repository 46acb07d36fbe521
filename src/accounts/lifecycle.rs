//! What people do to their own accounts and sessions, each with its audit row. Nobody needs a permit for that.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{sign_in::Attempt, store, subject};
use crate::{audit::Event, mutation::Mutation, secrets::Digest};

/// Uses up a set-up link. Answers whether it was the live one.
pub async fn use_setup_link(m: &mut Mutation, link: Digest) -> sqlx::Result<bool> {
    let now = m.now();
    store::use_setup_link(m, link, now).await
}

pub async fn sign_out(m: &mut Mutation) -> sqlx::Result<()> {
    m.record(event(m, "sign_out", "Signed out", json!({}))).await
}

/// Ends one of their sessions by its public id. One that is over already, or somebody else's, is as gone as one just ended.
pub async fn end_session(m: &mut Mutation, session: Uuid) -> sqlx::Result<()> {
    let Some(user) = m.actor().user() else { return Ok(()) };
    if store::end_session_of(m, user, session).await? {
        m.record(event(m, "session.end", "Ended one of their sessions", json!({ "session": session }))).await?;
    }
    Ok(())
}

pub async fn end_all_sessions(m: &mut Mutation) -> sqlx::Result<()> {
    let Some(user) = m.actor().user() else { return Ok(()) };
    let count = store::end_sessions_of(m, user).await?;
    m.record(event(m, "session.end_all", "Signed out everywhere", json!({ "sessions": count }))).await
}

/// Sets their password (a PHC string) and ends all their sessions, if the current one was accepted. Answers whether it was.
pub async fn change_password(m: &mut Mutation, attempt: &Attempt, hash: &str) -> sqlx::Result<bool> {
    let Attempt::Accepted(account) = attempt else {
        let summary = "Refused a change of password: the current one was wrong";
        m.record_refusal(event(m, "password.change", summary, json!({}))).await?;
        return Ok(false);
    };
    store::set_password(m, account.id, hash).await?;
    store::end_sessions_of(m, account.id).await?;
    m.record(event(m, "password.change", "Changed their password", json!({}))).await?;
    Ok(true)
}

/// Something that whoever acts did to their own account.
fn event(m: &Mutation, action: &'static str, summary: &str, details: Value) -> Event {
    let subject = m.actor().user().map(subject).unwrap_or_default();
    Event { action, subject, summary: summary.to_owned(), details }
}
