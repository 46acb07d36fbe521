//! The key plane: what programs ask, and exactly what they are answered.

use axum::body::Body;
use serde_json::{Value, json};
use time::Duration;

use crate::{
    process::PATIENCE,
    world::{Answer, World},
};

/// An answer as it is on the wire, with what differs each time replaced, after its shape was checked.
fn wire(answer: &Answer) -> String {
    let mut body = answer.json();
    // It goes down with every call.
    if let Some(rate) = body.get_mut("rate_limit").and_then(|rate| rate.get_mut("remaining")) {
        assert!(rate.as_u64().unwrap() < 1000);
        *rate = json!("[remaining]");
    }
    for id in ["request_id", "key_id"] {
        if let Some(value) = body.get_mut(id) {
            uuid::Uuid::parse_str(value.as_str().unwrap()).unwrap();
            *value = json!(format!("[{id}]"));
        }
    }
    let mut lines = format!("{}\n", answer.status);
    for name in ["content-type", "www-authenticate", "cache-control", "retry-after"] {
        if let Some(value) = answer.headers.get(name) {
            lines += &format!("{name}: {}\n", value.to_str().unwrap());
        }
    }
    lines + &serde_json::to_string_pretty(&body).unwrap()
}

#[tokio::test]
async fn whoami_tells_a_key_about_itself() {
    let world = World::new().await;
    let key = world.key("acme", &["read", "write"], "30d").await;
    let by_header = world.program().with("x-api-key", &key.secret).get("/v1/whoami").await;
    let by_bearer = world.program().bearer(&key.secret).get("/v1/whoami").await;
    assert_eq!(wire(&by_header), wire(&by_bearer));
    insta::assert_snapshot!(wire(&by_header));
}

#[tokio::test]
async fn every_refusal_has_its_own_words() {
    let world = World::new().await;
    let revoked = world.key("acme", &[], "never").await;
    let expired = world.key("acme", &[], "7d").await;
    let disabled = world.key("acme", &[], "never").await;
    let rotated = world.key("acme", &[], "never").await;
    world
        .owner_of("acme")
        .await
        .post("/console/fn/keys/revoke", &[("key_id", &revoked.id.to_string()), ("reason", "other")])
        .await
        .is(200);
    world.change(&format!("update api_keys set disabled_at = now() where id = '{}'", disabled.id)).await;
    world.change(&format!("update api_keys set overlap_ends_at = '2026-11-25' where id = '{}'", rotated.id)).await;
    world.clock.advance(Duration::days(8));
    let good = world.key("acme", &[], "never").await.secret;
    let unknown = keydesk::keys::secret::NewSecret::generate("kd_live_").unwrap().reveal().to_owned();
    let mistyped = format!("{}{}", &good[..good.len() - 1], if good.ends_with('a') { 'b' } else { 'a' });
    let mut seen = String::new();
    for (name, credential) in [
        ("nothing", None),
        ("white space", Some(format!("{} {}", &good[..20], &good[20..]))),
        ("no key's shape", Some("password".to_owned())),
        ("too long", Some("k".repeat(300))),
        ("mistyped", Some(mistyped)),
        ("unknown", Some(unknown)),
        ("revoked", Some(revoked.secret)),
        ("rotated", Some(rotated.secret)),
        ("disabled", Some(disabled.secret)),
        ("expired", Some(expired.secret)),
    ] {
        let program = match &credential {
            Some(credential) => world.program().with("x-api-key", credential),
            None => world.program(),
        };
        let answer = program.get("/v1/whoami").await;
        if let Some(credential) = credential {
            answer.says_not(&credential);
            assert_eq!(wire(&world.program().bearer(&credential).get("/v1/whoami").await), wire(&answer), "{name}");
        }
        seen += &format!("--- {name}\n{}\n", wire(&answer));
    }
    insta::assert_snapshot!(seen);
}

#[tokio::test]
async fn a_service_asks_about_a_key() {
    let world = World::new().await;
    let key = world.key("acme", &["read", "write"], "30d").await;
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    let org = world.org("acme").await.to_string();
    let mut seen = String::new();
    for (name, more) in [
        ("nothing expected", json!({})),
        ("all of it right", json!({ "environment": "live", "org": "acme", "scopes": ["write", "read"] })),
        ("organization by id", json!({ "org": org })),
        ("wrong organization", json!({ "org": "other" })),
        ("wrong environment", json!({ "environment": "test" })),
        ("scope missing", json!({ "scopes": ["read", "admin"] })),
        ("no key", json!({ "key": "" })),
    ] {
        let mut asked = json!({ "key": key.secret });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = service.post("/v1/keys/verify", &asked).await;
        answer.is(200).says_not(&key.secret);
        assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
        seen += &format!("--- {name}\n{}\n", wire(&answer));
    }
    insta::assert_snapshot!(seen);
}

