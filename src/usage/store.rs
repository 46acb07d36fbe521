//! SQL for the last use of keys.

use ipnet::IpNet;
use sqlx::PgPool;

use super::Use;

/// Writes a batch in one statement; a use that is older than what is known changes nothing.
pub async fn write(keys: &PgPool, batch: &[Use]) -> sqlx::Result<()> {
    // In one order everywhere, so that two nodes do not wait for each other in a circle.
    let mut batch: Vec<&Use> = batch.iter().collect();
    batch.sort_by_key(|used| used.key);
    let ids: Vec<_> = batch.iter().map(|used| used.key.0).collect();
    let orgs: Vec<_> = batch.iter().map(|used| used.org.0).collect();
    let times: Vec<_> = batch.iter().map(|used| used.at).collect();
    let addresses: Vec<IpNet> = batch.iter().map(|used| used.address.into()).collect();
    let agents: Vec<_> = batch.iter().map(|used| used.agent.clone()).collect();
    let vias: Vec<_> = batch.iter().map(|used| used.via.clone()).collect();
    sqlx::query!(
        "insert into key_last_used (key_id, org_id, used_at, address, agent, via)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::inet[], $5::text[], $6::text[])
         on conflict (key_id) do update
         set used_at = excluded.used_at, address = excluded.address, agent = excluded.agent, via = excluded.via
         where key_last_used.used_at < excluded.used_at",
        &ids,
        &orgs,
        &times,
        &addresses,
        &agents,
        &vias as &[Option<String>]
    )
    .execute(keys)
    .await?;
    Ok(())
}
