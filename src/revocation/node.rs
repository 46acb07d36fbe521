//! A running key plane: registered in the database, and round after round no further behind it than a lease is long.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    LEASE,
    lease::Incarnation,
    memory::{Lost, Memory, Seen},
    store,
};
use crate::clock::Clock;

/// Without a change that wakes it, a node makes a round this often.
const EVERY: Duration = Duration::from_millis(250);
/// However many changes wake it, from one round's beginning to the next it takes at least this long.
const AT_LEAST: Duration = Duration::from_millis(20);
/// After a failure it waits this long before it tries again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it clears up what others left behind.
const TIDY: Duration = Duration::from_secs(30);
/// A row that has not moved for this long on our clock belongs to a node without a lease.
const STILL: Duration = Duration::from_secs(5);

const CHANNEL: &str = "keydesk_changes";

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("the database could not be asked: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("the database did not answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
}

/// What a node is called, and what it works with.
pub struct Node {
    /// For people: where it runs.
    pub name: String,
    /// What counts its calls: `memory` or `redis`.
    pub limiter: &'static str,
    pub memory: Arc<Memory>,
    pub clock: Clock,
    /// As `keydesk_keys`. A node has connections of its own: a crowded pool must not cost it its lease.
    options: PgConnectOptions,
    /// The row it has, or may have.
    row: Mutex<Option<Uuid>>,
}

/// One registration: a row with an id that nobody else has or had.
pub struct Registration {
    pub id: Uuid,
    pub incarnation: Incarnation,
}

impl Node {
    pub fn new(name: String, limiter: &'static str, memory: Arc<Memory>, clock: Clock, keys: &PgPool) -> Self {
        let options = (*keys.connect_options()).clone().application_name("keydesk node");
        Self { name, limiter, memory, clock, options, row: Mutex::default() }
    }

    /// Keeps this node registered and its lease alive, until dropped. Then, or before, call [`Node::leave`].
    pub async fn run(&self) {
        let wake = Notify::new();
        tokio::join!(self.listen(&wake), self.stay(&wake), self.tidy());
    }

    /// Rings at every change. What is missed while it is not listening is found by the next round.
    async fn listen(&self, wake: &Notify) {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options.clone());
        loop {
            let heard = async {
                let mut listener = PgListener::connect_with(&pool).await?;
                listener.listen(CHANNEL).await?;
                loop {
                    listener.recv().await?;
                    wake.notify_one();
                }
            };
            let error: Result<(), sqlx::Error> = heard.await;
            tracing::debug!(?error, "this node does not hear of changes for a moment");
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn stay(&self, wake: &Notify) {
        loop {
            let Err(error) = self.registered(wake).await;
            tracing::warn!(%error, "this node registers anew");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Registers and makes rounds until something goes wrong.
    async fn registered(&self, wake: &Notify) -> Result<Infallible, NodeError> {
        let mut db = tokio::time::timeout(LEASE, self.options.connect()).await??;
        let registration = tokio::time::timeout(LEASE, self.register(&mut db)).await??;
        loop {
            let begun = Instant::now();
            self.round(&mut db, &registration).await?;
            let _ = tokio::time::timeout(EVERY, wake.notified()).await;
            tokio::time::sleep(AT_LEAST.saturating_sub(begun.elapsed())).await;
        }
    }

    /// Begins a registration. The one before is over, and nothing of it is answered any more, before its row goes.
    pub async fn register(&self, db: &mut PgConnection) -> sqlx::Result<Registration> {
        self.give_up(db).await?;
        let id = Uuid::new_v4();
        *self.row.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        let at = store::register(db, id, &self.name, self.limiter).await?;
        Ok(Registration { id, incarnation: self.memory.begin(at) })
    }

    /// One round. An error means that the registration is over.
    pub async fn round(&self, db: &mut PgConnection, registration: &Registration) -> Result<(), NodeError> {
        let seen = tokio::time::timeout(LEASE, self.read(db)).await??;
        tokio::time::timeout(LEASE, self.follow(db, registration, &seen)).await?
    }

    /// First half: what has changed. The lease that this round gives is counted from before.
    pub async fn read(&self, db: &mut PgConnection) -> Result<Seen, NodeError> {
        let begun = self.memory.lease.now();
        let applied = self.memory.applied().ok_or(Lost("it was ended"))?;
        Ok(store::changes(db, applied.revision, begun, self.clock.now()).await?)
    }

    /// Second half: forgets what has changed, writes down how far it is, and only then may go on answering.
    pub async fn follow(
        &self,
        db: &mut PgConnection,
        registration: &Registration,
        seen: &Seen,
    ) -> Result<(), NodeError> {
        let applied = self.memory.apply(seen)?;
        if !store::renew(db, registration.id, applied.revision).await? {
            self.memory.end();
            return Err(Lost("somebody waited for it too long").into());
        }
        self.memory.extend(registration.incarnation, seen.begun);
        Ok(())
    }

    /// Leaves for good, so that nobody waits for it. Stops answering also where the database cannot be told.
    pub async fn leave(&self) {
        self.memory.end();
        let left = async {
            let mut db = self.options.connect().await?;
            self.give_up(&mut db).await?;
            db.close().await
        };
        match tokio::time::timeout(LEASE, left).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "this node could not say that it leaves"),
            Err(_) => tracing::debug!("this node could not say in time that it leaves"),
        }
    }

    /// Stops answering, then deletes its row: never the other way round.
    pub async fn give_up(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        self.memory.end();
        let row = *self.row.lock().unwrap_or_else(PoisonError::into_inner);
        match row {
            Some(row) => store::leave(db, row).await,
            None => Ok(()),
        }
    }

    /// Strikes the rows of nodes that are no more, and forgets changes that all have applied.
    async fn tidy(&self) {
        loop {
            tokio::time::sleep(TIDY).await;
            self.memory.tidy();
            if let Err(error) = self.tidy_once().await {
                tracing::debug!(%error, "what others left behind could not be cleared up");
            }
        }
    }

    async fn tidy_once(&self) -> sqlx::Result<()> {
        let mut db = self.options.connect().await?;
        let before = store::rounds(&mut db).await?;
        tokio::time::sleep(STILL).await;
        for (id, rounds) in before {
            store::evict_if_still(&mut db, id, rounds).await?;
        }
        store::prune(&mut db).await?;
        db.close().await
    }
}
