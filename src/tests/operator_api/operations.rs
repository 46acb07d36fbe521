//! The operator API: the provider's back office, and what its requests do to tenants.

use axum::body::Body;
use keydesk::{
    actor::{Actor, Principal},
    catalog::Catalog,
    database::RlsScope,
    keys::lifecycle::{self, CreateKeyInput},
};
use serde_json::{Value, json};
use time::Duration;

use crate::world::{Answer, Program, World};

/// HolonomiX: its keys are bound to namespaces.
async fn holonomix() -> World {
    World::of(Catalog::load("holonomix").unwrap(), "").await
}

async fn back_office(world: &World) -> Program {
    world.program().bearer(&world.service_key(&["operate"]).await)
}

async fn create(office: &Program, tenant_id: &str) -> Answer {
    office.post("/gate/admin/tenants", &json!({ "tenant_id": tenant_id, "name": "Acme Corp" })).await
}

/// A tenant with a first key in a namespace; the key.
async fn onboard(office: &Program, tenant_id: &str) -> String {
    create(office, tenant_id).await.is(201);
    let body = json!({ "tenant_id": tenant_id, "namespaces": ["default"] });
    let answer = office.post("/gate/onboard/first-key", &body).await;
    assert_eq!(answer.is(201).json()["tenant_id"], tenant_id);
    answer.json()["api_key"].as_str().unwrap().to_owned()
}

async fn get(world: &World, key: &str, namespace: &str) -> Answer {
    let target = format!("/v1/get/{namespace}/my-key");
    let program = world.program().with("x-api-key", key).with("x-forwarded-method", "GET");
    program.with("x-forwarded-uri", &target).get("/v1/forward-auth").await
}

#[track_caller]
fn problem(answer: &Answer, status: u16, detail: &str) {
    answer.is(status);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["detail"], detail);
    assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
}

#[tokio::test]
async fn rotate_key_as_documented() {
    let world = holonomix().await;
    let office = back_office(&world).await;
    let old = onboard(&office, "acme-corp").await;
    assert!(old.starts_with("hx_live_"));
    get(&world, &old, "default").await.is(200);
    let answer = office.post("/gate/onboard/rotate-key", &json!({ "tenant_id": "acme-corp" })).await;
    // Dead when it is answered: nothing settles in between.
    assert_eq!(world.verdict(&old).await, "ROTATED");
    let new = answer.is(200).json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!(answer.json(), json!({ "tenant_id": "acme-corp", "api_key": new }));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(new.starts_with("hx_live_") && new != old);
    get(&world, &new, "default").await.is(200);
}

#[tokio::test]
async fn of_several_live_keys_one_has_to_be_named() {
    let world = World::new().await;
    let office = back_office(&world).await;
    let rotate = async |body: Value| office.post("/gate/onboard/rotate-key", &body).await;
    world.org("acme").await;
    let none = rotate(json!({ "tenant_id": "acme" })).await;
    problem(&none, 409, "The tenant has no live key. Create one with /gate/onboard/first-key.");
    let one = world.key("acme", &[], "never").await;
    world.clock.advance(Duration::milliseconds(1));
    let other = world.key("acme", &[], "never").await;
    let ended = world.key("acme", &[], "never").await;
    let later = "overlap_ends_at = now() + interval '1 year', overlap_ended = true";
    world.change(&format!("update api_keys set {later} where id = '{}'", ended.id)).await;
    let (expired, theirs) = (world.key("acme", &[], "1d").await, world.key("other", &[], "never").await);
    world.clock.advance(Duration::days(1));
    world.settle().await;
    let several = rotate(json!({ "tenant_id": "acme" })).await;
    problem(&several, 409, "The tenant has several live keys. Name one of them as \"key_id\".");
    let named = |key: &crate::world::TestKey| json!({ "key_id": key.id, "name": "Test key", "hint": key.hint });
    assert_eq!(several.json()["keys"], json!([named(&one), named(&other)]));
    let answer = rotate(json!({ "tenant_id": "acme", "key_id": other.id })).await;
    assert_eq!(world.verdict(&other.secret).await, "ROTATED");
    assert_eq!(world.verdict(answer.is(200).json()["api_key"].as_str().unwrap()).await, "VALID");
    assert_eq!(world.verdict(&one.secret).await, "VALID");
    rotate(json!({ "tenant_id": "acme", "key_id": other.id })).await.is(409);
    rotate(json!({ "tenant_id": "acme", "key_id": expired.id })).await.is(409).says("has expired");
    problem(&rotate(json!({ "tenant_id": "acme", "key_id": theirs.id })).await, 404, "There is no such key.");
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
}

