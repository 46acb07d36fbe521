//! A service whose requests need an API key. A middleware asks Keydesk's key plane about each request, and lets it
//! through only if the key plane calls the key valid.
//!
//! ```text
//! export KEYDESK_SERVICE_KEY=$(keydesk service-key create --name reports --capability verify)
//! cargo run --example axum_service
//! curl -H "x-api-key: $KEY" http://127.0.0.1:8080/reports
//! ```

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{ConnectInfo, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let service_key = std::env::var("KEYDESK_SERVICE_KEY").map_err(|_| "KEYDESK_SERVICE_KEY is not set")?;
    let guard = Guard::new(&setting("KEYDESK_URL", "http://127.0.0.1:3001"), &service_key, "read")?;
    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:8080")).await?;
    eprintln!("Listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(guard).into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

pub fn app(guard: Guard) -> Router {
    Router::new()
        .route("/reports", get(reports))
        // If there is a proxy in front, take the client's address from the header that it sets, not from the socket.
        .route_layer(middleware::from_fn_with_state(Arc::new(guard), require_key))
}

async fn reports(Extension(caller): Extension<Caller>) -> String {
    format!("The reports of {}\n", caller.org)
}

/// The organization of the key. Every request that reaches a handler has one.
#[derive(Clone)]
pub struct Caller {
    pub org: String,
}

/// A client of the key plane.
pub struct Guard {
    http: reqwest::Client,
    verify_url: String,
    service_key: HeaderValue,
    /// The scope that every request needs.
    scope: &'static str,
}

impl Guard {
    pub fn new(keydesk: &str, service_key: &str, scope: &'static str) -> Result<Self, Box<dyn std::error::Error>> {
        let mut service_key = HeaderValue::from_str(&format!("Bearer {service_key}"))?;
        service_key.set_sensitive(true);
        // Neither a proxy nor a redirect may send the service key anywhere but to Keydesk.
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = http.connect_timeout(Duration::from_secs(2)).timeout(Duration::from_secs(5)).build()?;
        Ok(Self { http, verify_url: format!("{keydesk}/v1/keys/verify"), service_key, scope })
    }

    /// The verdict on a key, and the answer's headers. `None`: there is no verdict, so the request must be refused.
    async fn verify(&self, key: &str, client: SocketAddr) -> Option<(Verdict, HeaderMap)> {
        let body = json!({ "key": key, "scopes": [self.scope], "address": client.ip() });
        let request = self.http.post(&self.verify_url).header(header::AUTHORIZATION, &self.service_key).json(&body);
        // A status of 401 or 403 is about the service key. A refusal of the client's key has the status 200.
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let answer = answer.inspect_err(|error| eprintln!("Keydesk gave no verdict: {error}")).ok()?;
        let headers = answer.headers().clone();
        Some((answer.json().await.ok()?, headers))
    }
}

/// The verdict of the key plane. An answer that lacks a field is no verdict.
#[derive(Deserialize)]
struct Verdict {
    valid: bool,
    code: String,
    detail: String,
    /// Absent if the key is not known.
    org: Option<String>,
}

async fn require_key(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let Ok(key) = presented_key(request.headers()) else {
        return refusal(StatusCode::BAD_REQUEST, "AMBIGUOUS", "Send one API key, once.");
    };
    let Some((verdict, headers)) = guard.verify(key, client).await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "Keys cannot be checked right now.");
    };
    let mut response = match (verdict.valid, verdict.org) {
        (true, Some(org)) => {
            request.extensions_mut().insert(Caller { org });
            next.run(request).await
        }
        _ => refusal(status(&verdict.code), &verdict.code, &verdict.detail),
    };
    let challenge = match (response.status(), verdict.code.as_str()) {
        _ if verdict.valid => None,
        (StatusCode::UNAUTHORIZED, "MISSING") => Some("Bearer realm=\"reports\"".to_owned()),
        (StatusCode::UNAUTHORIZED, _) => Some("Bearer realm=\"reports\", error=\"invalid_token\"".to_owned()),
        (_, "INSUFFICIENT_SCOPE") => {
            Some(format!("Bearer realm=\"reports\", error=\"insufficient_scope\", scope=\"{}\"", guard.scope))
        }
        _ => None,
    };
    if let Some(challenge) = challenge.and_then(|challenge| HeaderValue::from_str(&challenge).ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(HeaderName::from_static(name), value.clone());
        }
    }
    response
}

/// The key that a client sent; empty if it sent none, on which Keydesk has a verdict too. `Err`: it sent two, and it is
/// not clear which one counts.
fn presented_key(headers: &HeaderMap) -> Result<&str, ()> {
    let single = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(()),
            (value, _) => value.map(|value| value.to_str().map_err(|_| ())).transpose(),
        }
    };
    let bearer = single(header::AUTHORIZATION)?.and_then(|text| text.strip_prefix("Bearer "));
    match (single(HeaderName::from_static("x-api-key"))?, bearer) {
        (Some(_), Some(_)) => Err(()),
        (key, bearer) => Ok(key.or(bearer).unwrap_or_default()),
    }
}

/// The status for a refusal's code. A code that this program does not know is a refusal too.
fn status(code: &str) -> StatusCode {
    match code {
        "INSUFFICIENT_SCOPE" | "NAMESPACE_NOT_ALLOWED" | "IP_NOT_ALLOWED" | "WRONG_ENVIRONMENT" => {
            StatusCode::FORBIDDEN
        }
        "RATE_LIMITED" | "USAGE_EXCEEDED" => StatusCode::TOO_MANY_REQUESTS,
        "UNAVAILABLE" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNAUTHORIZED,
    }
}

fn refusal(status: StatusCode, code: &str, detail: &str) -> Response {
    let problem = json!({ "title": "Refused", "status": status.as_u16(), "code": code, "detail": detail });
    let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Json(problem).into_response().into_body()).into_response()
}
