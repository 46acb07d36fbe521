//! A running key plane: registered in the database, and round after round no further behind it than a lease is long.

pub mod look_up;
pub mod memory;
mod predecessor;
pub mod witness;

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
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
    revocation::{Change, ChangeBatch, HistoryBack, Mark, lease::Incarnation, store},
    secrets::Digest,
};
use memory::{Lost, Memory, WentBack};
use predecessor::RowFile;
use witness::{MAX_REVOKED, Seen};

/// How often a node makes a round if no change wakes it.
const ROUND_INTERVAL: Duration = Duration::from_millis(250);
/// The shortest time from the beginning of one round to the next, however many changes wake the node.
const MIN_ROUND_INTERVAL: Duration = Duration::from_millis(20);
/// How long a node waits after a failure before it connects again.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How often a node clears up what others left behind.
const TIDY_INTERVAL: Duration = Duration::from_secs(30);
/// How often a node writes down what it has seen of the history, if no revocation wakes it.
const WITNESS_INTERVAL: Duration = Duration::from_secs(1);
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
    /// `None`: it has no data folder, and notices nothing that was before it started.
    witness: Mutex<Option<Witness>>,
    /// Notified when a key was revoked.
    revoked: Notify,
}

/// What a node has seen of the history, and where it is kept.
struct Witness {
    data_dir: PathBuf,
    seen: Seen,
    /// Whether there is more in `seen` than was written.
    changed: bool,
    /// What is answered for keys that are not known to be revoked, when the database went back.
    others: HistoryBack,
    /// What was last logged, which is not said again.
    logged: String,
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
        let (row, file, witness) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { name, limiter, memory, clock, options, row, file, witness, revoked: Notify::new() }
    }

    /// Deletes the rows of nodes that died with this data folder, and leaves word there of its own. Compares the database's
    /// history with the one that the folder knows; `others` is what is then answered for keys that it does not know.
    pub fn in_folder(self, data_dir: &Path, others: HistoryBack) -> Self {
        *locked(&self.witness) = Some(Witness {
            data_dir: data_dir.to_owned(),
            seen: Seen::default(),
            changed: false,
            others,
            logged: String::new(),
        });
        match RowFile::create(data_dir) {
            Ok(file) => *locked(&self.file) = Some(file),
            Err(error) => tracing::warn!(%error, "if this node is killed, the next change has to wait for its lease"),
        }
        self
    }

    /// Keeps this node registered and its lease alive, until dropped. Then, or before, call [`Node::leave`].
    pub async fn run(&self) {
        let wake = Notify::new();
        tokio::join!(self.listen(&wake), self.stay_registered(&wake), self.tidy(), self.keep_witness());
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
        let seen = self.seen_last();
        let lease = self.memory.lease.length;
        let (at, known) =
            store::register(db, id, &self.name, self.limiter, lease, seen.map(|last| last.revision)).await?;
        self.compare(at, known);
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
        let mut batch = store::changes(db, applied.revision, begun, self.clock.now()).await?;
        if locked(&self.witness).is_some() {
            let digests = batch.changes.iter().rev().filter_map(|(_, change)| match change {
                Change::Key(digest) | Change::ServiceKey(digest) => Some(*digest),
                Change::Org(_) | Change::Person(_) => None,
            });
            let digests: Vec<Digest> = digests.take(MAX_REVOKED).collect();
            if !digests.is_empty() {
                batch.revoked = store::revoked(db, &digests).await?;
            }
        }
        Ok(batch)
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
        self.note(batch.head, &batch.revoked);
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
        self.tend_witness().await;
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

    /// The last revision that was seen from this data folder.
    fn seen_last(&self) -> Option<Mark> {
        let mut witness = locked(&self.witness);
        let witness = witness.as_mut()?;
        match witness::read(&witness.data_dir) {
            Ok(file) => witness.seen = file.merge(std::mem::take(&mut witness.seen)),
            Err(error) => witness.log(&format!("whether the database went back cannot be told: {error}")),
        }
        witness.seen.last
    }

    /// Compares the history of the database, at the beginning of a registration, with the one that was seen.
    fn compare(&self, head: Mark, known: Option<Uuid>) {
        let mut witness = locked(&self.witness);
        let Some(witness) = &mut *witness else { return };
        let back = witness.seen.went_back(head, known).map(|reason| WentBack {
            reason: format!("{reason}; revoke again what was revoked since, with keydesk history accept"),
            revoked: witness.seen.revoked.iter().copied().collect(),
            others: witness.others,
        });
        match &back {
            Some(back) => witness.log(&back.reason),
            None => {
                witness.seen.note(head, &[]);
                witness.changed = true;
            }
        }
        self.memory.set_went_back(back);
    }

    /// Remembers how far the node is, and what was revoked. What comes after the database went back is of a history that
    /// nobody has accepted.
    fn note(&self, head: Mark, revoked: &[Digest]) {
        if self.memory.went_back().is_some() {
            return;
        }
        if let Some(witness) = &mut *locked(&self.witness)
            && (witness.seen.last != Some(head) || !revoked.is_empty())
        {
            witness.seen.note(head, revoked);
            witness.changed = true;
            if !revoked.is_empty() {
                self.revoked.notify_one();
            }
        }
    }

    async fn keep_witness(&self) {
        loop {
            let _ = tokio::time::timeout(WITNESS_INTERVAL, self.revoked.notified()).await;
            self.tend_witness().await;
        }
    }

    /// Writes down what was seen since the last time. If an operator has accepted another history meanwhile, the
    /// registration ends, and the next one compares with that.
    pub async fn tend_witness(&self) {
        let (data_dir, seen, changed) = {
            let mut witness = locked(&self.witness);
            let Some(witness) = &mut *witness else { return };
            (witness.data_dir.clone(), witness.seen.clone(), std::mem::take(&mut witness.changed))
        };
        let is_back = self.memory.went_back().is_some();
        if !changed && !is_back {
            return;
        }
        let accepted = seen.accepted;
        let write = move || match is_back {
            true => witness::read(&data_dir),
            false => witness::update(&data_dir, |file| file.merge(seen)),
        };
        let done = tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let Some(witness) = &mut *locked(&self.witness) {
            match done {
                Ok(file) if file.accepted > accepted => {
                    witness.seen = file;
                    self.memory.end();
                }
                Ok(_) => {}
                Err(error) => {
                    witness.changed |= !is_back;
                    witness.log(&format!("the history is not kept beside the database: {error}"));
                }
            }
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

impl Witness {
    /// Once is enough while nothing changes.
    fn log(&mut self, text: &str) {
        if self.logged != text {
            tracing::error!("{text}");
            text.clone_into(&mut self.logged);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
