//! What every answer to a browser carries, and what is refused before anything is looked at.

use axum::body::Body;
use leptos::server_fn::axum::server_fn_paths;

use crate::world::{ORIGIN, World};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn a_foreign_origin_is_refused_on_every_path_that_changes_anything() {
    let world = World::new().await;
    let browser = world.owner_of("acme").await;
    let mut paths: Vec<&str> = server_fn_paths().map(|(path, _)| path).collect();
    paths.extend(["/", "/keys", "/no/such/path", "/healthz"]);
    for path in paths {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            for (origin, site) in [
                (None, None),
                (Some("https://evil.example"), None),
                (Some("null"), None),
                (Some("http://localhost:3001"), None),
                (Some("https://evil.example"), Some("cross-site")),
                (Some(ORIGIN), Some("same-site")),
                (Some(ORIGIN), Some("none")),
            ] {
                let mut browser = browser.clone();
                browser.origin = origin.map(str::to_owned);
                let mut headers = vec![FORM];
                headers.extend(site.map(|site| ("sec-fetch-site", site)));
                let answer = browser.request(method, path, Body::empty(), &headers).await;
                assert_eq!(answer.status, 403, "{method} {path} {origin:?} {site:?}");
                assert!(answer.header("set-cookie").is_empty());
            }
        }
    }
    // The session is still there: nothing was done in its name.
    browser.clone().get("/keys").await.is(200);
}

#[tokio::test]
async fn reading_changes_nothing_and_unknown_methods_are_405() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    world.key("acme", &[], "never").await;
    for (path, _) in server_fn_paths() {
        for method in ["GET", "HEAD"] {
            let answer = browser.request(method, &format!("{path}?confirmation=acme"), Body::empty(), &[]).await;
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
    for method in ["OPTIONS", "TRACE", "PUT", "DELETE", "BREW"] {
        let answer = browser.request(method, "/keys", Body::empty(), &[("sec-fetch-site", "same-origin")]).await;
        assert_eq!(answer.status, 405, "{method}");
    }
    assert_eq!(world.count("acme").await, (1, 1));
}

#[tokio::test]
async fn every_answer_carries_its_security_headers() {
    let world = World::new().await;
    let mut owner = world.owner_of("acme").await;
    let asset =
        owner.get("/keys").await.body.split("href=\"/pkg/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let asset = format!("/pkg/{asset}");
    for path in [
        "/keys",
        "/sign-in",
        "/no-such",
        "/healthz",
        "/favicon.svg",
        "/audit/export",
        "/support",
        "/pkg/none.js",
        asset.as_str(),
    ] {
        let answer = owner.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert!(answer.header("strict-transport-security").is_empty(), "only over TLS");
        let policy = answer.header("content-security-policy");
        if answer.header("content-type").starts_with("text/html") {
            let nonce = policy.split("nonce-").nth(1).unwrap().split('\'').next().unwrap();
            assert_eq!(
                policy,
                format!(
                    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; connect-src \
                     'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
                )
            );
            assert!(!answer.body.contains(" style="), "{path} has an inline style");
            assert!(
                answer.body.split("<script").skip(1).all(|tag| tag.contains(&format!("nonce=\"{nonce}\""))),
                "{path}"
            );
        } else {
            assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{path}");
        }
        let kept = match path {
            "/favicon.svg" => "public, max-age=3600",
            path if path == asset => "public, max-age=31536000, immutable",
            _ => "no-store",
        };
        assert_eq!(answer.header("cache-control"), kept, "{path}");
    }
    let nonces: std::collections::HashSet<String> = [owner.get("/keys").await, owner.get("/keys").await]
        .iter()
        .map(|answer| answer.header("content-security-policy").to_owned())
        .collect();
    assert_eq!(nonces.len(), 2, "a nonce is used once");
}

#[tokio::test]
async fn files_are_served_compressed_under_names_that_change_with_them() {
    let world = World::new().await;
    let mut anybody = world.anonymous();
    let css =
        anybody.get("/sign-in").await.body.split("href=\"/pkg/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(css.starts_with("keydesk-") && css.ends_with(".css") && css.len() == "keydesk-.css".len() + 12, "{css}");
    for (accepted, encoding) in [("br, gzip", "br"), ("gzip", "gzip"), ("identity", "")] {
        let answer =
            anybody.request("GET", &format!("/pkg/{css}"), Body::empty(), &[("accept-encoding", accepted)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, encoding));
        assert_eq!(answer.header("content-type"), "text/css");
    }
    for outside in ["/pkg/../assets.json", "/pkg/%2e%2e/assets.json", "/assets.json", "/pkg/", "/pkg"] {
        let answer = anybody.get(outside).await;
        assert!(answer.status.as_u16() >= 400 && !answer.body.contains("\"wasm\""), "{outside}: {}", answer.status);
    }
}

#[tokio::test]
async fn pages_are_compressed_and_answers_with_a_secret_are_not() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    let accepts = ("accept-encoding", "br, gzip");
    assert_eq!(browser.request("GET", "/keys", Body::empty(), &[accepts]).await.header("content-encoding"), "br");
    let form =
        "idempotency_key=0192f0c1-2345-7abc-8def-0123456789ab&name=CI&environment=live&tier=standard&expires=never";
    let made = browser.request("POST", "/console/fn/keys/issue", form.into(), &[FORM, accepts]).await;
    made.is(200).says("Your new key");
    assert_eq!(made.header("content-encoding"), "");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    let answer = browser.request("POST", "/console/fn/keys/issue", vec![b'a'; 70_000].into(), &[FORM]).await;
    answer.is(413).says("larger than any form here");
}

#[tokio::test]
async fn credentials_of_programs_are_nothing_here() {
    let world = World::new().await;
    let key = world.key("acme", &["read", "write", "admin"], "never").await.secret;
    let service = world.service_key(&["verify", "operate"]).await;
    for secret in [key, service] {
        let bearer = format!("Bearer {secret}");
        for header in [
            ("x-api-key", secret.as_str()),
            ("authorization", bearer.as_str()),
            ("cookie", &format!("keydesk-3000={secret}")),
        ] {
            let answer = world.anonymous().request("GET", "/keys", Body::empty(), &[header]).await;
            assert_eq!((answer.status.as_u16(), answer.location()), (303, "/sign-in?next=%2Fkeys"));
            let answer = world
                .anonymous()
                .request("POST", "/console/fn/keys/revoke-all", "confirmation=acme".into(), &[FORM, header])
                .await;
            assert_eq!(answer.status, 401);
        }
    }
    assert_eq!(world.count("acme").await, (1, 1));
}
