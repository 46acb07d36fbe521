//! Helios: "The same API key works for all endpoints (/api/v1/agent and /api/v1/lab-results)".

use super::{Deployment, Person, eventually, refused};
use crate::key_plane::proxies::{Kind, Stub};

const ENVIRONMENTS: [(&str, &str); 3] =
    [("development", "helios_dev_"), ("staging", "helios_staging_"), ("production", "helios_live_")];

/// A key's row in the list.
async fn row(person: &mut Person<'_>, name: &str) -> String {
    let page = person.get("/keys").await;
    let row = page.body.split("<tr").find(|row| row.contains(&format!(">{name}<"))).map(str::to_owned);
    row.unwrap_or_else(|| panic!("{name} is not in the list: {}", page.body))
}

#[tokio::test]
async fn keys_of_each_environment_are_created_viewed_and_revoked() {
    let helios = Deployment::of("helios").await;
    let mut owner = helios.owner("acme").await;
    let api = Stub::api();
    let proxy = Kind::HAProxy.start(helios.keys, api.address);
    let url = |path: &str| format!("http://{}{path}", proxy.address);
    // "Click Create New Key and give it a descriptive name (e.g., “Production API” or “Development API”)."
    // "Create separate API keys for development, staging, and production."
    let mut keys = Vec::new();
    for (environment, prefix) in ENVIRONMENTS {
        let name = format!("{environment} API");
        let key = owner.create(&[("name", &name), ("environment", environment), ("tier", "standard")]).await;
        assert!(key.starts_with(prefix));
        // "See when keys were created and last used"
        let row = row(&mut owner, &name).await;
        assert!(row.contains("<time") && row.contains("Never"), "{row}");
        keys.push((name, environment, key));
    }
    // "Include your API key in the x-api-key header with every request."
    for (_, environment, key) in &keys {
        for path in ["/api/v1/agent", "/api/v1/lab-results"] {
            helios.call("POST", &url(path), &[("x-api-key", key)], "{}").await.is(200);
            assert_eq!(api.take()[0].all("x-keydesk-environment"), [*environment]);
            // Wherever only one environment is served, the others' keys are refused.
            for (other, _) in ENVIRONMENTS {
                let query = format!("?environment={other}");
                let answer = helios.forward_expecting(&query, "POST", path, &[("x-api-key", key)]).await;
                assert_eq!(answer.status == 200, other == *environment);
            }
        }
    }
    let other = helios.call("POST", &url("/api/v1/other"), &[("x-api-key", &keys[0].2)], "{}").await;
    other.is(403).says("No route of the catalog");
    let used = tokio::sync::Mutex::new(&mut owner);
    eventually("the last use is shown", || async {
        !row(*used.lock().await, "production API").await.contains("Never")
    })
    .await;

    // "If authentication fails, you’ll receive a 401 Unauthorized response: Missing x-api-key header, Invalid or revoked API
    // key, Key from a different account"
    let production = keys[2].2.clone();
    let answer = async |headers: &[(&str, &str)]| {
        let answer = helios.call("POST", &url("/api/v1/agent"), headers, "{}").await;
        assert!(api.take().is_empty());
        answer
    };
    refused(&answer(&[]).await, 401, "MISSING");
    refused(&answer(&[("authorization", &format!("Bearer {production}"))]).await, 401, "MISSING");
    refused(&answer(&[("x-api-key", "helios_live_nonsense")]).await, 401, "MALFORMED");
    let unknown = "helios_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17";
    refused(&answer(&[("x-api-key", unknown)]).await, 401, "NOT_FOUND");
    let account = |org: &str| format!("?org={org}");
    let key = [("x-api-key", production.as_str())];
    helios.forward_expecting(&account("acme"), "POST", "/api/v1/agent", &key).await.is(200);
    let different = helios.forward_expecting(&account("globex"), "POST", "/api/v1/agent", &key).await;
    refused(&different, 401, "NOT_FOUND");

    // "Revoke compromised keys without affecting production", "Immediately disable individual keys"
    owner.revoke(&keys[0].2).await;
    refused(&answer(&[("x-api-key", &keys[0].2)]).await, 401, "REVOKED");
    assert_eq!(helios.verdict(&production).await, "VALID");
    // "Emergency disable all keys at once"
    owner.post("keys/revoke-all", &[("confirmation", "acme")]).await.is(200).says("Revoked 2 keys.");
    for (_, _, key) in &keys {
        refused(&answer(&[("x-api-key", key)]).await, 401, "REVOKED");
    }
}

#[tokio::test]
async fn each_environment_has_a_webhook_secret() {
    let helios = Deployment::of("helios").await;
    let mut owner = helios.owner("acme").await;
    let mut secrets = Vec::new();
    for (environment, _) in ENVIRONMENTS {
        // "Create a new webhook secret (shown once)", "Replace with a new secret (invalidates the old one)"
        for verb in ["generate", "regenerate"] {
            let idempotency_key = uuid::Uuid::new_v4().to_string();
            let form = [("idempotency_key", idempotency_key.as_str()), ("environment", environment)];
            let secret = owner.post(&format!("webhooks/{verb}"), &form).await.is(200).field("issued-secret");
            assert!(secret.starts_with("whsec_") && !secrets.contains(&secret));
            owner.get(&format!("/webhooks?environment={environment}")).await.is(200).says_not(&secret);
            secrets.push(secret);
        }
    }
    // The same by the management API, which knows which environments have one.
    let token = owner.token().await;
    let listed = helios.api(&token, "GET", "/api/v1/webhook-secrets", "").await;
    let path = "/api/v1/webhook-secrets/regenerate";
    let answer = helios.api(&token, "POST", path, r#"{ "environment": "production" }"#).await;
    assert!(answer.body.contains("whsec_"), "{}", answer.body);
    for (environment, _) in ENVIRONMENTS {
        listed.is(200).says(environment);
    }
    for secret in &secrets {
        listed.says_not(secret);
    }
}
