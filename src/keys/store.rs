//! SQL for API keys. What changes a key is called from `lifecycle` alone.

use crate::ids::{KeyId, OrgId, UserId};
use std::net::IpAddr;

use ipnet::IpNet;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    callers::KeyCaller,
    lifespan::KeyLifespan,
    model::{KeyState, Reason},
};
use crate::secrets::Digest;

/// A key to be written.
pub struct NewKeyRow<'a> {
    pub id: KeyId,
    pub org: OrgId,
    pub environment: &'a str,
    pub tier: &'a str,
    pub name: &'a str,
    pub digest: Digest,
    pub hint: &'a str,
    pub scopes: &'a [String],
    pub namespaces: &'a [String],
    pub ip_allowlist: &'a [IpNet],
    pub created_by: Option<UserId>,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    pub idempotency_key: Option<Uuid>,
    /// The key that it replaces.
    pub predecessor: Option<KeyId>,
}

/// A key as people see it.
#[derive(Clone)]
pub struct KeyDetails {
    pub id: KeyId,
    pub org: OrgId,
    pub org_slug: String,
    pub org_name: String,
    pub environment: String,
    pub tier: String,
    pub name: String,
    pub hint: String,
    pub scopes: Vec<String>,
    /// Empty: no restriction.
    pub namespaces: Vec<String>,
    pub ip_allowlist: Vec<IpNet>,
    /// The creator's name; `None` if the key was made on the command line.
    pub created_by: Option<String>,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    pub disabled_at: Option<OffsetDateTime>,
    pub revoked: Option<RevokedAs>,
    /// The key that it replaced.
    pub predecessor: Option<KeyId>,
    /// The key that replaced it.
    pub successor: Option<KeyId>,
    /// When it ends, if it was replaced.
    pub overlap_ends_at: Option<OffsetDateTime>,
    overlap_ended: bool,
    /// Whether it was given more time, which happens once.
    pub overlap_extended: bool,
    /// When somebody said that it is stored.
    pub confirmed_at: Option<OffsetDateTime>,
    pub last_used: Option<LastUsed>,
}

#[derive(Clone, sqlx::Decode)]
pub struct RevokedAs {
    pub at: OffsetDateTime,
    pub by: String,
    pub reason: String,
}

#[derive(Clone, sqlx::Decode)]
pub struct LastUsed {
    pub at: OffsetDateTime,
    /// `None`: not known.
    pub address: Option<IpAddr>,
    pub agent: String,
    pub via: Option<String>,
}

impl KeyDetails {
    /// What can be edited of it.
    pub fn fields(&self) -> EditableFields {
        EditableFields {
            name: self.name.clone(),
            scopes: self.scopes.clone(),
            namespaces: self.namespaces.clone(),
            ip_allowlist: self.ip_allowlist.clone(),
            expires_at: self.expires_at,
        }
    }

    pub fn state(&self, now: OffsetDateTime) -> KeyState {
        let lifespan = KeyLifespan {
            revoked_at: self.revoked.as_ref().map(|revoked| revoked.at),
            overlap_ended: self.overlap_ended,
            overlap_ends_at: self.overlap_ends_at,
            disabled_at: self.disabled_at,
            expires_at: self.expires_at,
        };
        lifespan.state(now)
    }
}

/// Reads [`KeyDetails`]; what follows chooses the rows.
macro_rules! select_details {
    ($rest:literal, $($bind:expr),* $(,)?) => {
        sqlx::query_as!(
            KeyDetails,
            r#"select k.id, k.org_id as org, o.slug as org_slug, o.name as org_name, k.environment, k.tier, k.name, k.hint,
                      k.scopes, k.namespaces, k.ip_allowlist as "ip_allowlist: Vec<IpNet>", u.name as "created_by?",
                      k.created_at, k.expires_at, k.disabled_at,
                      case when k.revoked_at is not null then (k.revoked_at, k.revoked_by, k.revoked_reason) end
                          as "revoked: RevokedAs",
                      k.predecessor as "predecessor: KeyId", s.id as "successor?: KeyId", k.overlap_ends_at,
                      k.overlap_ended, k.overlap_extended, k.confirmed_at,
                      case when l.key_id is not null then (l.used_at, l.address, l.agent, l.via) end
                          as "last_used: LastUsed"
               from api_keys k
               join orgs o on o.id = k.org_id
               left join users u on u.id = k.created_by
               left join api_keys s on s.predecessor = k.id and s.org_id = k.org_id
               left join key_last_used l on l.key_id = k.id and l.org_id = k.org_id "#
                + $rest,
            $($bind),*
        )
    };
}

/// These keys of an organization, in this order.
pub async fn find_many(db: &mut PgConnection, org: OrgId, ids: &[KeyId]) -> sqlx::Result<Vec<KeyDetails>> {
    select_details!("where k.org_id = $1 and k.id = any ($2) order by array_position($2, k.id)", org as _, ids as _)
        .fetch_all(db)
        .await
}

