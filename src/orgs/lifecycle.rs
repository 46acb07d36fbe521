//! Organizations and people come to be here, and change: each with its audit row, in a [`Mutation`].

mod members;

use serde_json::json;
use time::OffsetDateTime;

use super::{OrgName, Slug, store};
use crate::{
    accounts::{self, Email, PersonName, sign_in::Attempt, store::Account},
    actor::{Principal, Role},
    audit::Event,
    clock,
    database::{Inserted, RlsScope},
    error_kind::{DomainError, ErrorKind},
    ids::{OrgId, UserId},
    mutation::Mutation,
    permissions::{
        Permit,
        permit::{AddMember, AddStaff, CreateOrg, ManagePeople, SuspendOrg},
    },
};
pub use members::{ChangedMember, remove_member, set_role};

#[derive(Debug, thiserror::Error)]
pub enum OrgError {
    #[error("there is an organization {0} already")]
    SlugTaken(String),
    #[error("the address {0} has an account already")]
    EmailTaken(String),
    #[error("the address {0} has an account that is disabled: `keydesk user enable --email {0}` opens it again")]
    EmailDisabled(String),
    #[error("there is no such organization")]
    NoOrg,
    /// Absent, or another organization's: one answer.
    #[error("there is no such member")]
    NoMember,
    #[error("only an owner may change an owner, or make one")]
    OwnersOnly,
    #[error("the organization would be left without an owner who can sign in: make somebody else an owner first")]
    LastOwner,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl DomainError for OrgError {
    fn kind(&self) -> ErrorKind<'_> {
        match self {
            Self::NoOrg | Self::NoMember => ErrorKind::NotFound,
            Self::OwnersOnly => ErrorKind::Forbidden,
            Self::SlugTaken(_) | Self::EmailTaken(_) | Self::EmailDisabled(_) | Self::LastOwner => ErrorKind::Conflict,
            Self::Database(_) => ErrorKind::Unavailable,
        }
    }
}

/// A person to be added. The hash is a PHC string.
pub struct NewPerson {
    pub email: Email,
    pub name: PersonName,
    pub password_hash: String,
}

/// Makes the permit's organization. Needs its reach.
pub async fn create_org(
    m: &mut Mutation,
    permit: &Permit<CreateOrg>,
    slug: &Slug,
    name: &OrgName,
) -> Result<OrgId, OrgError> {
    let (org, now) = (permit.org(), m.now());
    if store::insert(m, org, slug, name, now).await? == Inserted::Duplicate {
        return Err(OrgError::SlugTaken(slug.as_str().to_owned()));
    }
    m.record(Event {
        action: "org.create",
        subject: String::new(),
        summary: format!("Created the organization “{}”", name.as_str()),
        details: json!({ "slug": slug.as_str() }),
    })
    .await?;
    Ok(org)
}

/// Stops serving the permit's organization: every key of it is refused while that stands. Answers whether it was served
/// before. Needs its reach.
pub async fn suspend(m: &mut Mutation, permit: &Permit<SuspendOrg>) -> Result<bool, OrgError> {
    // Also where it is suspended already: whoever did that may still be waiting.
    m.restricts_access();
    let since = Some(m.now());
    set_suspended(m, permit, since, ("org.suspend", "Suspended the organization")).await
}

/// Serves the permit's organization again. Answers whether it was suspended before. Needs its reach.
pub async fn resume(m: &mut Mutation, permit: &Permit<SuspendOrg>) -> Result<bool, OrgError> {
    set_suspended(m, permit, None, ("org.resume", "Resumed the organization")).await
}

