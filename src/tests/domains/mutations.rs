//! A change is committed in one way, which waits where it has to and says what became of it; and what speaks against a change
//! is found before anything is written, whoever asks.

use keydesk::{
    actor::{Actor, Principal, Role},
    catalog::Catalog,
    console_plane::error::ConsoleError,
    database::{self, RlsScope},
    error_kind::DomainError,
    ids::UserId,
    keys::{lifecycle, model::Reason},
    mutation::{CommitError, Mutation},
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    revocation::prove::line::{Line, State},
    world::{TestKey, World, data_folder},
};

async fn revoking(world: &World, pool: &sqlx::PgPool, key: &TestKey) -> Mutation {
    let (scope, audit_key) = (RlsScope::Org(world.org("acme").await), &world.server_keys.audit);
    let mut m = Mutation::begin(pool, audit_key, scope, Actor::operator(), world.clock.now()).await.unwrap();
    let permit = m.permit().unwrap();
    lifecycle::revoke_any(&mut m, &permit, key.id, Reason::Other, None).await.unwrap();
    m
}

#[tokio::test]
async fn not_done_and_done_but_not_confirmed_are_told_apart() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    // The connection is lost before COMMIT.
    let mut m = revoking(&world, &world.db, &key).await;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *m).await.unwrap();
    sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&world.owner).await.unwrap();
    assert!(matches!(m.commit().await, Err(CommitError::NotDone(_))));
    assert_eq!(world.count("acme").await, (1, 1));
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    // Nobody can be asked after it.
    let pool = database::pool((*world.db.connect_options()).clone(), 2);
    let m = revoking(&world, &pool, &key).await;
    let closing = pool.close();
    assert!(matches!(m.commit().await, Err(CommitError::Unconfirmed(_))));
    closing.await;
    assert_eq!(world.count("acme").await, (1, 0));
    // A repeat changes nothing, and waits.
    let receipt = revoking(&world, &world.db, &key).await.commit().await.unwrap().unwrap();
    assert_eq!((receipt.nodes, receipt.cut_off.len()), (1, 0));
    assert_eq!(world.verdict(&key.secret).await, "REVOKED");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_may_have_been_recorded() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    world.change("update api_keys set disabled_at = now()").await;
    let options = world.db.connect_options();
    let line = Line::to(options.get_socket().unwrap().join(".s.PGSQL.5432")).await;
    let password = std::fs::read_to_string(data_folder().await.join("keydesk_console.password")).unwrap();
    let database = options.get_database().unwrap();
    let url = format!("postgres://keydesk_console:{password}@127.0.0.1:{}/{database}?sslmode=disable", line.port);
    let pool = database::pool(url.parse().unwrap(), 1);
    let org = world.org("acme").await;
    let (scope, audit_key) = (RlsScope::Org(org), &world.server_keys.audit);
    let mut m = Mutation::begin(&pool, audit_key, scope, Actor::operator(), world.clock.now()).await.unwrap();
    let principal = Principal::Member { user: UserId(Uuid::nil()), name: "Ada".to_owned(), org, role: Role::Owner };
    m.set_principal(principal);
    let permit = m.permit().unwrap();
    lifecycle::enable(&mut m, &permit, key.id).await.unwrap();
    line.set(State::Mute);
    let committing = tokio::spawn(m.commit());
    world.settle().await;
    while world.verdict(&key.secret).await != "VALID" {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    line.set(State::Cut);
    let error = committing.await.unwrap().unwrap_err();
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    assert!(error.sentence().starts_with("It may have been recorded"));
    // Said to everybody in the same words, and never that nothing was changed.
    let console = ConsoleError::from(error);
    assert_eq!(console.status_code(), 503);
    assert!(console.message().unwrap().starts_with("It may have been recorded"));
    // One that Postgres refuses is not done.
    let refuse = "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
                  create constraint trigger refuse after update on api_keys deferrable initially deferred
                  for each row execute function refuse()";
    sqlx::raw_sql(refuse).execute(&world.owner).await.unwrap();
    let mut m = world.mutation(RlsScope::Org(org)).await;
    sqlx::query("update api_keys set name = 'x'").execute(&mut *m).await.unwrap();
    assert!(matches!(m.commit().await, Err(CommitError::NotDone(_))));
}