#[tokio::test]
async fn of_twenty_who_rotate_one_key_at_once_one_does() {
    let world = World::new().await;
    let office = back_office(&world).await;
    let key = world.key("acme", &[], "never").await;
    let body = json!({ "tenant_id": "acme", "key_id": key.id });
    let answers = futures::future::join_all((0..20).map(|_| office.post("/gate/onboard/rotate-key", &body))).await;
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(done.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 19);
    assert_eq!(world.verdict(done[0].json()["api_key"].as_str().unwrap()).await, "VALID");
    assert_eq!(world.count("acme").await, (2, 2));
}

#[tokio::test]
async fn add_namespace_as_documented() {
    let world = holonomix().await;
    let office = back_office(&world).await;
    let key = onboard(&office, "acme-corp").await;
    let second = world.make("acme-corp", wish()).await.secret;
    world.settle().await;
    for key in [&key, &second] {
        get(&world, key, "default").await.is(200);
        problem(&get(&world, key, "staging").await, 403, "Namespace 'staging' not permitted for tenant 'acme-corp'");
    }
    let body = json!({ "tenant_id": "acme-corp", "namespace": "staging" });
    for _ in 0..2 {
        let answer = office.post("/gate/onboard/add-namespace", &body).await;
        for key in [&key, &second] {
            get(&world, key, "staging").await.is(200);
        }
        assert_eq!(answer.is(200).json(), json!({ "tenant_id": "acme-corp", "namespaces": ["default", "staging"] }));
    }
    // Keys to come have it too, and keys that are given their own have those.
    let later = world.make("acme-corp", wish()).await.secret;
    let bound = world.make("acme-corp", CreateKeyInput { namespaces: vec!["lab".to_owned()], ..wish() }).await.secret;
    get(&world, &later, "staging").await.is(200);
    get(&world, &bound, "lab").await.is(200);
    get(&world, &bound, "staging").await.is(403);
    // Another tenant's keys have nothing of it.
    let theirs = onboard(&office, "other").await;
    get(&world, &theirs, "staging").await.is(403);
    let log = world.log("acme-corp").await;
    assert_eq!(log.iter().filter(|line| line.contains("Added the namespace “staging”")).count(), 1, "{log:?}");
}

fn wish() -> CreateKeyInput {
    let text = |text: &str| text.to_owned();
    CreateKeyInput {
        name: text("CI"),
        environment: text("live"),
        tier: text("standard"),
        expires: text("never"),
        ..CreateKeyInput::default()
    }
}

#[tokio::test]
async fn namespaces_added_at_once_are_all_there() {
    let world = holonomix().await;
    let office = back_office(&world).await;
    let key = onboard(&office, "acme-corp").await;
    let bodies: Vec<Value> =
        (0..5).map(|n| json!({ "tenant_id": "acme-corp", "namespace": format!("n{n}") })).collect();
    let added = bodies.iter().map(|body| office.post("/gate/onboard/add-namespace", body));
    for answer in futures::future::join_all(added).await {
        answer.is(200);
    }
    let later = world.make("acme-corp", wish()).await.secret;
    for key in [&key, &later] {
        let facts = world.program().with("x-api-key", key).get("/v1/whoami").await.json();
        assert_eq!(facts["namespaces"].as_array().unwrap().len(), 6, "{facts}");
    }
}

