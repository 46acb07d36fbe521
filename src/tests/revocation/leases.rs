//! Leases of different lengths, and registrations that outlast their connections.

use std::time::{Duration, Instant};

use keydesk::{
    actor::Role,
    node::NodeError,
    revocation::{LeaseLength, Pending, store},
};
use nix::sys::signal::Signal::SIGKILL;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, postgres::PgConnectOptions};

use super::{
    freshness::copy,
    protocol::{Stepped, receipt, revoke},
};
use crate::{
    process::{Folder, PATIENCE, end, ran, serving},
    world::World,
};

fn seconds(seconds: u64) -> LeaseLength {
    LeaseLength::new(Duration::from_secs(seconds)).unwrap()
}

/// As long as a registration lasts, its row has this id.
async fn row(world: &World, name: &str) -> Option<uuid::Uuid> {
    let row = sqlx::query_scalar("select id from key_plane_nodes where name = $1").bind(name);
    row.fetch_optional(&world.owner).await.unwrap()
}

/// Ends every connection of nodes, as a crash of Postgres does.
async fn cut(world: &World) {
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and application_name = 'keydesk node'";
    let ended: i64 = sqlx::query_scalar(cut).fetch_one(&world.owner).await.unwrap();
    assert!(ended > 0);
}

#[tokio::test]
async fn a_receipt_waits_for_the_longest_lease_of_those_that_are_behind() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let (silent, slower) = (Stepped::join(&world).await, Stepped::join_for(&world, seconds(3)).await);
    assert_eq!([silent.verdict(&key).await, slower.verdict(&key).await], ["VALID", "VALID"]);
    let revision = revoke(&world, "acme", &key).await;
    world.settle().await;
    let begun = Instant::now();
    let receipt = receipt(&world, revision).await;
    assert!(begun.elapsed() >= Duration::from_millis(3_300), "the longer lease may have begun just before");
    assert_eq!((receipt.nodes, receipt.cut_off.len()), (3, 2));
    assert!(receipt.is_complete());
}

#[tokio::test]
async fn nobody_waits_for_the_lease_of_a_node_that_answers() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let silent = Stepped::join(&world).await;
    let mut longest = Stepped::join_for(&world, LeaseLength::LONGEST).await;
    let revision = revoke(&world, "acme", &key).await;
    longest.round().await.unwrap();
    let receipt = receipt(&world, revision).await;
    assert_eq!((receipt.nodes, receipt.cut_off), (3, vec!["stepped".to_owned()]));
    assert_eq!(longest.verdict(&key).await, "REVOKED");
    drop(silent);
}

#[tokio::test]
async fn a_lease_is_as_long_as_the_row_says() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let node = Stepped::join_for(&world, seconds(45)).await;
    let written: i32 = sqlx::query_scalar("select lease_ms from key_plane_nodes where id = $1")
        .bind(node.registration.id)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(written, 45_000);
    assert_eq!(node.verdict(&key).await, "VALID");
    world.clock.advance(time::Duration::milliseconds(44_999));
    assert_eq!(node.verdict(&key).await, "VALID", "45 seconds without a round");
    world.clock.advance(time::Duration::milliseconds(1));
    assert_eq!(node.verdict(&key).await, "UNAVAILABLE");
}

#[tokio::test]
async fn a_row_is_not_deleted_while_its_node_may_hold_a_lease() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let node = Stepped::join_for(&world, seconds(45)).await;
    let revision = revoke(&world, "acme", &key).await;
    // A process of before this column waits for 2.2 seconds and says nothing.
    let by_others = "delete from key_plane_nodes where applied_revision < $1";
    let refused = sqlx::query(by_others).bind(revision.0).execute(&world.db).await.unwrap_err();
    assert!(refused.to_string().contains("may hold a lease"), "{refused}");
    for (waited, struck) in [(45_000, 0), (49_500, 0), (49_501, 1)] {
        let waited = Duration::from_millis(waited);
        let names = store::deregister_behind(&world.db, revision, waited).await.unwrap();
        assert_eq!(names.iter().filter(|name| *name == "stepped").count(), struck, "{waited:?}");
    }
    assert_eq!(row(&world, "stepped").await, None);
    drop(node);
}

