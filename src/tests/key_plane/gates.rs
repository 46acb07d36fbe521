//! The further gates through the wire: address, namespace, rate, quota, standing; dry runs; what calls leave behind.

use keydesk::{catalog::Catalog, ids::KeyId, key_plane::limiter::Limiter};
use serde_json::{Value, json};
use time::{Duration, macros::datetime};

use crate::{
    process::PATIENCE,
    world::{Answer, Program, TestKey, World},
};

const CATALOG: &str = r#"
brand = "Test"
service_prefix = "t_service_"

[headers]
wrong_org = 403

[[environments]]
name = "live"
label = "Live"
prefix = "t_live_"

[[environments]]
name = "test"
label = "Test"
prefix = "t_test_"

[[tiers]]
name = "standard"
label = "Standard"
limit = 3
window = "1m"

[[tiers]]
name = "metered"
label = "Metered"
limit = 100
window = "1m"
monthly = 4

[[tiers]]
name = "reader"
label = "Reader"
scopes = ["read"]

[[scopes]]
name = "read"

[[scopes]]
name = "write"

[[routes]]
methods = ["GET"]
path = "/v1/get/{namespace}/{key}"
scopes = ["read"]
namespace = "namespace"

[[routes]]
methods = ["GET"]
path = "/t/{tenant}/x"
scopes = ["read"]
org = "tenant"

[[routes]]
methods = ["POST"]
path = "/v1/items"
scopes = ["write"]
"#;

async fn world() -> World {
    World::of(Catalog::parse(CATALOG).unwrap(), "10.0.0.0/8").await
}

async fn whoami(world: &World, key: &TestKey) -> Answer {
    world.program().with("x-api-key", &key.secret).get("/v1/whoami").await
}

fn proxied(world: &World, key: Option<&str>, method: &str, target: &str) -> Program {
    let program = world.program().with("x-forwarded-method", method).with("x-forwarded-uri", target);
    match key {
        Some(key) => program.with("x-api-key", key),
        None => program,
    }
}

async fn forward(world: &World, key: &TestKey, method: &str, target: &str) -> Answer {
    proxied(world, Some(&key.secret), method, target).get("/v1/forward-auth").await
}

#[tokio::test]
async fn a_burst_gets_exactly_the_limit_and_is_told_when_to_come_back() {
    let world = world().await;
    let key = world.key("acme", &["read"], "never").await;
    for left in [2, 1, 0] {
        let answer = whoami(&world, &key).await;
        answer.is(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"standard\";q=3;w=60");
        assert!(
            answer.header("ratelimit").starts_with(&format!("\"standard\";r={left};t=")),
            "{}",
            answer.header("ratelimit")
        );
        assert_eq!(answer.json()["rate_limit"]["remaining"], left);
    }
    let refused = whoami(&world, &key).await;
    refused.is(429);
    assert_eq!(refused.json()["code"], "RATE_LIMITED");
    assert_eq!(refused.json()["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert_eq!(refused.header("ratelimit"), format!("\"standard\";r=0;t={wait}"));
    assert_eq!(refused.header("ratelimit-policy"), "\"standard\";q=3;w=60");
    world.clock.advance(Duration::seconds(wait) - Duration::milliseconds(1001));
    whoami(&world, &key).await.is(429);
    world.clock.advance(Duration::milliseconds(1001));
    whoami(&world, &key).await.is(200);
    // Another key has its own count.
    whoami(&world, &world.key("acme", &[], "never").await).await.is(200);
}

