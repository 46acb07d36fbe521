//! A change of the database, as one value: what it may touch, who makes it, when, and whether it takes access away.
//!
//! Functions of the domains called `lifecycle` take one, and say of themselves whether they restrict access. A plane or a
//! command begins one and commits it, and decides nothing: [`Mutation::commit`] waits where it has to. Nothing else commits
//! a change (`src/tests/house_rules/architecture.rs`).

use std::{
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use time::OffsetDateTime;

use crate::{
    actor::{Actor, Principal},
    audit::{self, AuditKey, Event},
    database::{self, RlsScope},
    error_kind::{DomainError, ErrorKind},
    ids::Scope,
    permissions::{Denied, Permit, permit::Act},
    revocation::{self, Pending, Receipt},
};

/// How long a request waits until a change holds everywhere. Then it is answered with a receipt that says for whom is waited.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(10);
/// What is said where nobody knows whether a change was made.
pub const MAY_BE_RECORDED: &str = "It may have been recorded: the answer of the database was lost. Do it once more to be \
                                   sure; what is done already is not done twice.";

/// A change that has begun. Dropped, it has never been.
pub struct Mutation {
    tx: Transaction<'static, Postgres>,
    /// Where the receipt is waited for.
    pool: PgPool,
    audit_key: AuditKey,
    actor: Actor,
    scope: Scope,
    now: OffsetDateTime,
    begun: Instant,
    restricts_access: bool,
}

/// Why a change could not be committed, or not be seen to hold.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing has changed.
    #[error("the change was not made: {0}")]
    NotDone(#[source] sqlx::Error),
    /// COMMIT was sent, and its reply did not come. A repeat finds out, and waits where that is needed.
    #[error("it may have been recorded, since the answer to its commit was lost; do it once more to be sure: {0}")]
    Unknown(#[source] sqlx::Error),
    /// The change is made. Whether every node knows of it could not be seen, so a repeat waits for it again.
    #[error("it is recorded, but whether every node knows could not be seen: {0}")]
    Unconfirmed(#[source] sqlx::Error),
}

impl CommitError {
    /// What an error of COMMIT itself says. Only if Postgres refused it has nothing changed: a server that is shut down in
    /// the middle may have written it already.
    fn of_commit(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) if refusal.code().is_some_and(|code| !code.starts_with("57P")) => {
                Self::NotDone(error)
            }
            _ => Self::Unknown(error),
        }
    }
}

impl DomainError for CommitError {
    fn kind(&self) -> ErrorKind<'_> {
        match self {
            Self::NotDone(_) => ErrorKind::Unavailable,
            Self::Unknown(_) => ErrorKind::Unknown,
            Self::Unconfirmed(_) => ErrorKind::Unconfirmed,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::NotDone(_) => "The change was not made. Try again in a moment.",
            Self::Unknown(_) => MAY_BE_RECORDED,
            Self::Unconfirmed(_) => {
                "It is recorded, but Keydesk could not see whether every node knows yet. Repeat it to be sure."
            }
        }
        .to_owned()
    }
}

