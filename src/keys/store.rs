//! SQL for API keys and service keys. What changes a key is called from `lifecycle` alone.

use ipnet::IpNet;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    model::{KeyId, Reason, Status},
    verdict::{Creator, KeyRecord},
};
use crate::{
    accounts::UserId,
    orgs::{OrgId, Role},
    secrets::Digest,
};

/// A key to be written.
pub struct NewRow<'a> {
    pub id: KeyId,
    pub org: OrgId,
    pub environment: &'a str,
    pub tier: &'a str,
    pub name: &'a str,
    pub digest: Digest,
    pub hint: &'a str,
    pub scopes: &'a [String],
    pub namespaces: &'a [String],
    pub addresses: &'a [IpNet],
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
    pub addresses: Vec<IpNet>,
    /// `None`: made on the command line.
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

#[derive(Clone)]
pub struct RevokedAs {
    pub at: OffsetDateTime,
    pub by: String,
    pub reason: String,
}

#[derive(Clone)]
pub struct LastUsed {
    pub at: OffsetDateTime,
    pub address: IpNet,
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
            addresses: self.addresses.clone(),
            expires_at: self.expires_at,
        }
    }

    pub fn status(&self, now: OffsetDateTime) -> Status {
        if self.revoked.is_some() {
            Status::Revoked
        } else if self.overlap_ended || self.overlap_ends_at.is_some_and(|at| at <= now) {
            Status::Rotated
        } else if self.expires_at.is_some_and(|at| at <= now) {
            Status::Expired
        } else if self.disabled_at.is_some() {
            Status::Disabled
        } else {
            Status::Active
        }
    }
}

/// One row of the queries below, before what is optional together is put together.
struct Raw {
    id: Uuid,
    org_id: Uuid,
    org_slug: String,
    org_name: String,
    environment: String,
    tier: String,
    name: String,
    hint: String,
    scopes: Vec<String>,
    namespaces: Vec<String>,
    addresses: Vec<IpNet>,
    creator: Option<String>,
    created_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
    disabled_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
    revoked_by: Option<String>,
    revoked_reason: Option<String>,
    predecessor: Option<Uuid>,
    successor: Option<Uuid>,
    overlap_ends_at: Option<OffsetDateTime>,
    overlap_ended: bool,
    overlap_extended: bool,
    confirmed_at: Option<OffsetDateTime>,
    used_at: Option<OffsetDateTime>,
    used_address: Option<IpNet>,
    used_agent: Option<String>,
    used_via: Option<String>,
}

impl From<Raw> for KeyDetails {
    fn from(raw: Raw) -> Self {
        Self {
            id: KeyId(raw.id),
            org: OrgId(raw.org_id),
            org_slug: raw.org_slug,
            org_name: raw.org_name,
            environment: raw.environment,
            tier: raw.tier,
            name: raw.name,
            hint: raw.hint,
            scopes: raw.scopes,
            namespaces: raw.namespaces,
            addresses: raw.addresses,
            created_by: raw.creator,
            created_at: raw.created_at,
            expires_at: raw.expires_at,
            disabled_at: raw.disabled_at,
            revoked: raw.revoked_at.map(|at| RevokedAs {
                at,
                by: raw.revoked_by.unwrap_or_default(),
                reason: raw.revoked_reason.unwrap_or_default(),
            }),
            predecessor: raw.predecessor.map(KeyId),
            successor: raw.successor.map(KeyId),
            overlap_ends_at: raw.overlap_ends_at,
            overlap_ended: raw.overlap_ended,
            overlap_extended: raw.overlap_extended,
            confirmed_at: raw.confirmed_at,
            last_used: raw.used_at.zip(raw.used_address).map(|(at, address)| LastUsed {
                at,
                address,
                agent: raw.used_agent.unwrap_or_default(),
                via: raw.used_via,
            }),
        }
    }
}

