//! A running key plane: registered in the database, and round after round no further behind it than a lease is long.

pub mod look_up;
pub mod memory;
mod predecessor;

use std::{
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    clock::Clock,
    database,
    revocation::{ChangeBatch, lease::Incarnation, store},
};
use memory::{Lost, Memory};
use predecessor::RowFile;

/// How often a node makes a round if no change wakes it.
const ROUND_INTERVAL: Duration = Duration::from_millis(250);
/// The shortest time from the beginning of one round to the next, however many changes wake the node.
const MIN_ROUND_INTERVAL: Duration = Duration::from_millis(20);
/// How long a node waits after a failure before it connects again.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How often a node clears up what others left behind.
const TIDY_INTERVAL: Duration = Duration::from_secs(30);
/// How long a statement of a round may take before the node tries another connection, at least and at most. In between it is
/// a quarter of the lease, so that a connection that says nothing does not cost the lease.
const STATEMENT_PATIENCE: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
/// How long a node that leaves tries to say so.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Where the next process finds that row if this one dies.
    file: Mutex<Option<RowFile>>,
}

/// One registration: a row with an id that nobody else has or had. It outlasts connections.
#[derive(Clone, Copy)]
pub struct Registration {
    pub id: Uuid,
    pub incarnation: Incarnation,
}

impl Node {
    pub fn new(name: String, limiter: &'static str, memory: Arc<Memory>, clock: Clock, db: &PgPool) -> Self {
        let options = (*db.connect_options()).clone().application_name("keydesk node");
        Self { name, limiter, memory, clock, options, row: Mutex::default(), file: Mutex::default() }
    }

    /// Deletes the rows of nodes that died with this data folder, and leaves word there of its own.
    pub fn in_folder(self, data_dir: &Path) -> Self {
        match RowFile::create(data_dir) {
            Ok(file) => *locked(&self.file) = Some(file),
            Err(error) => tracing::warn!(%error, "if this node is killed, the next change has to wait for its lease"),
        }
        self
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

    /// A lost connection ends no registration: what is remembered and the lease stay, and the next connection goes on under
    /// the same row. Only a round that finds the row gone, or another history, begins a new one.
    async fn stay_registered(&self, wake: &Notify) {
        let (mut registration, mut last) = (None, String::new());
        loop {
            let Err(error) = self.follow_changes(wake, &mut registration).await;
            // While the database is away, one line is enough.
            let text = error.to_string();
            if text != last {
                tracing::warn!(error = text, "this node does not follow the database for the moment");
                last = text;
            }
            if matches!(error, NodeError::Lost(_)) {
                registration = None;
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Makes rounds on one connection until something goes wrong.
    async fn follow_changes(
        &self,
        wake: &Notify,
        registration: &mut Option<Registration>,
    ) -> Result<Infallible, NodeError> {
        let mut db = tokio::time::timeout(self.patience(), self.connect()).await??;
        let current = match *registration {
            Some(current) => current,
            None => *registration.insert(tokio::time::timeout(self.patience(), self.register(&mut db)).await??),
        };
        loop {
            let begun = Instant::now();
            self.round(&mut db, &current).await?;
            let _ = tokio::time::timeout(ROUND_INTERVAL, wake.notified()).await;
            tokio::time::sleep(MIN_ROUND_INTERVAL.saturating_sub(begun.elapsed())).await;
        }
    }

    /// A stand-by that lags must not be taken for another history, so a server that only reads is none to follow.
    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut db = self.options.connect().await?;
        database::store::assert_writable(&mut db).await?;
        Ok(db)
    }

    fn patience(&self) -> Duration {
        let [least, most] = STATEMENT_PATIENCE;
        (self.memory.lease.length.get() / 4).clamp(least, most)
    }

    /// Begins a registration. Before it the previous one is ended, so that nothing of it is answered any more when its row
    /// is deleted.
    pub async fn register(&self, db: &mut PgConnection) -> sqlx::Result<Registration> {
        self.give_up(db).await?;
        self.delete_rows_of_the_dead(db).await?;
        let id = Uuid::new_v4();
        *locked(&self.row) = Some(id);
        if let Some(file) = &mut *locked(&self.file)
            && let Err(error) = file.write(id)
        {
            tracing::debug!(%error, "the data folder does not say which row this node has");
        }
        let at = store::register(db, id, &self.name, self.limiter, self.memory.lease.length).await?;
        Ok(Registration { id, incarnation: self.memory.begin(at) })
    }

    /// One round. [`NodeError::Lost`] means that the registration is over; after any other error it may go on.
    pub async fn round(&self, db: &mut PgConnection, registration: &Registration) -> Result<(), NodeError> {
        let batch = tokio::time::timeout(self.patience(), self.read(db)).await??;
        tokio::time::timeout(self.patience(), self.follow(db, registration, &batch)).await?
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
        let applied = self.memory.apply(batch).inspect_err(|_| {
            self.memory.end();
        })?;
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
        match tokio::time::timeout(LEAVE_TIMEOUT, left).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "this node could not say that it leaves"),
            Err(_) => tracing::debug!("this node could not say in time that it leaves"),
        }
    }

    /// Stops answering, then deletes its row: never the other way round.
    pub async fn give_up(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        self.memory.end();
        let row = *locked(&self.row);
        match row {
            Some(row) => store::leave(db, row).await,
            None => Ok(()),
        }
    }

    async fn delete_rows_of_the_dead(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        let dead = locked(&self.file).as_ref().map(RowFile::of_the_dead);
        for (row, file) in dead.and_then(Result::ok).unwrap_or_default() {
            store::leave(db, row).await?;
            if let Err(error) = std::fs::remove_file(file) {
                tracing::debug!(%error, "the file of a dead node stays");
            }
        }
        Ok(())
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
        store::prune(&mut db).await?;
        let (before, begun) = (store::rounds(&mut db).await?, Instant::now());
        db.close().await?;
        let longest = before.iter().map(|node| node.lease_ms).max().unwrap_or_default();
        // Twice as long as it takes, lest a node that is merely slow is hurt.
        tokio::time::sleep(2 * Duration::from_millis(longest.unsigned_abs().into())).await;
        let mut db = self.options.connect().await?;
        for node in before {
            store::deregister_if_still(&mut db, &node, begun.elapsed()).await?;
        }
        db.close().await
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
