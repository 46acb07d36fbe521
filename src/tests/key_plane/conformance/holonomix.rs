//! HolonomiX: "All data and query endpoints require a tenant API key. Admin endpoints require the service key."

use keydesk::secrets::Digest;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::{Deployment, refused};
use crate::{
    key_plane::proxies::{Kind, Stub},
    world::Answer,
};

/// The documentation's request, with a namespace.
fn get(namespace: &str) -> String {
    format!("/v1/get/{namespace}/my-key")
}

/// What the back office does with its service key.
struct Office<'a> {
    holonomix: &'a Deployment,
    bearer: String,
}

impl Office<'_> {
    async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        self.holonomix.ask(method, path, &[("authorization", &self.bearer)], &body).await
    }

    /// "API keys are issued during tenant onboarding": the tenant's first.
    async fn onboard(&self, tenant: &str) -> String {
        self.ask("POST", "/gate/admin/tenants", json!({ "tenant_id": tenant, "name": tenant })).await.is(201);
        let body = json!({ "tenant_id": tenant, "namespaces": ["default"] });
        let made = self.ask("POST", "/gate/onboard/first-key", body).await.is(201).json();
        made["api_key"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn tenants_are_onboarded_isolated_and_rotated() {
    let holonomix = Deployment::of("holonomix").await;
    let service = ["service-key", "create", "--name", "gate", "--capability", "operate"];
    let service = holonomix.run(&service, "");
    let office = Office { holonomix: &holonomix, bearer: format!("Bearer {service}") };
    let (key, other) = (office.onboard("acme-corp").await, office.onboard("globex").await);
    let api = Stub::api();
    let proxy = Kind::Caddy.start(holonomix.keys, api.address);
    let url = |path: &str| format!("http://{}{path}", proxy.address);

    // "Keys follow the format: hx_live_<random_string>"
    assert!(key.starts_with("hx_live_"));
    // "Include the key in the X-Api-Key header […] or use Authorization: Bearer. […] If both are present, X-Api-Key takes
    // precedence."
    let (bearer, others) = (format!("Bearer {key}"), format!("Bearer {other}"));
    for headers in [
        &[("X-Api-Key", key.as_str())][..],
        &[("Authorization", &bearer)],
        &[("X-Api-Key", &key), ("Authorization", &others)],
        &[("Authorization", &others), ("X-Api-Key", &key)],
        &[("X-Api-Key", &key), ("Authorization", "Bearer nonsense")],
    ] {
        assert_eq!(holonomix.call("GET", &url(&get("default")), headers, "").await.is(200).body, "upstream");
        assert_eq!(api.take()[0].all("x-keydesk-org"), ["acme-corp"], "{headers:?}");
    }
    let nonsense = [("X-Api-Key", "nonsense"), ("Authorization", bearer.as_str())];
    refused(&holonomix.call("GET", &url(&get("default")), &nonsense, "").await, 401, "MALFORMED");

    // "Requests to namespaces outside your ACL return 403 Forbidden."
    let staging = async || holonomix.call("GET", &url(&get("staging")), &[("X-Api-Key", &key)], "").await;
    let answer = staging().await;
    assert_eq!(answer.is(403).json()["detail"], "Namespace 'staging' not permitted for tenant 'acme-corp'");
    assert!(api.take().is_empty());
    // "To add a namespace […] use the admin API"
    let body = json!({ "tenant_id": "acme-corp", "namespace": "staging" });
    office.ask("POST", "/gate/onboard/add-namespace", body).await.is(200);
    staging().await.is(200);
    let theirs = holonomix.call("GET", &url(&get("staging")), &[("X-Api-Key", &other)], "").await;
    assert_eq!(theirs.is(403).json()["detail"], "Namespace 'staging' not permitted for tenant 'globex'");
    api.take();

    // "The old key is immediately invalidated."
    let answer = office.ask("POST", "/gate/onboard/rotate-key", json!({ "tenant_id": "acme-corp" })).await;
    refused(&holonomix.call("GET", &url(&get("default")), &[("X-Api-Key", &key)], "").await, 401, "ROTATED");
    assert!(api.take().is_empty());
    let new = answer.is(200).json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!(answer.json(), json!({ "tenant_id": "acme-corp", "api_key": new }));
    for namespace in ["default", "staging"] {
        holonomix.call("GET", &url(&get(namespace)), &[("X-Api-Key", &new)], "").await.is(200);
    }
    assert!(new.starts_with("hx_live_"));

    // "Keys are SHA-256 hashed before storage. The plaintext key is shown once at creation and cannot be recovered."
    let mut database = holonomix.database().connect().await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
        .fetch_all(&mut database)
        .await
        .unwrap();
    for secret in [&key, &new, &other, &service] {
        let kept: i64 = sqlx::query_scalar("select count(*) from (select digest from api_keys union all select digest from service_keys) kept where digest = $1")
            .bind(Digest::of(secret.as_bytes()).as_bytes().to_vec())
            .fetch_one(&mut database)
            .await
            .unwrap();
        assert_eq!(kept, 1);
        for table in &tables {
            let query = format!("select count(*) from {table} r where r::text like '%' || $1 || '%'");
            let found: i64 =
                sqlx::query_scalar(AssertSqlSafe(query)).bind(&secret[8..]).fetch_one(&mut database).await.unwrap();
            assert_eq!(found, 0, "{table} holds a key");
        }
    }
    assert!(tables.len() > 10);

    // "Admin endpoints (/gate/admin/*, /gate/onboard/*) are authenticated with the engine service key, not tenant API keys."
    let answer = office.ask("GET", "/gate/admin/tenants", Value::Null).await.is(200).json();
    let tenants: Vec<&str> =
        answer["data"].as_array().unwrap().iter().map(|t| t["tenant_id"].as_str().unwrap()).collect();
    assert_eq!(tenants, ["acme-corp", "globex"]);
    let (key, as_key) = (format!("Bearer {new}"), ("x-api-key", service.as_str()));
    for header in [("authorization", key.as_str()), ("x-api-key", &new), as_key] {
        holonomix.ask("GET", "/gate/admin/tenants", &[header], &Value::Null).await.is(401);
        for path in ["/gate/onboard/rotate-key", "/gate/onboard/add-namespace"] {
            holonomix.ask("POST", path, &[header], &json!({ "tenant_id": "acme-corp" })).await.is(401);
        }
    }
    // Nor is the service key one for data.
    holonomix.call("GET", &url(&get("default")), &[("authorization", &office.bearer)], "").await.is(401);
    assert_eq!(holonomix.verdict(&new).await, "VALID");
}
