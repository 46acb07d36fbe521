//! Organizations and people come to be here, and change: each with its audit row, in the caller's transaction.

mod members;

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    Denied, OrgName, Permit, Slug,
    permit::{AddMember, AddStaff, CreateOrg, ManagePeople, SuspendOrg},
    store,
};
use crate::{
    accounts::{self, Email, PersonName, store::Account},
    actor::{Actor, Role},
    audit::{self, AuditKey, Chain, Event},
    clock,
    database::Inserted,
    error_kind::{DomainError, ErrorKind},
    ids::{OrgId, UserId},
};
pub use members::{ChangedMember, remove_member, set_role};

#[derive(Debug, thiserror::Error)]
pub enum OrgError {
    #[error("there is an organization {0} already")]
    SlugTaken(String),
    #[error("the address {0} has an account already")]
    EmailTaken(String),
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
            Self::SlugTaken(_) | Self::EmailTaken(_) | Self::LastOwner => ErrorKind::Conflict,
            Self::Database(_) => ErrorKind::Unavailable,
        }
    }
}

/// Notes that somebody was refused what their role does not allow.
pub async fn note_refusal(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    chain: Chain,
    actor: &Actor,
    denied: &Denied,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let event = Event {
        action: "denied",
        subject: String::new(),
        summary: format!("Refused: {} may not {}", denied.role.as_str(), denied.action.words()),
        details: json!({}),
        refused: true,
        actor,
        at: now,
    };
    audit::record(db, audit_key, chain, event).await
}

/// A person to be added. The hash is a PHC string.
pub struct NewPerson {
    pub email: Email,
    pub name: PersonName,
    pub password_hash: String,
}

/// Makes the permit's organization. Needs its reach.
pub async fn create_org(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<CreateOrg>,
    slug: &Slug,
    name: &OrgName,
    now: OffsetDateTime,
) -> Result<OrgId, OrgError> {
    let org = permit.org();
    if store::insert(db, org, slug, name, now).await? == Inserted::Duplicate {
        return Err(OrgError::SlugTaken(slug.as_str().to_owned()));
    }
    let event = Event {
        action: "org.create",
        subject: String::new(),
        summary: format!("Created the organization “{}”", name.as_str()),
        details: json!({ "slug": slug.as_str() }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(org), event).await?;
    Ok(org)
}

/// Stops serving the permit's organization: every key of it is refused while that stands. Answers whether it was served
/// before. Needs its reach.
pub async fn suspend(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<SuspendOrg>,
    now: OffsetDateTime,
) -> Result<bool, OrgError> {
    set_suspended(db, audit_key, permit, Some(now), ("org.suspend", "Suspended the organization"), now).await
}

/// Serves the permit's organization again. Answers whether it was suspended before. Needs its reach.
pub async fn resume(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<SuspendOrg>,
    now: OffsetDateTime,
) -> Result<bool, OrgError> {
    set_suspended(db, audit_key, permit, None, ("org.resume", "Resumed the organization"), now).await
}

async fn set_suspended(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<SuspendOrg>,
    since: Option<OffsetDateTime>,
    (action, summary): (&'static str, &str),
    now: OffsetDateTime,
) -> Result<bool, OrgError> {
    let before = store::lock(db, permit.org()).await?.ok_or(OrgError::NoOrg)?;
    if before.suspended_at.is_some() == since.is_some() {
        return Ok(false);
    }
    store::set_suspended(db, permit.org(), since).await?;
    let event = Event {
        action,
        subject: String::new(),
        summary: summary.to_owned(),
        details: json!({ "suspended_since": before.suspended_at.map(OffsetDateTime::unix_timestamp) }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(permit.org()), event).await?;
    Ok(true)
}

/// Adds a person to the permit's organization. Needs its reach.
pub async fn add_member(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<AddMember>,
    person: &NewPerson,
    role: Role,
    now: OffsetDateTime,
) -> Result<UserId, OrgError> {
    let user = add_person(db, person, false, now).await?;
    store::insert_member(db, permit.org(), user, role, now).await?;
    let event = Event {
        action: "member.add",
        subject: format!("user:{}", user.0),
        summary: format!("Added {} ({}) as {}", person.name.as_str(), person.email.as_str(), role.as_str()),
        details: json!({ "role": role.as_str() }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(permit.org()), event).await?;
    Ok(user)
}

/// Adds one of the provider's support people.
pub async fn add_staff(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<AddStaff>,
    person: &NewPerson,
    now: OffsetDateTime,
) -> Result<UserId, OrgError> {
    let user = add_person(db, person, true, now).await?;
    let event = Event {
        action: "staff.add",
        subject: format!("user:{}", user.0),
        summary: format!("Added {} ({}) as support staff", person.name.as_str(), person.email.as_str()),
        details: json!({}),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(db, audit_key, Chain::Deployment, event).await?;
    Ok(user)
}

async fn add_person(
    db: &mut PgConnection,
    person: &NewPerson,
    staff: bool,
    now: OffsetDateTime,
) -> Result<UserId, OrgError> {
    let user = UserId(clock::id(now));
    let (email, name) = (&person.email, &person.name);
    match accounts::store::insert(db, user, email, name, &person.password_hash, staff, now).await? {
        Inserted::New => Ok(user),
        Inserted::Duplicate => Err(OrgError::EmailTaken(email.as_str().to_owned())),
    }
}

/// Sets somebody's password (a PHC string) for them, lets a shut account be tried again, and ends all their sessions.
pub async fn set_password(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<ManagePeople>,
    account: &Account,
    hash: &str,
    now: OffsetDateTime,
) -> Result<(), OrgError> {
    accounts::store::set_password(db, account.id, hash).await?;
    manage(db, audit_key, permit, account, ("password.set", "Set the password of"), now).await
}

/// Shuts somebody's account and ends all their sessions. Keys they made belong to the organization and go on.
pub async fn disable(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<ManagePeople>,
    account: &Account,
    now: OffsetDateTime,
) -> Result<(), OrgError> {
    accounts::store::disable(db, account.id, now).await?;
    manage(db, audit_key, permit, account, ("user.disable", "Disabled"), now).await
}

async fn manage(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<ManagePeople>,
    account: &Account,
    (action, verb): (&'static str, &str),
    now: OffsetDateTime,
) -> Result<(), OrgError> {
    accounts::store::end_sessions_of(db, account.id).await?;
    let chain = if permit.org() == OrgId::NONE { Chain::Deployment } else { Chain::Org(permit.org()) };
    let event = Event {
        action,
        subject: format!("user:{}", account.id.0),
        summary: format!("{verb} {}", account.name),
        details: json!({}),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    Ok(audit::record(db, audit_key, chain, event).await?)
}
