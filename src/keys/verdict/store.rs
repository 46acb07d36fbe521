//! SQL for verification.

use crate::actor::Role;
use crate::ids::{KeyId, OrgId, UserId};
use ipnet::IpNet;
use sqlx::PgPool;

use super::{Creator, KeyRecord};
use crate::secrets::Digest;

/// What a verdict is made of, by digest: the key plane's one indexed SELECT.
pub async fn find_by_digest(keys: &PgPool, digest: Digest) -> sqlx::Result<Option<KeyRecord>> {
    let row = sqlx::query!(
        r#"select k.id, k.org_id, o.slug as org, k.name, k.environment, k.tier, k.scopes, k.namespaces,
                  k.ip_allowlist as "ip_allowlist: Vec<IpNet>", k.expires_at, k.disabled_at, k.revoked_at, k.overlap_ends_at,
                  k.overlap_ended, s.id as "successor?", o.suspended_at is not null as "org_suspended!", k.created_by,
                  (select m.role from users u join members m on m.user_id = u.id and m.org_id = k.org_id
                   where u.id = k.created_by and u.disabled_at is null) as creator_role
           from api_keys k join orgs o on o.id = k.org_id left join api_keys s on s.predecessor = k.id
           where k.digest = $1"#,
        digest as _
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
        ip_allowlist: row.ip_allowlist,
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
