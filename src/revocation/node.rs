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
    memory::{ChangeBatch, Lost, Memory},
    store,
};
use crate::clock::Clock;

/// How often a node makes a round if no change wakes it.
const ROUND_INTERVAL: Duration = Duration::from_millis(250);
/// The shortest time from the beginning of one round to the next, however many changes wake the node.
const MIN_ROUND_INTERVAL: Duration = Duration::from_millis(20);
/// How long a node waits after a failure before it registers anew.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How often a node clears up what others left behind.
const TIDY_INTERVAL: Duration = Duration::from_secs(30);
/// A row that has made no round for this long by our clock belongs to a node without a lease.
const STALE_AFTER: Duration = Duration::from_secs(5);

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

/// A key plane that follows the changes.
pub struct Node {
    /// Where it runs, for people.
    pub name: String,
    /// What counts its calls: `memory` or `redis`.
    pub limiter: &'static str,
    pub memory: Arc<Memory>,
    pub clock: Clock,
    /// As the role `keydesk_keys`. A node has connections of its own, so that a crowded pool does not cost it its lease.
    options: PgConnectOptions,
    /// The id of the row that it has, or may have.
    row: Mutex<Option<Uuid>>,
}

/// One registration: a row with an id that nobody else has or had.
pub struct Registration {
    pub id: Uuid,
    pub incarnation: Incarnation,
}

impl Node {
    pub fn new(name: String, limiter: &'static str, memory: Arc<Memory>, clock: Clock, db: &PgPool) -> Self {
        let options = (*db.connect_options()).clone().application_name("keydesk node");
        Self { name, limiter, memory, clock, options, row: Mutex::default() }
    }

    /// Keeps this node registered and its lease alive, until dropped. Then, or before, call [`Node::leave`].
    pub async fn run(&self) {
        let wake = Notify::new();
        tokio::join!(self.listen(&wake), self.stay_registered(&wake), self.tidy());
    }

    /// Notifies at every change. The next round finds what is missed while nobody listens.
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
            tokio::time::sleep(ROUND_INTERVAL).await;
        }
    }

    async fn stay_registered(&self, wake: &Notify) {
        loop {
            let Err(error) = self.registered(wake).await;
            tracing::warn!(%error, "this node registers anew");
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Registers and makes rounds until something goes wrong.
    async fn registered(&self, wake: &Notify) -> Result<Infallible, NodeError> {
        let mut db = tokio::time::timeout(LEASE, self.options.connect()).await??;
        let registration = tokio::time::timeout(LEASE, self.register(&mut db)).await??;
        loop {
            let begun = Instant::now();
            self.round(&mut db, &registration).await?;
            let _ = tokio::time::timeout(ROUND_INTERVAL, wake.notified()).await;
            tokio::time::sleep(MIN_ROUND_INTERVAL.saturating_sub(begun.elapsed())).await;
        }
    }

    /// Begins a registration. Before it the previous one is ended, so that nothing of it is answered any more when its row
    /// is deleted.
    pub async fn register(&self, db: &mut PgConnection) -> sqlx::Result<Registration> {
        self.give_up(db).await?;
        let id = Uuid::new_v4();
        *self.row.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        let at = store::register(db, id, &self.name, self.limiter).await?;
        Ok(Registration { id, incarnation: self.memory.begin(at) })
    }

    /// One round. An error means that the registration is over.
    pub async fn round(&self, db: &mut PgConnection, registration: &Registration) -> Result<(), NodeError> {
        let batch = tokio::time::timeout(LEASE, self.read(db)).await??;
        tokio::time::timeout(LEASE, self.follow(db, registration, &batch)).await?
    }

    /// First half: reads what has changed. The lease that this round gives is counted from before the read.
    pub async fn read(&self, db: &mut PgConnection) -> Result<ChangeBatch, NodeError> {
        let begun = self.memory.lease.now();
        let applied = self.memory.applied().ok_or(Lost("it was ended"))?;
        Ok(store::changes(db, applied.revision, begun, self.clock.now()).await?)
    }

    /// Second half: forgets what has changed, writes down how far the node is, and only then extends the lease.
    pub async fn follow(
        &self,
        db: &mut PgConnection,
        registration: &Registration,
        batch: &ChangeBatch,
    ) -> Result<(), NodeError> {
        let applied = self.memory.apply(batch)?;
        if !store::renew(db, registration.id, applied.revision).await? {
            self.memory.end();
            return Err(Lost("somebody waited for it too long").into());
        }
        self.memory.extend(registration.incarnation, batch.begun);
        Ok(())
    }

    /// Leaves for good, so that no receipt waits for this node. It stops answering even if the database cannot be told.
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

    /// Deregisters nodes that are gone, and forgets changes that all nodes have applied.
    async fn tidy(&self) {
        loop {
            tokio::time::sleep(TIDY_INTERVAL).await;
            self.memory.tidy();
            if let Err(error) = self.tidy_once().await {
                tracing::debug!(%error, "what others left behind could not be cleared up");
            }
        }
    }

    async fn tidy_once(&self) -> sqlx::Result<()> {
        let mut db = self.options.connect().await?;
        let before = store::rounds(&mut db).await?;
        tokio::time::sleep(STALE_AFTER).await;
        for (id, rounds) in before {
            store::deregister_if_still(&mut db, id, rounds).await?;
        }
        store::prune(&mut db).await?;
        db.close().await
    }
}
