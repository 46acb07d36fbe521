//! The nodes page: how far each key plane is, and what was refused last, for staff alone.

use keydesk::{database::RlsScope, usage};

use crate::world::World;

/// The row of a node that no test runs.
async fn node(world: &World, name: &str, quiet: &str, lease_ms: u32) {
    let statement = format!(
        "insert into key_plane_nodes (id, name, limiter, applied_revision, started_at, renewed_at, lease_ms)
         select gen_random_uuid(), '{name}', 'redis', revision - 1, now() - interval '1 hour', now() - interval '{quiet}',
                {lease_ms}
         from key_revision"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&world.owner).await.unwrap();
}

/// What the page says in one row of it, as text.
fn row(page: &str, name: &str) -> String {
    let row = page.split("<tr").find(|row| row.contains(name)).unwrap_or_else(|| panic!("no {name} in {page}"));
    let mut text = String::new();
    for part in row.split('<') {
        text += part.split_once('>').map_or("", |(_, text)| text);
        text.push(' ');
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn staff_see_how_far_each_node_is_and_since_when() {
    let world = World::new().await;
    world.key("acme", &[], "never").await;
    world.settle().await;
    let mut staff = world.support().await;
    node(&world, "web-9:3001", "3 minutes", 2_000).await;
    node(&world, "web-7:3001", "5 seconds", 300_000).await;
    let page = loop {
        let page = staff.get("/nodes").await;
        // The one that runs may be late itself, where it has to wait for its turn.
        if page.body.contains(">Following<") {
            break page;
        }
    };
    page.is(200).says(">Nodes</h1>").says("The newest revision is").says("Nothing was refused");
    let late = row(&page.body, "web-7:3001");
    assert!(late.contains("Late renewed ") && late.contains("1 behind") && late.contains("redis"), "{late}");
    let gone = row(&page.body, "web-9:3001");
    assert!(gone.contains("Cut off renewed 3 min ago"), "{gone}");
    let following = row(&page.body, ">Following<");
    assert!(following.contains("renewed ") && following.contains("the newest"), "{following}");
}

#[tokio::test]
async fn where_no_key_plane_runs_the_page_says_so() {
    let world = World::new().await;
    let mut staff = world.support().await;
    // The one that is running finds its row gone, and cannot register anew.
    let statements = "revoke insert on key_plane_nodes from keydesk_keys; delete from key_plane_nodes";
    sqlx::raw_sql(statements).execute(&world.owner).await.unwrap();
    staff.get("/nodes").await.is(200).says("No key plane is running").says("keydesk serve");
}

#[tokio::test]
async fn staff_see_the_last_refusals_of_all_organizations_and_nothing_of_what_was_asked() {
    let world = World::new().await;
    let (ours, theirs) = (world.key("acme", &[], "1d").await, world.key("other", &["read"], "never").await);
    world.change("update api_keys set revoked_at = now(), revoked_by = 'x', revoked_reason = 'other'").await;
    for (key, agent) in [(&ours, "warehouse/2.1"), (&theirs, "curl/8.5.0")] {
        world.program().with("x-api-key", &key.secret).with("user-agent", agent).get("/v1/whoami").await.is(401);
    }
    let unknown = keydesk::keys::secret::NewSecret::generate("kd_live_").unwrap().reveal().to_owned();
    let refused = world.program().with("x-api-key", &unknown).get("/v1/whoami").await;
    world.refusals.flush(&world.keys_db).await.unwrap();
    let mut staff = world.support().await;
    let page = staff.get("/nodes").await;
    page.is(200).says(refused.json()["request_id"].as_str().unwrap()).says("198.51.100.7");
    for (agent, org) in [("warehouse", "acme"), ("curl", "other")] {
        let row = row(&page.body, &format!(">{agent}<"));
        assert!(row.contains("REVOKED") && row.contains(org), "{row}");
    }
    assert!(row(&page.body, "NOT_FOUND").contains("No key matched"));
    for secret in [&ours.secret, &theirs.secret, &unknown, &ours.hint, &"/v1/whoami".to_owned()] {
        page.says_not(secret);
    }
    // Only so many, the newest first.
    for _ in 0..25 {
        world.clock.advance(time::Duration::SECOND);
        world.program().with("x-api-key", "nonsense").get("/v1/whoami").await.is(401);
    }
    world.refusals.flush(&world.keys_db).await.unwrap();
    let page = staff.get("/nodes").await;
    assert_eq!(page.body.matches("MALFORMED").count(), 20);
    page.says_not("REVOKED");
}

#[tokio::test]
async fn members_see_no_nodes_and_only_their_own_refusals_are_within_their_reach() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    world.change("update api_keys set revoked_at = now(), revoked_by = 'x', revoked_reason = 'other'").await;
    world.program().with("x-api-key", &key.secret).get("/v1/whoami").await.is(401);
    world.refusals.flush(&world.keys_db).await.unwrap();
    for mut member in [world.viewer("acme").await, world.owner_of("acme").await] {
        let (desk, nodes) = (member.get("/support").await, member.get("/nodes").await);
        nodes.is(403).says("may not see the nodes").says_not("REVOKED");
        assert_eq!(desk.status, nodes.status);
    }
    let (acme, other) = (world.org("acme").await, world.org("other").await);
    for (reach, seen) in [
        (RlsScope::Support, 1),
        (RlsScope::Operator, 1),
        (RlsScope::Org(acme), 1),
        (RlsScope::Org(other), 0),
        (RlsScope::Nothing, 0),
    ] {
        let mut tx = world.begin(reach).await;
        assert_eq!(usage::store::last_refusals(&mut tx, 20).await.unwrap().len(), seen, "{reach:?}");
    }
}