#[tokio::test]
async fn whoever_may_not_ask_is_told_and_learns_nothing_of_the_key() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await.secret;
    let operate = world.service_key(&["operate"]).await;
    let verify = world.service_key(&["verify"]).await;
    let mut seen = String::new();
    for (name, program) in [
        ("nobody", world.program()),
        ("an API key", world.program().bearer(&key)),
        ("a service key without verify", world.program().bearer(&operate)),
        ("two different ones", world.program().bearer(&verify).with("x-api-key", &operate)),
    ] {
        let good = program.post("/v1/keys/verify", &json!({ "key": key })).await;
        let bad = program.post("/v1/keys/verify", &json!({ "nonsense": 1 })).await;
        assert_eq!(wire(&good), wire(&bad), "{name}");
        seen += &format!("--- {name}\n{}\n", wire(&good));
    }
    // A revoked service key is none.
    world.change("update service_keys set revoked_at = now()").await;
    world.program().bearer(&verify).post("/v1/keys/verify", &json!({ "key": key })).await.is(401);
    insta::assert_snapshot!(seen);
}

#[tokio::test]
async fn a_question_that_is_not_understood_is_refused_and_not_repeated() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await.secret;
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    for bad in [
        json!({ "key": key, "namespaces": ["x"] }),
        json!([key, null, null, [], null, null, false]),
        json!({ "key": key, "dry_run": "yes" }),
        json!({ "key": key, "address": "somewhere" }),
        json!({ "key": key, "scope": "read" }),
        json!({ "key": [key] }),
        json!({ "scopes": [] }),
        json!([key]),
        Value::Null,
    ] {
        let answer = service.post("/v1/keys/verify", &bad).await;
        answer.is(400).says_not(&key);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let plain =
        service.clone().with("content-type", "text/plain").request("POST", "/v1/keys/verify", Body::from("{}")).await;
    plain.is(415);
    let broken = service
        .clone()
        .with("content-type", "application/json")
        .request("POST", "/v1/keys/verify", Body::from(format!("{{\"key\": \"{key}")))
        .await;
    broken.is(400).says_not(&key);
    let huge = service
        .clone()
        .with("content-type", "application/json")
        .request("POST", "/v1/keys/verify", Body::from(vec![b' '; 70_000]))
        .await;
    huge.is(413).says("Send a body of at most 64 KiB.");
}

#[tokio::test]
async fn two_credentials_that_differ_are_400_in_any_order() {
    let world = World::new().await;
    let (a, b) = (world.key("acme", &[], "never").await.secret, world.key("acme", &[], "never").await.secret);
    for program in [
        world.program().with("x-api-key", &a).bearer(&b),
        world.program().bearer(&b).with("x-api-key", &a),
        world.program().with("x-api-key", &a).with("x-api-key", &a),
        world.program().bearer(&a).bearer(&a),
    ] {
        let answer = program.get("/v1/whoami").await;
        answer.is(400);
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_request\"");
    }
    world.program().with("x-api-key", &a).bearer(&a).get("/v1/whoami").await.is(200);
}

/// Hundreds of calls on a busy machine may outlast a lease. That the node may not say anything then is no answer to the
/// credential: it is asked again until there is one, but not forever.
async fn answered(ask: impl AsyncFn() -> Answer) -> Answer {
    let begun = std::time::Instant::now();
    loop {
        let answer = ask().await;
        if answer.status != 503 || begun.elapsed() >= PATIENCE {
            return answer;
        }
    }
}

