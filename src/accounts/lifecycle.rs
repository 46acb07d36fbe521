//! What people do to their own accounts and sessions, each with its audit row. Nobody needs a permit for that.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    sign_in::Attempt,
    store::{self, Account},
    subject,
};
use crate::{
    audit::Event,
    database::RlsScope,
    mutation::Mutation,
    orgs::{self, Principal},
    secrets::Digest,
};

/// Notes how an attempt to sign in ended, in the log of the organization whose member it was, or in the deployment's. Who
/// was accepted acts from here on.
pub async fn sign_in(m: &mut Mutation, attempt: &Attempt) -> sqlx::Result<()> {
    let (account, accepted) = match attempt {
        Attempt::Accepted(account) => (Some(account), true),
        Attempt::Refused(account) => (account.as_ref(), false),
    };
    if let Some(account) = account {
        let member = enter_scope_of(m, account).await?;
        // Of a refused attempt, nobody knows who made it.
        if accepted {
            m.set_principal(member);
        }
    }
    let summary = match account {
        Some(_) if accepted => "Signed in".to_owned(),
        Some(account) => format!("Refused a sign-in as {}", account.name),
        // What was typed is not repeated: people type passwords into the wrong field.
        None => "Refused a sign-in with an unknown address".to_owned(),
    };
    let subject = account.map(|account| subject(account.id)).unwrap_or_default();
    let event = Event { action: "sign_in", subject, summary, details: json!({}) };
    if accepted { m.record(event).await } else { m.record_refusal(event).await }
}

/// Lets the rest of a change touch the organization that a person belongs to, or none. Answers who they are there.
pub async fn enter_scope_of(m: &mut Mutation, account: &Account) -> sqlx::Result<Principal> {
    m.set_rls_scope(RlsScope::Person(account.id)).await?;
    let membership = orgs::store::memberships(m, account.id).await?.into_iter().next();
    let (user, name) = (account.id, account.name.clone());
    let (rls, principal) = match membership {
        Some(membership) => {
            let org = membership.org.id;
            (RlsScope::Org(org), Principal::Member { user, name, org, role: membership.role })
        }
        None => (RlsScope::Nothing, Principal::Staff { user, name }),
    };
    m.set_rls_scope(rls).await?;
    Ok(principal)
}

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
