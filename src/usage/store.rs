//! SQL for rollups, last uses and refusals.

use crate::ids::{KeyId, OrgId};
use std::{collections::HashMap, net::IpAddr};

use sqlx::{PgConnection, PgPool};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{UsageBucket, UsageCount, Use, callers::KeyCaller, refusals::Refusal};

/// Writes a batch and the last uses in it, in one transaction. A last use that is older than what is known changes
/// nothing.
pub async fn write(keys: &PgPool, batch: &[(UsageBucket, UsageCount)], last: &[&Use]) -> sqlx::Result<()> {
    let mut tx = keys.begin().await?;
    let ids: Vec<_> = batch.iter().map(|(bucket, _)| bucket.key).collect();
    let orgs: Vec<_> = batch.iter().map(|(bucket, _)| bucket.org).collect();
    let minutes: Vec<_> = batch.iter().map(|(bucket, _)| bucket.minute).collect();
    let codes: Vec<_> = batch.iter().map(|(bucket, _)| bucket.code.as_str()).collect();
    let addresses: Vec<_> = batch.iter().map(|(bucket, _)| bucket.address).collect();
    let agents: Vec<_> = batch.iter().map(|(bucket, _)| &*bucket.agent).collect();
    let vias: Vec<_> = batch.iter().map(|(bucket, _)| bucket.via.as_deref()).collect();
    let calls: Vec<_> = batch.iter().map(|(_, count)| count.calls).collect();
    sqlx::query!(
        "insert into key_usage as u (key_id, org_id, minute, code, address, agent, via, calls)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::inet[], $6::text[], $7::text[],
                              $8::bigint[])
         on conflict on constraint key_usage_unique do update set calls = u.calls + excluded.calls",
        ids as _,
        orgs as _,
        &minutes,
        codes as _,
        addresses as _,
        agents as _,
        vias as _,
        &calls
    )
    .execute(&mut *tx)
    .await?;
    let ids: Vec<_> = last.iter().map(|used| used.key).collect();
    let orgs: Vec<_> = last.iter().map(|used| used.org).collect();
    let times: Vec<_> = last.iter().map(|used| used.at).collect();
    let addresses: Vec<_> = last.iter().map(|used| used.address).collect();
    let agents: Vec<_> = last.iter().map(|used| &*used.agent.text).collect();
    let vias: Vec<_> = last.iter().map(|used| used.via.as_deref()).collect();
    sqlx::query!(
        "insert into key_last_used (key_id, org_id, used_at, address, agent, via)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::inet[], $5::text[], $6::text[])
         on conflict (key_id) do update
         set used_at = excluded.used_at, address = excluded.address, agent = excluded.agent, via = excluded.via
         where key_last_used.used_at < excluded.used_at",
        ids as _,
        orgs as _,
        &times,
        addresses as _,
        agents as _,
        vias as _
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// How often each of some keys of an organization was used or refused since a time; those that were not are left out.
pub async fn calls_since(
    db: &mut PgConnection,
    org: OrgId,
    keys: &[KeyId],
    since: OffsetDateTime,
) -> sqlx::Result<HashMap<KeyId, i64>> {
    let rows = sqlx::query!(
        r#"select key_id as "key_id: KeyId", sum(calls)::bigint as "calls!" from key_usage
           where org_id = $1 and key_id = any ($2) and minute >= $3 group by key_id"#,
        org as _,
        keys as _,
        since
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key_id, row.calls)).collect())
}

/// Everybody who called with a key or its successor since a time, whoever called last first.
pub async fn callers(
    db: &mut PgConnection,
    org: OrgId,
    (old, new): (KeyId, KeyId),
    since: OffsetDateTime,
) -> sqlx::Result<Vec<KeyCaller>> {
    sqlx::query_as!(
        KeyCaller,
        r#"select address as "address: IpAddr", agent, max(minute) filter (where key_id = $2) as old,
                  max(minute) filter (where key_id = $3) as new
           from key_usage where org_id = $1 and key_id in ($2, $3) and minute >= $4
           group by address, agent order by max(minute) desc, address, agent"#,
        org as _,
        old as _,
        new as _,
        since
    )
    .fetch_all(db)
    .await
}

/// How often a key was let in and refused in a stretch of time that began at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub at: OffsetDateTime,
    pub good: i64,
    pub refused: i64,
}

/// A key's calls since a time, in stretches of some seconds; those without a call are left out.
pub async fn series(
    db: &mut PgConnection,
    org: OrgId,
    key: KeyId,
    since: OffsetDateTime,
    step: i64,
) -> sqlx::Result<Vec<Point>> {
    sqlx::query_as!(
        Point,
        r#"select date_bin(make_interval(secs => $4), minute, $3) as "at!",
                  coalesce(sum(calls) filter (where code = 'VALID'), 0)::bigint as "good!",
                  coalesce(sum(calls) filter (where code <> 'VALID'), 0)::bigint as "refused!"
           from key_usage where org_id = $1 and key_id = $2 and minute >= $3 group by 1 order by 1"#,
        org as _,
        key as _,
        since,
        step as f64
    )
    .fetch_all(db)
    .await
}

