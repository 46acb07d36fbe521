//! SQL for verification.

use crate::actor::Role;
use crate::ids::{KeyId, OrgId, UserId};
use ipnet::IpNet;
use sqlx::PgConnection;

use super::{Creator, KeyRecord};
use crate::{
    revocation::{Revision, Snapshot},
    secrets::Digest,
};

/// What a verdict is made of, by digest: the key plane's one indexed SELECT. It reads the token at `applied` in the same
/// snapshot.
pub async fn find_by_digest(
    db: &mut PgConnection,
    digest: Digest,
    applied: Revision,
) -> sqlx::Result<Snapshot<KeyRecord>> {
    let row = sqlx::query!(
        r#"select c.token as "token?", k.id as "id?", k.org_id as "org_id?", o.slug as "org?", k.name as "name?",
                  k.environment as "environment?", k.tier as "tier?", k.scopes as "scopes?", k.namespaces as "namespaces?",
                  k.ip_allowlist as "ip_allowlist?: Vec<IpNet>", k.expires_at, k.disabled_at, k.revoked_at, k.overlap_ends_at,
                  k.overlap_ended as "overlap_ended?", s.id as "successor?", o.suspended_at is not null as "org_suspended!", k.created_by,
                  (select m.role from users u join members m on m.user_id = u.id and m.org_id = k.org_id
                   where u.id = k.created_by and u.disabled_at is null) as creator_role
           from (select (select token from key_changes where revision = $2 limit 1) as token) c
           left join (api_keys k join orgs o on o.id = k.org_id left join api_keys s on s.predecessor = k.id)
                on k.digest = $1"#,
        digest as _,
        applied as _
    )
    .fetch_one(db)
    .await?;
    // All are null where there is no such key.
    let (Some(id), Some(org_id), Some(org), Some(name), Some(environment)) =
        (row.id, row.org_id, row.org, row.name, row.environment)
    else {
        return Ok(Snapshot { token: row.token, found: None });
    };
    let (Some(tier), Some(scopes), Some(namespaces), Some(ip_allowlist), Some(overlap_ended)) =
        (row.tier, row.scopes, row.namespaces, row.ip_allowlist, row.overlap_ended)
    else {
        return Err(sqlx::Error::RowNotFound);
    };
    let record = KeyRecord {
        id: KeyId(id),
        org_id: OrgId(org_id),
        org,
        name,
        environment,
        tier,
        scopes,
        namespaces,
        ip_allowlist,
        expires_at: row.expires_at,
        disabled_at: row.disabled_at,
        revoked_at: row.revoked_at,
        overlap_ends_at: row.overlap_ends_at,
        overlap_ended,
        successor: row.successor.map(KeyId),
        org_suspended: row.org_suspended,
        created_by: row.created_by.map(UserId),
        creator: match (row.created_by, row.creator_role) {
            (None, _) => Creator::Operator,
            // A role this version does not know gives no rights.
            (Some(_), role) => role.and_then(|role| Role::member(&role)).map_or(Creator::Gone, Creator::Member),
        },
    };
    Ok(Snapshot { token: row.token, found: Some(record) })
}
