//! A database that went back is noticed by what its nodes have seen.

use std::path::Path;

use keydesk::{
    node::{NodeError, witness},
    revocation::{HistoryBack, LeaseLength, store},
};
use serde_json::json;
use sqlx::ConnectOptions;

use super::{
    freshness::copy,
    protocol::{Stepped, revoke},
};
use crate::{
    process::{Folder, ran},
    world::{World, copy_secrets, data_folder},
};

async fn join(world: &World, folder: &Path, others: HistoryBack) -> Stepped {
    Stepped::join_as(world, LeaseLength::SHORTEST, |node| node.in_folder(folder, others)).await
}

/// The database is as it was copied, as after a restore. No trigger runs.
async fn go_back(world: &World) {
    let statements = "begin; set local session_replication_role = replica;
        delete from key_plane_nodes;
        delete from key_changes; insert into key_changes table old.key_changes;
        delete from key_revision; insert into key_revision table old.key_revision;
        update api_keys k set revoked_at = o.revoked_at, revoked_by = o.revoked_by, revoked_reason = o.revoked_reason
            from old.api_keys o where o.id = k.id;
        update service_keys s set revoked_at = o.revoked_at from old.service_keys o where o.id = s.id;
        commit";
    sqlx::raw_sql(statements).execute(&world.owner).await.unwrap();
}

/// `keydesk history accept`, on a folder that has the secrets of the tests' cluster.
async fn accept(world: &World, folder: &Folder, more: &[&str]) -> String {
    copy_secrets(&data_folder().await, &folder.0);
    let mut command = folder.command(&[&["history", "accept"], more].concat());
    command.env("DATABASE_URL", world.owner.connect_options().to_url_lossy().as_str());
    tokio::task::spawn_blocking(move || ran(&mut command, "").ok().to_owned()).await.unwrap()
}

#[tokio::test]
async fn what_was_revoked_stays_so_when_the_database_went_back_and_accepting_it_revokes_it_again() {
    let (world, folder) = (World::new().await, Folder::new());
    let (key, other) = (world.key("acme", &[], "never").await, world.key("acme", &[], "never").await);
    let service = world.service_key(&["verify"]).await;
    copy(&world).await;
    let mut node = join(&world, &folder.0, HistoryBack::Refuse).await;
    assert_eq!([node.verdict(&key).await, node.verdict(&other).await], ["VALID", "VALID"]);
    sqlx::raw_sql("update service_keys set revoked_at = now()").execute(&world.owner).await.unwrap();
    revoke(&world, "acme", &key).await;
    node.round().await.unwrap();
    node.node.tend_witness().await;
    let written = witness::read(&folder.0).unwrap();
    assert_eq!((written.last, written.revoked.len()), (node.memory().applied(), 2));

    go_back(&world).await;
    assert!(matches!(node.round().await, Err(NodeError::Lost(_))));
    node.register().await;
    node.round().await.unwrap();
    assert_eq!([node.verdict(&key).await, node.verdict(&other).await], ["REVOKED", "UNAVAILABLE"]);
    node.world.program().get("/readyz").await.is(503).says("the database has gone back");
    // Another one starts in this folder, and answers for what is not known to be revoked.
    let mut second = join(&world, &folder.0, HistoryBack::Answer).await;
    assert_eq!([second.verdict(&key).await, second.verdict(&other).await], ["REVOKED", "VALID"]);
    let body = json!({ "key": other.secret });
    second.world.program().bearer(&service).post("/v1/keys/verify", &body).await.is(401).says("no such service key");
    // What comes now is of a history that nobody has accepted.
    world.key("acme", &[], "never").await;
    second.round().await.unwrap();
    second.node.tend_witness().await;
    assert_eq!(witness::read(&folder.0).unwrap(), written);
    // One that knows nothing follows the database.
    assert_eq!(Stepped::join(&world).await.verdict(&key).await, "VALID");

    let said = accept(&world, &folder, &[]).await;
    assert!(said.contains("2 keys were revoked again") && said.contains("of acme is revoked again"), "{said}");
    for node in [&mut node, &mut second] {
        node.node.tend_witness().await;
        assert!(matches!(node.round().await, Err(NodeError::Lost(_))));
        node.register().await;
        node.round().await.unwrap();
        assert_eq!([node.verdict(&key).await, node.verdict(&other).await], ["REVOKED", "VALID"]);
        // A test's clock is not the database's, so it is not ready all the same.
        node.world.program().get("/readyz").await.says("clock").says_not("the database has gone back");
    }
    // The database itself says so again.
    assert_eq!(Stepped::join(&world).await.verdict(&key).await, "REVOKED");
}

#[tokio::test]
async fn whoever_wants_the_state_of_before_gets_it() {
    let (world, folder) = (World::new().await, Folder::new());
    let key = world.key("acme", &[], "never").await;
    copy(&world).await;
    let mut node = join(&world, &folder.0, HistoryBack::Refuse).await;
    revoke(&world, "acme", &key).await;
    node.round().await.unwrap();
    node.node.tend_witness().await;
    go_back(&world).await;
    assert!(accept(&world, &folder, &["--without-revoking"]).await.contains("0 keys were revoked again"));
    let node = join(&world, &folder.0, HistoryBack::Refuse).await;
    assert_eq!(node.verdict(&key).await, "VALID");
}

#[tokio::test]
async fn a_log_that_was_pruned_is_no_other_history_and_a_new_database_is_one() {
    let (world, folder) = (World::new().await, Folder::new());
    let node = join(&world, &folder.0, HistoryBack::Refuse).await;
    node.node.leave().await;
    let key = world.key("acme", &[], "never").await;
    world.settle().await;
    store::prune(&mut world.keys_db.acquire().await.unwrap()).await.unwrap();
    let node = join(&world, &folder.0, HistoryBack::Refuse).await;
    assert_eq!(node.verdict(&key).await, "VALID");
    node.node.leave().await;
    let new = World::new().await;
    let node = join(&new, &folder.0, HistoryBack::Refuse).await;
    node.world.program().get("/readyz").await.is(503).says("the database has gone back");
    let key = new.key("acme", &[], "never").await;
    assert_eq!(node.verdict(&key).await, "UNAVAILABLE");
}
