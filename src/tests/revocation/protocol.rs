//! Revoked means revoked: each rule of the protocol, in the interleaving that would break it without the rule.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use keydesk::{
    database::RlsScope,
    key_plane::{self, KeyPlane},
    keys::{
        model::Reason,
        service_keys::store::ServiceKey,
        verdict::{self, KeyRecord},
    },
    node::{
        Node, NodeError, Registration,
        look_up::{LookUp, look_up},
        memory::Memory,
    },
    revocation::{LeaseLength, Pending, Receipt, Revision, store},
    secrets::Digest,
};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::{
    process::PATIENCE,
    world::{TestKey, World},
};

/// A node that does what the test says, step by step, and the key plane that answers from its memory.
pub struct Stepped {
    pub world: World,
    pub node: Arc<Node>,
    pub db: PgConnection,
    pub registration: Registration,
}

impl Stepped {
    pub async fn join(world: &World) -> Self {
        Self::join_for(world, LeaseLength::SHORTEST).await
    }

    pub async fn join_for(world: &World, lease: LeaseLength) -> Self {
        Self::join_as(world, lease, |node| node).await
    }

    pub async fn join_as(world: &World, lease: LeaseLength, dress: impl FnOnce(Node) -> Node) -> Self {
        let memory = Arc::new(Memory::new(world.clock.clone(), lease));
        let plane = KeyPlane { memory: Arc::clone(&memory), ..world.plane.clone() };
        let node = dress(Node::new("stepped".to_owned(), "memory", memory, world.clock.clone(), &world.keys_db));
        let mut db = world.keys_db.acquire().await.unwrap().detach();
        let registration = node.register(&mut db).await.unwrap();
        let keys = key_plane::router::router(plane.clone());
        let mut stepped =
            Self { world: World { keys, plane, ..world.clone() }, node: Arc::new(node), db, registration };
        stepped.round().await.unwrap();
        stepped
    }

    pub async fn round(&mut self) -> Result<(), NodeError> {
        self.node.round(&mut self.db, &self.registration).await
    }

    pub async fn register(&mut self) {
        self.registration = self.node.register(&mut self.db).await.unwrap();
    }

    pub fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.node.memory)
    }

    pub async fn verdict(&self, key: &TestKey) -> String {
        self.world.verdict(&key.secret).await
    }
}

/// What the nodes of a world have.
const LEASE: Duration = LeaseLength::SHORTEST.get();

/// Waits until a change holds everywhere.
pub async fn receipt(world: &World, revision: Revision) -> Receipt {
    Pending::new(world.db.clone(), revision, Instant::now()).wait(PATIENCE).await.unwrap()
}

pub fn digest(key: &TestKey) -> Digest {
    Digest::of(key.secret.as_bytes())
}