#[tokio::test]
async fn a_key_made_while_a_namespace_is_added_has_it() {
    let world = holonomix().await;
    onboard(&back_office(&world).await, "acme-corp").await;
    let org = world.org("acme-corp").await;
    let service = Actor { principal: Principal::Service { name: "office".to_owned() }, ..Actor::operator() };
    let mut m = world.office_mutation(service, org).await;
    let permit = m.permit().unwrap();
    lifecycle::add_namespace(&mut m, &permit, "staging", &world.catalog).await.unwrap();
    let made = tokio::spawn({
        let world = world.clone();
        async move { world.make("acme-corp", wish()).await.secret }
    });
    world.until_blocked().await;
    world.commit(m).await;
    get(&world, &made.await.unwrap(), "staging").await.is(200);
}

#[tokio::test]
async fn a_key_that_may_enter_every_namespace_is_not_bound_by_one_more() {
    let world = World::new().await;
    let office = back_office(&world).await;
    let (open, bound) = (world.key("acme", &["read"], "never").await, world.key_from("acme", &[], &["a"]).await);
    let (dead, disabled) = (world.key_from("acme", &[], &["a"]).await, world.key_from("acme", &[], &["a"]).await);
    world.change(&format!("update api_keys set disabled_at = now() where id = '{}'", disabled.id)).await;
    world
        .change(&format!("update api_keys set overlap_ends_at = now(), overlap_ended = true where id = '{}'", dead.id))
        .await;
    let body = json!({ "tenant_id": "acme", "namespace": "b" });
    office.post("/gate/onboard/add-namespace", &body).await.is(200);
    let of = async |id: keydesk::ids::KeyId| -> Vec<String> {
        let query = sqlx::query_scalar("select namespaces from api_keys where id = $1").bind(id.0);
        query.fetch_one(&world.owner).await.unwrap()
    };
    assert_eq!(of(open.id).await, Vec::<String>::new());
    assert_eq!(of(bound.id).await, ["a", "b"]);
    // A disabled key may come back; an ended one does not.
    assert_eq!(of(disabled.id).await, ["a", "b"]);
    assert_eq!(of(dead.id).await, ["a"]);
    // Nor is a key made later.
    assert_eq!(of(world.key("acme", &["read"], "never").await.id).await, Vec::<String>::new());
    let body = json!({ "tenant_id": "acme", "namespace": "no/slash" });
    let answer = office.post("/gate/onboard/add-namespace", &body).await;
    assert_eq!(answer.is(422).json()["errors"][0]["field"], "namespace");
}

#[tokio::test]
async fn a_tenant_is_onboarded_once() {
    let world = World::new().await;
    let office = back_office(&world).await;
    create(&office, "acme").await.is(201);
    problem(&create(&office, "acme").await, 409, "There is an organization acme already.");
    let body =
        json!({ "tenant_id": "acme", "name": "Production", "environment": "test", "tier": "high", "scopes": ["read"] });
    let both = [office.post("/gate/onboard/first-key", &body), office.post("/gate/onboard/first-key", &body)];
    let both = futures::future::join_all(both).await;
    let mut statuses: Vec<_> = both.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let made = both.iter().find(|answer| answer.status == 201).unwrap().json();
    let key = made["api_key"].as_str().unwrap();
    let facts = world.program().with("x-api-key", key).get("/v1/whoami").await.json();
    for (field, value) in [("name", "Production"), ("environment", "test"), ("tier", "high"), ("org", "acme")] {
        assert_eq!(facts[field], value);
    }
    assert_eq!((&facts["scopes"], &facts["namespaces"]), (&json!(["read"]), &json!([])));
    let again = office.post("/gate/onboard/first-key", &json!({ "tenant_id": "acme" })).await;
    problem(&again, 409, "The tenant has a live key already. Rotate it, or create another in the console.");
    create(&office, "beta").await.is(201);
    let wrong = json!({ "tenant_id": "beta", "tier": "golden", "scopes": ["fly"] });
    let fields = office.post("/gate/onboard/first-key", &wrong).await.is(422).json()["errors"].clone();
    assert_eq!((&fields[0]["field"], &fields[1]["field"]), (&json!("tier"), &json!("scopes")));
    assert_eq!(world.count("beta").await, (0, 0));
}

