//! HESO: "The org is resolved from the key, so no team or org id appears in any path."

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{Deployment, refused};
use crate::{
    key_plane::proxies::{Kind, Stub},
    process::Folder,
};

const SCOPES: [&str; 4] = ["receipts:write", "policy:read", "approvals:write", "audit:read"];
/// "POST /v1/receipts (mirror receipts), GET /v1/policy/pull (pull policy), the /v1/approvals endpoints (open and poll
/// approvals)": these are the provider's API.
const API: [(&str, &str, &str); 4] = [
    ("POST", "/v1/receipts", "receipts:write"),
    ("GET", "/v1/policy/pull", "policy:read"),
    ("POST", "/v1/approvals", "approvals:write"),
    ("GET", "/v1/approvals/7", "approvals:write"),
];
/// "and GET /v1/audit/chain": this is Keydesk's.
const CHAIN: &str = "/v1/audit/chain";

#[tokio::test]
async fn scopes_guard_the_cloud_behind_each_proxy_and_the_chain_is_keydesks() {
    let heso = Deployment::of("heso").await;
    let mut owner = heso.owner("acme").await;
    // "Create and manage API keys in the dashboard. […] Copy the key when it is created. It is shown once."
    let mut keys = Vec::new();
    for scope in SCOPES {
        let key =
            owner.create(&[("name", scope), ("environment", "live"), ("tier", "standard"), ("scopes[]", scope)]).await;
        owner.get("/keys").await.is(200).says(scope).says_not(&key);
        keys.push((scope, key));
    }
    let mut globex = heso.owner("globex").await;
    let theirs = [("name", "CI"), ("environment", "live"), ("tier", "standard"), ("scopes[]", "audit:read")];
    let theirs = globex.create(&theirs).await;
    for kind in Kind::ALL {
        let api = Stub::api();
        let proxy = kind.start_with(heso.keys, api.address, Kind::answering_the_audit_chain);
        let url = |path: &str| format!("http://{}{path}", proxy.address);
        for (scope, key) in &keys {
            // "Use either header. They are equivalent."
            let bearer = format!("Bearer {key}");
            for header in [("x-api-key", key.as_str()), ("authorization", bearer.as_str())] {
                for (method, path, needs) in API {
                    let (json, body) = (("content-type", "application/json"), r#"{"receipt":1}"#);
                    let (headers, body) =
                        if method == "POST" { (vec![header, json], body) } else { (vec![header], "") };
                    let answer = heso.call(method, &url(path), &headers, body).await;
                    let seen = api.take();
                    if *scope == needs {
                        assert_eq!(answer.is(200).body, "upstream", "{kind:?} {method} {path}");
                        assert_eq!((seen[0].all("x-keydesk-org"), seen[0].body.as_str()), (vec!["acme"], body));
                    } else {
                        refused(&answer, 403, "INSUFFICIENT_SCOPE");
                        assert!(answer.header("www-authenticate").ends_with(&format!("scope=\"{needs}\"")));
                        assert!(seen.is_empty(), "{kind:?}: {seen:?}");
                    }
                }
                let answer = heso.call("GET", &url(CHAIN), &[header], "").await;
                if *scope == "audit:read" {
                    verifies(&heso, &answer.is(200).body, "acme");
                } else {
                    refused(&answer, 403, "INSUFFICIENT_SCOPE");
                }
            }
        }
        // Only what is documented is let through.
        for (method, path) in
            [("GET", "/v1/receipts"), ("POST", "/v1/policy/pull"), ("GET", "/v1/approvalsx"), ("GET", "/")]
        {
            let answer = heso.call(method, &url(path), &[("x-api-key", &keys[0].1)], "").await;
            answer.is(403).says("No route of the catalog");
            assert!(api.take().is_empty(), "{kind:?} {method} {path}");
        }
        for (method, path, _) in [API.as_slice(), &[("GET", CHAIN, "")]].concat() {
            refused(&heso.call(method, &url(path), &[], "").await, 401, "MISSING");
        }
        let answer = heso.call("GET", &url(CHAIN), &[("x-api-key", &theirs)], "").await;
        verifies(&heso, &answer.is(200).body, "globex");
        assert!(api.take().is_empty(), "{kind:?}: the chain is none of the API's business");
    }
    // Revoked in the dashboard, it reads no more.
    owner.revoke(&keys[3].1).await;
    refused(&heso.ask("GET", CHAIN, &[("x-api-key", &keys[3].1)], &Value::Null).await, 401, "REVOKED");
    heso.ask("GET", CHAIN, &[("x-api-key", &theirs)], &Value::Null).await.is(200);
}

/// Whether `keydesk audit verify` takes it for the whole chain of an organization.
fn verifies(heso: &Deployment, chain: &str, org: &str) {
    assert!(chain.contains("\"actor_name\":\"Operator\"") && chain.contains(&format!("@{org}.example")), "{chain}");
    let file = heso.folder.0.join("audit.jsonl");
    std::fs::write(&file, chain).unwrap();
    let rows = chain.lines().count();
    let said = heso.run(&["audit", "verify", file.to_str().unwrap()], "");
    assert_eq!(said, format!("The audit log is whole: {rows} rows in 1 chain."));
}

#[tokio::test]
async fn dashboard_and_programs_have_different_credentials() {
    let heso = Deployment::of("heso").await;
    let mut owner = heso.owner("acme").await;
    let token = owner.token().await;
    let scopes = SCOPES.map(|scope| ("scopes[]", scope));
    let key = [[("name", "CI"), ("environment", "live"), ("tier", "standard")].as_slice(), &scopes].concat();
    let key = owner.create(&key).await;
    heso.api(&token, "GET", "/api/v1/api-keys", "").await.is(200).says("CI");
    // "Do not put a dashboard JWT in your SDK config": it is refused.
    let (bearer, session) = (format!("Bearer {token}"), owner.cookie.clone());
    for header in [("authorization", bearer.as_str()), ("x-api-key", &token), ("cookie", &session)] {
        heso.whoami(&[header]).await.is(401);
        heso.ask("GET", CHAIN, &[header], &Value::Null).await.is(401);
        for (method, path, _) in API {
            heso.forward(method, path, &[header]).await.is(401);
        }
    }
    // "and do not use an API key to sign into the console."
    let bearer = format!("Bearer {key}");
    let name = session.split('=').next().unwrap();
    for header in [
        ("authorization", bearer.clone()),
        ("x-api-key", key.clone()),
        ("cookie", format!("{name}={key}")),
        ("cookie", format!("access_token={key}")),
    ] {
        let header = [(header.0, header.1.as_str())];
        let console = heso.call("GET", &format!("{}/keys", heso.console), &header, "").await;
        assert!(console.is(303).location().starts_with("/sign-in"));
        heso.call("GET", &format!("{}/api/v1/api-keys", heso.console), &header, "").await.is(401);
    }
    let form = [("email", "ada@acme.example"), ("password", key.as_str()), ("next", "")];
    heso.anonymous().post("sign-in", &form).await.is(401);
    assert_eq!(heso.verdict(&key).await, "VALID");
}

#[tokio::test]
async fn a_self_hosted_org_points_at_its_own_hosts() {
    // "The cloud base URL is https://api.heso.ca. It is configurable per deployment, so a self-hosted org points at its own
    // host": a copy of the preset says which, and the console's origin is a setting.
    let folder = Folder::new();
    let own = folder.0.join("heso.toml");
    let text = include_str!("../../../catalog/presets/heso.toml");
    assert!(text.contains("base_url = \"https://api.heso.ca\""));
    std::fs::write(&own, text.replace("https://api.heso.ca", "https://heso.acme.example")).unwrap();
    let origin = "https://keys.acme.example";
    let heso = Deployment::with(own.to_str().unwrap(), Some(origin)).await;
    let mut owner = heso.owner("acme").await;
    assert!(owner.cookie.starts_with("__Host-keydesk="), "{}", owner.cookie);
    let page = owner.create_page(&[("name", "CI"), ("environment", "live"), ("tier", "standard")]).await;
    page.is(200).says("HESO_API_KEY").says("HESO_ENDPOINT").says("https://heso.acme.example").says_not("api.heso.ca");
    let token = owner.token().await;
    let answer = heso.api(&token, "GET", "/api/v1/api-keys", "").await;
    answer.is(200).says("CI");
    let claims = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["iss"], origin);
    // Forms count from that origin only, wherever the console listens.
    let headers = [("origin", heso.console.as_str()), ("cookie", &owner.cookie)];
    let headers = [headers.as_slice(), &[("content-type", "application/x-www-form-urlencoded")]].concat();
    heso.call("POST", &format!("{}/console/fn/sign-out", heso.console), &headers, "").await.is(403);
}