#[tokio::test]
async fn a_change_that_gives_waits_only_for_whoever_asks_for_it() {
    let world = World::new().await;
    let org = world.org("acme").await;
    let begin = async || {
        let mut m = world.mutation(RlsScope::Org(org)).await;
        let permit = m.permit().unwrap();
        keydesk::orgs::lifecycle::resume(&mut m, &permit).await.unwrap();
        m
    };
    assert_eq!(begin().await.commit().await.unwrap(), None);
    assert_eq!(begin().await.commit_everywhere().await.unwrap().nodes, 1);
}

#[tokio::test]
async fn a_mutation_that_is_dropped_has_never_been_and_a_refusal_is_all_that_is_left_of_one() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    drop(revoking(&world, &world.db, &key).await);
    assert_eq!(world.count("acme").await, (1, 1));
    let viewer = world.member("acme", Role::Viewer).await;
    let m = world.mutation_of(world.org("acme").await, viewer.user, Role::Viewer).await;
    assert!(m.authorize::<keydesk::permissions::permit::RevokeKey>().await.unwrap().is_err());
    assert_eq!(world.log("acme").await.last().unwrap(), "denied: Refused: viewer may not revoke API keys");
}

/// Where the answer to a change of role was lost, the repeat is answered once it holds, like the first.
#[tokio::test]
async fn a_role_change_that_is_repeated_is_waited_for_in_every_plane() {
    let bound = include_str!("../../catalog/presets/default.toml")
        .replace("bound_to_creator = false", "bound_to_creator = true");
    let world = World::of(Catalog::parse(&bound).unwrap(), "").await;
    let owner = world.member("acme", Role::Owner).await;
    let (mut browser, script) = world.browser_and_script(&owner).await;
    let grace = world.member("acme", Role::Developer).await;
    let user_id = grace.user.0.to_string();
    for already in [false, true] {
        let form = [("user_id", user_id.as_str()), ("role", "viewer")];
        let page = browser.post("/console/fn/members/role", &form).await;
        page.is(200).says(if already { "is viewer already." } else { "is viewer now." });
        page.says("Effective on 1 of 1 node");
    }
    let again = script.send("PATCH", &format!("/api/v1/members/{user_id}"), &json!({ "role": "viewer" })).await;
    assert_eq!(again.is(200).json()["receipt"]["nodes"], 1);
}

#[tokio::test]
async fn a_duplicate_name_is_refused_in_every_plane_before_anything_is_written() {
    let world = World::new().await;
    let first = world.key("acme", &["read"], "never").await;
    let owner = world.member("acme", Role::Owner).await;
    let (mut browser, script) = world.browser_and_script(&owner).await;
    let rows = world.log("acme").await.len();
    let id = uuid::Uuid::new_v4().to_string();
    let mut form = vec![
        ("idempotency_key", id.as_str()),
        ("name", "test KEY"),
        ("environment", "live"),
        ("tier", "standard"),
        ("expires", "never"),
    ];
    browser.post("/console/fn/keys/issue", &form).await.is(422).says(&first.hint).says("a key of this name already");
    let mut body = json!({ "name": "Test key" });
    let refused = script.post("/api/v1/api-keys", &body).await;
    refused.is(409).says(&first.hint).says("allow_duplicate_name");
    assert_eq!((world.count("acme").await, world.log("acme").await.len()), ((1, 1), rows), "nothing is written");
    form.push(("allow_duplicate_name", "true"));
    browser.post("/console/fn/keys/issue", &form).await.is(200);
    body["allow_duplicate_name"] = json!(true);
    script.post("/api/v1/api-keys", &body).await.is(201);
    assert_eq!(world.count("acme").await, (3, 3));
    // A form that is sent twice is told that it made its key, not that there is one of its name.
    form.pop();
    browser.post("/console/fn/keys/issue", &form).await.is(409).says("This form has already created");
}
