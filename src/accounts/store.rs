//! SQL for people, their sessions and the set-up link.

use std::net::IpAddr;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Email, PersonName, sign_in::Failures};
use crate::{database::Inserted, ids::UserId, secrets::Digest};

/// What signing in needs to know of an account.
pub struct Account {
    pub id: UserId,
    pub name: String,
    pub password_hash: String,
    pub failures: Failures,
    pub disabled: bool,
    /// One of the provider's support people.
    pub staff: bool,
}

/// What a page needs to know of whoever looks at it.
pub struct Person {
    pub id: UserId,
    pub name: String,
    pub email: String,
    pub staff: bool,
}

/// Locks an account, so that failures at several servers at once are all counted.
pub async fn lock_by_email(db: &mut PgConnection, email: &str) -> sqlx::Result<Option<Account>> {
    let row = sqlx::query!(
        r#"select id, name, password_hash, failed_sign_ins, paused_until, disabled_at, staff_role is not null as "staff!"
           from users where lower(email) = lower($1) for update"#,
        email
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Account {
        id: UserId(row.id),
        name: row.name,
        password_hash: row.password_hash,
        failures: Failures { count: row.failed_sign_ins, paused_until: row.paused_until },
        disabled: row.disabled_at.is_some(),
        staff: row.staff,
    }))
}

/// The stored hash for an address, without a lock: the slow check happens outside any transaction.
pub async fn password_hash(db: &mut PgConnection, email: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select password_hash from users where lower(email) = lower($1)", email)
        .fetch_optional(db)
        .await
}

pub async fn set_failures(db: &mut PgConnection, user: UserId, failures: Failures) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set failed_sign_ins = $2, paused_until = $3 where id = $1",
        user as _,
        failures.count,
        failures.paused_until
    )
    .execute(db)
    .await?;
    Ok(())
}

pub async fn signed_in(db: &mut PgConnection, user: UserId, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set failed_sign_ins = 0, paused_until = null, last_sign_in_at = $2 where id = $1",
        user as _,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Sets a password's hash, and lets a shut account be tried again.
pub async fn set_password(db: &mut PgConnection, user: UserId, hash: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set password_hash = $2, failed_sign_ins = 0, paused_until = null where id = $1",
        user as _,
        hash
    )
    .execute(db)
    .await?;
    Ok(())
}

pub async fn disable(db: &mut PgConnection, user: UserId, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("update users set disabled_at = coalesce(disabled_at, $2) where id = $1", user as _, now)
        .execute(db)
        .await?;
    Ok(())
}

pub async fn enable(db: &mut PgConnection, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("update users set disabled_at = null where id = $1", user as _).execute(db).await?;
    Ok(())
}

/// Gives an account that was left behind to whoever is added with its address.
pub async fn take_over(
    db: &mut PgConnection,
    user: UserId,
    name: &PersonName,
    password_hash: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set name = $2, password_hash = $3, disabled_at = null, failed_sign_ins = 0, paused_until = null
         where id = $1",
        user as _,
        name.as_str(),
        password_hash
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Adds a person, unless the address has an account.
pub async fn insert(
    db: &mut PgConnection,
    id: UserId,
    email: &Email,
    name: &PersonName,
    password_hash: &str,
    staff: bool,
    now: OffsetDateTime,
) -> sqlx::Result<Inserted> {
    let done = sqlx::query!(
        "insert into users (id, email, name, password_hash, staff_role, created_at)
         values ($1, $2, $3, $4, case when $5 then 'support' end, $6)
         on conflict (lower(email)) do nothing",
        id as _,
        email.as_str(),
        name.as_str(),
        password_hash,
        staff,
        now
    )
    .execute(db)
    .await?;
    Ok(done.into())
}

/// Whether anybody has an account yet.
pub async fn anyone(db: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from users) as "exists!""#).fetch_one(db).await
}

/// Replaces the set-up link: whichever was printed before is dead.
pub async fn put_setup_link(db: &mut PgConnection, digest: Digest, expires_at: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into setup_links (digest, expires_at) values ($1, $2)
         on conflict (only_one) do update set digest = excluded.digest, expires_at = excluded.expires_at",
        digest as _,
        expires_at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether a set-up link is the live one.
pub async fn setup_link_is_live(db: &mut PgConnection, digest: Digest, now: OffsetDateTime) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from setup_links where digest = $1 and expires_at > $2
                          and not exists (select from users)) as "live!""#,
        digest as _,
        now
    )
    .fetch_one(db)
    .await
}

