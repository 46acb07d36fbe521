//! SQL for the audit log: heads are locked and moved, rows are added and read, nothing else.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    AuditKey,
    chain::{Broken, Checker, GENESIS, Row},
    chain_id,
    heads::{Head, Heads},
};
use crate::{ids::Scope, secrets};

/// Locks a chain's head (made with its first row) and answers its last sequence number and hash.
pub async fn lock_head(db: &mut PgConnection, chain: Uuid) -> sqlx::Result<(i64, Vec<u8>)> {
    let head = sqlx::query!(
        "insert into audit_heads (chain, seq, hash) values ($1, 0, $2)
         on conflict (chain) do update set seq = audit_heads.seq returning seq, hash",
        chain,
        &GENESIS[..]
    )
    .fetch_one(db)
    .await?;
    Ok((head.seq, head.hash))
}

/// Adds a row and moves its chain's head to it.
pub async fn append(db: &mut PgConnection, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        "with appended as (
             insert into audit_events (chain, seq, at, actor_kind, actor_id, actor_name, action, subject, summary, details,
                                       refused, address, agent, request_id, hash)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15))
         update audit_heads set seq = $2, hash = $15 where chain = $1",
        row.chain,
        row.seq,
        row.at,
        row.actor_kind,
        row.actor_id,
        row.actor_name,
        row.action,
        row.subject,
        row.summary,
        row.details,
        row.refused,
        row.address,
        row.agent,
        row.request_id,
        row.hash,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A page of a chain, newest first: rows before `before` (all, if `None`).
pub async fn page(db: &mut PgConnection, scope: Scope, before: Option<i64>, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "select * from audit_events where chain = $1 and seq < $2 order by seq desc limit $3",
        chain_id(scope),
        before.unwrap_or(i64::MAX),
        limit
    )
    .fetch_all(db)
    .await
}

/// What a chain knows of one thing, newest first: the rows of its own subject, and those rows of some others whose details
/// name it by its id.
pub async fn naming(
    db: &mut PgConnection,
    scope: Scope,
    subject: &str,
    others: &[String],
    id: &str,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"select chain as "chain!", seq as "seq!", at as "at!", actor_kind as "actor_kind!", actor_id as "actor_id?",
                  actor_name as "actor_name!", action as "action!", subject as "subject!", summary as "summary!",
                  details as "details!", refused as "refused!", address as "address!", agent as "agent!",
                  request_id as "request_id!", hash as "hash!"
           from ((select * from audit_events where chain = $1 and subject = $2 order by seq desc limit $5)
                 union all
                 (select * from audit_events where chain = $1 and subject = any ($3) and strpos(details, $4) > 0)) known
           order by seq desc limit $5"#,
        chain_id(scope),
        subject,
        others,
        id,
        limit
    )
    .fetch_all(db)
    .await
}

/// The number of a chain's last row; 0 if it has none.
pub async fn last(db: &mut PgConnection, scope: Scope) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select coalesce(max(seq), 0) as "seq!" from audit_events where chain = $1"#, chain_id(scope))
        .fetch_one(db)
        .await
}

/// The rows of a chain after `after` and up to `end`, in order.
pub async fn between(db: &mut PgConnection, scope: Scope, after: i64, end: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "select * from audit_events where chain = $1 and seq > $2 and seq <= $3 order by seq limit $4",
        chain_id(scope),
        after,
        end,
        limit
    )
    .fetch_all(db)
    .await
}

/// A whole chain in order, for an export.
pub async fn whole(db: &mut PgConnection, scope: Scope) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(Row, "select * from audit_events where chain = $1 order by seq", chain_id(scope))
        .fetch_all(db)
        .await
}

/// What a check of the whole log looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub heads: Heads,
    pub rows: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Where each chain ends. Needs the operator's scope.
async fn heads(db: &mut PgConnection) -> sqlx::Result<Heads> {
    let heads = sqlx::query!("select chain, seq, hash from audit_heads order by chain").fetch_all(db).await?;
    let heads: BTreeMap<_, _> =
        heads.into_iter().map(|head| (head.chain, Head { seq: head.seq, hash: head.hash })).collect();
    Ok(Heads(heads))
}

/// Checks every chain of the deployment against its rows, its head, and where it ended before (`kept`). Needs the operator's scope, in a transaction that
/// sees one moment (repeatable read).
pub async fn check_all(db: &mut PgConnection, key: &AuditKey, kept: &Heads) -> Result<Checked, CheckError> {
    let heads = heads(&mut *db).await?;
    // The loop below finds no row whose chain has no head at all.
    let headless = sqlx::query_scalar!(
        r#"select chain as "chain!" from audit_events e
           where not exists (select from audit_heads h where h.chain = e.chain) limit 1"#
    )
    .fetch_optional(&mut *db)
    .await?;
    if let Some(chain) = headless {
        return Err(Broken::Head { chain, head: 0, rows: 1 }.into());
    }
    kept.go_on_in(&heads)?;
    let mut all = 0;
    for (&chain, head) in &heads.0 {
        let kept = kept.0.get(&chain);
        let mut checker = Checker::new(key, chain);
        let rows = sqlx::query_as!(Row, "select * from audit_events where chain = $1 order by seq", chain);
        let mut rows = rows.fetch(&mut *db);
        while let Some(row) = rows.try_next().await? {
            checker.row(&row)?;
            if kept.is_some_and(|kept| kept.seq == row.seq && !secrets::same(&kept.hash, &row.hash)) {
                return Err(Broken::Replaced { chain, seq: row.seq }.into());
            }
        }
        all += checker.finish(head.seq, &head.hash)?;
    }
    Ok(Checked { heads, rows: all })
}