/// Revokes and commits, and does not wait for the receipt.
pub async fn revoke(world: &World, org: &str, key: &TestKey) -> Revision {
    let org = world.org(org).await;
    let mut tx = world.begin(RlsScope::Org(org)).await;
    keydesk::keys::store::set_revoked(&mut tx, org, key.id, "Operator", Reason::Other, world.clock.now())
        .await
        .unwrap();
    let revision = store::log_changes(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    revision
}

/// What the database has of a key now.
async fn record(world: &World, key: &TestKey) -> Option<KeyRecord> {
    let mut db = world.keys_db.acquire().await.unwrap();
    verdict::store::find_by_digest(&mut db, digest(key), Revision(0)).await.unwrap().found
}

async fn head(world: &World) -> i64 {
    sqlx::query_scalar("select revision from key_revision").fetch_one(&world.owner).await.unwrap()
}

#[tokio::test]
async fn every_change_of_a_verdicts_input_is_logged_once_and_forgotten_everywhere() {
    let world = World::new().await;
    let account = world.member("acme", keydesk::actor::Role::Developer).await;
    let key = world.key("acme", &["read"], "never").await;
    let service = world.service_key(&["verify"]).await;
    let mut node = Stepped::join(&world).await;
    world.change(&format!("update api_keys set created_by = '{}'", account.user.0)).await;
    node.round().await.unwrap();
    let memory = node.memory();
    let reads = AtomicU32::new(0);
    let look = async || {
        let read = |applied| {
            reads.fetch_add(1, Ordering::Relaxed);
            look_up::<KeyRecord>(&world.keys_db, digest(&key), applied)
        };
        memory.get(digest(&key), read).await.unwrap().unwrap()
    };
    let look_service = async || {
        let digest = Digest::of(service.as_bytes());
        let read = |applied| {
            reads.fetch_add(1, Ordering::Relaxed);
            look_up::<ServiceKey>(&world.keys_db, digest, applied)
        };
        memory.get(digest, read).await.unwrap().is_some()
    };
    for statement in [
        "update api_keys set name = 'Other'",
        "update api_keys set environment = 'test'",
        "update api_keys set tier = 'high'",
        "update api_keys set scopes = '{}'",
        "update api_keys set namespaces = '{a}'",
        "update api_keys set ip_allowlist = '{10.0.0.0/8}'",
        "update api_keys set expires_at = now()",
        "update api_keys set disabled_at = now()",
        "update api_keys set revoked_at = now(), revoked_by = 'x', revoked_reason = 'other'",
        "update orgs set slug = 'renamed'",
        "update orgs set suspended_at = now()",
        "update users set disabled_at = now()",
        "update members set role = 'viewer'",
        "delete from members",
        "update service_keys set revoked_at = now()",
    ] {
        look().await;
        look_service().await;
        let (before, read) = (head(&world).await, reads.load(Ordering::Relaxed));
        look().await;
        look_service().await;
        assert_eq!(reads.load(Ordering::Relaxed), read, "{statement}: it was in memory");
        world.change(statement).await;
        assert_eq!(head(&world).await, before + 1, "{statement}: one revision");
        node.round().await.unwrap();
        look().await;
        look_service().await;
        assert_eq!(reads.load(Ordering::Relaxed), read + 1, "{statement}: forgotten, and nothing else");
    }
    // What changes nothing is no change, and use is none either.
    let before = head(&world).await;
    world.change("update api_keys set name = name; update users set last_sign_in_at = now()").await;
    assert_eq!(head(&world).await, before);
    // A whole transaction is one revision.
    world.change("begin; update api_keys set disabled_at = null; update orgs set suspended_at = null; commit").await;
    assert_eq!(head(&world).await, before + 1);
}

#[tokio::test]
async fn a_key_that_was_nobodys_is_found_once_it_is_made() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    let row = "create table kept as select * from api_keys; delete from api_keys";
    world.change(row).await;
    node.round().await.unwrap();
    assert_eq!(node.verdict(&key).await, "NOT_FOUND");
    world.change("insert into api_keys select * from kept").await;
    assert_eq!(node.verdict(&key).await, "NOT_FOUND", "the node has not followed yet");
    node.round().await.unwrap();
    assert_eq!(node.verdict(&key).await, "VALID");
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_remembered_after_it() {
    for change in ["key", "org", "person"] {
        let world = World::new().await;
        let account = world.member("acme", keydesk::actor::Role::Developer).await;
        let key = world.key("acme", &[], "never").await;
        world.change(&format!("update api_keys set created_by = '{}'", account.user.0)).await;
        let mut node = Stepped::join(&world).await;
        // The read is done, what it found is on its way…
        let token = node.memory().read_token().unwrap();
        let read = record(&world, &key).await;
        // …and a change overtakes it.
        match change {
            "key" => drop(revoke(&world, "acme", &key).await),
            "org" => world.change("update orgs set suspended_at = now()").await,
            _ => world.change("update users set disabled_at = now()").await,
        }
        node.round().await.unwrap();
        assert!(node.memory().remember(token, digest(&key), read).is_err(), "{change}");
        let read = record(&world, &key).await;
        let token = node.memory().read_token().unwrap();
        assert!(node.memory().remember(token, digest(&key), read).is_ok(), "{change}: read again, it is");
    }
}

#[tokio::test]
async fn what_was_read_in_another_history_is_not_remembered_in_this_one() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    let token = node.memory().read_token().unwrap();
    let read = record(&world, &key).await;
    // A stand-by takes over that is two changes behind, and there the key is revoked.
    sqlx::raw_sql(
        "update key_revision set revision = revision - 2, token = gen_random_uuid();
         delete from key_changes where revision > (select revision from key_revision);
         update api_keys set revoked_at = now(), revoked_by = 'x', revoked_reason = 'other'",
    )
    .execute(&world.owner)
    .await
    .unwrap();
    assert!(matches!(node.round().await, Err(NodeError::Lost(_))));
    node.register().await;
    node.round().await.unwrap();
    assert!(node.memory().remember(token, digest(&key), read).is_err());
    assert_eq!(node.verdict(&key).await, "REVOKED");
}

