//! The management API: what a script can do as its person, and what it can not.

use axum::body::Body;
use keydesk::{actor::Role, management_api::router::document};
use serde_json::{Value, json};
use time::Duration;

use crate::world::{Script, World};

const KEYS: &str = "/api/v1/api-keys";

async fn create(script: &Script, body: Value) -> Value {
    script.post(KEYS, &body).await.is(201).json()
}

#[tokio::test]
async fn a_key_lives_as_it_does_in_the_console() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Developer).await;
    let wish = json!({
        "name": "CI deploys", "tier": "high", "environment": "test", "scopes": ["read"], "namespaces": ["prod"],
        "ip_allowlist": ["203.0.113.0/24"], "expires": "30d",
    });
    let answer = script.post(KEYS, &wish).await;
    let made = answer.is(201).json();
    let secret = made["key"].as_str().unwrap().to_owned();
    let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    assert!(secret.starts_with("kd_test_"));
    assert_eq!(answer.header("location"), path);
    assert_eq!(made["status"], "active");
    assert_eq!(made["expires_at"], "2026-12-24T12:00:00Z");
    // Its secret is in no other answer.
    let read = script.get(&path).await;
    read.is(200).says_not(&secret);
    for (field, asked) in wish.as_object().unwrap().iter().filter(|(field, _)| *field != "expires") {
        assert_eq!(&read.json()[field], asked);
    }
    assert!(read.json().get("key").is_none());
    script.get(KEYS).await.is(200).says("CI deploys").says_not(&secret);

    // The way that HEIR documents.
    let narrowed = script.send("PUT", &path, &json!({ "ip_whitelist": ["198.51.100.7"] })).await;
    narrowed.is(200).says("\"receipt\":{\"nodes\":1,\"cut_off\":[],");
    assert_eq!(narrowed.json()["ip_allowlist"], json!(["198.51.100.7/32"]));
    assert_eq!(narrowed.json()["name"], "CI deploys", "what is left out stays");
    let open = json!({ "name": "Deploys", "namespaces": [], "expires": "never" });
    let open = script.send("PATCH", &path, &open).await;
    assert_eq!((open.is(200).json()["name"].as_str(), &open.json()["receipt"]), (Some("Deploys"), &Value::Null));
    world.settle().await;
    assert_eq!(world.verdict(&secret).await, "VALID");
    script
        .request("POST", &format!("{path}/disable"), Body::empty())
        .await
        .is(200)
        .says("\"receipt\":{\"nodes\":1,\"cut_off\":[],");
    assert_eq!(world.verdict(&secret).await, "DISABLED");
    script.post(&format!("{path}/enable"), &json!({})).await.is(200).says("\"status\":\"active\"");
    world.settle().await;
    assert_eq!(world.verdict(&secret).await, "VALID");
    let revoked = script.post(&format!("{path}/revoke"), &json!({ "reason": "key_compromise" })).await;
    revoked.is(200).says("\"receipt\":{\"nodes\":1,\"cut_off\":[],");
    assert_eq!(world.verdict(&secret).await, "REVOKED");
    assert_eq!(revoked.json()["revoked"]["reason"], "key_compromise");
    // Once more is fine; a change is not.
    script
        .request("POST", &format!("{path}/revoke"), Body::empty())
        .await
        .is(200)
        .says("\"receipt\":{\"nodes\":1,\"cut_off\":[],");
    script.send("PATCH", &path, &json!({ "name": "x" })).await.is(409);
    script.request("POST", &format!("{path}/enable"), Body::empty()).await.is(409);
    let log = world.log("acme").await;
    for action in ["key.issue: ", "key.edit: ", "key.disable: ", "key.enable: ", "key.revoke: "] {
        assert!(log.iter().any(|row| row.starts_with(action)), "{action}: {log:?}");
    }
    assert!(log.iter().all(|row| !row.contains(&secret)));
}

#[tokio::test]
async fn a_key_is_rotated_with_an_overlap_or_at_once() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Developer).await;
    let old = create(&script, json!({ "name": "CI", "scopes": ["read"] })).await;
    let path = format!("{KEYS}/{}/rotate", old["id"].as_str().unwrap());
    let keyed = script.clone().with("idempotency-key", "rotation-1");
    let new = keyed.request("POST", &path, Body::empty()).await.is(201).json();
    assert_eq!((&new["name"], &new["scopes"], &new["predecessor"]), (&old["name"], &old["scopes"], &old["id"]));
    assert_eq!((new["old_key_ends_at"].as_str(), &new["receipt"]), (Some("2026-11-25T12:00:00Z"), &Value::Null));
    let again = keyed.request("POST", &path, Body::empty()).await;
    again.is(200).says_not(new["key"].as_str().unwrap());
    script.request("POST", &path, Body::empty()).await.is(409).says("its successor is");
    world.settle().await;
    let verdict = async |key: &Value| world.verdict(key["key"].as_str().unwrap()).await;
    assert_eq!((verdict(&old).await, verdict(&new).await), ("VALID".to_owned(), "VALID".to_owned()));
    // At once, where somebody else has it: the old key is dead at the answer.
    let leaked = create(&script, json!({ "name": "Leaked" })).await;
    let path = format!("{KEYS}/{}/rotate", leaked["id"].as_str().unwrap());
    let wish = json!({ "window": "7d", "reason": "key_compromise" });
    script.post(&path, &wish).await.is(201).says("\"receipt\":{\"nodes\":1,\"cut_off\":[],");
    assert_eq!(verdict(&leaked).await, "ROTATED");
    script.post(&path, &json!({ "window": "30d" })).await.is(400);
}

