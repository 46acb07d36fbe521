//! SQL for revisions, changes and nodes.

use crate::ids::{OrgId, UserId};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Change, ChangeBatch, LeaseLength, Mark, Revision};
use crate::secrets::Digest;

/// More changes than this since the last round: it is quicker to forget everything.
const MAX_BEHIND: i64 = 50_000;

/// Makes the deferred triggers log what this transaction has changed, now, and answers its revision; the newest one, if
/// it changed nothing. Its lock is the last: nothing may follow but COMMIT.
pub async fn log_changes(db: &mut PgConnection) -> sqlx::Result<Revision> {
    sqlx::query!("set constraints all immediate").execute(&mut *db).await?;
    let revision = sqlx::query_scalar!(
        r#"select coalesce(nullif(current_setting('keydesk.revision', true), '')::bigint,
                           (select revision from key_revision)) as "revision!""#
    )
    .fetch_one(db)
    .await?;
    Ok(Revision(revision))
}

/// Adds a node's row, at the newest revision. An id that is there already is an error, never taken over. Also answers the
/// token at the revision that was `seen` last, where the log has it.
pub async fn register(
    db: &mut PgConnection,
    id: Uuid,
    name: &str,
    limiter: &str,
    lease: LeaseLength,
    seen: Option<Revision>,
) -> sqlx::Result<(Mark, Option<Uuid>)> {
    let row = sqlx::query!(
        r#"with newest as (select revision, token from key_revision),
                added as (insert into key_plane_nodes (id, name, limiter, lease_ms, applied_revision, started_at, renewed_at)
                          select $1, $2, $3, $4, revision, clock_timestamp(), clock_timestamp() from newest)
           select revision, token, (select token from key_changes where revision = $5 limit 1) as seen from newest"#,
        id,
        name,
        limiter,
        lease.millis(),
        seen.map(|seen| seen.0)
    )
    .fetch_one(db)
    .await?;
    Ok((Mark { revision: Revision(row.revision), token: row.token }, row.seen))
}

/// What has changed since (and, first, the change at) `applied`, in one snapshot with the newest revision. `begun` and
/// `ours` are the two clocks before this was asked.
pub async fn changes(
    db: &mut PgConnection,
    applied: Revision,
    begun: Duration,
    ours: OffsetDateTime,
) -> sqlx::Result<ChangeBatch> {
    let rows = sqlx::query!(
        r#"select n.revision as head, n.token as head_token, clock_timestamp() as "theirs!",
                  (select count(*) from key_plane_nodes) as "nodes!",
                  c.revision as "revision?", c.token as "token?", c.kind as "kind?", c.id as "id?", c.digest
           from key_revision n left join key_changes c on c.revision >= $1 order by c.revision limit $2"#,
        applied as _,
        MAX_BEHIND
    )
    .fetch_all(db)
    .await?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let mut batch = ChangeBatch {
        begun,
        head: Mark { revision: Revision(first.head), token: first.head_token },
        marks: Vec::new(),
        changes: Vec::with_capacity(rows.len()),
        revoked: Vec::new(),
        nodes: first.nodes.unsigned_abs(),
        offset: Duration::try_from((first.theirs - ours).abs()).unwrap_or(Duration::MAX),
    };
    for row in rows {
        let (Some(revision), Some(token), Some(kind), Some(id)) = (row.revision, row.token, row.kind, row.id) else {
            continue;
        };
        let mark = Mark { revision: Revision(revision), token };
        if batch.marks.last() != Some(&mark) {
            batch.marks.push(mark);
        }
        let digest = row.digest.and_then(|bytes| Digest::from_bytes(&bytes));
        let change = match (kind.as_str(), digest) {
            ("key", Some(digest)) => Change::Key(digest),
            ("service", Some(digest)) => Change::ServiceKey(digest),
            ("org", _) => Change::Org(OrgId(id)),
            ("person", _) => Change::Person(UserId(id)),
            _ => continue,
        };
        if mark.revision > applied {
            batch.changes.push((mark.revision, change));
        }
    }
    Ok(batch)
}

/// Which of these keys and service keys are revoked. It is asked only where one has changed: within the statement of every
/// round it would be planned as if the whole log were read, and compiled for hundreds of milliseconds.
pub async fn revoked(db: &mut PgConnection, digests: &[Digest]) -> sqlx::Result<Vec<Digest>> {
    let digests: Vec<Vec<u8>> = digests.iter().map(|digest| digest.as_bytes().to_vec()).collect();
    let revoked = sqlx::query_scalar!(
        r#"select digest as "digest!" from (
               select digest from api_keys where digest = any ($1) and revoked_at is not null
               union all select digest from service_keys where digest = any ($1) and revoked_at is not null) revoked"#,
        &digests
    )
    .fetch_all(db)
    .await?;
    Ok(revoked.iter().filter_map(|digest| Digest::from_bytes(digest)).collect())
}

