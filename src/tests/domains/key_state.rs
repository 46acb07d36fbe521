//! A key's state: one rule, in Rust and in SQL.

use keydesk::actor::Role;
use keydesk::keys::{lifespan::KeyLifespan, model::KeyState};
use time::{Duration, OffsetDateTime};

use crate::world::World;

/// Every combination of the columns that decide a state, with times before, at and after the moment.
fn combinations(now: OffsetDateTime) -> Vec<KeyLifespan> {
    let times = [None, Some(now - Duration::SECOND), Some(now), Some(now + Duration::SECOND)];
    let mut all = Vec::new();
    for revoked_at in times {
        for overlap_ended in [false, true] {
            for overlap_ends_at in times {
                for disabled_at in times {
                    for expires_at in times {
                        let one = KeyLifespan { revoked_at, overlap_ended, overlap_ends_at, disabled_at, expires_at };
                        all.push(one);
                    }
                }
            }
        }
    }
    all
}

#[tokio::test]
async fn the_rule_in_rust_and_the_rule_in_sql_agree_on_every_combination() {
    let world = World::new().await;
    let now = world.clock.now();
    let all = combinations(now);
    let in_sql: Vec<String> = sqlx::query_scalar(
        "select key_state(revoked_at, overlap_ended, overlap_ends_at, disabled_at, expires_at, $6)
         from unnest($1::timestamptz[], $2::bool[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[]) with ordinality
              as t (revoked_at, overlap_ended, overlap_ends_at, disabled_at, expires_at, n)
         order by n",
    )
    .bind(all.iter().map(|one| one.revoked_at).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.overlap_ended).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.overlap_ends_at).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.disabled_at).collect::<Vec<_>>())
    .bind(all.iter().map(|one| one.expires_at).collect::<Vec<_>>())
    .bind(now)
    .fetch_all(&world.owner)
    .await
    .unwrap();
    for (lifespan, in_sql) in all.iter().zip(in_sql) {
        assert_eq!(lifespan.state(now).as_str(), in_sql, "{lifespan:?}");
    }
    for state in KeyState::ALL {
        assert!(all.iter().any(|lifespan| lifespan.state(now) == state), "{state:?}");
    }
}

#[tokio::test]
async fn a_key_both_disabled_and_expired_is_disabled_everywhere_and_can_be_enabled() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "1d").await;
    let mut dee = world.developer("acme").await;
    dee.post("/console/fn/keys/disable", &[("key_id", &key.id.to_string())]).await.is(200);
    world.clock.advance(Duration::days(2));
    world.settle().await;
    assert_eq!(world.verdict(&key.secret).await, "DISABLED");
    world.usage.flush_all(&world.refusals, &world.keys_db).await;
    let mut dee = world.developer("acme").await;
    dee.get("/keys?status=disabled").await.is(200).says(&key.hint);
    dee.get("/keys?status=expired").await.is(200).says_not(&key.hint);
    dee.get("/keys.csv").await.is(200).says(",Disabled,").says_not(",Expired,");
    let script = world.script_of("acme", Role::Viewer).await;
    let told = script.get(&format!("/api/v1/keys/{}", key.id)).await.json();
    assert_eq!(told["status"], "disabled", "{told}");
    let page = dee.get(&format!("/keys/{}", key.id)).await;
    page.is(200).says(">Disabled<").says(">Enable<").says_not(">Disable<");
    page.says("Enable the key and choose a later expiry, if it is meant to work.");
    dee.post("/console/fn/keys/enable", &[("key_id", &key.id.to_string())]).await.is(200).says(">Expired<");
}