#[tokio::test]
async fn whoever_joins_a_read_in_progress_gets_nothing_older_than_their_question() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    let (memory, digest, db) = (node.memory(), digest(&key), world.keys_db.clone());
    let (reads, has_read, go_on) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let ask = |memory: Arc<Memory>| {
        let (db, reads, has_read, go_on) = (db.clone(), Arc::clone(&reads), Arc::clone(&has_read), Arc::clone(&go_on));
        tokio::spawn(async move {
            let read = async |applied| {
                let found = look_up(&db, digest, applied).await;
                if reads.fetch_add(1, Ordering::Relaxed) == 0 {
                    has_read.notify_one();
                    go_on.acquire().await.unwrap().forget();
                }
                found
            };
            memory.get::<KeyRecord, _>(digest, read).await.unwrap().unwrap().revoked_at.is_some()
        })
    };
    let first = ask(Arc::clone(&memory));
    has_read.notified().await;
    revoke(&world, "acme", &key).await;
    node.round().await.unwrap();
    // The revoke holds here. Somebody asks now, and finds the read of before in progress.
    let second = ask(Arc::clone(&memory));
    tokio::task::yield_now().await;
    go_on.add_permits(1);
    assert!(second.await.unwrap(), "answered with what was read before the revoke");
    assert!(first.await.unwrap());
    assert_eq!(reads.load(Ordering::Relaxed), 2, "read once more, for everybody");
}

#[tokio::test]
async fn a_lease_is_counted_from_before_the_read() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    assert_eq!(node.verdict(&key).await, "VALID");
    let seen = node.node.read(&mut node.db).await.unwrap();
    // The reply takes as long as a lease: whoever revoked meanwhile has not waited longer than that.
    world.clock.advance(LEASE.try_into().unwrap());
    node.node.follow(&mut node.db, &node.registration, &seen).await.unwrap();
    assert_eq!(node.verdict(&key).await, "UNAVAILABLE");
    node.round().await.unwrap();
    assert_eq!(node.verdict(&key).await, "VALID");
}

#[tokio::test]
async fn an_id_belongs_to_one_registration() {
    let world = World::new().await;
    let mut node = Stepped::join(&world).await;
    let first = node.registration.id;
    assert!(
        store::register(&mut node.db, first, "twin", "memory", LeaseLength::SHORTEST, None).await.is_err(),
        "a row is never taken over"
    );
    node.register().await;
    assert_ne!(node.registration.id, first);
    assert!(!store::renew(&mut node.db, first, Revision(1)).await.unwrap(), "the row before is gone");
}

#[tokio::test]
async fn revoked_already_waits_for_the_first_revoke_too() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    let id = key.id.to_string();
    let ask = async || {
        let form = [("key_id", id.as_str()), ("reason", "other")];
        world.admin("acme").await.post("/console/fn/keys/revoke", &form).await
    };
    let a_while = || tokio::time::sleep(Duration::from_millis(300));
    let mut first = Box::pin(ask());
    let revoked = async {
        let revoked = "select exists (select from api_keys where revoked_at is not null)";
        while !sqlx::query_scalar::<_, bool>(revoked).fetch_one(&world.owner).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = &mut first => panic!("a node has not followed yet"),
        () = revoked => {}
    }
    let mut second = Box::pin(ask());
    tokio::select! {
        _ = &mut first => panic!("a node has not followed yet"),
        _ = &mut second => panic!("answered before the receipt of the first"),
        () = a_while() => {}
    }
    node.round().await.unwrap();
    first.await.is(200).says("Revoked “Test key”").says("Effective on 2 of 2 nodes");
    second.await.is(200).says("was revoked already").says("Effective on 2 of 2 nodes");
}