/// What one caller did with a key.
pub struct Share {
    /// `None`: not known.
    pub address: Option<IpAddr>,
    pub agent: String,
    pub good: i64,
    pub refused: i64,
    /// The minute of the last call.
    pub last: OffsetDateTime,
}

/// Who called with a key.
pub struct Shares {
    /// Those who called most, most first.
    pub top: Vec<Share>,
    /// How many callers there are in all.
    pub callers: i64,
}

pub async fn by_caller(
    db: &mut PgConnection,
    org: OrgId,
    key: KeyId,
    since: OffsetDateTime,
    limit: i64,
) -> sqlx::Result<Shares> {
    let rows = sqlx::query!(
        r#"select address as "address: IpAddr", agent, max(minute) as "last!", count(*) over () as "callers!",
                  coalesce(sum(calls) filter (where code = 'VALID'), 0)::bigint as "good!",
                  coalesce(sum(calls) filter (where code <> 'VALID'), 0)::bigint as "refused!"
           from key_usage where org_id = $1 and key_id = $2 and minute >= $3
           group by address, agent order by sum(calls) desc, address, agent limit $4"#,
        org as _,
        key as _,
        since,
        limit
    )
    .fetch_all(db)
    .await?;
    let callers = rows.first().map_or(0, |row| row.callers);
    let top = rows.into_iter().map(|row| Share {
        address: row.address,
        agent: row.agent,
        good: row.good,
        refused: row.refused,
        last: row.last,
    });
    Ok(Shares { top: top.collect(), callers })
}

/// A key's calls since a time by verdict, the most frequent first.
pub async fn by_code(
    db: &mut PgConnection,
    org: OrgId,
    key: KeyId,
    since: OffsetDateTime,
) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select code, sum(calls)::bigint as "calls!" from key_usage
           where org_id = $1 and key_id = $2 and minute >= $3 group by code order by 2 desc, 1"#,
        org as _,
        key as _,
        since
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.code, row.calls)).collect())
}

/// A refused request with a key of an organization, as the organization may know it.
pub struct Explained {
    pub request_id: Uuid,
    pub at: OffsetDateTime,
    pub code: String,
    pub key: KeyId,
    pub address: Option<IpAddr>,
    pub agent: String,
    /// What was asked of the key, and what each gate said.
    pub asked: serde_json::Value,
    pub gates: serde_json::Value,
}

macro_rules! explained {
    ($rest:literal, $($bind:expr),*) => {
        sqlx::query_as!(
            Explained,
            r#"select request_id, at, code, key_id as "key!: KeyId", address as "address: IpAddr", agent, asked, gates
               from refusals "# + $rest,
            $($bind),*
        )
    };
}

/// The newest refused requests with a key.
pub async fn refusals_of(db: &mut PgConnection, org: OrgId, key: KeyId, limit: i64) -> sqlx::Result<Vec<Explained>> {
    explained!("where org_id = $1 and key_id = $2 order by at desc limit $3", org as _, key as _, limit)
        .fetch_all(db)
        .await
}

/// A refused request with some key of an organization.
pub async fn refusal(db: &mut PgConnection, org: OrgId, request_id: Uuid) -> sqlx::Result<Option<Explained>> {
    explained!("where org_id = $1 and request_id = $2 and key_id is not null", org as _, request_id)
        .fetch_optional(db)
        .await
}

/// Forgets rollups from before a time. Answers how many.
pub async fn prune(keys: &PgPool, before: OffsetDateTime) -> sqlx::Result<u64> {
    Ok(sqlx::query!("delete from key_usage where minute < $1", before).execute(keys).await?.rows_affected())
}

/// Writes refusals in one statement.
pub async fn write_refusals(keys: &PgPool, batch: &[Refusal]) -> sqlx::Result<()> {
    let ids: Vec<_> = batch.iter().map(|refusal| refusal.request_id).collect();
    let times: Vec<_> = batch.iter().map(|refusal| refusal.at).collect();
    let codes: Vec<_> = batch.iter().map(|refusal| refusal.code.as_str()).collect();
    let keys_of: Vec<_> = batch.iter().map(|refusal| refusal.key.map(|(key, _)| key)).collect();
    let orgs: Vec<_> = batch.iter().map(|refusal| refusal.key.map(|(_, org)| org)).collect();
    let addresses: Vec<_> = batch.iter().map(|refusal| refusal.address).collect();
    let agents: Vec<_> = batch.iter().map(|refusal| &*refusal.agent).collect();
    let asked: Vec<_> = batch.iter().map(|refusal| refusal.asked.clone()).collect();
    let gates: Vec<_> = batch.iter().map(|refusal| refusal.gates.clone()).collect();
    sqlx::query!(
        "insert into refusals (request_id, at, code, key_id, org_id, address, agent, asked, gates)
         select * from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::uuid[], $5::uuid[], $6::inet[], $7::text[],
                              $8::jsonb[], $9::jsonb[])",
        &ids,
        &times,
        codes as _,
        keys_of as _,
        orgs as _,
        addresses as _,
        agents as _,
        &asked,
        &gates
    )
    .execute(keys)
    .await?;
    Ok(())
}