#[tokio::test]
async fn a_change_that_takes_longer_is_answered_with_202_and_a_receipt_to_ask_for() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let script = world.script_of("acme", Role::Owner).await;
    let mut node = Stepped::join_for(&world, LeaseLength::LONGEST).await;
    let answer = script.post(&format!("/api/v1/api-keys/{}/revoke", key.id), &json!({ "reason": "other" })).await;
    let receipt = answer.is(202).json()["receipt"].clone();
    assert_eq!((&receipt["waiting_for"], &receipt["cut_off"]), (&json!(["stepped"]), &json!([])));
    let at_most = receipt["at_most_ms"].as_u64().unwrap();
    assert!(at_most <= 330_000 && at_most > 200_000, "330 s less what has passed: {at_most}");
    let poll = async || script.get(&format!("/api/v1/receipts/{}", receipt["revision"])).await;
    assert_eq!(poll().await.is(202).json()["waiting_for"], json!(["stepped"]));
    node.round().await.unwrap();
    let done = poll().await.is(200).json();
    assert_eq!((&done["waiting_for"], &done["nodes"]), (&json!([]), &json!(2)));
    script.get("/api/v1/receipts/99999999").await.is(404);
    script.get("/api/v1/receipts/x").await.is(404);
}

#[tokio::test]
async fn whoever_has_patience_is_told_for_whom_is_waited() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join_for(&world, LeaseLength::LONGEST).await;
    let revision = revoke(&world, "acme", &key).await;
    world.settle().await;
    let mut pending = Pending::new(world.db.clone(), revision, Instant::now());
    let receipt = loop {
        // As it stands then; the other node may need a moment to write down that it has followed.
        let receipt = pending.wait(Duration::from_millis(200)).await.unwrap();
        if receipt.waiting_for.len() == 1 {
            break receipt;
        }
    };
    assert!(receipt.to_string().contains("Waiting for stepped, which may answer as before for 3"), "{receipt}");
    node.round().await.unwrap();
    assert!(pending.wait(PATIENCE).await.unwrap().is_complete());
}

#[tokio::test]
async fn a_lost_connection_ends_neither_the_lease_nor_what_is_remembered() {
    let world = World::new().await;
    let (key, other) = (world.key("acme", &[], "never").await, world.key("other", &[], "never").await);
    let mut node = Stepped::join(&world).await;
    assert_eq!([node.verdict(&key).await, node.verdict(&other).await], ["VALID", "VALID"]);
    let (reads, incarnation) = (node.memory().counts().2, node.memory().lease.incarnation());
    cut_stepped(&mut node).await;
    assert_eq!(node.verdict(&key).await, "VALID", "the lease lasts");
    // It ends. The other key is revoked meanwhile.
    world.clock.advance(time::Duration::seconds(2));
    assert_eq!(node.verdict(&key).await, "UNAVAILABLE");
    revoke(&world, "other", &other).await;
    node.round().await.unwrap();
    assert_eq!(node.verdict(&key).await, "VALID");
    assert_eq!(node.memory().counts().2, reads, "and nothing was read anew");
    assert_eq!(node.memory().lease.incarnation(), incarnation);
    assert_eq!(node.verdict(&other).await, "REVOKED");
}

/// Another connection takes the place of one that is lost.
async fn cut_stepped(node: &mut Stepped) {
    let mut lost = std::mem::replace(&mut node.db, node.world.keys_db.acquire().await.unwrap().detach());
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut lost).await.unwrap();
    sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&node.world.owner).await.unwrap();
    std::mem::swap(&mut lost, &mut node.db);
    assert!(matches!(node.round().await, Err(NodeError::Sql(_))), "no reason to forget");
    node.db = lost;
}