#[tokio::test]
async fn a_suspended_tenants_keys_are_refused_when_it_is_answered() {
    let world = World::new().await;
    let office = back_office(&world).await;
    let (key, theirs) = (world.key("acme", &[], "never").await, world.key("other", &[], "never").await);
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    for (changed, action, verdict) in
        [(true, "suspend", "SUSPENDED"), (false, "suspend", "SUSPENDED"), (true, "resume", "VALID")]
    {
        let answer = office.request("POST", &format!("/gate/admin/tenants/acme/{action}"), Body::empty()).await;
        assert_eq!(world.verdict(&key.secret).await, verdict);
        let said = answer.is(200).json();
        assert_eq!(
            (&said["tenant_id"], &said["suspended"], &said["changed"]),
            (&json!("acme"), &json!(action == "suspend"), &json!(changed))
        );
        assert_eq!((&said["receipt"]["nodes"], &said["receipt"]["cut_off"]), (&json!(1), &json!([])));
        assert_eq!(world.verdict(&theirs.secret).await, "VALID");
    }
    assert_eq!(
        world.log("acme").await[2..],
        ["org.suspend: Suspended the organization", "org.resume: Resumed the organization"]
    );
    for unknown in ["nobody", "No%20Slug", "%ff"] {
        let path = format!("/gate/admin/tenants/{unknown}/suspend");
        office.request("POST", &path, Body::empty()).await.is(404).says("There is no tenant");
    }
}