#[tokio::test]
async fn what_is_left_out_is_the_catalogs_first() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Developer).await;
    let made = create(&script, json!({ "name": "CI" })).await;
    assert_eq!((made["environment"].as_str(), made["tier"].as_str()), (Some("live"), Some("standard")));
    assert_eq!((&made["expires_at"], &made["scopes"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn revoke_all_leaves_none() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Admin).await;
    let other = world.key("globex", &["read"], "never").await;
    for name in ["a", "b"] {
        create(&script, json!({ "name": name })).await;
    }
    script.request("POST", &format!("{KEYS}/revoke-all"), Body::empty()).await.is(200).says("\"revoked\":2");
    assert_eq!(world.count("acme").await, (2, 0));
    assert_eq!(world.verdict(&other.secret).await, "VALID");
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Owner).await;
    for name in ["a", "b", "c", "d", "e"] {
        create(&script, json!({ "name": name })).await;
        world.clock.advance(Duration::SECOND);
    }
    for (list, field, expected) in [(KEYS, "name", vec!["e", "d", "c", "b", "a"]), ("/api/v1/audit", "seq", vec![])] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = script.get(&format!("{list}?limit=2{cursor}")).await;
            let page = page.is(200).json();
            let data = page["data"].as_array().unwrap();
            assert!((1..=2).contains(&data.len()));
            seen.extend(data.iter().map(|item| item[field].clone()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        if list == KEYS {
            assert_eq!(json!(seen), json!(expected));
        } else {
            let newest = seen[0].as_i64().unwrap();
            assert_eq!(json!(seen), json!((1..=newest).rev().collect::<Vec<_>>()));
        }
        // Exactly as many as there are: nothing follows.
        let whole = script.get(&format!("{list}?limit={}", seen.len())).await.json();
        assert_eq!((whole["data"].as_array().unwrap().len(), &whole["next_cursor"]), (seen.len(), &Value::Null));
        for wrong in ["limit=0", "limit=201", "limit=x", "offset=1", "limit=1&limit=2"] {
            script.get(&format!("{list}?{wrong}")).await.is(400);
        }
        for wrong in ["cursor=x", "cursor=", "cursor=%ff"] {
            script.get(&format!("{list}?{wrong}")).await.is(422).says("Send the next_cursor of a list");
        }
    }
}

#[tokio::test]
async fn another_organizations_key_is_no_key() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Owner).await;
    let theirs = world.key("globex", &["read"], "never").await;
    let strip = |answer: crate::world::Answer| {
        let mut json = answer.json();
        json.as_object_mut().unwrap().remove("request_id");
        (answer.status, json)
    };
    for id in [theirs.id.to_string(), "no-id".to_owned(), "%ff".to_owned()] {
        for (method, rest, body) in [
            ("GET", "", None),
            ("PATCH", "", Some(json!({ "name": "mine" }))),
            ("PUT", "", Some(json!({ "ip_whitelist": [] }))),
            ("POST", "/disable", None),
            ("POST", "/enable", None),
            ("POST", "/revoke", None),
            ("POST", "/rotate", None),
        ] {
            let call = async |id: &str| {
                let path = format!("{KEYS}/{id}{rest}");
                match &body {
                    Some(body) => script.send(method, &path, body).await,
                    None => script.request(method, &path, Body::empty()).await,
                }
            };
            let (theirs, absent) = (call(&id).await, call(&uuid::Uuid::new_v4().to_string()).await);
            theirs.is(404);
            assert_eq!(strip(theirs), strip(absent), "{method} {rest}");
        }
    }
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
    let mine = script.get(&format!("{KEYS}?cursor={}", uuid::Uuid::max())).await;
    assert_eq!(mine.json()["data"], json!([]));
    for path in ["/api/v1/members", "/api/v1/audit"] {
        script.get(path).await.is(200).says_not("globex");
    }
}