#[tokio::test]
async fn a_key_that_is_narrowed_already_waits_for_the_first_edit_too() {
    let world = World::new().await;
    let key = world.key("acme", &["read", "write"], "never").await;
    let script = world.script_of("acme", keydesk::actor::Role::Owner).await;
    let mut node = Stepped::join(&world).await;
    let (path, narrowed) = (format!("/api/v1/api-keys/{}", key.id), serde_json::json!({ "scopes": ["read"] }));
    let ask = async || script.send("PATCH", &path, &narrowed).await;
    let mut first = Box::pin(ask());
    let changed = async {
        let changed = "select exists (select from api_keys where scopes = '{read}')";
        while !sqlx::query_scalar::<_, bool>(changed).fetch_one(&world.owner).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = &mut first => panic!("a node has not followed yet"),
        () = changed => {}
    }
    let mut second = Box::pin(ask());
    tokio::select! {
        _ = &mut first => panic!("a node has not followed yet"),
        _ = &mut second => panic!("answered before the receipt of the first"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    node.round().await.unwrap();
    for answer in [first.await, second.await] {
        assert_eq!(answer.is(200).json()["receipt"]["nodes"], 2);
    }
}

#[tokio::test]
async fn a_node_that_was_waited_for_in_vain_is_struck_and_finds_out() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    assert_eq!(node.verdict(&key).await, "VALID");
    let revision = revoke(&world, "acme", &key).await;
    // The other node is told, and takes as long as it takes.
    world.settle().await;
    let begun = Instant::now();
    // The node's clock goes on with the waiter's.
    let advance = tokio::spawn({
        let clock = world.clock.clone();
        async move {
            tokio::time::sleep(LEASE).await;
            clock.advance(LEASE.try_into().unwrap());
        }
    });
    let receipt = receipt(&world, revision).await;
    assert!(begun.elapsed() >= LEASE * 11 / 10, "a lease may have begun just before");
    assert_eq!((receipt.nodes, receipt.cut_off), (2, vec!["stepped".to_owned()]));
    advance.await.unwrap();
    assert_eq!(node.verdict(&key).await, "UNAVAILABLE");
    // Its row is gone: a round must not give it another lease over what it remembers.
    assert!(matches!(node.round().await, Err(NodeError::Lost(_))));
    assert_eq!(node.verdict(&key).await, "UNAVAILABLE");
    node.register().await;
    node.round().await.unwrap();
    assert_eq!(node.verdict(&key).await, "REVOKED");
}

#[tokio::test]
async fn a_round_that_finds_no_row_gives_no_lease() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut node = Stepped::join(&world).await;
    assert_eq!(node.verdict(&key).await, "VALID");
    sqlx::query("delete from key_plane_nodes where id = $1")
        .bind(node.registration.id)
        .execute(&world.owner)
        .await
        .unwrap();
    assert!(matches!(node.round().await, Err(NodeError::Lost(_))));
    assert_eq!(node.verdict(&key).await, "UNAVAILABLE", "what it had is over at once");
}

#[tokio::test]
async fn a_node_that_leaves_stops_answering_before_its_row_goes() {
    // When it ends, and when it gives up a registration to take another.
    for ends in [true, false] {
        let world = World::new().await;
        let key = world.key("acme", &[], "never").await;
        let node = Stepped::join(&world).await;
        assert_eq!(node.verdict(&key).await, "VALID");
        // Somebody holds its row, so that the DELETE has to wait.
        let mut tx = world.owner.begin().await.unwrap();
        sqlx::query("select from key_plane_nodes where id = $1 for update")
            .bind(node.registration.id)
            .execute(&mut *tx)
            .await
            .unwrap();
        let leaving = tokio::spawn({
            let (node, pool) = (Arc::clone(&node.node), world.keys_db.clone());
            async move {
                if ends {
                    node.leave().await;
                } else {
                    node.give_up(&mut pool.acquire().await.unwrap()).await.unwrap();
                }
            }
        });
        world.until_blocked().await;
        assert_eq!(node.verdict(&key).await, "UNAVAILABLE");
        tx.rollback().await.unwrap();
        leaving.await.unwrap();
        let left: bool = sqlx::query_scalar("select not exists (select from key_plane_nodes where name = 'stepped')")
            .fetch_one(&world.owner)
            .await
            .unwrap();
        assert!(left);
    }
}

#[tokio::test]
async fn a_lost_notification_costs_no_more_than_a_moment() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    // From now on nobody is told of a change.
    let definition: String = sqlx::query_scalar("select pg_get_functiondef('log_key_change'::regproc)")
        .fetch_one(&world.owner)
        .await
        .unwrap();
    let silent = definition.replace("perform pg_notify('keydesk_changes', '');", "");
    assert_ne!(silent, definition);
    sqlx::raw_sql(AssertSqlSafe(silent)).execute(&world.owner).await.unwrap();
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    let revision = revoke(&world, "acme", &key).await;
    world.settle().await;
    let receipt = receipt(&world, revision).await;
    assert_eq!((receipt.nodes, receipt.cut_off), (1, vec![]));
    assert_eq!(world.verdict(&key.secret).await, "REVOKED");
}

#[tokio::test]
async fn revisions_become_visible_in_order() {
    let world = World::new().await;
    let (one, other) = (world.key("acme", &[], "never").await, world.key("other", &[], "never").await);
    let mut node = Stepped::join(&world).await;
    let before = head(&world).await;
    // A change has its revision, and is not committed.
    let mut first = world.owner.begin().await.unwrap();
    sqlx::query("update api_keys set disabled_at = now() where id = $1")
        .bind(one.id.0)
        .execute(&mut *first)
        .await
        .unwrap();
    assert_eq!(store::log_changes(&mut first).await.unwrap(), Revision(before + 1));
    // Another, of another organization, has to wait for its turn: were it visible first, a node that has seen it would
    // take the first for seen too.
    let second = tokio::spawn({
        let world = world.clone();
        async move { revoke(&world, "other", &other).await }
    });
    world.until_blocked().await;
    node.round().await.unwrap();
    assert_eq!(node.memory().applied().unwrap().revision, Revision(before));
    first.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), Revision(before + 2));
    node.round().await.unwrap();
    assert_eq!(node.memory().applied().unwrap().revision, Revision(before + 2));
    assert_eq!(node.verdict(&one).await, "DISABLED");
}