/// The columns of a [`Raw`], and where they come from; what follows chooses the rows.
macro_rules! select_listed {
    ($rest:literal, $($bind:expr),* $(,)?) => {
        sqlx::query_as!(
            Raw,
            r#"select k.id, k.org_id, o.slug as org_slug, o.name as org_name, k.environment, k.tier, k.name, k.hint,
                      k.scopes, k.namespaces, k.ip_allowlist as "addresses: Vec<IpNet>", u.name as "creator?", k.created_at, k.expires_at, k.disabled_at, k.revoked_at,
                      k.revoked_by, k.revoked_reason, k.predecessor, s.id as "successor?", k.overlap_ends_at, k.overlap_ended,
                      k.overlap_extended, k.confirmed_at, l.used_at as "used_at?", l.address as "used_address?: IpNet",
                      l.agent as "used_agent?", l.via as used_via
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
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = select_listed!("where k.org_id = $1 and k.id = any ($2) order by array_position($2, k.id)", org.0, &ids)
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// All keys of an organization, newest first.
pub async fn list(db: &mut PgConnection, org: OrgId) -> sqlx::Result<Vec<KeyDetails>> {
    let rows = select_listed!("where k.org_id = $1 order by k.id desc", org.0).fetch_all(db).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// An organization's keys made before one of them (all, if `None`), newest first.
pub async fn list_before(
    db: &mut PgConnection,
    org: OrgId,
    key: Option<KeyId>,
    limit: i64,
) -> sqlx::Result<Vec<KeyDetails>> {
    let before = key.map_or(Uuid::max(), |key| key.0);
    let rows = select_listed!("where k.org_id = $1 and k.id < $2 order by k.id desc limit $3", org.0, before, limit)
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// One key of an organization.
pub async fn find(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<KeyDetails>> {
    let row = select_listed!("where k.org_id = $1 and k.id = $2", org.0, id.0).fetch_optional(db).await?;
    Ok(row.map(Into::into))
}

/// Keys with a hint, whoever's they are. Needs the support's or the operator's reach.
pub async fn find_by_hint(db: &mut PgConnection, hint: &str) -> sqlx::Result<Vec<KeyDetails>> {
    let rows = select_listed!("where k.hint = $1 order by k.id desc limit 50", hint).fetch_all(db).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The key with a digest, whoever's it is. Needs the support's or the operator's reach.
pub async fn find_by_digest(db: &mut PgConnection, digest: Digest) -> sqlx::Result<Option<KeyDetails>> {
    let row = select_listed!("where k.digest = $1", digest.as_bytes()).fetch_optional(db).await?;
    Ok(row.map(Into::into))
}

/// The key with an id, whoever's it is. Needs the support's or the operator's reach.
pub async fn find_by_id(db: &mut PgConnection, id: KeyId) -> sqlx::Result<Option<KeyDetails>> {
    let row = select_listed!("where k.id = $1", id.0).fetch_optional(db).await?;
    Ok(row.map(Into::into))
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

/// Every key that a hint fits, or the one with a digest. Needs the operator's reach.
pub async fn candidates(
    db: &mut PgConnection,
    hint: Option<&str>,
    digest: Option<Digest>,
) -> sqlx::Result<Vec<Candidate>> {
    let digest = digest.as_ref().map(Digest::as_bytes);
    let rows = sqlx::query!(
        r#"select k.id, k.org_id, o.slug, k.name, encode(k.digest, 'hex') as "digest!", k.revoked_at is not null as "revoked!"
           from api_keys k join orgs o on o.id = k.org_id
           where k.hint = $1 or k.digest = $2 order by k.id"#,
        hint,
        digest
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Candidate {
            id: KeyId(row.id),
            org: OrgId(row.org_id),
            org_slug: row.slug,
            name: row.name,
            digest: row.digest,
            revoked: row.revoked,
        })
        .collect())
}

/// How many keys an organization has: (all, those not revoked).
pub async fn counts(db: &mut PgConnection, org: OrgId) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"select count(*) as "all!", count(*) filter (where revoked_at is null) as "revocable!"
           from api_keys where org_id = $1"#,
        org.0
    )
    .fetch_one(db)
    .await?;
    Ok((row.all, row.revocable))
}

/// Adds a key. `Ok(false)`: the same form added one before.
pub async fn insert(db: &mut PgConnection, key: &NewRow<'_>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, namespaces, ip_allowlist, created_by,
                               created_at, expires_at, idempotency_key, predecessor)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         on conflict on constraint api_keys_idempotency_key_once do nothing",
        key.id.0,
        key.org.0,
        key.environment,
        key.tier,
        key.name,
        key.digest.as_bytes(),
        key.hint,
        key.scopes,
        key.namespaces,
        key.addresses,
        key.created_by.map(|user| user.0),
        key.created_at,
        key.expires_at,
        key.idempotency_key,
        key.predecessor.map(|id| id.0),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Name and hint of the key that a form made.
pub async fn find_by_idempotency_key(
    db: &mut PgConnection,
    org: OrgId,
    idempotency_key: Uuid,
) -> sqlx::Result<Option<(String, String)>> {
    let row = sqlx::query!(
        "select name, hint from api_keys where org_id = $1 and idempotency_key = $2",
        org.0,
        idempotency_key
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.name, row.hint)))
}

/// Locks a key and answers its name, its hint, and whether it is revoked.
pub async fn lock(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<(String, String, bool)>> {
    let row = sqlx::query!(
        r#"select name, hint, revoked_at is not null as "revoked!" from api_keys where org_id = $1 and id = $2 for update"#,
        org.0,
        id.0
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.name, row.hint, row.revoked)))
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
    /// Whether it was replaced, and its time is over.
    pub fn is_overlap_over(&self, now: OffsetDateTime) -> bool {
        self.overlap_ended || self.overlap_ends_at.is_some_and(|at| at <= now)
    }

    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.fields.expires_at.is_some_and(|at| at <= now)
    }
}

/// What can be edited of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditableFields {
    pub name: String,
    pub scopes: Vec<String>,
    pub namespaces: Vec<String>,
    pub addresses: Vec<IpNet>,
    pub expires_at: Option<OffsetDateTime>,
}