/// All keys of an organization, newest first.
pub async fn list(db: &mut PgConnection, org: OrgId) -> sqlx::Result<Vec<KeyDetails>> {
    select_details!("where k.org_id = $1 order by k.id desc", org as _).fetch_all(db).await
}

/// An organization's keys made before one of them (the newest, if `None`), newest first.
pub async fn list_before(
    db: &mut PgConnection,
    org: OrgId,
    key: Option<KeyId>,
    limit: i64,
) -> sqlx::Result<Vec<KeyDetails>> {
    match key {
        Some(key) => {
            select_details!("where k.org_id = $1 and k.id < $2 order by k.id desc limit $3", org as _, key as _, limit)
                .fetch_all(db)
                .await
        }
        None => select_details!("where k.org_id = $1 order by k.id desc limit $2", org as _, limit).fetch_all(db).await,
    }
}

/// One key of an organization.
pub async fn find(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<KeyDetails>> {
    select_details!("where k.org_id = $1 and k.id = $2", org as _, id as _).fetch_optional(db).await
}

/// Keys with a hint, of any organization. Needs the scope of support or operators.
pub async fn find_by_hint(db: &mut PgConnection, hint: &str) -> sqlx::Result<Vec<KeyDetails>> {
    select_details!("where k.hint = $1 order by k.id desc limit 50", hint).fetch_all(db).await
}

/// The key with a digest, of any organization. Needs the scope of support or operators.
pub async fn find_by_digest(db: &mut PgConnection, digest: Digest) -> sqlx::Result<Option<KeyDetails>> {
    select_details!("where k.digest = $1", digest as _).fetch_optional(db).await
}

/// The key with an id, of any organization. Needs the scope of support or operators.
pub async fn find_by_id(db: &mut PgConnection, id: KeyId) -> sqlx::Result<Option<KeyDetails>> {
    select_details!("where k.id = $1", id as _).fetch_optional(db).await
}

/// A key that a hint fits.
pub struct Candidate {
    pub id: KeyId,
    pub org: OrgId,
    pub org_slug: String,
    pub name: String,
    pub digest: String,
    pub revoked: bool,
}

/// Every key that a hint fits, or the one with a digest. Needs the operator's scope.
pub async fn candidates(
    db: &mut PgConnection,
    hint: Option<&str>,
    digest: Option<Digest>,
) -> sqlx::Result<Vec<Candidate>> {
    sqlx::query_as!(
        Candidate,
        r#"select k.id, k.org_id as org, o.slug as org_slug, k.name, encode(k.digest, 'hex') as "digest!",
                  k.revoked_at is not null as "revoked!"
           from api_keys k join orgs o on o.id = k.org_id
           where k.hint = $1 or k.digest = $2 order by k.id"#,
        hint,
        digest as _
    )
    .fetch_all(db)
    .await
}

/// How many keys an organization has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyCounts {
    pub all: i64,
    /// Those that are not revoked.
    pub revocable: i64,
}

pub async fn count(db: &mut PgConnection, org: OrgId) -> sqlx::Result<KeyCounts> {
    sqlx::query_as!(
        KeyCounts,
        r#"select count(*) as "all!", count(*) filter (where revoked_at is null) as "revocable!"
           from api_keys where org_id = $1"#,
        org as _
    )
    .fetch_one(db)
    .await
}

/// The key that a request made before.
pub struct IssuedBefore {
    pub name: String,
    pub hint: String,
}

pub enum InsertedKey {
    New,
    /// The same request made a key before.
    Repeated(IssuedBefore),
}

pub async fn insert(db: &mut PgConnection, key: &NewKeyRow<'_>) -> sqlx::Result<InsertedKey> {
    let done = sqlx::query!(
        "insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, namespaces, ip_allowlist, created_by,
                               created_at, expires_at, idempotency_key, predecessor)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         on conflict on constraint api_keys_idempotency_key_unique do nothing",
        key.id as _,
        key.org as _,
        key.environment,
        key.tier,
        key.name,
        key.digest as _,
        key.hint,
        key.scopes,
        key.namespaces,
        key.ip_allowlist,
        key.created_by as _,
        key.created_at,
        key.expires_at,
        key.idempotency_key,
        key.predecessor as _,
    )
    .execute(&mut *db)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(InsertedKey::New);
    }
    let before = find_by_idempotency_key(db, key.org, key.idempotency_key).await?;
    before.map(InsertedKey::Repeated).ok_or(sqlx::Error::RowNotFound)
}

