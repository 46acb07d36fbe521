//! `GET /v1/forward-auth`: a reverse proxy describes a request, and lets it through if the answer is 2xx.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension,
    extract::{ConnectInfo, Query, Request, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use super::{
    KeyPlane,
    judge::{Judged, Question},
    wire,
};
use crate::{
    catalog::{
        Catalog,
        routes::{Path, needs},
    },
    client,
    keys::verdict::{KeyRecord, Requirements, Verdict, effective_scopes},
    machine_http::{
        self, Problem, RequestId,
        credential::{self, Ambiguous},
    },
};

/// What the proxy's configuration may require in addition to the route.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectations {
    /// Keys of any other environment are `WRONG_ENVIRONMENT`.
    environment: Option<String>,
    /// Slug or id: keys of any other organization are `NOT_FOUND`.
    org: Option<String>,
    /// Repeats the problem document in a header of the answer, for nginx, which reads no body of it.
    problem_in_header: bool,
}

const X_KEYDESK_PROBLEM: HeaderName = HeaderName::from_static("x-keydesk-problem");
/// A proxy has room for a few kilobytes of headers, and a detail can quote what the client sent.
const MAX_PROBLEM_BYTES: usize = 2048;

/// The header with the request's method, as Caddy and Traefik call it and as the configuration for nginx does.
const METHOD_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-method"), HeaderName::from_static("x-original-method")];
/// The header with the request's path and query, likewise.
const TARGET_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-uri"), HeaderName::from_static("x-original-uri")];

/// The value of a header that may have two names. It is an error if two values differ, since a client may have written one
/// of them.
fn described<'a>(headers: &'a HeaderMap, names: &[HeaderName; 2]) -> Result<Option<&'a str>, ()> {
    let mut value = None;
    for header in names.iter().flat_map(|name| headers.get_all(name)) {
        let text = header.to_str().map_err(|_| ())?;
        // Some proxies send an empty header for one that they clear.
        if text.is_empty() {
            continue;
        }
        if value.is_some_and(|known| known != text) {
            return Err(());
        }
        value = Some(text);
    }
    Ok(value)
}

pub async fn forward_auth(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    expectations: Result<Query<Expectations>, QueryRejection>,
    request: Request,
) -> Response {
    let Ok(Query(expectations)) = expectations else {
        let detail = "The query may hold environment=, org= and problem_in_header=true, once each, and nothing else.";
        return Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail, id.0).into_response();
    };
    let in_header = expectations.problem_in_header;
    let answer = judged(&plane, id, peer, &expectations, request.headers()).await;
    if in_header && !answer.status().is_success() { with_problem_in_header(answer).await } else { answer }
}

/// The same answer with its body in a header as well, as JSON escaped to ASCII, unless that is too long.
async fn with_problem_in_header(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let ascii: String = String::from_utf8_lossy(&body)
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect();
    if ascii.len() <= MAX_PROBLEM_BYTES
        && let Ok(value) = HeaderValue::from_str(&ascii)
    {
        parts.headers.insert(X_KEYDESK_PROBLEM, value);
    }
    Response::from_parts(parts, body.into())
}

async fn judged(
    plane: &KeyPlane,
    id: RequestId,
    peer: SocketAddr,
    expectations: &Expectations,
    headers: &HeaderMap,
) -> Response {
    let (Ok(method), Ok(target)) = (described(headers, &METHOD_HEADERS), described(headers, &TARGET_HEADERS)) else {
        let detail =
            "The request is described in two ways that differ. Let the proxy clear the headers that it does not set.";
        return Problem::new(StatusCode::BAD_REQUEST, "ambiguous-request", detail, id.0).into_response();
    };
    let (Some(method), Some(target)) = (method, target) else {
        let detail = "The proxy has to describe the request: X-Forwarded-Method and X-Forwarded-Uri, or X-Original-Method and \
                      X-Original-URI.";
        return Problem::new(StatusCode::BAD_REQUEST, "no-request", detail, id.0).into_response();
    };
    let credential = match credential::from_headers(headers, plane.catalog.headers) {
        Ok(credential) => credential,
        Err(Ambiguous(detail)) => return Problem::ambiguous(detail, id.0).into_response(),
    };
    let path = Path::parse(target);
    let needed = path.as_ref().and_then(|path| needs(&plane.catalog.routes, method, path));
    let client = plane.proxies.resolve(peer, headers);
    let unrouted = needed.is_none();
    let needed = needed.unwrap_or_default();
    // Step 2: what the proxy and the route require.
    let requirements = Requirements {
        orgs: [needed.org.as_deref(), expectations.org.as_deref()],
        environment: expectations.environment.as_deref(),
        namespace: needed.namespace.as_deref(),
        scopes: needed.scopes,
        address: client.known(),
    };
    let question = Question {
        credential,
        requirements,
        request_id: id.0,
        agent: client::agent(headers),
        via: None,
        dry_run: false,
        // No key passes where there is no route, but a bad one is told so first.
        routed: !unrouted,
        request: (method, target.split(['?', '#']).next().unwrap_or_default()),
    };
    let judged = plane.judge(question).await;
    match judged {
        Judged { verdict: Verdict::Valid, .. } if unrouted => {
            let detail = "No route of the catalog matches this request, so it is refused.";
            Problem::new(StatusCode::FORBIDDEN, "no-such-route", detail, id.0).into_response()
        }
        Judged { verdict: Verdict::Valid, key: Some(key), rate_limit, .. } => {
            // Step 8.
            let mut response = StatusCode::OK.into_response();
            identify(response.headers_mut(), &plane.catalog, &key);
            wire::set_rate_limit_headers(response.headers_mut(), rate_limit);
            response
        }
        Judged { verdict, rate_limit, .. } => plane.refusal(&verdict, id, rate_limit),
    }
}

/// Tells the service behind the proxy whose key it is. Every header is always there, even if empty, so that a proxy that
/// copies them overwrites what a client sent under the same name.
fn identify(headers: &mut HeaderMap, catalog: &Catalog, key: &KeyRecord) {
    // Room for these, for the rate limit, and for what every answer carries.
    headers.reserve(16);
    // Slugs, and names that the catalog and the lifecycle hold to ASCII.
    let text = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    headers.insert(HeaderName::from_static("x-keydesk-org"), text(&key.org));
    headers.insert(HeaderName::from_static("x-keydesk-org-id"), machine_http::id_value(key.org_id.0));
    headers.insert(HeaderName::from_static("x-keydesk-key-id"), machine_http::id_value(key.id.0));
    headers.insert(HeaderName::from_static("x-keydesk-environment"), text(&key.environment));
    headers.insert(HeaderName::from_static("x-keydesk-tier"), text(&key.tier));
    headers.insert(HeaderName::from_static("x-keydesk-scopes"), text(&words(effective_scopes(catalog, key))));
    headers.insert(
        HeaderName::from_static("x-keydesk-namespaces"),
        text(&words(key.namespaces.iter().map(String::as_str))),
    );
}

/// Words with a space between them, in one allocation for nearly every key.
fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::with_capacity(128);
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text += word;
    }
    text
}