impl EditableFields {
    /// Tells whether two moments saw the same.
    pub fn mark(&self) -> String {
        Digest::of(format!("{self:?}").as_bytes()).to_hex()
    }
}

/// Locks a key and answers all that a change of it depends on. Whoever only refers to the row (the usage that is being
/// written) does not wait for this.
pub async fn hold(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<LockedKey>> {
    let row = sqlx::query!(
        r#"select name, hint, environment, tier, scopes, namespaces, ip_allowlist as "addresses: Vec<IpNet>", expires_at,
                  disabled_at, revoked_at, overlap_ends_at, overlap_ended, overlap_extended
           from api_keys where org_id = $1 and id = $2 for no key update"#,
        org.0,
        id.0
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
            addresses: row.addresses,
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
        org.0,
        id.0,
        fields.name,
        &fields.scopes,
        &fields.namespaces,
        &fields.addresses,
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
    sqlx::query!("update api_keys set disabled_at = $3 where org_id = $1 and id = $2", org.0, id.0, since)
        .execute(db)
        .await?;
    Ok(())
}

/// `Ok(false)`: it was said before.
pub async fn set_confirmed(db: &mut PgConnection, org: OrgId, id: KeyId, at: OffsetDateTime) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update api_keys set confirmed_at = $3 where org_id = $1 and id = $2 and confirmed_at is null",
        org.0,
        id.0,
        at
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The hint of the newest key of this name, in whatever case, that is not over.
pub async fn find_by_name(
    db: &mut PgConnection,
    org: OrgId,
    name: &str,
    now: OffsetDateTime,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select hint from api_keys
         where org_id = $1 and lower(name) = lower($2) and revoked_at is null and not overlap_ended
               and (overlap_ends_at is null or overlap_ends_at > $3) and (expires_at is null or expires_at > $3)
         order by id desc limit 1",
        org.0,
        name,
        now
    )
    .fetch_optional(db)
    .await
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
    let row = sqlx::query!(
        r#"select coalesce(bool_or(k.confirmed_at is not null), false) as "stored!",
                  coalesce(bool_or(l.key_id is not null), false) as "used!"
           from api_keys k left join key_last_used l on l.key_id = k.id where k.org_id = $1"#,
        org.0
    )
    .fetch_one(db)
    .await?;
    Ok(Progress { stored: row.stored, used: row.used })
}

/// The key that a key replaced, which never changes.
pub async fn predecessor(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<KeyId>> {
    let row = sqlx::query_scalar!("select predecessor from api_keys where org_id = $1 and id = $2", org.0, id.0)
        .fetch_optional(db)
        .await?;
    Ok(row.flatten().map(KeyId))
}

/// The hint of the key that replaced a key.
pub async fn successor(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select hint from api_keys where org_id = $1 and predecessor = $2", org.0, id.0)
        .fetch_optional(db)
        .await
}

/// When a key was replaced.
pub async fn rotated_at(db: &mut PgConnection, org: OrgId, id: KeyId) -> sqlx::Result<Option<OffsetDateTime>> {
    sqlx::query_scalar!("select created_at from api_keys where org_id = $1 and predecessor = $2", org.0, id.0)
        .fetch_optional(db)
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
        org.0,
        id.0,
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
    let ids = sqlx::query_scalar!(
        "with hit as (select id from api_keys
                      where org_id = $1 and revoked_at is null and not overlap_ended and (overlap_ends_at is null or overlap_ends_at > $4)
                        and (expires_at is null or expires_at > $4)
                        and not ($2 = any(namespaces)) and ($3 or namespaces <> '{}')
                      order by id for no key update)
         update api_keys k set namespaces = array_append(k.namespaces, $2)
         from hit where k.id = hit.id and k.org_id = $1 returning k.id",
        org.0,
        namespace,
        none_means_none,
        now
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(KeyId).collect())
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
    let rows = sqlx::query!(
        "select id, name, hint from api_keys
         where org_id = $1 and revoked_at is null and disabled_at is null and not overlap_ended
           and (overlap_ends_at is null or overlap_ends_at > $2) and (expires_at is null or expires_at > $2)
         order by id",
        org.0,
        now
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| ActiveKey { id: KeyId(row.id), name: row.name, hint: row.hint }).collect())
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
        org.0,
        id.0,
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
    let ids = sqlx::query_scalar!(
        "with hit as (select id from api_keys where org_id = $1 and revoked_at is null order by id for update)
         update api_keys k set revoked_at = $2, revoked_by = $3, revoked_reason = $4
         from hit where k.id = hit.id and k.org_id = $1 returning k.id",
        org.0,
        now,
        by,
        reason.as_str()
    )
    .fetch_all(db)
    .await?;
    Ok(ids.into_iter().map(KeyId).collect())
}

