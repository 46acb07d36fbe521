//! The documentation's example of a service, as it stands, in front of a real server.

use std::net::SocketAddr;

use super::conformance::Deployment;
use crate::world::Answer;

#[allow(dead_code, reason = "its main is not called here")]
#[path = "../../../examples/axum_service.rs"]
mod axum_service;

/// The service, asking this Keydesk with this service key; its address.
async fn serve(keydesk: SocketAddr, service_key: &str) -> String {
    let guard = axum_service::Guard::new(&format!("http://{keydesk}"), service_key, "contracts").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/reports", listener.local_addr().unwrap());
    let app = axum_service::app(guard).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// A refusal, and its `WWW-Authenticate`.
#[track_caller]
fn refused<'a>(answer: &'a Answer, status: u16, code: &str) -> &'a str {
    answer.is(status);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!((&answer.json()["code"], &answer.json()["status"]), (&code.into(), &status.into()));
    answer.header("www-authenticate")
}

#[tokio::test]
async fn the_service_lets_good_keys_through_and_nobody_else() {
    let mut desk = Deployment::of("heir").await;
    desk.add(&["--email", "ada@acme.example", "--name", "Ada", "--org", "acme"]);
    let key = |more: &[&str]| {
        desk.run(&[&["key", "create", "--org", "acme", "--name", "CI", "--allow-duplicate-name"], more].concat(), "")
    };
    let (good, bare) = (key(&["--scope", "contracts"]), key(&[]));
    let elsewhere = key(&["--scope", "contracts", "--ip", "203.0.113.7/32"]);
    let service_key = desk.run(&["service-key", "create", "--name", "reports", "--capability", "verify"], "");
    let operator = desk.run(&["service-key", "create", "--name", "office", "--capability", "operate"], "");
    let url = serve(desk.keys, &service_key).await;
    let ask = async |headers: &[(&str, &str)]| desk.call("GET", &url, headers, "").await;
    let bearer = format!("Bearer {good}");

    let answer = ask(&[("x-api-key", &good)]).await;
    assert_eq!(answer.is(200).body, "The reports of acme\n");
    assert_eq!(answer.header("ratelimit-policy"), "\"public\";q=100;w=900");
    assert!(answer.header("ratelimit").starts_with("\"public\";r=99;"));
    ask(&[("authorization", &bearer)]).await.is(200);

    assert_eq!(refused(&ask(&[]).await, 401, "MISSING"), "Bearer realm=\"reports\"");
    let nonsense = ask(&[("x-api-key", "nonsense")]).await;
    assert!(refused(&nonsense, 401, "MALFORMED").ends_with("error=\"invalid_token\""));
    let bare = ask(&[("x-api-key", &bare)]).await;
    assert!(refused(&bare, 403, "INSUFFICIENT_SCOPE").ends_with("error=\"insufficient_scope\", scope=\"contracts\""));
    refused(&ask(&[("x-api-key", &elsewhere)]).await, 403, "IP_NOT_ALLOWED");
    // One cannot be hidden behind another.
    for twice in
        [[("x-api-key", good.as_str()), ("x-api-key", "x")], [("x-api-key", &good), ("authorization", &bearer)]]
    {
        refused(&ask(&twice).await, 400, "AMBIGUOUS");
    }

    for _ in 2..100 {
        ask(&[("x-api-key", &good)]).await.is(200);
    }
    let over = ask(&[("x-api-key", &good)]).await;
    refused(&over, 429, "RATE_LIMITED");
    assert!((1..=900).contains(&over.header("retry-after").parse::<u64>().unwrap()));
    let digest = keydesk::secrets::Digest::of(good.as_bytes()).to_hex();
    desk.run(&["key", "revoke", "--digest", &digest, "--reason", "other"], "");
    let revoked = ask(&[("x-api-key", &good)]).await;
    assert!(refused(&revoked, 401, "REVOKED").ends_with("error=\"invalid_token\""));

    // Whatever goes wrong between the two, nobody passes: a service key that may not ask, or is none; no Keydesk.
    let fresh = key(&["--scope", "contracts"]);
    for service_key in [operator.as_str(), "nonsense", &fresh] {
        let url = serve(desk.keys, service_key).await;
        refused(&desk.call("GET", &url, &[("x-api-key", &fresh)], "").await, 503, "UNAVAILABLE");
    }
    desk.call("GET", &url, &[("x-api-key", &fresh)], "").await.is(200);
    desk.stop();
    refused(&desk.call("GET", &url, &[("x-api-key", &fresh)], "").await, 503, "UNAVAILABLE");
}