#[tokio::test]
async fn a_node_that_was_struck_while_it_was_away_forgets_everything() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    assert_eq!(node.verdict(&key).await, "VALID");
    cut_stepped(&mut node).await;
    store::leave(&mut node.db, node.registration.id).await.unwrap();
    assert!(matches!(node.round().await, Err(NodeError::Lost(_))));
    assert_eq!((node.verdict(&key).await, node.memory().counts().0), ("UNAVAILABLE".to_owned(), 0));
}

#[tokio::test]
async fn a_node_that_comes_back_to_another_history_forgets_everything() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    assert_eq!(node.verdict(&key).await, "VALID");
    cut_stepped(&mut node).await;
    let statement =
        "update key_changes set token = gen_random_uuid(); update key_revision set token = gen_random_uuid()";
    sqlx::raw_sql(statement).execute(&world.owner).await.unwrap();
    assert!(matches!(node.round().await, Err(NodeError::Lost(_))));
    assert_eq!((node.verdict(&key).await, node.memory().counts().0), ("UNAVAILABLE".to_owned(), 0));
}

#[tokio::test]
async fn a_node_goes_on_under_its_row_when_it_comes_back() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    let before = row(&world, "node").await;
    let reads = world.plane.memory.counts().2;
    let lead_to = async |path: &str, on: &str| {
        let name: String = sqlx::query_scalar("select current_database()::text").fetch_one(&world.owner).await.unwrap();
        let set = format!(
            "alter database {name} set default_transaction_read_only = {on}; alter database {name} set search_path = {path}"
        );
        let mut db = PgConnectOptions::clone(&world.owner.connect_options());
        db = db.options([("default_transaction_read_only", "off")]);
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut db.connect().await.unwrap()).await.unwrap();
    };
    // The address leads to a stand-by for a while, which only reads, and lags. That is no other history.
    copy(&world).await;
    world.key("other", &[], "never").await;
    world.settle().await;
    lead_to("old, public", "on").await;
    cut(&world).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    lead_to("public", "off").await;
    world.settle().await;
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    assert_eq!((row(&world, "node").await, world.plane.memory.counts().2), (before, reads));
    // And a change after it is followed as ever.
    revoke(&world, "acme", &key).await;
    world.settle().await;
    assert_eq!(world.verdict(&key.secret).await, "REVOKED");
}

/// Real processes on one machine: the second one knows that the first is dead.
#[test]
fn a_crash_and_a_restart_delay_no_change() {
    let folder = Folder::new();
    let owner = ["user", "create", "--email", "ada@example.com", "--name", "Ada", "--org", "acme", "--password-stdin"];
    folder.run(&owner, "correct horse battery staple\n").ok();
    let secret = folder.run(&["key", "create", "--org", "acme", "--name", "CI"], "").ok().to_owned();
    let digest = keydesk::secrets::Digest::of(secret.as_bytes()).to_hex();
    let start = || {
        let mut command = folder.command(&["serve", "--plane", "keys"]);
        serving(command.env("KEYDESK_LEASE", "2m"), &["Key plane"]).unwrap().0
    };
    let nodes = || folder.run(&["nodes", "--json"], "").ok().matches("\"state\"").count();
    let until = |wanted: usize| {
        let begun = Instant::now();
        while nodes() != wanted {
            assert!(begun.elapsed() < PATIENCE, "{} nodes", nodes());
        }
    };
    let mut first = start();
    until(1);
    end(&mut first, SIGKILL);
    let mut second = start();
    // Its own row is there, and the one of before is gone.
    until(1);
    let mut revoke = folder.command(&["key", "revoke", "--digest", &digest, "--reason", "other"]);
    let begun = Instant::now();
    let said = ran(&mut revoke, "");
    let took = begun.elapsed();
    end(&mut second, nix::sys::signal::Signal::SIGTERM);
    assert!(said.ok().contains("Effective on 1 of 1 node") && took < Duration::from_secs(100), "{said:?} {took:?}");
}