#[tokio::test]
async fn a_repeat_makes_nothing_and_shows_no_secret() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Admin).await;
    for (path, body, other, secret) in [
        (KEYS, json!({ "name": "CI" }), json!({ "name": "CD" }), "key"),
        ("/api/v1/webhook-secrets", json!({ "environment": "live" }), json!({ "environment": "test" }), "secret"),
        (
            "/api/v1/webhook-secrets/regenerate",
            json!({ "environment": "live" }),
            json!({ "environment": "test" }),
            "secret",
        ),
    ] {
        let keyed = script.clone().with("idempotency-key", &format!("run-1-{path}"));
        let before = world.log("acme").await.len();
        let first = keyed.post(path, &body).await;
        let mut made = first.is(201).json();
        assert_eq!(world.log("acme").await.len(), before + 1);
        let secret = made.as_object_mut().unwrap().remove(secret).unwrap();
        let again = keyed.post(path, &body).await;
        assert_eq!(again.is(200).json(), made);
        assert_eq!(again.header("idempotent-replayed"), "true");
        again.says_not(secret.as_str().unwrap());
        // Another request under the same key is a mistake; a body that says the same in other bytes is one, too.
        keyed.post(path, &other).await.is(422).says("idempotency-key-reused");
        assert_eq!(world.log("acme").await.len(), before + 1, "{path}");
        // Somebody else's key of the same text is another key.
        let colleague = world.script_of("acme", Role::Admin).await;
        let theirs = colleague.with("idempotency-key", &format!("run-1-{path}")).post(path, &body).await;
        assert_ne!(theirs.status, 200, "{}", theirs.body);
    }
    for wrong in ["", "a b", &"x".repeat(256)] {
        script.clone().with("idempotency-key", wrong).post(KEYS, &json!({ "name": "CI" })).await.is(400);
    }
    script.with("idempotency-key", "a").with("idempotency-key", "b").post(KEYS, &json!({ "name": "CI" })).await.is(400);
}

#[tokio::test]
async fn a_request_that_failed_may_be_repeated_with_its_key() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Admin).await.with("idempotency-key", "once");
    let regenerate = "/api/v1/webhook-secrets/regenerate";
    script.post(regenerate, &json!({ "environment": "live" })).await.is(409);
    let other = world.script_of("acme", Role::Admin).await;
    other.post("/api/v1/webhook-secrets", &json!({ "environment": "live" })).await.is(201);
    script.post(regenerate, &json!({ "environment": "live" })).await.is(201);
}

#[tokio::test]
async fn twenty_repeats_at_once_make_one_key() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Admin).await.with("idempotency-key", "once");
    let body = json!({ "name": "CI" });
    let answers = futures::future::join_all((0..20).map(|_| script.post(KEYS, &body))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let repeated = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((made, repeated), (1, 19));
    assert_eq!(world.count("acme").await, (1, 1));
}

#[tokio::test]
async fn a_write_changes_nothing_it_does_not_name() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Owner).await;
    let other = world.org("globex").await;
    let id = create(&script, json!({ "name": "CI" })).await["id"].as_str().unwrap().to_owned();
    let before = (script.get(&format!("{KEYS}/{id}")).await.json(), world.log("acme").await, world.count("acme").await);
    let document = document(&world.catalog);
    let extras = [
        ("org_id", json!(other.0)),
        ("role", json!("owner")),
        ("tier", json!("unlimited")),
        ("scopes", json!(["read", "write"])),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("revoked_at", Value::Null),
        ("limits", json!({ "calls": 1_000_000 })),
        ("is_admin", json!(true)),
        ("id", json!(id)),
        ("hint", json!("x")),
        ("digest", json!("x")),
        ("status", json!("active")),
        ("created_by", json!(id)),
        ("user_id", json!(id)),
    ];
    let mut writes = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("requestBody").is_none() {
                continue;
            }
            let taken = match operation["operationId"].as_str().unwrap() {
                // These two are a key's own, at these.
                "createKey" => vec!["tier", "scopes"],
                "editKey" | "putKey" => vec!["scopes"],
                "setRole" => vec!["role"],
                _ => vec![],
            };
            for (field, value) in extras.iter().filter(|(field, _)| !taken.contains(field)) {
                let body = match operation["operationId"].as_str().unwrap() {
                    "createKey" => json!({ "name": "CI", *field: value }),
                    "setRole" => json!({ "role": "viewer", *field: value }),
                    "createWebhookSecret" | "regenerateWebhookSecret" => {
                        json!({ "environment": "live", *field: value })
                    }
                    _ => json!({ *field: value }),
                };
                let answer = script.send(&method.to_uppercase(), &path.replace("{id}", &id), &body).await;
                answer.is(400).says(&format!("unknown field `{field}`"));
                assert_eq!(answer.header("content-type"), "application/problem+json");
                writes += 1;
            }
        }
    }
    assert!(writes > 100, "{writes}");
    let after = (script.get(&format!("{KEYS}/{id}")).await.json(), world.log("acme").await, world.count("acme").await);
    assert_eq!(before, after);
}

