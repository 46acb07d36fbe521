//! Look-ups prove how old their snapshot is, whichever server a pooled connection leads to; and where writing is needed, no
//! connection is kept that cannot.

use keydesk::{
    database,
    key_plane::{KeyPlane, router},
    revocation::{Revision, store},
};
use serde_json::json;
use sqlx::{PgPool, postgres::PgConnectOptions};

use super::protocol::{Stepped, revoke};
use crate::world::World;

/// Copies what verdicts are made of, as a stand-by has it that stands still from now on.
pub async fn copy(world: &World) {
    let tables = ["api_keys", "orgs", "users", "members", "service_keys", "key_revision", "key_changes"];
    let copies = tables.map(|table| format!("create table old.{table} as table public.{table};")).concat();
    let grants = "grant usage on schema old to keydesk_keys; grant select on all tables in schema old to keydesk_keys";
    let statements = format!("drop schema if exists old cascade; create schema old; {copies} {grants}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&world.owner).await.unwrap();
}

/// Where the database's address leads to.
fn leads_to(pool: &PgPool, copy: bool) {
    let path = if copy { "old,public" } else { "public" };
    pool.set_connect_options(PgConnectOptions::clone(&pool.connect_options()).options([("search_path", path)]));
}

/// A node whose look-ups go where the address led to while the pool connected: all of its connections are to the copy.
async fn misled(world: &World) -> Stepped {
    let mut node = Stepped::join(world).await;
    let db = database::pool(PgConnectOptions::clone(&world.keys_db.connect_options()), 4);
    leads_to(&db, true);
    let connections = futures::future::join_all((0..4).map(|_| db.acquire())).await;
    assert!(connections.iter().all(Result::is_ok));
    let plane = KeyPlane { db, ..node.world.plane.clone() };
    node.world = World { keys: router::router(plane.clone()), plane, ..node.world };
    node
}

#[tokio::test]
async fn a_revoked_key_is_refused_though_every_pooled_connection_leads_to_a_server_that_lags() {
    let world = World::new().await;
    let (key, fresh) = (world.key("acme", &[], "never").await, world.key("acme", &[], "never").await);
    let service = world.service_key(&["verify"]).await;
    copy(&world).await;
    let mut node = misled(&world).await;
    let later = world.key("acme", &[], "never").await;
    let verify = async |node: &Stepped| {
        let body = json!({ "key": later.secret });
        node.world.program().bearer(&service).post("/v1/keys/verify", &body).await
    };
    sqlx::raw_sql("update service_keys set revoked_at = now()").execute(&world.owner).await.unwrap();
    revoke(&world, "acme", &key).await;
    node.round().await.unwrap();
    // The receipt is given. As long as the address leads to that server, nothing can be known.
    for key in [&key, &fresh, &later] {
        assert_eq!(node.verdict(key).await, "UNAVAILABLE");
    }
    verify(&node).await.is(503);
    // It leads to the primary again; of the connections to the other server none may be used.
    leads_to(&node.world.plane.db, false);
    let verdicts = [node.verdict(&key).await, node.verdict(&fresh).await, node.verdict(&later).await];
    assert_eq!(verdicts, ["REVOKED", "VALID", "VALID"]);
    verify(&node).await.is(401).says("no such service key");
}

#[tokio::test]
async fn what_a_read_proves_is_the_history_and_not_only_its_length() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    copy(&world).await;
    // The copy has gone another way since, and counts as far.
    let statements = "update old.key_changes set token = gen_random_uuid();
                      update old.api_keys set disabled_at = now();
                      update old.key_revision set token = gen_random_uuid()";
    sqlx::raw_sql(statements).execute(&world.owner).await.unwrap();
    let node = misled(&world).await;
    assert_eq!(node.verdict(&key).await, "UNAVAILABLE");
    leads_to(&node.world.plane.db, false);
    assert_eq!(node.verdict(&key).await, "VALID");
}

#[tokio::test]
async fn a_look_up_proves_its_age_before_the_first_change_and_after_old_ones_are_forgotten() {
    let world = World::new().await;
    let mut node = Stepped::join(&world).await;
    let unknown = keydesk::keys::secret::NewSecret::generate("kd_live_").unwrap().reveal().to_owned();
    assert_eq!(node.memory().applied().unwrap().revision, Revision(0));
    assert_eq!(node.world.verdict(&unknown).await, "NOT_FOUND", "the log has a row of before the first change");
    let key = world.key("acme", &[], "never").await;
    node.round().await.unwrap();
    world.settle().await;
    let connections = node.world.plane.db.size();
    store::prune(&mut world.keys_db.acquire().await.unwrap()).await.unwrap();
    assert_eq!(node.verdict(&key).await, "VALID", "what the slowest node has applied stays");
    assert!(node.world.plane.db.size() >= connections, "and no connection was taken for one that lags");
}

#[tokio::test]
async fn a_connection_that_cannot_write_is_not_kept_and_the_console_is_not_healthy_on_it() {
    let world = World::new().await;
    let mut browser = world.anonymous();
    browser.get("/healthz").await.is(200);
    // Every connection of the pool is to a server that only reads now.
    let mut connections = futures::future::join_all((0..4).map(|_| world.db.acquire())).await;
    for db in &mut connections {
        let read_only = sqlx::raw_sql("set default_transaction_read_only = on");
        read_only.execute(&mut **db.as_mut().unwrap()).await.unwrap();
    }
    drop(connections);
    browser.get("/healthz").await.is(503);
    // They have been idle for longer than they are trusted.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    browser.get("/healthz").await.is(200);
    world.org("acme").await;

    let database = "do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$";
    sqlx::raw_sql(database).execute(&world.owner).await.unwrap();
    let options = PgConnectOptions::clone(&world.db.connect_options());
    let patience = std::time::Duration::from_millis(300);
    let pool =
        database::pool(options.clone(), 1).options().clone().acquire_timeout(patience).connect_lazy_with(options);
    assert!(pool.acquire().await.is_err(), "none is made to a server that only reads");
    assert_eq!(pool.size(), 0);
}