#[tokio::test]
async fn a_gap_or_another_history_ends_the_registration() {
    for (what, statements) in [
        ("a change is missing", "delete from key_changes where revision = (select revision - 1 from key_revision)"),
        ("the newest is missing", "delete from key_changes where revision = (select revision from key_revision)"),
        ("another history of the same length", "update key_revision set token = gen_random_uuid()"),
        (
            "its own last change is another one",
            "update key_changes set token = gen_random_uuid() where revision = (select min(revision) from key_changes
              where revision >= (select revision - 2 from key_revision))",
        ),
    ] {
        let world = World::new().await;
        let key = world.key("acme", &[], "never").await;
        let mut node = Stepped::join(&world).await;
        world.change("update orgs set suspended_at = now()").await;
        world.change("update orgs set suspended_at = null").await;
        sqlx::raw_sql(statements).execute(&world.owner).await.unwrap();
        assert!(matches!(node.round().await, Err(NodeError::Lost(_))), "{what}");
        // The log as a whole is mended by the next change, and whoever registers anew starts from there.
        node.register().await;
        drop(key);
    }
}

#[tokio::test]
async fn a_crowd_of_unknown_keys_does_not_crowd_out_the_known_nor_fill_the_memory() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let node = Stepped::join(&world).await;
    let memory = node.memory();
    assert_eq!(node.verdict(&key).await, "VALID");
    for n in 0..20_000_u32 {
        let nobody = Digest::of(&n.to_be_bytes());
        assert!(memory.get::<KeyRecord, _>(nobody, |_| async { Ok(LookUp::Current(None)) }).await.unwrap().is_none());
    }
    assert_eq!(memory.counts().0, 1);
    assert!(memory.unknown() <= 10_000, "{}", memory.unknown());
}

#[tokio::test]
async fn what_others_left_behind_is_cleared_up_once_it_can_hold_no_lease() {
    let world = World::new().await;
    let mut db = world.keys_db.acquire().await.unwrap();
    let dead = Uuid::new_v4();
    store::register(&mut db, dead, "dead", "memory", LeaseLength::default(), None).await.unwrap();
    world.key("acme", &[], "never").await;
    let rounds = store::rounds(&mut db).await.unwrap();
    // While it is there, what it has not applied is kept.
    store::prune(&mut db).await.unwrap();
    let kept = async || -> i64 {
        sqlx::query_scalar("select count(distinct revision) from key_changes").fetch_one(&world.owner).await.unwrap()
    };
    assert!(kept().await > 1);
    let lease = LeaseLength::default().get();
    for node in rounds {
        // One that has made a round since stays, and so does one that can hold a lease still.
        if node.id == dead {
            assert!(store::deregister_if_still(&mut db, &node, lease - Duration::from_millis(1)).await.is_err());
        } else {
            store::renew(&mut db, node.id, Revision(0)).await.unwrap();
        }
        store::deregister_if_still(&mut db, &node, lease).await.unwrap();
    }
    let names: Vec<String> =
        sqlx::query_scalar("select name from key_plane_nodes").fetch_all(&world.owner).await.unwrap();
    assert_eq!(names, ["node"]);
    world.settle().await;
    world.change("update orgs set suspended_at = now()").await;
    // The node has forgotten; when it has written down so as well, nobody needs the older changes.
    let behind = "select exists (select from key_plane_nodes, key_revision where applied_revision < revision)";
    while sqlx::query_scalar::<_, bool>(behind).fetch_one(&world.owner).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store::prune(&mut db).await.unwrap();
    assert_eq!(kept().await, 1, "only the newest, to compare with");
}

#[tokio::test]
async fn the_planes_roles_cannot_write_the_log() {
    let world = World::new().await;
    for (pool, who) in [(&world.db, "console"), (&world.keys_db, "keys")] {
        for statement in [
            "update key_revision set revision = 1000",
            "insert into key_changes select * from key_changes limit 0",
            "update key_changes set revision = 0",
        ] {
            assert!(sqlx::raw_sql(statement).execute(pool).await.is_err(), "{who}: {statement}");
        }
    }
}
