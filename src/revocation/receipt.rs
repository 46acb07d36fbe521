//! The proof that a change that restricts access holds everywhere.

use std::time::{Duration, Instant};

use sqlx::{PgPool, Postgres, Transaction};

use super::{RECEIPT_TIMEOUT, Revision, store};
use crate::error_kind::{DomainError, ErrorKind};

/// How soon a receipt looks again at how far the nodes are, at first: most of them follow within milliseconds.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(2);
/// The interval between two looks doubles up to this.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// A change holds: on all nodes that answer, and on those cut off, which answer for no key until they have caught up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Key planes that were running.
    pub nodes: u32,
    /// Those of them that did not follow in time.
    pub cut_off: Vec<String>,
    /// From when the change was asked for.
    pub took: Duration,
}

impl Receipt {
    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "nodes": self.nodes, "cut_off": self.cut_off, "took_ms": self.took.as_millis() as u64 })
    }
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (all, ms) = (self.nodes, self.took.as_millis());
        let followed = all.saturating_sub(u32::try_from(self.cut_off.len()).unwrap_or(u32::MAX));
        let nodes = if all == 1 { "node" } else { "nodes" };
        if all == 0 {
            return write!(f, "Effective after {ms} ms; no key plane is running.");
        }
        write!(f, "Effective on {followed} of {all} {nodes} after {ms} ms.")?;
        if !self.cut_off.is_empty() {
            let names = self.cut_off.join(", ");
            write!(f, " Cut off: {names}, which answers for no key until it has caught up.")?;
        }
        Ok(())
    }
}

/// The change is made, but whether it holds everywhere could not be seen.
#[derive(Debug, thiserror::Error)]
#[error("it is recorded, but whether every node knows could not be seen: {0}")]
pub struct Unconfirmed(#[from] sqlx::Error);

impl DomainError for Unconfirmed {
    fn kind(&self) -> ErrorKind<'_> {
        ErrorKind::Unconfirmed
    }

    fn sentence(&self) -> String {
        "It is recorded, but Keydesk could not see whether every node knows yet. Repeat it to be sure.".to_owned()
    }
}

/// Commits, and answers the revision to wait for. Where the transaction changed nothing (the key was revoked already), it
/// is the newest one: whoever made it so may still be waiting.
pub async fn commit(mut tx: Transaction<'static, Postgres>) -> sqlx::Result<Revision> {
    let revision = store::log_changes(&mut tx).await?;
    tx.commit().await?;
    Ok(revision)
}

/// Waits until a change holds everywhere: every node has applied it, or can hold no lease any more. Call it when the reply
/// to COMMIT is there; `begun` is when the change was asked for.
pub async fn wait(db: &PgPool, revision: Revision, begun: Instant) -> Result<Receipt, Unconfirmed> {
    let committed = Instant::now();
    let (mut nodes, mut interval) = (0, FIRST_POLL_INTERVAL);
    let cut_off = loop {
        let counts = store::count_nodes(db, revision).await?;
        nodes = nodes.max(counts.all);
        if counts.behind == 0 {
            break Vec::new();
        }
        if committed.elapsed() > RECEIPT_TIMEOUT {
            break store::deregister_behind(db, revision).await?;
        }
        tokio::time::sleep(interval).await;
        interval = (interval * 2).min(MAX_POLL_INTERVAL);
    };
    metrics::histogram!("keydesk_receipt_seconds").record(begun.elapsed().as_secs_f64());
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    Ok(Receipt { nodes, cut_off, took: begun.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_says_where_and_how_soon() {
        let receipt = |nodes, cut_off: &[&str]| {
            let cut_off = cut_off.iter().map(|name| (*name).to_owned()).collect();
            Receipt { nodes, cut_off, took: Duration::from_millis(41) }.to_string()
        };
        assert_eq!(receipt(3, &[]), "Effective on 3 of 3 nodes after 41 ms.");
        assert_eq!(receipt(1, &[]), "Effective on 1 of 1 node after 41 ms.");
        assert_eq!(receipt(0, &[]), "Effective after 41 ms; no key plane is running.");
        assert_eq!(
            receipt(3, &["web-2:3001"]),
            "Effective on 2 of 3 nodes after 41 ms. Cut off: web-2:3001, which answers for no key until it has caught up."
        );
    }
}