#[tokio::test]
async fn concurrent_callers_share_one_limit() {
    let world = World::of(Catalog::parse(&CATALOG.replace("limit = 3", "limit = 50")).unwrap(), "").await;
    let key = world.key("acme", &[], "never").await;
    let calls = (0..120).map(|_| {
        let program = world.program().with("x-api-key", &key.secret);
        tokio::spawn(async move { program.get("/v1/whoami").await.status.as_u16() })
    });
    let mut admitted = 0;
    for call in calls.collect::<Vec<_>>() {
        admitted += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!(admitted, 50);
}

#[tokio::test]
async fn a_refused_call_spends_nothing() {
    let world = world().await;
    let key = world.key("acme", &["read"], "never").await;
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    for _ in 0..10 {
        let asked = json!({ "key": key.secret, "scopes": ["write"] });
        assert_eq!(service.post("/v1/keys/verify", &asked).await.json()["code"], "INSUFFICIENT_SCOPE");
        forward(&world, &key, "POST", "/v1/items").await.is(403);
        forward(&world, &key, "GET", "/nothing").await.is(403);
        let dry = service.post("/v1/keys/verify", &json!({ "key": key.secret, "dry_run": true })).await;
        assert_eq!(dry.json()["code"], "VALID");
    }
    for _ in 0..3 {
        whoami(&world, &key).await.is(200);
    }
    whoami(&world, &key).await.is(429);
}

#[tokio::test]
async fn a_quota_is_for_a_calendar_month_and_survives_a_restart() {
    let world = world().await;
    let key = world.key_of("acme", "metered", &[]).await;
    for _ in 0..4 {
        whoami(&world, &key).await.is(200);
    }
    let refused = whoami(&world, &key).await;
    refused.is(429);
    assert_eq!(refused.json()["code"], "USAGE_EXCEEDED");
    // The clock stands at noon of the 24th of November.
    assert_eq!(refused.header("retry-after"), ((6 * 86_400) + 43_200).to_string());
    // A call that the quota refuses has not spent its rate either.
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    let dry = service.post("/v1/keys/verify", &json!({ "key": key.secret, "dry_run": true })).await.json();
    assert_eq!((dry["code"].as_str(), dry["rate_limit"]["remaining"].as_u64()), (Some("USAGE_EXCEEDED"), Some(95)));
    // It is in the database, so another process counts on.
    let used: i64 = sqlx::query_scalar("select used from key_quotas where key_id = $1")
        .bind(key.id.0)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(used, 4);
    world.clock.advance(datetime!(2026-12-01 00:00 UTC) - world.clock.now() - Duration::MICROSECOND);
    whoami(&world, &key).await.is(429);
    world.clock.advance(Duration::MICROSECOND);
    whoami(&world, &key).await.is(200);
}

#[tokio::test]
async fn a_quota_is_exact_for_calls_at_once() {
    let world = world().await;
    let key = world.key_of("acme", "metered", &[]).await;
    let calls = (0..20).map(|_| {
        let program = world.program().with("x-api-key", &key.secret);
        tokio::spawn(async move { program.get("/v1/whoami").await.status.as_u16() })
    });
    let mut admitted = 0;
    for call in calls.collect::<Vec<_>>() {
        admitted += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!(admitted, 4);
}

#[tokio::test]
async fn a_changed_tier_changes_the_keys_of_that_tier() {
    let text = CATALOG.replace("scopes = [\"read\"]\n\n[[scopes]]", "\n[[scopes]]");
    let before = World::of(Catalog::parse(&text).unwrap(), "").await;
    let key = before.key_of("acme", "reader", &["read", "write"]).await;
    let asked = json!({ "key": key.secret, "scopes": ["write"] });
    let service = before.service_key(&["verify"]).await;
    let code = async |world: &World| {
        world.program().bearer(&service).post("/v1/keys/verify", &asked).await.json()["code"].clone()
    };
    assert_eq!(code(&before).await, "VALID");
    // The same database, and a catalog whose tier allows reading only, and then one without the tier.
    let after = before.again(Catalog::parse(CATALOG).unwrap());
    assert_eq!(code(&after).await, "INSUFFICIENT_SCOPE");
    let gone = before.again(Catalog::parse(&CATALOG.replace("\"reader\"", "\"writer\"")).unwrap());
    assert_eq!(code(&gone).await, "UNAVAILABLE");
}

#[tokio::test]
async fn an_allowlist_judges_the_client_and_not_what_the_client_says() {
    let world = world().await;
    let key = world.key_from("acme", &["203.0.113.0/24", "2001:db8::/32"], &[]).await;
    let call = async |peer: &str, forwarded: Option<&str>| {
        let mut program = world.program().with("x-api-key", &key.secret);
        program.address = peer.parse().unwrap();
        if let Some(forwarded) = forwarded {
            program = program.with("x-forwarded-for", forwarded);
        }
        let answer = program.get("/v1/whoami").await;
        world.clock.advance(Duration::minutes(2));
        answer.status.as_u16()
    };
    assert_eq!(call("203.0.113.9", None).await, 200);
    assert_eq!(call("::ffff:203.0.113.9", None).await, 200);
    assert_eq!(call("2001:db8::7", None).await, 200);
    assert_eq!(call("198.51.100.1", None).await, 403);
    // Not a proxy of ours, so its word counts for nothing.
    assert_eq!(call("198.51.100.1", Some("203.0.113.9")).await, 403);
    assert_eq!(call("10.0.0.1", Some("203.0.113.9")).await, 200);
    assert_eq!(call("10.0.0.1", Some("203.0.113.9, 198.51.100.1")).await, 403);
    assert_eq!(call("10.0.0.1", Some("198.51.100.1, 203.0.113.9, 10.0.0.2")).await, 200);
    assert_eq!(call("10.0.0.1", Some("nonsense")).await, 403);
    assert_eq!(call("10.0.0.1", Some("203.0.113.9, nonsense")).await, 403);
    assert_eq!(call("10.0.0.1", None).await, 403);
    // In a service's question the service says it.
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    for (address, code) in [
        (json!("203.0.113.9"), "VALID"),
        (json!("::ffff:203.0.113.9"), "VALID"),
        (json!("198.51.100.1"), "IP_NOT_ALLOWED"),
        (Value::Null, "IP_NOT_ALLOWED"),
    ] {
        let answer = service.post("/v1/keys/verify", &json!({ "key": key.secret, "address": address })).await;
        world.clock.advance(Duration::minutes(2));
        assert_eq!(answer.json()["code"], code, "{address}");
    }
    service.post("/v1/keys/verify", &json!({ "key": key.secret, "address": "203.0.113.0/24" })).await.is(400);
}

#[tokio::test]
async fn what_a_key_is_held_to_is_on_its_page() {
    let world = world().await;
    let key = world.key_from("acme", &["203.0.113.0/24"], &["default", "staging"]).await;
    let mut viewer = world.viewer("acme").await;
    let page = viewer.get(&format!("/keys/{}", key.id)).await;
    page.is(200).says("203.0.113.0/24").says("default, staging").says("3 per 1 min");
    let open = world.key_of("acme", "reader", &[]).await;
    viewer.get(&format!("/keys/{}", open.id)).await.says("All").says("Any").says_not(" per ");
}

#[tokio::test]
async fn forward_auth_judges_the_request_that_the_proxy_describes() {
    let world = world().await;
    let reader = world.key_from("acme", &[], &["default"]).await;
    let answer = forward(&world, &reader, "GET", "/v1/get/default/a?x=1").await;
    answer.is(200);
    assert_eq!(answer.body, "");
    let org = world.org("acme").await.to_string();
    for (name, value) in [
        ("x-keydesk-org", "acme"),
        ("x-keydesk-org-id", &org),
        ("x-keydesk-key-id", &reader.id.to_string()),
        ("x-keydesk-environment", "live"),
        ("x-keydesk-tier", "standard"),
        ("x-keydesk-scopes", "read"),
        ("x-keydesk-namespaces", "default"),
        ("ratelimit-policy", "\"standard\";q=3;w=60"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let refused = forward(&world, &reader, "GET", "/v1/get/staging/a").await;
    refused.is(403);
    assert_eq!(refused.json()["detail"], "Namespace 'staging' not permitted for tenant 'acme'");
    assert!(refused.headers.get("x-keydesk-org").is_none());
    let refused = forward(&world, &reader, "POST", "/v1/items").await;
    refused.is(403);
    assert_eq!(
        refused.header("www-authenticate"),
        "Bearer realm=\"Test\", error=\"insufficient_scope\", scope=\"write\""
    );
    forward(&world, &reader, "GET", "/t/acme/x").await.is(200);
    let refused = forward(&world, &reader, "GET", "/t/other/x").await;
    refused.is(403);
    assert_eq!(refused.json()["code"], "NOT_FOUND");
    // Whoever has no key is told that first, on any path.
    for target in ["/v1/items", "/nothing"] {
        proxied(&world, None, "GET", target).get("/v1/forward-auth").await.is(401);
    }
    forward(&world, &reader, "GET", "/nothing").await.is(403).says("No route of the catalog");
    forward(&world, &reader, "GET", "/v1/get/default/../../items").await.is(403);
    // An unrestricted key names no namespaces, in a header that is there all the same.
    let open = world.key("acme", &["read"], "never").await;
    let answer = forward(&world, &open, "GET", "/v1/get/any/a").await;
    assert_eq!(answer.is(200).headers.get("x-keydesk-namespaces").unwrap(), "");
}

#[tokio::test]
async fn a_request_described_in_two_ways_or_in_none_is_refused() {
    let world = world().await;
    let key = world.key("acme", &["read"], "never").await;
    let program = || world.program().with("x-api-key", &key.secret);
    let ask = async |program: Program| program.get("/v1/forward-auth").await.status.as_u16();
    let nginx = || program().with("x-original-method", "GET").with("x-original-uri", "/v1/get/a/b");
    assert_eq!(ask(nginx()).await, 200);
    // The same twice is the same.
    assert_eq!(ask(nginx().with("x-forwarded-uri", "/v1/get/a/b")).await, 200);
    assert_eq!(ask(nginx().with("x-forwarded-uri", "")).await, 200);
    assert_eq!(ask(nginx().with("x-forwarded-uri", "/v1/items")).await, 400);
    assert_eq!(ask(nginx().with("x-original-uri", "/v1/items")).await, 400);
    assert_eq!(ask(nginx().with("x-forwarded-method", "POST")).await, 400);
    assert_eq!(ask(program()).await, 400);
    assert_eq!(ask(program().with("x-original-method", "GET")).await, 400);
    assert_eq!(ask(program().with("x-original-uri", "/v1/get/a/b")).await, 400);
    // What the proxy's configuration expects.
    let at = async |query: &str| {
        world.clock.advance(Duration::minutes(2));
        nginx().get(&format!("/v1/forward-auth?{query}")).await.status.as_u16()
    };
    assert_eq!(at("environment=live&org=acme").await, 200);
    assert_eq!(at("environment=test").await, 403);
    assert_eq!(at("org=other").await, 403);
    assert_eq!(at("envionment=live").await, 400);
    // The proxy and the route expect different organizations: no key is right, and none is still none.
    let torn = async |program: Program| {
        let program = program.with("x-original-method", "GET").with("x-original-uri", "/t/acme/x");
        let answer = program.get("/v1/forward-auth?org=other").await;
        answer.json()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(torn(program()).await, "NOT_FOUND");
    assert_eq!(torn(world.program()).await, "MISSING");
}

#[tokio::test]
async fn a_suspended_organization_is_refused_and_resumes() {
    let world = world().await;
    let key = world.key("acme", &[], "never").await;
    let suspend = async |on: bool| {
        let statement = if on { "update orgs set suspended_at = now()" } else { "update orgs set suspended_at = null" };
        world.change(statement).await;
    };
    suspend(true).await;
    let refused = whoami(&world, &key).await;
    refused.is(401);
    assert_eq!(refused.json()["code"], "SUSPENDED");
    suspend(false).await;
    whoami(&world, &key).await.is(200);
}

#[tokio::test]
async fn a_key_outlives_who_made_it_unless_the_catalog_binds_it() {
    let free = world().await;
    let account = free.member("acme", keydesk::actor::Role::Developer).await;
    let mut browser = free.browser(&account).await;
    let idempotency_key = uuid::Uuid::new_v4().to_string();
    let form = [
        ("idempotency_key", idempotency_key.as_str()),
        ("name", "x"),
        ("environment", "live"),
        ("tier", "reader"),
        ("expires", "never"),
    ];
    let secret = browser.post("/console/fn/keys/issue", &form).await.is(200).field("issued-secret");
    let bound =
        free.again(Catalog::parse(&CATALOG.replacen("\n[headers]", "bound_to_creator = true\n[headers]", 1)).unwrap());
    assert_eq!((free.verdict(&secret).await, bound.verdict(&secret).await), ("VALID".into(), "VALID".into()));
    free.change("update users set disabled_at = now()").await;
    assert_eq!((free.verdict(&secret).await, bound.verdict(&secret).await), ("VALID".into(), "SUSPENDED".into()));
    free.change("update users set disabled_at = null; delete from members").await;
    assert_eq!((free.verdict(&secret).await, bound.verdict(&secret).await), ("VALID".into(), "SUSPENDED".into()));
}

#[tokio::test]
async fn a_bound_key_does_what_its_creators_role_allows_today() {
    let text = CATALOG
        .replacen("\n[headers]", "bound_to_creator = true\n[roles]\ndeveloper = [\"read\"]\n[headers]", 1)
        .replace("limit = 3", "limit = 100");
    let world = World::of(Catalog::parse(&text).unwrap(), "10.0.0.0/8").await;
    let account = world.member("acme", keydesk::actor::Role::Developer).await;
    let idempotency_key = uuid::Uuid::new_v4().to_string();
    let form = [
        ("idempotency_key", idempotency_key.as_str()),
        ("name", "x"),
        ("environment", "live"),
        ("tier", "standard"),
        ("scopes[]", "read"),
        ("scopes[]", "write"),
        ("expires", "never"),
    ];
    let mut browser = world.browser(&account).await;
    let secret = browser.post("/console/fn/keys/issue", &form).await.is(200).field("issued-secret");
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    for (role, told, write) in [
        ("developer", json!(["read"]), "INSUFFICIENT_SCOPE"),
        ("admin", json!(["read", "write"]), "VALID"),
        ("viewer", json!([]), "INSUFFICIENT_SCOPE"),
        ("developer", json!(["read"]), "INSUFFICIENT_SCOPE"),
    ] {
        world.change(&format!("update members set role = '{role}'")).await;
        let answer = service.post("/v1/keys/verify", &json!({ "key": secret, "scopes": ["write"] })).await.json();
        assert_eq!((answer["code"].as_str(), &answer["scopes"]), (Some(write), &told), "{role}");
        assert_eq!(write != "VALID", answer["detail"].as_str().unwrap().contains("Who made the key may not"), "{role}");
    }
    let passed = proxied(&world, Some(&secret), "GET", "/v1/get/default/1").get("/v1/forward-auth").await;
    assert_eq!(passed.is(200).header("x-keydesk-scopes"), "read");
    let refused = proxied(&world, Some(&secret), "POST", "/v1/items").get("/v1/forward-auth").await;
    let challenge = refused.is(403).header("www-authenticate").to_owned();
    assert!(challenge.contains("error=\"insufficient_scope\", scope=\"write\""), "{challenge}");
}

#[tokio::test]
async fn a_dry_run_tells_gate_by_gate_and_leaves_no_trace() {
    let world = world().await;
    let key = world.key_from("acme", &["203.0.113.0/24"], &["default"]).await;
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    let asked = json!({
        "key": key.secret, "environment": "test", "namespace": "staging", "scopes": ["write"], "address": "198.51.100.1",
        "dry_run": true,
    });
    let answer = service.post("/v1/keys/verify", &asked).await.json();
    assert_eq!(answer["code"], "WRONG_ENVIRONMENT");
    let trace: Vec<(String, String)> = answer["trace"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["gate"].as_str().unwrap().into(), step["code"].as_str().unwrap_or("passed").into()))
        .collect();
    let expected = [
        ("shape", "passed"),
        ("found", "passed"),
        ("state", "passed"),
        ("standing", "passed"),
        ("environment", "WRONG_ENVIRONMENT"),
        ("address", "IP_NOT_ALLOWED"),
        ("namespace", "NAMESPACE_NOT_ALLOWED"),
        ("scope", "INSUFFICIENT_SCOPE"),
    ];
    assert_eq!(trace, expected.map(|(gate, said)| (gate.to_owned(), said.to_owned())));
    let good = json!({ "key": key.secret, "address": "203.0.113.5", "dry_run": true });
    let answer = service.post("/v1/keys/verify", &good).await.json();
    assert_eq!((answer["code"].as_str(), answer["trace"].as_array().unwrap().len()), (Some("VALID"), 10));
    assert_eq!(answer["rate_limit"]["remaining"], 2);
    world.usage.flush_all(&world.refusals, &world.keys_db).await;
    for table in ["key_usage", "refusals", "key_last_used", "key_quotas"] {
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
            .fetch_one(&world.owner)
            .await
            .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test]
async fn a_refusal_can_be_looked_up_by_its_request_id() {
    let world = world().await;
    let key = world.key("acme", &["read"], "never").await;
    let refused = forward(&world, &key, "POST", "/v1/items?token=secret").await;
    let id = refused.is(403).header("x-request-id").to_owned();
    assert_eq!(refused.json()["request_id"], id);
    let unknown = world.program().with("x-api-key", "t_live_nonsense").get("/v1/whoami").await;
    world.refusals.flush(&world.keys_db).await.unwrap();
    let read = async |id: &str| -> (String, Option<uuid::Uuid>, Value, Value) {
        sqlx::query_as("select code, key_id, asked, gates from refusals where request_id = $1::uuid")
            .bind(id)
            .fetch_one(&world.owner)
            .await
            .unwrap()
    };
    let (code, key_id, asked, gates) = read(&id).await;
    assert_eq!((code.as_str(), key_id), ("INSUFFICIENT_SCOPE", Some(key.id.0)));
    assert_eq!(asked["request"], json!({ "method": "POST", "path": "/v1/items" }));
    assert_eq!(gates[7]["detail"], "The key lacks the scope write.");
    let (code, key_id, ..) = read(unknown.header("x-request-id")).await;
    assert_eq!((code.as_str(), key_id), ("MALFORMED", None));
    let kept: String = sqlx::query_scalar("select string_agg(refusals::text, '') from refusals")
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert!(!kept.contains(&key.secret) && !kept.contains("token=secret"));
}

async fn usage_of(world: &World, key: KeyId) -> Vec<(String, String, String, i64)> {
    world.usage.flush(&world.keys_db).await.unwrap();
    sqlx::query_as(
        "select code, host(address), agent, calls from key_usage where key_id = $1 order by minute, code, agent",
    )
    .bind(key.0)
    .fetch_all(&world.owner)
    .await
    .unwrap()
}

#[tokio::test]
async fn use_is_rolled_up_and_refusals_are_counted_apart() {
    let world = world().await;
    let key = world.key("acme", &["read"], "never").await;
    let program = world.program().with("x-api-key", &key.secret).with("user-agent", "curl/8.5.0");
    for _ in 0..5 {
        program.get("/v1/whoami").await;
    }
    let row = |code: &str, calls| (code.to_owned(), "198.51.100.7".to_owned(), "curl".to_owned(), calls);
    assert_eq!(usage_of(&world, key.id).await, [row("RATE_LIMITED", 2), row("VALID", 3)]);
    // A second batch of the same minute adds up; another minute is another row.
    program.get("/v1/whoami").await.is(429);
    world.clock.advance(Duration::minutes(2));
    program.get("/v1/whoami").await.is(200);
    assert_eq!(usage_of(&world, key.id).await, [row("RATE_LIMITED", 3), row("VALID", 3), row("VALID", 1)]);
    // Old rows go, and when the key was last used stays.
    keydesk::usage::store::prune(&world.keys_db, world.clock.now() + Duration::DAY).await.unwrap();
    assert!(usage_of(&world, key.id).await.is_empty());
    world.viewer("acme").await.get("/keys").await.says("198.51.100.7 · curl/8.5.0");
}

#[tokio::test]
async fn a_corrected_clock_neither_opens_nor_shuts_a_limit_or_a_lease() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let wrong = async || world.program().with("x-api-key", "nonsense").get("/v1/whoami").await.status.as_u16();
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    while wrong().await == 401 {}
    for days in [100, -200] {
        world.clock.jump(time::Duration::days(days));
        assert_eq!((wrong().await, world.verdict(&key.secret).await), (429, "VALID".to_owned()), "{days} days");
    }
    world.clock.advance(time::Duration::seconds(61));
    world.settle().await;
    assert_eq!(wrong().await, 401);
}

#[tokio::test]
async fn whoever_tries_one_wrong_key_after_the_other_is_slowed_down_and_good_keys_are_not() {
    let world = world().await;
    let key = world.key_of("acme", "reader", &[]).await;
    for _ in 0..60 {
        world.program().with("x-api-key", "t_live_wrong").get("/v1/whoami").await.is(401);
    }
    let slowed = world.program().with("x-api-key", "t_live_wrong").get("/v1/whoami").await;
    slowed.is(429);
    assert!(slowed.header("retry-after").parse::<u64>().unwrap() <= 62);
    whoami(&world, &key).await.is(200);
    // Nor is it a way around to ask for what there is no route to.
    proxied(&world, Some("t_live_wrong"), "GET", "/nothing").get("/v1/forward-auth").await.is(429);
    // Somebody else is not held up.
    let mut other = world.program().with("x-api-key", "t_live_wrong");
    other.address = "192.0.2.77".parse().unwrap();
    other.get("/v1/whoami").await.is(401);
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let world = world().await;
    world.settle().await;
    // The test's clock is not the database's.
    let answer = world.program().get("/readyz").await;
    answer.is(503).says("this node's clock and the database's are");
    let database: time::OffsetDateTime =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&world.owner).await.unwrap();
    world.clock.advance(database - world.clock.now());
    world.change("update users set disabled_at = null; update orgs set slug = slug || 'x'").await;
    let answer = world.program().get("/readyz").await;
    assert_eq!(answer.is(200).json(), json!({ "ready": true, "missing": [], "warnings": [] }));
    // Two nodes, each counting for itself.
    let other = uuid::Uuid::new_v4();
    let mut db = world.keys_db.acquire().await.unwrap();
    keydesk::revocation::store::register(
        &mut db,
        other,
        "other",
        "memory",
        keydesk::revocation::LeaseLength::SHORTEST,
        None,
    )
    .await
    .unwrap();
    let answer = world.program().get("/readyz").await;
    answer.is(200).says("2 nodes count calls each in its own memory");
    // While the database has no connection left for it, a node that may answer says so before it gets one.
    let _held: Vec<_> = std::iter::from_fn(|| world.keys_db.try_acquire()).collect();
    let mut held = Vec::new();
    while world.keys_db.size() < world.keys_db.options().get_max_connections() {
        held.push(world.keys_db.acquire().await.unwrap());
    }
    let program = world.program();
    tokio::select! {
        biased;
        _ = world.keys_db.acquire() => panic!("the pool has given up before the node has said anything"),
        answer = program.get("/readyz") => drop(answer.is(200)),
    }
    // One that does not follow the database.
    world.astray().program().get("/readyz").await.is(503).says("this node may not answer");
}

#[tokio::test]
async fn only_the_api_key_header_counts_where_the_catalog_says_so() {
    let text = CATALOG.replace("[headers]", "[headers]\naccept = [\"x-api-key\"]");
    let world = World::of(Catalog::parse(&text).unwrap(), "").await;
    let key = world.key("acme", &[], "never").await;
    let refused = world.program().bearer(&key.secret).get("/v1/whoami").await;
    refused.is(401);
    assert_eq!(refused.json()["code"], "MISSING");
    refused.says("x-api-key header");
    whoami(&world, &key).await.is(200);
    world.program().with("x-api-key", &key.secret).bearer("something else").get("/v1/whoami").await.is(200);
}

/// Debian's redis-server on a port of its own, killed at the end.
struct RedisServer {
    child: std::process::Child,
    url: secrecy::SecretString,
    port: u16,
}

impl RedisServer {
    async fn start(port: Option<u16>) -> Self {
        let port =
            port.unwrap_or_else(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let child = std::process::Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()])
            .current_dir(std::env::temp_dir())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("these tests need redis-server: make test installs it");
        let server = Self { child, url: format!("redis://127.0.0.1:{port}").into(), port };
        let begun = std::time::Instant::now();
        while Limiter::redis(&server.url).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server did not start");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        server
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

#[tokio::test]
async fn two_nodes_with_one_redis_are_exact_together() {
    let redis = RedisServer::start(None).await;
    let text =
        CATALOG.replace("limit = 3", "limit = 40").replace("limit = 100", "limit = 70").replace("monthly = 4\n", "");
    let text = text.replace("label = \"Reader\"", "label = \"Reader\"\nlimit = 7\nwindow = \"30s\"");
    let first = World::of(Catalog::parse(&text).unwrap(), "").await;
    let nodes = [
        first.with_limiter(Limiter::redis(&redis.url).await.unwrap()),
        first.with_limiter(Limiter::redis(&redis.url).await.unwrap()),
    ];
    for (tier, limit) in [("standard", 40), ("metered", 70), ("reader", 7)] {
        let key = first.key_of("acme", tier, &[]).await;
        let mut admitted = 0;
        // Sixteen at a time: whoever waits for Redis for a quarter of a second is refused, on a busy machine as well.
        for batch in 0..10 {
            let calls: Vec<_> = (0..16)
                .map(|n| {
                    let program = nodes[n % 2].program().with("x-api-key", &key.secret);
                    tokio::spawn(async move { program.get("/v1/whoami").await.status.as_u16() })
                })
                .collect();
            for call in calls {
                let status = call.await.unwrap();
                assert!([200, 429].contains(&status), "{status} in batch {batch}");
                admitted += usize::from(status == 200);
            }
        }
        assert_eq!(admitted, limit, "{tier}");
    }
}

#[tokio::test]
async fn without_its_limiter_a_key_is_refused_unless_its_tier_says_otherwise() {
    let mut redis = RedisServer::start(None).await;
    let text = CATALOG.replace("monthly = 4", "without_limiter = \"allow\"");
    let world = World::of(Catalog::parse(&text).unwrap(), "").await;
    let world = world.with_limiter(Limiter::redis(&redis.url).await.unwrap());
    let (closed, open) = (world.key("acme", &[], "never").await, world.key_of("acme", "metered", &[]).await);
    whoami(&world, &closed).await.is(200);
    redis.stop();
    world.program().get("/readyz").await.is(503).says("the limiter does not answer");
    let refused = whoami(&world, &closed).await;
    refused.is(503);
    assert_eq!(refused.json()["code"], "UNAVAILABLE");
    whoami(&world, &open).await.is(200);
    // What is true of the key itself is still told.
    world.program().with("x-api-key", "nonsense").get("/v1/whoami").await.is(401);
    let redis = RedisServer::start(Some(redis.port)).await;
    whoami(&world, &closed).await.is(200);
    drop(redis);
}

#[tokio::test]
async fn a_fleet_whose_tiers_all_go_on_without_the_limiter_stays_ready() {
    let mut redis = RedisServer::start(None).await;
    let allow = "window = \"1m\"\nwithout_limiter = \"allow\"";
    let world = World::of(Catalog::parse(&CATALOG.replace("window = \"1m\"", allow)).unwrap(), "").await;
    let world = world.with_limiter(Limiter::redis(&redis.url).await.unwrap());
    redis.stop();
    let answer = world.program().get("/readyz").await;
    answer.says("the limiter does not answer");
    let said = answer.json();
    // The clock of the test is another than the database's, which is all that is missing.
    assert_eq!(said["missing"].as_array().unwrap().len(), 1, "{said}");
    assert_eq!(said["warnings"][0], "the limiter does not answer");
    // What was wrong with it while it answered is still told.
    assert!(said["warnings"][1].as_str().unwrap().contains("keeps nothing on disk"), "{said}");
}