impl Mutation {
    /// Begins a change by `actor`, who is known without asking the database.
    pub async fn begin(
        pool: &PgPool,
        audit_key: &AuditKey,
        rls: RlsScope,
        actor: Actor,
        now: OffsetDateTime,
    ) -> sqlx::Result<Self> {
        let begun = Instant::now();
        let tx = database::begin(pool, rls).await?;
        let (pool, audit_key, scope) = (pool.clone(), audit_key.clone(), rls.scope());
        Ok(Self { tx, pool, audit_key, actor, scope, now, begun, restricts_access: false })
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The moment that the whole change happens at.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// From here on somebody else acts, in the same request: whoever has just proved who they are.
    pub fn set_principal(&mut self, principal: Principal) {
        self.actor.principal = principal;
    }

    /// From here on `principal` acts in `scope`: the statement that read who they are has narrowed the rows to it.
    pub fn set_principal_in(&mut self, principal: Principal, scope: Scope) {
        (self.actor.principal, self.scope) = (principal, scope);
    }

    /// From here on somebody else acts, at another moment: where a history is written in one go.
    pub fn set_scene(&mut self, actor: Actor, now: OffsetDateTime) {
        (self.actor, self.now) = (actor, now);
    }

    /// From here on the rows of `rls` can be touched, and no others.
    pub async fn set_rls_scope(&mut self, rls: RlsScope) -> sqlx::Result<()> {
        database::set_rls_scope(&mut self.tx, rls).await?;
        self.scope = rls.scope();
        Ok(())
    }

    /// The permit to do `A` where this change happens, for whoever makes it.
    pub fn permit<A: Act>(&self) -> Result<Permit<A>, Denied> {
        Permit::grant(&self.actor, self.scope)
    }

    /// [`Self::permit`] for somebody who has to be told no: a refusal is recorded in the audit log, and ends the change.
    pub async fn authorize<A: Act>(mut self) -> Result<Result<(Self, Permit<A>), Denied>, CommitError> {
        match self.permit() {
            Ok(permit) => Ok(Ok((self, permit))),
            Err(denied) => {
                let event = Event {
                    action: "denied",
                    subject: String::new(),
                    summary: format!("Refused: {} may not {}", denied.role.as_str(), denied.action.words()),
                    details: serde_json::json!({}),
                };
                self.record_refusal(event).await.map_err(CommitError::NotDone)?;
                self.commit().await?;
                Ok(Err(denied))
            }
        }
    }

    /// Adds to the audit log what happened.
    pub async fn record(&mut self, event: Event) -> sqlx::Result<()> {
        self.append(event, false).await
    }

    /// Adds to the audit log what was attempted and refused.
    pub async fn record_refusal(&mut self, event: Event) -> sqlx::Result<()> {
        self.append(event, true).await
    }

    async fn append(&mut self, event: Event, refused: bool) -> sqlx::Result<()> {
        let row = event.into_row(self.scope, &self.actor, self.now, refused);
        audit::append(&mut self.tx, &self.audit_key, row).await
    }

    /// Somebody or something may do less from here on, or may already and nobody was told: whoever asked for the change is
    /// answered when it holds everywhere. For functions called `lifecycle` alone.
    pub fn restricts_access(&mut self) {
        self.restricts_access = true;
    }

    /// Commits. A change that restricts access is waited for until it holds everywhere, which its receipt proves, or says
    /// for whom is waited still. One that gives access is not: nobody is let in wrongly meanwhile, and every node follows
    /// within a second.
    pub async fn commit(self) -> Result<Option<Receipt>, CommitError> {
        match self.commit_pending().await? {
            Some(mut pending) => pending.wait(RECEIPT_PATIENCE).await.map(Some).map_err(CommitError::Unconfirmed),
            None => Ok(None),
        }
    }

    /// Commits, and waits until the change holds everywhere whatever it does: for programs that rely on it in their next
    /// request.
    pub async fn commit_everywhere(mut self) -> Result<Receipt, CommitError> {
        self.restricts_access();
        self.commit().await?.ok_or(CommitError::Unconfirmed(sqlx::Error::RowNotFound))
    }

    /// Commits, and hands the waiting over: for whoever has more patience than a request. `None`: nothing is waited for.
    pub async fn commit_pending(mut self) -> Result<Option<Pending>, CommitError> {
        if !self.restricts_access {
            self.tx.commit().await.map_err(CommitError::of_commit)?;
            return Ok(None);
        }
        let revision = revocation::store::log_changes(&mut self.tx).await.map_err(CommitError::NotDone)?;
        self.tx.commit().await.map_err(CommitError::of_commit)?;
        Ok(Some(Pending::new(self.pool, revision, self.begun)))
    }
}

/// What the statements of a `store` are asked on.
impl Deref for Mutation {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tx
    }
}

impl DerefMut for Mutation {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