/// The key that a request made; none, if the request has no idempotency key.
pub async fn find_by_idempotency_key(
    db: &mut PgConnection,
    org: OrgId,
    idempotency_key: Option<Uuid>,
) -> sqlx::Result<Option<IssuedBefore>> {
    sqlx::query_as!(
        IssuedBefore,
        "select name, hint from api_keys where org_id = $1 and idempotency_key = $2",
        org as _,
        idempotency_key
    )
    .fetch_optional(db)
    .await
}

/// A key that speaks against making another.
pub enum Duplicate {
    /// The same request made it.
    SameRequest(IssuedBefore),
    /// It has the same name, in whatever case, and is not over.
    SameName { hint: String },
}

/// The key that a request made already, or else the newest that has the name (`None`: any name will do).
pub async fn find_duplicate(
    db: &mut PgConnection,
    org: OrgId,
    idempotency_key: Option<Uuid>,
    name: Option<&str>,
    now: OffsetDateTime,
) -> sqlx::Result<Option<Duplicate>> {
    let row = sqlx::query!(
        r#"select name, hint, coalesce(idempotency_key = $2, false) as "same_request!" from api_keys
           where org_id = $1
             and (idempotency_key = $2
                  or lower(name) = lower($3)
                     and key_state(revoked_at, overlap_ended, overlap_ends_at, disabled_at, expires_at, $4)
                         in ('active', 'disabled'))
           order by 3 desc, id desc limit 1"#,
        org as _,
        idempotency_key,
        name,
        now
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| match row.same_request {
        true => Duplicate::SameRequest(IssuedBefore { name: row.name, hint: row.hint }),
        false => Duplicate::SameName { hint: row.hint },
    }))
}

/// A key whose row is locked.
pub struct LockedKey {
    pub hint: String,
    pub environment: String,
    pub tier: String,
    pub fields: EditableFields,
    pub disabled_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
    /// When it ends, if it was replaced.
    pub overlap_ends_at: Option<OffsetDateTime>,
    /// Whether it has ended, whatever the clocks say.
    pub overlap_ended: bool,
    pub overlap_extended: bool,
}

impl LockedKey {
    pub fn state(&self, now: OffsetDateTime) -> KeyState {
        let lifespan = KeyLifespan {
            revoked_at: self.revoked_at,
            overlap_ended: self.overlap_ended,
            overlap_ends_at: self.overlap_ends_at,
            disabled_at: self.disabled_at,
            expires_at: self.fields.expires_at,
        };
        lifespan.state(now)
    }
}

/// What can be edited of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditableFields {
    pub name: String,
    pub scopes: Vec<String>,
    pub namespaces: Vec<String>,
    pub ip_allowlist: Vec<IpNet>,
    pub expires_at: Option<OffsetDateTime>,
}

impl EditableFields {
    /// Tells whether two moments saw the same.
    pub fn version(&self) -> String {
        Digest::of(format!("{self:?}").as_bytes()).to_hex()
    }
}

/// Locks a key and answers all that a change of it depends on. Whoever only refers to the row (the usage that is being
/// written) does not wait for this.
pub async fn lock(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<LockedKey>> {
    let row = sqlx::query!(
        r#"select name, hint, environment, tier, scopes, namespaces, ip_allowlist as "ip_allowlist: Vec<IpNet>", expires_at,
                  disabled_at, revoked_at, overlap_ends_at, overlap_ended, overlap_extended
           from api_keys where org_id = $1 and id = $2 for no key update"#,
        org as _,
        id as _
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| LockedKey {
        hint: row.hint,
        environment: row.environment,
        tier: row.tier,
        fields: EditableFields {
            name: row.name,
            scopes: row.scopes,
            namespaces: row.namespaces,
            ip_allowlist: row.ip_allowlist,
            expires_at: row.expires_at,
        },
        disabled_at: row.disabled_at,
        revoked_at: row.revoked_at,
        overlap_ends_at: row.overlap_ends_at,
        overlap_ended: row.overlap_ended,
        overlap_extended: row.overlap_extended,
    }))
}

pub async fn set_fields(db: &mut PgConnection, org: OrgId, id: KeyId, fields: &EditableFields) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set name = $3, scopes = $4, namespaces = $5, ip_allowlist = $6, expires_at = $7
         where org_id = $1 and id = $2",
        org as _,
        id as _,
        fields.name,
        &fields.scopes,
        &fields.namespaces,
        &fields.ip_allowlist,
        fields.expires_at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// `None`: enabled.
pub async fn set_disabled(
    db: &mut PgConnection,
    org: OrgId,
    id: KeyId,
    since: Option<OffsetDateTime>,
) -> sqlx::Result<()> {
    sqlx::query!("update api_keys set disabled_at = $3 where org_id = $1 and id = $2", org as _, id as _, since)
        .execute(db)
        .await?;
    Ok(())
}

