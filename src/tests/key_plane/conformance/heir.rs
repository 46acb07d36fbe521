//! HEIR: "Each API key is tied to a specific tier that determines your rate limits and available features."

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Deployment, eventually, refused};

/// A key by the management API, as documented but for these values.
async fn create(heir: &Deployment, token: &str, tier: &str, scopes: &[&str]) -> Value {
    let body = json!({ "name": "Production Key", "tier": tier, "scopes": scopes, "allow_duplicate_name": true });
    heir.api(token, "POST", "/api/v1/api-keys", &body.to_string()).await.is(201).json()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_key_lives_by_the_documented_requests() {
    let heir = Deployment::of("heir").await;
    let token = heir.owner("acme").await.token().await;
    // "curl -X POST https://api.heir.es/api/v1/api-keys -H "Authorization: Bearer YOUR_JWT_TOKEN" …"
    let body = r#"{
    "name": "Production Key",
    "tier": "partner",
    "scopes": ["contracts", "webhooks"]
  }"#;
    let made = heir.api(&token, "POST", "/api/v1/api-keys", body).await.is(201).json();
    let key = text(&made["key"]);
    assert!(key.starts_with("heir_pt_"));
    assert_eq!((&made["tier"], &made["scopes"]), (&json!("partner"), &json!(["contracts", "webhooks"])));
    // "The full API key is only shown once when created."
    let path = format!("/api/v1/api-keys/{}", text(&made["id"]));
    for path in [&path, "/api/v1/api-keys"] {
        heir.api(&token, "GET", path, "").await.is(200).says("Production Key").says_not(key);
    }
    for (target, passes) in [("/api/v1/contracts", true), ("/api/v1/webhooks/7", true), ("/api/v1/vaults", false)] {
        let answer = heir.forward("POST", target, &[("x-api-key", key)]).await;
        assert_eq!(answer.status == 200, passes, "{target}: {}", answer.body);
    }

    // "Restrict API key usage to specific IP addresses": and then it does.
    let body = r#"{
    "ip_whitelist": ["203.0.113.10", "203.0.113.11"]
  }"#;
    heir.api(&token, "PUT", &path, body).await.is(200).says("203.0.113.10");
    let from = async |address: &str| {
        heir.forward("POST", "/api/v1/contracts", &[("x-api-key", key), ("x-forwarded-for", address)]).await
    };
    for address in ["203.0.113.10", "203.0.113.11"] {
        from(address).await.is(200);
    }
    for address in ["203.0.113.12", "127.0.0.1", "203.0.113.10, 198.51.100.7"] {
        refused(&from(address).await, 403, "IP_NOT_ALLOWED");
    }
    // Only the list has changed, and it opens again.
    let read = heir.api(&token, "GET", &path, "").await.json();
    assert_eq!((&read["name"], &read["scopes"]), (&made["name"], &made["scopes"]));
    heir.api(&token, "PUT", &path, r#"{ "ip_whitelist": [] }"#).await.is(200);
    eventually("what is allowed again is known", || async { heir.verdict(key).await == "VALID" }).await;
}