/// Writes down how far a node is. `false`: its row is gone.
pub async fn renew(db: &mut PgConnection, id: Uuid, applied: Revision) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update key_plane_nodes set applied_revision = $2, rounds = rounds + 1, renewed_at = clock_timestamp()
         where id = $1",
        id,
        applied as _
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes the row of a node that holds no lease any more: it has ended it, or is dead. Here and below, whoever deletes a
/// row says how long its node has been waited for; a trigger refuses what would be too early.
pub async fn leave(db: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from key_plane_nodes using (select set_config('keydesk.waited_ms', $2, true)) waited where id = $1",
        id,
        LeaseLength::LONGEST.millis().to_string()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets changes that every node has applied. The last one stays: nodes compare with it.
pub async fn prune(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from key_changes where revision < coalesce((select min(applied_revision) from key_plane_nodes),
                                                           (select revision from key_revision))"
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A node, and how many rounds it has made.
pub struct Rounds {
    pub id: Uuid,
    pub rounds: i64,
    pub lease_ms: i32,
}

pub async fn rounds(db: &mut PgConnection) -> sqlx::Result<Vec<Rounds>> {
    sqlx::query_as!(Rounds, "select id, rounds, lease_ms from key_plane_nodes").fetch_all(db).await
}

/// Deregisters a node that has made no round while it was waited for.
pub async fn deregister_if_still(db: &mut PgConnection, node: &Rounds, waited: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from key_plane_nodes using (select set_config('keydesk.waited_ms', $3, true)) waited
         where id = $1 and rounds = $2",
        node.id,
        node.rounds,
        waited.as_millis().to_string()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How far the nodes are with a revision.
pub struct Progress {
    pub nodes: i64,
    /// The names of those that have not applied it.
    pub behind: Vec<String>,
    /// The longest lease of those.
    pub longest_ms: i32,
}

pub async fn progress(console: &PgPool, revision: Revision) -> sqlx::Result<Progress> {
    sqlx::query_as!(
        Progress,
        r#"select count(*) as "nodes!", coalesce(max(lease_ms) filter (where applied_revision < $1), 0) as "longest_ms!",
                  coalesce(array_agg(name order by name) filter (where applied_revision < $1), '{}') as "behind!"
           from key_plane_nodes"#,
        revision as _
    )
    .fetch_one(console)
    .await
}

/// Deregisters the nodes that have not applied a revision and were waited for until they can hold no lease, and answers
/// their names. The tenth is because clocks run at different speeds.
pub async fn deregister_behind(console: &PgPool, revision: Revision, waited: Duration) -> sqlx::Result<Vec<String>> {
    let waited_ms = i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
    sqlx::query_scalar!(
        "delete from key_plane_nodes using (select set_config('keydesk.waited_ms', $2::bigint::text, true)) waited
         where applied_revision < $1 and lease_ms * 1.1 < $2::bigint returning name",
        revision as _,
        waited_ms
    )
    .fetch_all(console)
    .await
}

pub async fn newest(console: &PgPool) -> sqlx::Result<Revision> {
    sqlx::query_scalar!(r#"select revision as "revision: Revision" from key_revision"#).fetch_one(console).await
}

/// The newest revision and its token.
pub async fn head(db: &mut PgConnection) -> sqlx::Result<Mark> {
    let row = sqlx::query!("select revision, token from key_revision").fetch_one(db).await?;
    Ok(Mark { revision: Revision(row.revision), token: row.token })
}

/// A node, as operators see it.
pub struct NodeRow {
    pub id: Uuid,
    pub name: String,
    pub limiter: String,
    pub applied: Revision,
    pub lease: Duration,
    pub started_at: OffsetDateTime,
    /// How long ago it made its last round, by the database's clock.
    pub quiet: Duration,
}

/// All nodes by name, and the newest revision.
pub async fn nodes(db: &mut PgConnection) -> sqlx::Result<(Vec<NodeRow>, Revision)> {
    let newest = sqlx::query_scalar!("select revision from key_revision").fetch_one(&mut *db).await?;
    let rows = sqlx::query!(
        r#"select id, name, limiter, applied_revision, lease_ms, started_at,
                  extract(epoch from clock_timestamp() - renewed_at)::float8 as "quiet!"
           from key_plane_nodes order by name, started_at, id"#
    )
    .fetch_all(db)
    .await?;
    let nodes = rows.into_iter().map(|row| NodeRow {
        id: row.id,
        name: row.name,
        limiter: row.limiter,
        applied: Revision(row.applied_revision),
        lease: Duration::from_millis(row.lease_ms.unsigned_abs().into()),
        started_at: row.started_at,
        quiet: Duration::try_from_secs_f64(row.quiet).unwrap_or_default(),
    });
    Ok((nodes.collect(), Revision(newest)))
}

/// How many nodes count calls each in its own memory.
pub async fn count_unshared_limiters(db: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select count(*) as "alone!" from key_plane_nodes where limiter = 'memory'"#)
        .fetch_one(db)
        .await
}