/// What a verdict is made of, by digest: the key plane's one indexed SELECT.
pub async fn find_for_verification(keys: &PgPool, digest: Digest) -> sqlx::Result<Option<KeyRecord>> {
    let row = sqlx::query!(
        r#"select k.id, k.org_id, o.slug as org, k.name, k.environment, k.tier, k.scopes, k.namespaces,
                  k.ip_allowlist as "addresses: Vec<IpNet>", k.expires_at, k.disabled_at, k.revoked_at, k.overlap_ends_at,
                  k.overlap_ended, s.id as "successor?", o.suspended_at is not null as "org_suspended!", k.created_by,
                  (select m.role from users u join members m on m.user_id = u.id and m.org_id = k.org_id
                   where u.id = k.created_by and u.disabled_at is null) as creator_role
           from api_keys k join orgs o on o.id = k.org_id left join api_keys s on s.predecessor = k.id
           where k.digest = $1"#,
        digest.as_bytes()
    )
    .fetch_optional(keys)
    .await?;
    Ok(row.map(|row| KeyRecord {
        id: KeyId(row.id),
        org_id: OrgId(row.org_id),
        org: row.org,
        name: row.name,
        environment: row.environment,
        tier: row.tier,
        scopes: row.scopes,
        namespaces: row.namespaces,
        addresses: row.addresses,
        expires_at: row.expires_at,
        disabled_at: row.disabled_at,
        revoked_at: row.revoked_at,
        overlap_ends_at: row.overlap_ends_at,
        overlap_ended: row.overlap_ended,
        successor: row.successor.map(KeyId),
        org_suspended: row.org_suspended,
        created_by: row.created_by.map(UserId),
        creator: match (row.created_by, row.creator_role) {
            (None, _) => Creator::Operator,
            // A role this version does not know gives no rights.
            (Some(_), role) => role.and_then(|role| Role::member(&role)).map_or(Creator::Gone, Creator::Member),
        },
    }))
}

/// A service key that is good.
#[derive(Debug)]
pub struct ServiceKey {
    pub name: String,
    pub capabilities: Vec<String>,
}

pub async fn service_key(keys: &PgPool, digest: Digest) -> sqlx::Result<Option<ServiceKey>> {
    sqlx::query_as!(
        ServiceKey,
        "select name, capabilities from service_keys where digest = $1 and revoked_at is null",
        digest.as_bytes()
    )
    .fetch_optional(keys)
    .await
}

/// Adds a service key. `Ok(false)`: the name is taken.
pub async fn insert_service_key(
    db: &mut PgConnection,
    name: &str,
    digest: Digest,
    hint: &str,
    capabilities: &[String],
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into service_keys (id, name, digest, hint, capabilities, created_at) values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint service_keys_name_once do nothing",
        crate::clock::id(now),
        name,
        digest.as_bytes(),
        hint,
        capabilities,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// `Ok(false)`: there is none of that name, or it is revoked already.
pub async fn set_service_key_revoked(db: &mut PgConnection, name: &str, now: OffsetDateTime) -> sqlx::Result<bool> {
    let done =
        sqlx::query!("update service_keys set revoked_at = $2 where name = $1 and revoked_at is null", name, now)
            .execute(db)
            .await?;
    Ok(done.rows_affected() == 1)
}
