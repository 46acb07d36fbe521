//! `GET /v1/forward-auth`: a reverse proxy describes a request, and lets it through if the answer is 2xx.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension,
    extract::{ConnectInfo, Query, Request, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    KeyPlane,
    judge::{Judged, Question},
    openapi::KeyRefusals,
    wire,
};
use crate::{
    catalog::{
        Catalog,
        routes::{Path, needs},
    },
    client,
    keys::verdict::{KeyRecord, Requirements, Verdict, effective_scopes},
    machine_http::{Problem, credential},
    response_headers::{RequestId, id_value},
};

/// What the proxy's configuration may require in addition to the route.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Expectations {
    /// Keys of any other environment are `WRONG_ENVIRONMENT`.
    environment: Option<String>,
    /// Slug or id: keys of any other organization are `NOT_FOUND`.
    org: Option<String>,
    /// Repeats the problem document in the header `x-keydesk-problem`, if it fits: for nginx, which reads no body of the
    /// answer.
    problem_in_header: bool,
}

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

/// Ask on behalf of a reverse proxy
///
/// The proxy describes the request that it holds, with the headers of one of the two kinds, and lets it through if the answer
/// is 200. It may ask with any method.
#[utoipa::path(
    get, path = "/v1/forward-auth", tag = "Keys", operation_id = "forwardAuth",
    security(("api_key" = []), ("api_key_as_bearer" = [])),
    params(
        Expectations,
        ("x-forwarded-method" = Option<String>, Header, description = "The request's method, from Caddy and Traefik."),
        ("x-forwarded-uri" = Option<String>, Header, description = "The request's path and query."),
        ("x-original-method" = Option<String>, Header, description = "The request's method, from nginx."),
        ("x-original-uri" = Option<String>, Header, description = "The request's path and query.")
    ),
    responses(
        (status = 200, description = "The request may pass. The headers are for the service behind the proxy.", headers(
            ("x-keydesk-org" = String, description = "The organization's slug."),
            ("x-keydesk-org-id" = String, description = "The organization's id."),
            ("x-keydesk-key-id" = String, description = "The key's id."),
            ("x-keydesk-environment" = String, description = "The key's environment."),
            ("x-keydesk-tier" = String, description = "The key's tier."),
            ("x-keydesk-scopes" = String, description = "The scopes that the key has today, parted by spaces."),
            ("x-keydesk-namespaces" = String, description = "The namespaces that the key may enter, parted by spaces. Empty: all."),
            ("ratelimit-policy" = String, description = "The tier, its calls, and their window in seconds, where there is a limit."),
            ("ratelimit" = String, description = "How many calls are left, and the seconds until there are more."),
        )),
        KeyRefusals
    )
)]
pub async fn forward_auth(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    expectations: Result<Query<Expectations>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(expectations) = expectations.map_err(|_| {
        Problem::bad_request(
            "The query may hold environment=, org= and problem_in_header=true, once each, and nothing else.",
        )
    })?;
    let answer = judged(&plane, id, peer, &expectations, request.headers()).await;
    answer.map_err(|problem| Problem { repeat_in_header: expectations.problem_in_header, ..problem })
}

async fn judged(
    plane: &KeyPlane,
    id: RequestId,
    peer: SocketAddr,
    expectations: &Expectations,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let (Ok(method), Ok(target)) = (described(headers, &METHOD_HEADERS), described(headers, &TARGET_HEADERS)) else {
        let detail =
            "The request is described in two ways that differ. Let the proxy clear the headers that it does not set.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "ambiguous-request", detail));
    };
    let (Some(method), Some(target)) = (method, target) else {
        let detail = "The proxy has to describe the request: X-Forwarded-Method and X-Forwarded-Uri, or X-Original-Method and \
                      X-Original-URI.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "no-request", detail));
    };
    let credential = credential::from_headers(headers, plane.catalog.headers)?;
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
            Err(Problem::new(StatusCode::FORBIDDEN, "no-such-route", detail))
        }
        Judged { verdict: Verdict::Valid, key: Some(key), rate_limit, .. } => {
            // Step 8.
            let mut response = StatusCode::OK.into_response();
            identify(response.headers_mut(), &plane.catalog, &key);
            response.headers_mut().extend(wire::rate_limit_headers(rate_limit));
            Ok(response)
        }
        Judged { verdict, rate_limit, .. } => Err(plane.refusal(&verdict, rate_limit)),
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
    headers.insert(HeaderName::from_static("x-keydesk-org-id"), id_value(key.org_id.0));
    headers.insert(HeaderName::from_static("x-keydesk-key-id"), id_value(key.id.0));
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
