//! Heffl: "API keys operate at the workspace level."

use serde_json::{Value, json};

use super::{Deployment, refused};
use crate::key_plane::proxies::{Kind, Stub};

#[tokio::test]
async fn a_workspaces_keys_are_taken_in_one_header_and_refusals_say_why() {
    let heffl = Deployment::of("heffl").await;
    let mut owner = heffl.owner("acme").await;
    let api = Stub::api();
    let proxy = Kind::Nginx.start(heffl.keys, api.address);
    let url = |path: &str| format!("http://{}{path}", proxy.address);
    // "Name your key to identify its purpose (e.g., “Website Forms”, “Data Sync”)"
    let key = owner.create(&[("name", "Website Forms"), ("environment", "production"), ("tier", "standard")]).await;
    let ask = async |headers: &[(&str, &str)]| heffl.call("GET", &url("/v1/leads"), headers, "").await;
    // "Currently, API keys have access to all available API endpoints."
    for (method, path) in [("GET", "/v1/leads"), ("POST", "/v1/deals"), ("DELETE", "/v1/deals/7"), ("GET", "/")] {
        heffl.call(method, &url(path), &[("x-api-key", &key)], "").await.is(200);
        assert_eq!(api.take()[0].all("x-keydesk-org"), ["acme"]);
    }
    // "Verify the API key is included in the x-api-key header (not Authorization)"
    for name in ["Bearer", "Basic"] {
        let answer = ask(&[("authorization", &format!("{name} {key}"))]).await;
        refused(&answer, 401, "MISSING");
        let told = answer.says("Send your API key in the x-api-key header");
        assert!(name != "Bearer" || told.body.contains("Authorization: Bearer does not count here."), "{}", told.body);
    }
    refused(&ask(&[]).await, 401, "MISSING");
    // A Bearer of the web app's beside it changes nothing.
    ask(&[("x-api-key", &key), ("authorization", "Bearer of-the-web-app")]).await.is(200);
    api.take();
    // "Ensure there are no extra spaces or line breaks in the key"
    let (begin, end) = key.split_at(20);
    let answer = ask(&[("x-api-key", &format!("{begin} {end}"))]).await;
    refused(&answer, 401, "MALFORMED");
    answer.says("space").says("line break");
    let service = heffl.run(&["service-key", "create", "--name", "api", "--capability", "verify"], "");
    let bearer = format!("Bearer {service}");
    // No header can hold a line break; where a service passes on what it was given, this is what it is told.
    for written in [format!("{key}\n"), format!("{begin}\r\n{end}"), format!(" {key}")] {
        let body = json!({ "key": written });
        let told = heffl.ask("POST", "/v1/keys/verify", &[("authorization", &bearer)], &body).await.is(200).json();
        assert_eq!(told["code"], "MALFORMED");
        assert!(told["detail"].as_str().unwrap().contains("line break"), "{told}");
    }
    // "403 Forbidden: […] Check that the key was created in the correct workspace"
    let key_header = [("x-api-key", key.as_str())];
    heffl.forward_expecting("?org=acme", "GET", "/v1/leads", &key_header).await.is(200);
    refused(&heffl.forward_expecting("?org=globex", "GET", "/v1/leads", &key_header).await, 403, "NOT_FOUND");
    // "API keys do not expire automatically. They remain active until manually revoked."
    assert_eq!(heffl.whoami(&key_header).await.is(200).json()["expires_at"], Value::Null);
    owner.revoke(&key).await;
    refused(&ask(&key_header).await, 401, "REVOKED");
    assert!(api.take().is_empty());
}

/// "A key has access to all data within the workspace it was created in, subject to the same data boundaries as the user
/// who created it."
#[tokio::test]
async fn a_key_goes_no_further_than_who_made_it() {
    let heffl = Deployment::of("heffl").await;
    let mut owner = heffl.owner("acme").await;
    heffl.add(&["--email", "dev@acme.example", "--name", "Dev", "--org", "acme", "--role", "developer"]);
    let mut developer = heffl.sign_in("dev@acme.example").await;
    let fields =
        [("name", "Data Sync"), ("allow_duplicate_name", "true"), ("environment", "production"), ("tier", "standard")];
    let (theirs, owners) = (developer.create(&fields).await, owner.create(&fields).await);
    for key in [&theirs, &owners] {
        heffl.forward("GET", "/v1/leads", &[("x-api-key", key)]).await.is(200);
    }
    // Who may see nothing any more takes their keys with them, at once; a colleague's go on.
    heffl.run(&["user", "disable", "--email", "dev@acme.example"], "");
    refused(&heffl.forward("GET", "/v1/leads", &[("x-api-key", &theirs)]).await, 401, "SUSPENDED");
    heffl.forward("GET", "/v1/leads", &[("x-api-key", &owners)]).await.is(200);
}
