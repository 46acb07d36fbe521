//! SQL for organizations and members.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{OrgName, Slug};
use crate::{
    actor::Role,
    database::Inserted,
    ids::{OrgId, UserId},
};

#[derive(Clone)]
pub struct Org {
    pub id: OrgId,
    pub slug: String,
    pub name: String,
}

/// A membership, with its organization.
pub struct Membership {
    pub org: Org,
    pub role: Role,
}

pub struct Member {
    pub user: UserId,
    pub name: String,
    pub email: String,
    pub role: Role,
    pub since: OffsetDateTime,
    pub last_sign_in_at: Option<OffsetDateTime>,
    /// Their account is shut.
    pub disabled: bool,
}

/// The organizations a person belongs to, oldest membership first. Needs the person's reach.
pub async fn memberships(db: &mut PgConnection, user: UserId) -> sqlx::Result<Vec<Membership>> {
    let rows = sqlx::query!(
        "select o.id, o.slug, o.name, m.role from members m join orgs o on o.id = m.org_id
         where m.user_id = $1 order by m.created_at, o.id",
        user as _
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            // A role this version does not know gives no rights.
            let role = Role::member(&row.role)?;
            Some(Membership { org: Org { id: OrgId(row.id), slug: row.slug, name: row.name }, role })
        })
        .collect())
}

/// By slug, any organization. Needs the operator's scope.
pub async fn find_by_slug(db: &mut PgConnection, slug: &Slug) -> sqlx::Result<Option<Org>> {
    sqlx::query_as!(Org, "select id, slug, name from orgs where slug = $1", slug.as_str()).fetch_optional(db).await
}

/// Adds an organization, unless its slug is taken. Needs the new organization's own scope.
pub async fn insert(
    db: &mut PgConnection,
    id: OrgId,
    slug: &Slug,
    name: &OrgName,
    now: OffsetDateTime,
) -> sqlx::Result<Inserted> {
    let done = sqlx::query!(
        "insert into orgs (id, slug, name, created_at) values ($1, $2, $3, $4)
         on conflict on constraint orgs_slug_unique do nothing",
        id as _,
        slug.as_str(),
        name.as_str(),
        now
    )
    .execute(db)
    .await?;
    Ok(done.into())
}

pub async fn insert_member(
    db: &mut PgConnection,
    org: OrgId,
    user: UserId,
    role: Role,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into members (org_id, user_id, role, created_at) values ($1, $2, $3, $4)",
        org as _,
        user as _,
        role.as_str(),
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The members of an organization, by name.
pub async fn list_members(db: &mut PgConnection, org: OrgId) -> sqlx::Result<Vec<Member>> {
    let rows = sqlx::query!(
        r#"select u.id, u.name, u.email, u.last_sign_in_at, u.disabled_at is not null as "disabled!", m.role, m.created_at
           from members m join users u on u.id = m.user_id where m.org_id = $1 order by lower(u.name), u.id"#,
        org as _
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Member {
                user: UserId(row.id),
                name: row.name,
                email: row.email,
                role: Role::member(&row.role)?,
                since: row.created_at,
                last_sign_in_at: row.last_sign_in_at,
                disabled: row.disabled,
            })
        })
        .collect())
}

/// An organization whose row is locked.
pub struct LockedOrg {
    pub suspended_at: Option<OffsetDateTime>,
}

/// Locks an organization. Needs its scope. Keys and members can be added to it meanwhile.
pub async fn lock(db: &mut PgConnection, org: OrgId) -> sqlx::Result<Option<LockedOrg>> {
    sqlx::query_as!(LockedOrg, "select suspended_at from orgs where id = $1 for no key update", org as _)
        .fetch_optional(db)
        .await
}

/// `None`: served again.
pub async fn set_suspended(db: &mut PgConnection, org: OrgId, since: Option<OffsetDateTime>) -> sqlx::Result<()> {
    sqlx::query!("update orgs set suspended_at = $2 where id = $1", org as _, since).execute(db).await?;
    Ok(())
}

pub async fn set_role(db: &mut PgConnection, org: OrgId, user: UserId, role: Role) -> sqlx::Result<()> {
    sqlx::query!("update members set role = $3 where org_id = $1 and user_id = $2", org as _, user as _, role.as_str())
        .execute(db)
        .await?;
    Ok(())
}

pub async fn delete_member(db: &mut PgConnection, org: OrgId, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("delete from members where org_id = $1 and user_id = $2", org as _, user as _).execute(db).await?;
    Ok(())
}

/// An organization, as the back office sees it.
pub struct Tenant {
    pub id: OrgId,
    pub slug: String,
    pub name: String,
    pub created_at: OffsetDateTime,
    pub suspended_at: Option<OffsetDateTime>,
    /// Its keys that are not revoked.
    pub keys: i64,
}

/// Organizations in the order they were made, those after one of them. Needs the operator's scope.
pub async fn list_tenants(db: &mut PgConnection, after: Option<OrgId>, limit: i64) -> sqlx::Result<Vec<Tenant>> {
    sqlx::query_as!(
        Tenant,
        r#"select o.id, o.slug, o.name, o.created_at, o.suspended_at,
                  (select count(*) from api_keys k where k.org_id = o.id and k.revoked_at is null) as "keys!"
           from orgs o where $1::uuid is null or o.id > $1 order by o.id limit $2"#,
        after as _,
        limit
    )
    .fetch_all(db)
    .await
}

/// The namespaces that an organization is bound to. Needs its reach. None is added until the transaction ends.
pub async fn namespaces(db: &mut PgConnection, org: OrgId) -> sqlx::Result<Vec<String>> {
    let row =
        sqlx::query_scalar!("select namespaces from orgs where id = $1 for share", org as _).fetch_optional(db).await?;
    Ok(row.unwrap_or_default())
}

pub async fn set_namespaces(db: &mut PgConnection, org: OrgId, namespaces: &[String]) -> sqlx::Result<()> {
    sqlx::query!("update orgs set namespaces = $2 where id = $1", org as _, namespaces).execute(db).await?;
    Ok(())
}