/// `Ok(false)`: it was said before.
pub async fn set_confirmed(db: &mut PgConnection, org: OrgId, id: KeyId, at: OffsetDateTime) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update api_keys set confirmed_at = $3 where org_id = $1 and id = $2 and confirmed_at is null",
        org as _,
        id as _,
        at
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How far an organization has come with its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Somebody said that a key is stored.
    pub stored: bool,
    /// Something has called with a key.
    pub used: bool,
}

/// Looks at each of its keys: for organizations that have few.
pub async fn progress(db: &mut PgConnection, org: OrgId) -> sqlx::Result<Progress> {
    sqlx::query_as!(
        Progress,
        r#"select coalesce(bool_or(k.confirmed_at is not null), false) as "stored!",
                  coalesce(bool_or(l.key_id is not null), false) as "used!"
           from api_keys k left join key_last_used l on l.key_id = k.id where k.org_id = $1"#,
        org as _
    )
    .fetch_one(db)
    .await
}

/// The key that a key replaced, which never changes.
pub async fn predecessor(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<KeyId>> {
    let found = sqlx::query_scalar!(
        r#"select predecessor as "predecessor!: KeyId" from api_keys
           where org_id = $1 and id = $2 and predecessor is not null"#,
        org as _,
        id as _
    );
    found.fetch_optional(db).await
}

/// The key that replaced another.
pub struct Successor {
    pub id: KeyId,
    pub hint: String,
    /// When it replaced the other.
    pub created_at: OffsetDateTime,
}

pub async fn successor(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<Successor>> {
    sqlx::query_as!(
        Successor,
        "select id, hint, created_at from api_keys where org_id = $1 and predecessor = $2",
        org as _,
        id as _
    )
    .fetch_optional(db)
    .await
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

/// When a replaced key ends, and whether it has ended whatever the clocks say.
pub async fn set_overlap(
    db: &mut PgConnection,
    org: OrgId,
    id: KeyId,
    at: OffsetDateTime,
    overlap_ended: bool,
    extended: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set overlap_ends_at = $3, overlap_ended = $4, overlap_extended = $5 where org_id = $1 and id = $2",
        org as _,
        id as _,
        at,
        overlap_ended,
        extended
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Adds a namespace to every key of an organization that has not ended and lacks it, and answers which those were. A key
/// without namespaces gets it only if that means that it may enter none. Rows are locked in one order.
pub async fn add_namespace(
    db: &mut PgConnection,
    org: OrgId,
    namespace: &str,
    none_means_none: bool,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<KeyId>> {
    sqlx::query_scalar!(
        r#"with hit as (select id from api_keys
                      where org_id = $1
                        and key_state(revoked_at, overlap_ended, overlap_ends_at, disabled_at, expires_at, $4)
                            in ('active', 'disabled')
                        and not ($2 = any(namespaces)) and ($3 or namespaces <> '{}')
                      order by id for no key update)
         update api_keys k set namespaces = array_append(k.namespaces, $2)
         from hit where k.id = hit.id and k.org_id = $1 returning k.id as "id: KeyId""#,
        org as _,
        namespace,
        none_means_none,
        now
    )
    .fetch_all(db)
    .await
}

/// A key that works.
#[derive(Debug)]
pub struct ActiveKey {
    pub id: KeyId,
    pub name: String,
    pub hint: String,
}

/// The keys of an organization that work now, oldest first.
pub async fn list_active(db: &mut PgConnection, org: OrgId, now: OffsetDateTime) -> sqlx::Result<Vec<ActiveKey>> {
    sqlx::query_as!(
        ActiveKey,
        "select id, name, hint from api_keys
         where org_id = $1
           and key_state(revoked_at, overlap_ended, overlap_ends_at, disabled_at, expires_at, $2) = 'active'
         order by id",
        org as _,
        now
    )
    .fetch_all(db)
    .await
}

pub async fn set_revoked(
    db: &mut PgConnection,
    org: OrgId,
    id: KeyId,
    by: &str,
    reason: Reason,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set revoked_at = $3, revoked_by = $4, revoked_reason = $5
         where org_id = $1 and id = $2 and revoked_at is null",
        org as _,
        id as _,
        now,
        by,
        reason.as_str()
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Revokes every key of an organization that is not revoked yet, and answers which those were. Rows are locked in one
/// order, so that two who do this at once do not wait for each other in a circle.
pub async fn set_all_revoked(
    db: &mut PgConnection,
    org: OrgId,
    by: &str,
    reason: Reason,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<KeyId>> {
    sqlx::query_scalar!(
        r#"with hit as (select id from api_keys where org_id = $1 and revoked_at is null order by id for update)
         update api_keys k set revoked_at = $2, revoked_by = $3, revoked_reason = $4
         from hit where k.id = hit.id and k.org_id = $1 returning k.id as "id: KeyId""#,
        org as _,
        now,
        by,
        reason.as_str()
    )
    .fetch_all(db)
    .await
}