/// Forgets refusals from before a time. Answers how many.
pub async fn prune_refusals(keys: &PgPool, before: OffsetDateTime) -> sqlx::Result<u64> {
    Ok(sqlx::query!("delete from refusals where at < $1", before).execute(keys).await?.rows_affected())
}

/// Spends one call of a key's quota of a month. `Ok(false)`: there is none left. One statement, so that calls at several
/// nodes at once are all counted.
pub async fn spend_quota(keys: &PgPool, key: KeyId, month: Date, quota: u64) -> sqlx::Result<bool> {
    let spent = sqlx::query_scalar!(
        "insert into key_quotas as q (key_id, month, used) values ($1, $2, 1)
         on conflict (key_id, month) do update set used = q.used + 1 where q.used < $3
         returning used",
        key as _,
        month,
        i64::try_from(quota).unwrap_or(i64::MAX)
    )
    .fetch_optional(keys)
    .await?;
    Ok(spent.is_some())
}

/// How much a key has spent in a month.
pub async fn quota_used(keys: &PgPool, key: KeyId, month: Date) -> sqlx::Result<u64> {
    let used = sqlx::query_scalar!("select used from key_quotas where key_id = $1 and month = $2", key as _, month)
        .fetch_optional(keys)
        .await?;
    Ok(used.and_then(|used| u64::try_from(used).ok()).unwrap_or_default())
}

/// A refusal, as support staff and operators see it: which organization's, and nothing of what was asked.
pub struct Refused {
    pub request_id: Uuid,
    pub at: OffsetDateTime,
    pub code: String,
    pub address: Option<IpAddr>,
    pub agent: String,
    /// The slug; `None` where no key matched.
    pub org: Option<String>,
}

/// The newest refusals of the whole deployment, as far as the transaction reaches.
pub async fn last_refusals(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Refused>> {
    sqlx::query_as!(
        Refused,
        r#"select r.request_id, r.at, r.code, r.address as "address: IpAddr", r.agent, o.slug as "org?"
           from refusals r left join orgs o on o.id = r.org_id
           order by r.at desc limit $1"#,
        limit
    )
    .fetch_all(db)
    .await
}

/// Calls with a key in a minute or a day that got the same verdict.
pub struct Rollup {
    /// The organization's slug.
    pub org: String,
    pub key: KeyId,
    /// When the minute or the day (UTC) began.
    pub at: OffsetDateTime,
    pub code: String,
    pub calls: i64,
}

/// Which rollups.
pub struct Wanted {
    /// `None`: everybody's.
    pub org: Option<OrgId>,
    pub from: OffsetDateTime,
    /// Not this minute any more.
    pub until: OffsetDateTime,
    /// By day; otherwise by minute.
    pub daily: bool,
    /// Those that come after.
    pub after: Option<(OffsetDateTime, KeyId, String)>,
    pub limit: i64,
}

/// Calls by time, key and verdict. Needs the operator's reach.
pub async fn rollups(db: &mut PgConnection, wanted: &Wanted) -> sqlx::Result<Vec<Rollup>> {
    let (at, key, code) = match &wanted.after {
        Some((at, key, code)) => (Some(*at), Some(*key), Some(code.as_str())),
        None => (None, None, None),
    };
    sqlx::query_as!(
        Rollup,
        r#"select o.slug as org, u.key_id as key, u.at as "at!", u.code, sum(u.calls)::bigint as "calls!"
           from (select key_id, org_id, date_trunc($4, minute, 'UTC') as at, code, calls from key_usage
                 where minute >= greatest($2, $5::timestamptz) and minute < $3 and ($1::uuid is null or org_id = $1)) u
           join orgs o on o.id = u.org_id
           where $5::timestamptz is null or (u.at, u.key_id, u.code) > ($5, $6, $7)
           group by o.slug, u.key_id, u.at, u.code order by u.at, u.key_id, u.code limit $8"#,
        wanted.org as _,
        wanted.from,
        wanted.until,
        if wanted.daily { "day" } else { "minute" },
        at,
        key as _,
        code,
        wanted.limit
    )
    .fetch_all(db)
    .await
}