#[tokio::test]
async fn hostile_credentials_are_never_accepted_and_never_an_error_of_ours() {
    let world = World::new().await;
    let good = world.key("acme", &[], "never").await.secret;
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    let mut hostile: Vec<String> = vec![
        good.to_uppercase(),
        good.to_lowercase(),
        format!("{good}{good}"),
        format!("{good},{good}"),
        format!("{good};"),
        format!("\"{good}\""),
        format!("Bearer {good}"),
        format!("{good}\0"),
        format!("\0{good}"),
        format!("{good}%00"),
        good.replace('_', "-"),
        good.replace("kd_", "кd_"),
        good.replace('_', "＿"),
        good.chars().rev().collect(),
        format!("{}\u{200b}{}", &good[..9], &good[9..]),
        "' or 1=1 --".to_owned(),
        "{{7*7}}".to_owned(),
        "../../etc/passwd".to_owned(),
        "\u{202e}evil".to_owned(),
        "%s%n".to_owned(),
        "k".repeat(50_000),
    ];
    hostile.extend((0..good.len()).map(|at| format!("{}{}", &good[..at], &good[at + 1..])));
    // One letter in the other case; an accent, a look-alike, a byte that is no ASCII in its place.
    for (at, c) in good.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()) {
        let flipped = if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        for other in [flipped, 'а', 'é', '\u{80}'] {
            hostile.push(format!("{}{other}{}", &good[..at], &good[at + 1..]));
        }
    }
    assert!(hostile.len() > 100);
    service.post("/v1/keys/verify", &json!({ "key": "k".repeat(1 << 20) })).await.is(413);
    for credential in &hostile {
        let answer = answered(async || service.post("/v1/keys/verify", &json!({ "key": credential })).await).await;
        answer.is(200);
        assert_eq!(answer.json()["valid"], false, "{credential:?}");
        if http::HeaderValue::from_str(credential).is_ok() {
            let program = world.program().with("x-api-key", credential);
            let answer = answered(async || program.get("/v1/whoami").await).await;
            assert_eq!(answer.status, 401, "{credential:?}");
            // The same through the other header; but for what HTTP strips around a value, and for none at all.
            let program = world.program().bearer(credential);
            let bearer = answered(async || program.get("/v1/whoami").await).await;
            assert_eq!(bearer.json()["code"], answer.json()["code"], "{credential:?}");
            // So that one address is not told to slow down.
            world.clock.advance(Duration::SECOND * 3);
        }
    }
}

#[tokio::test]
async fn every_answer_carries_its_headers() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await.secret;
    let program = world.program().with("x-api-key", &key);
    for (method, path, status) in [
        ("GET", "/v1/whoami", 200),
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("POST", "/v1/whoami", 405),
        ("GET", "/v1/keys/verify", 405),
        ("GET", "/keys", 404),
    ] {
        let answer = program.request(method, path, Body::empty()).await;
        answer.is(status);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert!(answer.header("set-cookie").is_empty());
        assert!(uuid::Uuid::parse_str(answer.header("x-request-id")).is_ok());
        if status >= 400 {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
            assert_eq!(answer.json()["status"], status);
        }
    }
}

#[tokio::test]
async fn without_its_database_the_key_plane_says_that_it_cannot_know() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await.secret;
    world.keys_db.close().await;
    let answer = world.program().with("x-api-key", &key).get("/v1/whoami").await;
    answer.is(503);
    assert_eq!(answer.json()["code"], "UNAVAILABLE");
    world.program().get("/healthz").await.is(503);
    // Nor does it answer from a memory that follows no database.
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await.secret;
    world.program().with("x-api-key", &key).get("/v1/whoami").await.is(200);
    let astray = world.astray();
    let answer = astray.program().with("x-api-key", &key).get("/v1/whoami").await;
    assert_eq!(answer.is(503).json()["code"], "UNAVAILABLE");
    astray.program().get("/healthz").await.is(503);
    // What is wrong by itself is still told, without asking anybody.
    world.program().with("x-api-key", "nonsense").get("/v1/whoami").await.is(401);
}

#[tokio::test]
async fn a_malformed_key_is_refused_without_a_query() {
    let world = World::new().await;
    let good = world.key("acme", &[], "never").await.secret;
    world.keys_db.close().await;
    let mistyped = format!("{}{}", &good[..good.len() - 1], if good.ends_with('a') { 'b' } else { 'a' });
    let answer = world.program().with("x-api-key", &mistyped).get("/v1/whoami").await;
    assert_eq!(answer.json()["code"], "MALFORMED");
}

#[tokio::test]
async fn a_verdict_is_one_indexed_select() {
    let world = World::new().await;
    world.key("acme", &[], "never").await;
    let org = world.org("acme").await;
    sqlx::query(
        "insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, created_at)
         select gen_random_uuid(), $1, 'live', 'standard', 'k', sha256(n::text::bytea), 'h' || n, '{}', now() from generate_series(1, 5000) n",
    )
    .bind(org.0).execute(&world.owner).await.unwrap();
    sqlx::raw_sql("analyze").execute(&world.owner).await.unwrap();
    for (statement, index) in [
        (
            "explain select k.id from api_keys k join orgs o on o.id = k.org_id where k.digest = sha256('7')",
            "api_keys_digest_unique",
        ),
        ("explain select id from api_keys where hint = 'h7'", "api_keys_by_hint"),
    ] {
        let plan: Vec<String> = sqlx::query_scalar(statement).fetch_all(&world.owner).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index) && !plan.contains("Seq Scan on api_keys"), "{plan}");
    }
}