#[tokio::test]
async fn tenants_are_listed_page_by_page() {
    let world = World::new().await;
    let office = back_office(&world).await;
    for tenant_id in ["one", "two", "three"] {
        create(&office, tenant_id).await.is(201);
        world.clock.advance(Duration::seconds(1));
    }
    world.key("two", &[], "never").await;
    let revoked = world.key("two", &[], "never").await;
    world
        .change(&format!(
            "update api_keys set revoked_at = now(), revoked_by = 'x', revoked_reason = 'other' where id = '{}'",
            revoked.id
        ))
        .await;
    office.request("POST", "/gate/admin/tenants/two/suspend", Body::empty()).await.is(200);
    let whole = office.get("/gate/admin/tenants").await.is(200).json();
    assert_eq!(whole["next_cursor"], Value::Null);
    assert_eq!(
        whole["data"][1],
        json!({ "tenant_id": "two", "name": "Acme Corp", "created_at": "2026-11-24T12:00:01Z", "suspended": true, "keys": 1 })
    );
    let mut paged = Vec::new();
    let mut path = "/gate/admin/tenants?limit=2".to_owned();
    loop {
        let page = office.get(&path).await.is(200).json();
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/gate/admin/tenants?limit=2&cursor={cursor}");
    }
    assert_eq!(json!(paged), whole["data"]);
    assert_eq!(paged.len(), 3);
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=x", "page=2", "limit=1&limit=2"] {
        let answer = office.get(&format!("/gate/admin/tenants?{query}")).await;
        assert_eq!(answer.is(400).header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn usage_is_exported_by_minute_and_by_day() {
    let world = World::new().await;
    let office = back_office(&world).await;
    let key = world.key("acme", &["read"], "never").await;
    // Of keys made in one millisecond, chance says which is first.
    world.clock.advance(Duration::milliseconds(1));
    let theirs = world.key("other", &[], "never").await;
    for (secret, calls) in [(&key.secret, 3), (&theirs.secret, 1), (&key.secret, 2)] {
        for address in 0..calls {
            let mut program = world.program().with("x-api-key", secret);
            program.address = [198, 51, 100, address].into();
            program.get("/v1/whoami").await.is(200);
        }
        let ask = json!({ "key": key.secret, "scopes": ["write"] });
        world.program().bearer(&world.service_key(&["verify"]).await).post("/v1/keys/verify", &ask).await.is(200);
        world.clock.advance(Duration::minutes(1));
        world.settle().await;
    }
    world.usage.flush(&world.keys_db).await.unwrap();
    let rows = async |query: &str| -> Vec<String> {
        let page = office.get(&format!("/gate/admin/usage?{query}")).await.is(200).json();
        let row = |row: &Value| {
            let key_id = row["key_id"].as_str().unwrap();
            assert!(key_id == key.id.to_string() || key_id == theirs.id.to_string());
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            format!("{} {} {} {}", text("tenant_id"), &text("at")[11..16], text("code"), row["calls"])
        };
        page["data"].as_array().unwrap().iter().map(row).collect()
    };
    let all = [
        "acme 12:00 INSUFFICIENT_SCOPE 1",
        "acme 12:00 VALID 3",
        "acme 12:01 INSUFFICIENT_SCOPE 1",
        "other 12:01 VALID 1",
        "acme 12:02 INSUFFICIENT_SCOPE 1",
        "acme 12:02 VALID 2",
    ];
    assert_eq!(rows("").await, all);
    assert_eq!(rows("from=2026-11-24T12:01:00Z&to=2026-11-24T12:02:00Z").await, all[2..4]);
    assert_eq!(rows("tenant_id=other").await, ["other 12:01 VALID 1"]);
    let days = ["acme 00:00 INSUFFICIENT_SCOPE 3", "acme 00:00 VALID 5", "other 00:00 VALID 1"];
    assert_eq!(rows("by=day").await, days);
    for (by, whole) in [("minute", all.as_slice()), ("day", days.as_slice())] {
        let mut query = format!("by={by}&limit=1");
        let mut paged = Vec::new();
        loop {
            paged.extend(rows(&query).await);
            let page = office.get(&format!("/gate/admin/usage?{query}")).await.json();
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            query = format!("by={by}&limit=1&cursor={cursor}");
        }
        assert_eq!(paged, whole);
    }
    for query in ["from=yesterday", "by=week", "cursor=1.2", "tenant=acme"] {
        office.get(&format!("/gate/admin/usage?{query}")).await.is(400);
    }
    office.get("/gate/admin/usage?tenant_id=nobody").await.is(404);
}

#[tokio::test]
async fn what_is_not_understood_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let office = back_office(&world).await;
    let key = world.key("acme", &[], "never").await;
    for (path, body) in [
        ("/gate/admin/tenants", json!({ "tenant_id": "x", "name": "X", "is_admin": true })),
        ("/gate/onboard/first-key", json!({ "tenant_id": "acme", "limits": 5 })),
        ("/gate/onboard/rotate-key", json!({ "tenant_id": "acme", "revoked_at": null })),
        ("/gate/onboard/rotate-key", json!({ "tenant_id": "acme", "key_id": "x" })),
        ("/gate/onboard/rotate-key", json!({})),
        ("/gate/onboard/rotate-key", json!(["acme"])),
        ("/gate/admin/tenants", json!(["x", "X"])),
        ("/gate/onboard/add-namespace", json!({ "tenant_id": "acme", "namespace": ["a"] })),
    ] {
        let answer = office.post(path, &body).await;
        assert_eq!(answer.is(400).header("content-type"), "application/problem+json");
    }
    problem(
        &office.request("POST", "/gate/onboard/rotate-key", "{".into()).await,
        415,
        "Send the body as Content-Type: application/json.",
    );
    let json = office.clone().with("content-type", "application/json");
    problem(&json.request("POST", "/gate/onboard/rotate-key", "{".into()).await, 400, "The body is not JSON.");
    json.request("POST", "/gate/onboard/rotate-key", "x".repeat(70_000).into()).await.is(413);
    // What announces itself as too large is not waited for.
    let announced = json.clone().with("content-length", "70000");
    announced.request("POST", "/gate/onboard/rotate-key", "{}".into()).await.is(413);
    // Whoever may not come in learns nothing of what is understood here.
    let nobody = world.program().with("content-type", "application/json");
    nobody.request("POST", "/gate/onboard/rotate-key", "{".into()).await.is(401);
    let fields = create(&office, "No Slug").await.is(422).json()["errors"].clone();
    assert_eq!(fields[0]["field"], "tenant_id");
    for path in ["/gate/onboard/rotate-key", "/gate/onboard/first-key"] {
        problem(&office.post(path, &json!({ "tenant_id": "nobody" })).await, 404, "There is no tenant \"nobody\".");
    }
    office.get("/gate/onboard/rotate-key").await.is(405);
    office.get("/gate/nothing").await.is(404);
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    assert_eq!(world.log("acme").await.len(), 2);
}

#[tokio::test]
async fn the_log_names_the_service_and_where_it_called_from() {
    let world = World::of(Catalog::load("default").unwrap(), "198.51.100.0/24").await;
    let office = back_office(&world).await.with("x-forwarded-for", "203.0.113.9").with("user-agent", "billing/1");
    onboard(&office, "acme").await;
    office.post("/gate/onboard/rotate-key", &json!({ "tenant_id": "acme" })).await.is(200);
    let rows: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "select action, actor_kind, split_part(actor_name, ' ', 1), address, agent from audit_events where chain <> $1 order by seq",
    )
    .bind(uuid::Uuid::nil())
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let actions: Vec<_> = rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(actions, ["org.create", "org.add_namespace", "key.issue", "key.rotate"]);
    for (action, kind, name, address, agent) in &rows {
        let said = (kind.as_str(), name.as_str(), address.as_str(), agent.as_str());
        assert_eq!(said, ("service", "gateway", "203.0.113.9", "billing/1"), "{action}");
    }
    // People of the organization see who it was, and that it was no person.
    let mut owner = world.owner_of("acme").await;
    owner.get("/audit").await.is(200).says("gateway").says(">service<");
    let mut tx = world.begin(RlsScope::Operator).await;
    keydesk::audit::store::check_all(&mut tx, &world.server_keys.audit, &Default::default()).await.unwrap();
}