/// Uses up a set-up link. `Ok(false)`: it is not the live one. Of two at once, one waits here and finds it gone.
pub async fn use_setup_link(db: &mut PgConnection, digest: Digest, now: OffsetDateTime) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "delete from setup_links where digest = $1 and expires_at > $2 and not exists (select from users)",
        digest as _,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A session as its owner sees it in a list.
pub struct Session {
    pub id: Uuid,
    pub user: UserId,
    pub created_at: OffsetDateTime,
    pub last_seen_at: OffsetDateTime,
    pub agent: String,
    pub address: Option<IpAddr>,
}

pub async fn insert_session(db: &mut PgConnection, digest: Digest, session: &Session) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into sessions (id, digest, user_id, created_at, last_seen_at, agent, address) values ($1, $2, $3, $4, $5, $6, $7)",
        session.id,
        digest as _,
        session.user as _,
        session.created_at,
        session.last_seen_at,
        session.agent,
        session.address as _
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A live session of a person who is not disabled: used since `idle_since`, begun since `begun_since`.
pub async fn live_session(
    db: &mut PgConnection,
    digest: Digest,
    idle_since: OffsetDateTime,
    begun_since: OffsetDateTime,
) -> sqlx::Result<Option<Session>> {
    sqlx::query_as!(
        Session,
        r#"select s.id, s.user_id as "user", s.created_at, s.last_seen_at, s.agent, s.address as "address: IpAddr"
           from sessions s join users u on u.id = s.user_id and u.disabled_at is null
           where s.digest = $1 and s.last_seen_at > $2 and s.created_at > $3"#,
        digest as _,
        idle_since,
        begun_since
    )
    .fetch_optional(db)
    .await
}

/// Whether a session of a person who is not disabled lives, by its public id: used since `idle_since`, begun since
/// `begun_since`.
pub async fn session_lives(
    db: &mut PgConnection,
    user: UserId,
    id: Uuid,
    idle_since: OffsetDateTime,
    begun_since: OffsetDateTime,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from sessions s join users u on u.id = s.user_id and u.disabled_at is null
                          where s.user_id = $1 and s.id = $2 and s.last_seen_at > $3 and s.created_at > $4) as "lives!""#,
        user as _,
        id,
        idle_since,
        begun_since
    )
    .fetch_one(db)
    .await
}

/// Notes that a session is in use. An UPDATE, so a session that was ended stays ended.
pub async fn touch_session(db: &mut PgConnection, digest: Digest, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("update sessions set last_seen_at = $2 where digest = $1 and last_seen_at < $2", digest as _, now)
        .execute(db)
        .await?;
    Ok(())
}

pub async fn end_session(db: &mut PgConnection, digest: Digest) -> sqlx::Result<()> {
    sqlx::query!("delete from sessions where digest = $1", digest as _).execute(db).await?;
    Ok(())
}

/// Ends one of a person's sessions by its public id. `Ok(false)`: they have none of that id.
pub async fn end_session_of(db: &mut PgConnection, user: UserId, id: Uuid) -> sqlx::Result<bool> {
    let done = sqlx::query!("delete from sessions where user_id = $1 and id = $2", user as _, id).execute(db).await?;
    Ok(done.rows_affected() == 1)
}

/// Ends all of a person's sessions. Answers how many.
pub async fn end_sessions_of(db: &mut PgConnection, user: UserId) -> sqlx::Result<u64> {
    Ok(sqlx::query!("delete from sessions where user_id = $1", user as _).execute(db).await?.rows_affected())
}

/// A person's live sessions, the most recently used first.
pub async fn sessions_of(
    db: &mut PgConnection,
    user: UserId,
    idle_since: OffsetDateTime,
    begun_since: OffsetDateTime,
) -> sqlx::Result<Vec<Session>> {
    sqlx::query_as!(
        Session,
        r#"select id, user_id as "user", created_at, last_seen_at, agent, address as "address: IpAddr" from sessions
           where user_id = $1 and last_seen_at > $2 and created_at > $3 order by last_seen_at desc"#,
        user as _,
        idle_since,
        begun_since
    )
    .fetch_all(db)
    .await
}

/// Forgets sessions that are over.
pub async fn forget_ended_sessions(
    db: &mut PgConnection,
    idle_since: OffsetDateTime,
    begun_since: OffsetDateTime,
) -> sqlx::Result<u64> {
    let done =
        sqlx::query!("delete from sessions where last_seen_at <= $1 or created_at <= $2", idle_since, begun_since)
            .execute(db)
            .await?;
    Ok(done.rows_affected())
}