#[tokio::test]
async fn wrong_values_are_named_field_by_field() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Owner).await;
    let wrong = json!({
        "name": " ", "environment": "moon", "tier": "gold", "scopes": ["fly"], "namespaces": ["a b"],
        "ip_allowlist": ["everywhere"], "expires": "tomorrow",
    });
    let answer = script.post(KEYS, &wrong).await;
    let fields: Vec<String> = answer.is(422).json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(fields, ["name", "environment", "tier", "scopes", "namespaces", "ip_allowlist", "expires"]);
    assert_eq!(world.count("acme").await, (0, 0));
}

#[tokio::test]
async fn every_error_is_a_problem_document_and_every_answer_has_its_headers() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Owner).await;
    let json = script.clone().with("content-type", "application/json");
    let text = script.clone().with("content-type", "text/plain");
    let announced = json.clone().with("content-length", "70000");
    let cases = [
        (script.get("/api/v1/nothing").await, 404),
        (script.get("/api").await, 404),
        (script.get("/api/").await, 404),
        (world.nobodys_script().get("/api/v2/api-keys").await, 404),
        (script.request("DELETE", KEYS, Body::empty()).await, 405),
        (script.request("TRACE", KEYS, Body::empty()).await, 405),
        (script.request("POST", "/api/v1/openapi.json", Body::empty()).await, 405),
        (json.request("POST", KEYS, "x".repeat(70_000).into()).await, 413),
        (announced.request("POST", KEYS, Body::empty()).await, 413),
        (text.request("POST", KEYS, r#"{"name":"CI"}"#.into()).await, 415),
        (script.request("POST", KEYS, r#"{"name":"CI"}"#.into()).await, 415),
        (json.request("POST", KEYS, "{".into()).await, 400),
        (json.request("POST", KEYS, "[]".into()).await, 400),
        (json.request("POST", KEYS, r#" ["CI", null, null]"#.into()).await, 400),
        (json.request("POST", "/api/v1/tokens", "[]".into()).await, 400),
        (json.request("POST", KEYS, r#"{"name":"a","name":"b"}"#.into()).await, 400),
        (json.request("POST", KEYS, r#"{"name":"a","ip_allowlist":[],"ip_whitelist":[]}"#.into()).await, 400),
        (json.request("POST", KEYS, r#"{"name":7}"#.into()).await, 400),
        (json.request("POST", KEYS, Body::empty()).await, 400),
    ];
    for (answer, status) in &cases {
        answer.is(*status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["status"], *status);
        assert!(problem["type"].as_str().unwrap().starts_with("urn:keydesk:problem:"));
        assert_eq!(problem["request_id"], answer.header("x-request-id"));
        if *status == 405 {
            assert!(!answer.header("allow").is_empty());
        }
    }
    let mut all: Vec<_> = cases.into_iter().map(|(answer, _)| answer).collect();
    for path in [KEYS, "/.well-known/jwks.json", "/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs/viewer.js"] {
        all.push(script.get(path).await);
    }
    for answer in all {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
        assert!(
            answer.headers.get("set-cookie").is_none() && answer.headers.get("access-control-allow-origin").is_none()
        );
    }
    let page = script.get("/api/v1/docs").await;
    page.is(200).says_not("<script>").says_not("<style").says_not("style=").says_not("https://").says_not("onclick");
    assert!(!page.header("content-security-policy").contains("unsafe"));
    // The console's own 404 is still a page.
    world.anonymous().get("/nothing").await.is(404).says("<!DOCTYPE html>");
}

#[tokio::test]
async fn members_webhook_secrets_and_the_log_are_read() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Admin).await;
    world.member("acme", Role::Viewer).await;
    let members = script.get("/api/v1/members").await.is(200).json();
    let roles: Vec<_> =
        members["data"].as_array().unwrap().iter().map(|member| member["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["admin", "viewer"]);
    let made = script.post("/api/v1/webhook-secrets", &json!({ "environment": "live" })).await;
    assert!(made.is(201).json()["secret"].as_str().unwrap().starts_with("whsec_"));
    script.post("/api/v1/webhook-secrets", &json!({ "environment": "live" })).await.is(409);
    script.post("/api/v1/webhook-secrets", &json!({ "environment": "moon" })).await.is(422);
    let listed = script.get("/api/v1/webhook-secrets").await;
    listed.is(200).says("\"environment\":\"live\"").says_not("whsec_").says_not("\"test\"");
    let newest = script.get("/api/v1/audit?limit=1").await.is(200).json()["data"][0].clone();
    assert_eq!(newest["action"], "webhook_secret.generate");
    assert_eq!(newest["details"]["environment"], "live");
    assert_eq!(newest["address"], "192.0.2.10");
}