#[tokio::test]
async fn a_revoked_service_key_ends_here_as_everywhere() {
    let world = World::new().await;
    let office = back_office(&world).await;
    office.get("/gate/admin/tenants").await.is(200);
    world.change("update service_keys set revoked_at = now()").await;
    let answer = office.get("/gate/admin/tenants").await;
    problem(&answer, 401, "There is no such service key. An API key does not count as one.");
    assert!(answer.header("www-authenticate").contains("invalid_token"));
}

#[tokio::test]
async fn the_applications_queries_alone_keep_tenants_apart() {
    let world = World::new().await;
    let office = back_office(&world).await;
    let (mine, theirs) = (world.key_from("acme", &[], &["a"]).await, world.key_from("other", &[], &["a"]).await);
    for table in ["orgs", "api_keys", "key_usage", "audit_events", "audit_heads"] {
        let off = format!("alter table {table} no force row level security, disable row level security");
        world.change(&off).await;
    }
    office.post("/gate/onboard/rotate-key", &json!({ "tenant_id": "acme", "key_id": theirs.id })).await.is(404);
    office.post("/gate/onboard/add-namespace", &json!({ "tenant_id": "acme", "namespace": "b" })).await.is(200);
    office.post("/gate/onboard/rotate-key", &json!({ "tenant_id": "acme" })).await.is(200);
    assert_eq!(world.verdict(&mine.secret).await, "ROTATED");
    let namespaces = world.program().with("x-api-key", &theirs.secret).get("/v1/whoami").await.json();
    assert_eq!(namespaces["namespaces"], json!(["a"]));
    office.request("POST", "/gate/admin/tenants/acme/suspend", Body::empty()).await.is(200);
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
}
