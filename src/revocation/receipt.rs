//! The proof that a change that restricts access holds everywhere.

use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::PgPool;
use tokio::{sync::watch, task::JoinHandle};
use utoipa::ToSchema;

use super::{
    Revision,
    store::{self, Progress},
};

/// How soon a receipt looks again at how far the nodes are, at first: most of them follow within milliseconds.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(2);
/// The interval between two looks doubles up to this.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Where a change that takes access away holds, and how soon: on all key planes that answer, and on those cut off, which
/// answer for no key until they have caught up. It holds everywhere once no key plane is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Receipt {
    /// How many key planes were running.
    pub nodes: u32,
    /// The names of those that did not follow in time, and answer for no key until they have.
    pub cut_off: Vec<String>,
    /// The names of those that have not followed yet, and may still answer as before the change.
    pub waiting_for: Vec<String>,
    /// Milliseconds that they are waited for from now, at most. Then they are cut off.
    pub at_most_ms: u64,
    /// Milliseconds from when the change was asked for until this was written. Null where that is not known.
    pub took_ms: Option<u64>,
    /// The place of the change in the order of all changes, by which a receipt is asked for again.
    #[schema(value_type = i64)]
    pub revision: Revision,
}

impl Receipt {
    /// Whether the change holds everywhere.
    pub fn is_complete(&self) -> bool {
        self.waiting_for.is_empty()
    }

    /// How far the nodes are with a change of whenever. `None`: there is no such change.
    pub async fn of(db: &PgPool, revision: Revision) -> sqlx::Result<Option<Self>> {
        if revision > store::newest(db).await? {
            return Ok(None);
        }
        let progress = store::progress(db, revision).await?;
        let at_most = after_longest_lease(&progress);
        Ok(Some(Self::new(revision, progress.nodes, progress, Vec::new(), at_most, None)))
    }

    fn new(
        revision: Revision,
        nodes: i64,
        progress: Progress,
        cut_off: Vec<String>,
        at_most: Duration,
        took: Option<Duration>,
    ) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let at_most_ms = if progress.behind.is_empty() { 0 } else { ms(at_most) };
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
        Self { revision, nodes, cut_off, waiting_for: progress.behind, at_most_ms, took_ms: took.map(ms) }
    }
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let missing = u32::try_from(self.cut_off.len() + self.waiting_for.len()).unwrap_or(u32::MAX);
        let followed = self.nodes.saturating_sub(missing);
        let after = self.took_ms.map(|ms| format!(" after {ms} ms")).unwrap_or_default();
        if self.nodes == 0 {
            return write!(f, "Effective{after}; no key plane is running.");
        }
        let nodes = if self.nodes == 1 { "node" } else { "nodes" };
        write!(f, "Effective on {followed} of {} {nodes}{after}.", self.nodes)?;
        if !self.cut_off.is_empty() {
            let names = self.cut_off.join(", ");
            write!(f, " Cut off: {names}, which answers for no key until it has caught up.")?;
        }
        if !self.waiting_for.is_empty() {
            let (names, seconds) = (self.waiting_for.join(", "), self.at_most_ms.div_ceil(1_000));
            write!(f, " Waiting for {names}, which may answer as before for {seconds} s at most.")?;
        }
        Ok(())
    }
}

/// A change that is committed, and waited for in a task of its own: nodes that say nothing are cut off even if whoever asked
/// for the change has gone.
pub struct Pending {
    state: watch::Receiver<Option<Receipt>>,
    task: JoinHandle<sqlx::Result<Receipt>>,
}

impl Pending {
    /// Begins to wait until a change holds everywhere: every node has applied it, or can hold no lease any more. Call it when
    /// the reply to COMMIT is there; `begun` is when the change was asked for.
    pub fn new(db: PgPool, revision: Revision, begun: Instant) -> Self {
        let committed = Instant::now();
        let (sender, state) = watch::channel(None);
        let task = tokio::spawn(async move { wait(&db, revision, begun, committed, &sender).await });
        Self { state, task }
    }

    /// The receipt once it is complete, or as it is when the patience is over. An error means that the database could not be
    /// asked.
    pub async fn wait(&mut self, patience: Duration) -> sqlx::Result<Receipt> {
        match tokio::time::timeout(patience, &mut self.task).await {
            Ok(done) => done.unwrap_or(Err(sqlx::Error::WorkerCrashed)),
            Err(_) => self.state.borrow().clone().ok_or(sqlx::Error::PoolTimedOut),
        }
    }
}

async fn wait(
    db: &PgPool,
    revision: Revision,
    begun: Instant,
    committed: Instant,
    state: &watch::Sender<Option<Receipt>>,
) -> sqlx::Result<Receipt> {
    let (mut nodes, mut cut_off, mut interval) = (0, Vec::new(), FIRST_POLL_INTERVAL);
    loop {
        let progress = store::progress(db, revision).await?;
        nodes = nodes.max(progress.nodes);
        let at_most = after_longest_lease(&progress).saturating_sub(committed.elapsed());
        let receipt = Receipt::new(revision, nodes, progress, cut_off.clone(), at_most, Some(begun.elapsed()));
        if receipt.is_complete() {
            metrics::histogram!("keydesk_receipt_seconds").record(begun.elapsed().as_secs_f64());
            return Ok(receipt);
        }
        state.send_replace(Some(receipt));
        if at_most.is_zero() {
            cut_off.extend(store::deregister_behind(db, revision, committed.elapsed()).await?);
        }
        tokio::time::sleep(interval).await;
        interval = (interval * 2).min(MAX_POLL_INTERVAL);
    }
}

/// How long to wait for those that are behind: a tenth more than the longest of their leases.
fn after_longest_lease(progress: &Progress) -> Duration {
    Duration::from_millis(progress.longest_ms.unsigned_abs().into()) * 11 / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_says_where_and_how_soon() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let receipt = |nodes, cut_off: &[&str], waiting_for: &[&str]| {
            let (revision, at_most_ms, took_ms) = (Revision(7), 34_100, Some(41));
            let (cut_off, waiting_for) = (names(cut_off), names(waiting_for));
            Receipt { revision, nodes, cut_off, waiting_for, at_most_ms, took_ms }.to_string()
        };
        assert_eq!(receipt(3, &[], &[]), "Effective on 3 of 3 nodes after 41 ms.");
        assert_eq!(receipt(1, &[], &[]), "Effective on 1 of 1 node after 41 ms.");
        assert_eq!(receipt(0, &[], &[]), "Effective after 41 ms; no key plane is running.");
        assert_eq!(
            receipt(3, &["web-2:3001"], &[]),
            "Effective on 2 of 3 nodes after 41 ms. Cut off: web-2:3001, which answers for no key until it has caught up."
        );
        assert_eq!(
            receipt(3, &[], &["web-2:3001"]),
            "Effective on 2 of 3 nodes after 41 ms. Waiting for web-2:3001, which may answer as before for 35 s at most."
        );
    }
}