#[tokio::test]
async fn keys_are_rotated_in_four_steps_or_in_one() {
    let heir = Deployment::of("heir").await;
    let token = heir.owner("acme").await.token().await;
    let old = create(&heir, &token, "partner", &["contracts"]).await;
    // "1. Create a new key with the same permissions"
    let new = create(&heir, &token, text(&old["tier"]), &["contracts"]).await;
    // "2. Update your application to use the new key 3. Verify the new key works correctly"
    for key in [&old, &new] {
        heir.forward("POST", "/api/v1/contracts", &[("x-api-key", text(&key["key"]))]).await.is(200);
    }
    // "4. Revoke the old key"
    let path = |key: &Value| format!("/api/v1/api-keys/{}", text(&key["id"]));
    heir.api(&token, "POST", &format!("{}/revoke", path(&old)), r#"{ "reason": "superseded" }"#).await.is(200);
    let gone = heir.forward("POST", "/api/v1/contracts", &[("x-api-key", text(&old["key"]))]).await;
    refused(&gone, 401, "REVOKED");
    assert_eq!(heir.verdict(text(&new["key"])).await, "VALID");
    // In one: the successor has the same permissions by itself, and the old one goes on for as long as one says.
    let rotated = heir.api(&token, "POST", &format!("{}/rotate", path(&new)), r#"{ "window": "1h" }"#).await;
    let successor = rotated.json();
    let successor = text(&successor["key"]);
    assert!(successor.starts_with("heir_pt_"), "{}", rotated.body);
    for key in [text(&new["key"]), successor] {
        heir.forward("POST", "/api/v1/contracts", &[("x-api-key", key)]).await.is(200);
    }
    let leaked = create(&heir, &token, "public", &["contracts"]).await;
    heir.api(&token, "POST", &format!("{}/rotate", path(&leaked)), r#"{ "window": "now" }"#).await.is(201);
    assert_eq!(heir.verdict(text(&leaked["key"])).await, "ROTATED");
}

#[tokio::test]
async fn tiers_have_their_prefixes_and_scopes() {
    let heir = Deployment::of("heir").await;
    let mut owner = heir.owner("acme").await;
    let token = owner.token().await;
    let every = ["contracts", "vaults", "webhooks", "embed", "admin"];
    let tiers: [(&str, &str, &[&str]); 3] =
        [("public", "heir_pk_", &every[..1]), ("partner", "heir_pt_", &every[..4]), ("internal", "heir_in_", &every)];
    for (tier, prefix, allowed) in tiers {
        let made = create(&heir, &token, tier, allowed).await;
        let key = text(&made["key"]);
        assert!(key.starts_with(prefix), "{tier}");
        // "Via Dashboard: select your desired tier and scopes"
        let form = [
            ("name", "Key"),
            ("allow_duplicate_name", "true"),
            ("environment", "production"),
            ("tier", tier),
            ("scopes[]", "contracts"),
        ];
        assert!(owner.create(&form).await.starts_with(prefix));
        for scope in every {
            let may = allowed.contains(&scope);
            let answer = heir.forward("GET", &format!("/api/v1/{scope}/7"), &[("x-api-key", key)]).await;
            if may {
                answer.is(200);
                continue;
            }
            refused(&answer, 403, "INSUFFICIENT_SCOPE");
            let body = json!({ "name": "Key", "tier": tier, "scopes": [scope] }).to_string();
            let answer = heir.api(&token, "POST", "/api/v1/api-keys", &body).await;
            answer.is(422).says(&format!("The tier {tier} does not allow"));
            let form = [
                ("name", "Key"),
                ("allow_duplicate_name", "true"),
                ("environment", "production"),
                ("tier", tier),
                ("scopes[]", scope),
            ];
            owner.create_page(&form).await.is(422).says(&format!("The tier {tier} does not allow"));
        }
    }
}

/// "100 req/15min · 1,000 req/15min · 10,000 req/15min": exactly so many of more that come at once.
#[tokio::test]
async fn tiers_have_their_limits() {
    let heir = Deployment::of("heir").await;
    let token = heir.owner("acme").await.token().await;
    for (tier, limit) in [("public", 100), ("partner", 1_000), ("internal", 10_000)] {
        let made = create(&heir, &token, tier, &["contracts"]).await;
        let key = text(&made["key"]);
        let header = [("x-api-key", key)];
        let answers = stream::iter(0..limit + 20).map(|_| heir.forward("POST", "/api/v1/contracts", &header));
        let mut answers = answers.buffer_unordered(4);
        let (mut passed, mut over) = (0, 0);
        while let Some(answer) = answers.next().await {
            assert_eq!(answer.header("ratelimit-policy"), format!("\"{tier}\";q={limit};w=900"));
            match answer.status.as_u16() {
                200 => passed += 1,
                _ => {
                    refused(&answer, 429, "RATE_LIMITED");
                    // A second more where two came at once.
                    assert!((1..=901).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
                    over += 1;
                }
            }
        }
        assert_eq!((passed, over), (limit, 20), "{tier}");
    }
}
