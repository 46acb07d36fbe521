//! Browser sessions: the store behind tower-sessions. A session is kept by the SHA-256 of its cookie and never revived by a
//! late write.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use time::Duration;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};
use uuid::Uuid;

use super::{context::RequestContext, error::ConsoleError};
use crate::{
    accounts::{session, store},
    clock::{self, Clock},
    ids::UserId,
    secrets::Digest,
};

/// A session's last use is noted no more often than this.
const TOUCH: Duration = Duration::seconds(30);
/// The one entry of a session's data.
pub const ENTRY: &str = "signed_in";

/// What a session knows: who signed in, with what, from where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedIn {
    pub user: Uuid,
    /// The session's public id; nil until the store has given it one.
    pub session: Uuid,
    pub agent: String,
    pub address: Option<std::net::IpAddr>,
}

#[derive(Clone, Debug)]
pub struct Sessions {
    pub console: PgPool,
    pub clock: Clock,
}

/// The cookie's text is what its holder proves to know, so that is what is hashed.
fn digest(id: &Id) -> Digest {
    Digest::of(id.to_string().as_bytes())
}

fn backend(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let entry =
            record.data.get(ENTRY).cloned().ok_or_else(|| Error::Encode("a session needs a person".to_owned()))?;
        let entry: SignedIn = serde_json::from_value(entry).map_err(|error| Error::Encode(error.to_string()))?;
        let now = self.clock.now();
        let session = store::Session {
            id: clock::id(now),
            user: UserId(entry.user),
            created_at: now,
            last_seen_at: now,
            agent: entry.agent,
            address: entry.address,
        };
        let mut db = self.console.acquire().await.map_err(backend)?;
        store::insert_session(&mut db, digest(&record.id), &session).await.map_err(backend)
    }

    /// Nothing in a session changes after it began, so a save has nothing to do; above all it must not insert.
    async fn save(&self, _record: &Record) -> Result<()> {
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let digest = digest(id);
        let now = self.clock.now();
        let (idle_since, begun_since) = session::bounds(now);
        let mut db = self.console.acquire().await.map_err(backend)?;
        let Some(session) = store::live_session(&mut db, digest, idle_since, begun_since).await.map_err(backend)?
        else {
            return Ok(None);
        };
        if session.last_seen_at + TOUCH <= now {
            store::touch_session(&mut db, digest, now).await.map_err(backend)?;
        }
        let entry =
            SignedIn { user: session.user.0, session: session.id, agent: session.agent, address: session.address };
        let entry = serde_json::to_value(entry).map_err(|error| Error::Decode(error.to_string()))?;
        let data = [(ENTRY.to_owned(), entry)].into();
        Ok(Some(Record { id: *id, data, expiry_date: session.created_at + session::ABSOLUTE }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let mut db = self.console.acquire().await.map_err(backend)?;
        store::end_session(&mut db, digest(id)).await.map_err(backend)
    }
}

impl RequestContext {
    /// Begins a session for whoever has just proved who they are: a new id, and the old one is dead.
    pub async fn begin_session(&self, user: UserId) -> std::result::Result<(), ConsoleError> {
        let entry =
            SignedIn { user: user.0, session: Uuid::nil(), agent: self.agent.clone(), address: Some(self.address) };
        let begun = async {
            self.session.cycle_id().await?;
            self.session.insert(ENTRY, entry).await?;
            self.session.save().await
        };
        begun.await.map_err(|error| {
            tracing::error!(%error, "a session could not be begun");
            ConsoleError::Unavailable
        })
    }

    /// Ends this session, here and in the database.
    pub async fn end_session(&self) -> std::result::Result<(), ConsoleError> {
        self.session.flush().await.map_err(|error| {
            tracing::error!(%error, "a session could not be ended");
            ConsoleError::Unavailable
        })
    }
}