async fn set_suspended(
    m: &mut Mutation,
    permit: &Permit<SuspendOrg>,
    since: Option<OffsetDateTime>,
    (action, summary): (&'static str, &str),
) -> Result<bool, OrgError> {
    let before = store::lock(m, permit.org()).await?.ok_or(OrgError::NoOrg)?;
    if before.suspended_at.is_some() == since.is_some() {
        return Ok(false);
    }
    store::set_suspended(m, permit.org(), since).await?;
    m.record(Event {
        action,
        subject: String::new(),
        summary: summary.to_owned(),
        details: json!({ "suspended_since": before.suspended_at.map(OffsetDateTime::unix_timestamp) }),
    })
    .await?;
    Ok(true)
}

/// Adds a person to the permit's organization. Needs its reach.
pub async fn add_member(
    m: &mut Mutation,
    permit: &Permit<AddMember>,
    person: &NewPerson,
    role: Role,
) -> Result<UserId, OrgError> {
    let user = add_person(m, RlsScope::Org(permit.org()), person, false).await?;
    let now = m.now();
    store::insert_member(m, permit.org(), user, role, now).await?;
    m.record(Event {
        action: "member.add",
        subject: accounts::subject(user),
        summary: format!("Added {} ({}) as {}", person.name.as_str(), person.email.as_str(), role.as_str()),
        details: json!({ "role": role.as_str() }),
    })
    .await?;
    Ok(user)
}

/// Adds one of the provider's support people.
pub async fn add_staff(m: &mut Mutation, _: &Permit<AddStaff>, person: &NewPerson) -> Result<UserId, OrgError> {
    let user = add_person(m, RlsScope::Nothing, person, true).await?;
    m.record(Event {
        action: "staff.add",
        subject: accounts::subject(user),
        summary: format!("Added {} ({}) as support staff", person.name.as_str(), person.email.as_str()),
        details: json!({}),
    })
    .await?;
    Ok(user)
}

/// A new account, or the one that somebody left behind who was removed from their organization: nobody could ever be added
/// with its address otherwise. `rls` is what the change may touch, and may touch again afterwards.
async fn add_person(m: &mut Mutation, rls: RlsScope, person: &NewPerson, staff: bool) -> Result<UserId, OrgError> {
    let now = m.now();
    let (user, email, NewPerson { name, password_hash, .. }) = (UserId(clock::id(now)), &person.email, person);
    if accounts::store::insert(m, user, email, name, password_hash, staff, now).await? == Inserted::New {
        return Ok(user);
    }
    let taken = || OrgError::EmailTaken(email.as_str().to_owned());
    let account = accounts::store::lock_by_email(m, email.as_str()).await?.ok_or_else(taken)?;
    m.set_rls_scope(RlsScope::Person(account.id)).await?;
    let left_behind = !staff && !account.staff && store::memberships(m, account.id).await?.is_empty();
    m.set_rls_scope(rls).await?;
    match account.disabled {
        _ if left_behind => {
            accounts::store::take_over(m, account.id, name, password_hash).await?;
            accounts::store::end_sessions_of(m, account.id).await?;
            Ok(account.id)
        }
        true => Err(OrgError::EmailDisabled(email.as_str().to_owned())),
        false => Err(taken()),
    }
}

/// Sets somebody's password (a PHC string) for them, lets a shut account be tried again, and ends all their sessions.
pub async fn set_password(
    m: &mut Mutation,
    _: &Permit<ManagePeople>,
    account: &Account,
    hash: &str,
) -> Result<(), OrgError> {
    accounts::store::set_password(m, account.id, hash).await?;
    manage(m, account, ("password.set", "Set the password of")).await
}

/// Shuts somebody's account and ends all their sessions. Keys they made belong to the organization, and go on unless the
/// catalog binds them to who made them.
pub async fn disable(m: &mut Mutation, _: &Permit<ManagePeople>, account: &Account) -> Result<(), OrgError> {
    let now = m.now();
    accounts::store::disable(m, account.id, now).await?;
    m.restricts_access();
    manage(m, account, ("user.disable", "Disabled")).await
}

/// Opens somebody's account again, with the password that it had.
pub async fn enable(m: &mut Mutation, _: &Permit<ManagePeople>, account: &Account) -> Result<(), OrgError> {
    accounts::store::enable(m, account.id).await?;
    manage(m, account, ("user.enable", "Enabled")).await
}

async fn manage(m: &mut Mutation, account: &Account, (action, verb): (&'static str, &str)) -> Result<(), OrgError> {
    accounts::store::end_sessions_of(m, account.id).await?;
    m.record(Event {
        action,
        subject: accounts::subject(account.id),
        summary: format!("{verb} {}", account.name),
        details: json!({}),
    })
    .await?;
    Ok(())
}

/// Notes how an attempt to sign in ended, in the log of the organization whose member it was, or in the deployment's. Who
/// was accepted acts from here on.
pub async fn note_sign_in(m: &mut Mutation, attempt: &Attempt) -> sqlx::Result<()> {
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
    let subject = account.map(|account| accounts::subject(account.id)).unwrap_or_default();
    let event = Event { action: "sign_in", subject, summary, details: json!({}) };
    if accepted { m.record(event).await } else { m.record_refusal(event).await }
}

/// Lets the rest of a change touch the organization that a person belongs to, or none. Answers who they are there.
pub async fn enter_scope_of(m: &mut Mutation, account: &Account) -> sqlx::Result<Principal> {
    m.set_rls_scope(RlsScope::Person(account.id)).await?;
    let membership = store::memberships(m, account.id).await?.into_iter().next();
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
