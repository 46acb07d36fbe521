//! The key plane's routes and what every answer of it carries.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use uuid::Uuid;

use super::{KeyPlane, audit_chain, forward_auth, handlers, metrics, ready};
use crate::machine_http::{self, MAX_BODY, Problem, RequestId};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A request that takes longer is answered with 503.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

pub fn router(plane: KeyPlane) -> Router {
    router_beside(plane, Router::new())
}

/// The key plane's routes and others for programs on one listener, so that every answer carries the same headers.
pub fn router_beside(plane: KeyPlane, others: Router) -> Router {
    // Where the catalog does not offer it, there is nothing at this path.
    let audit_chain = match plane.catalog.audit_scope {
        Some(_) => Router::new().route("/v1/audit/chain", get(audit_chain::audit_chain)),
        None => Router::new(),
    };
    Router::new()
        .route("/healthz", get(handlers::healthz))
        .route("/readyz", get(ready::readyz))
        .route("/v1/whoami", get(handlers::whoami))
        // Envoy asks with the client's method; only headers are read.
        .route("/v1/forward-auth", any(forward_auth::forward_auth))
        .route("/v1/keys/verify", post(handlers::verify))
        .merge(audit_chain)
        .with_state(Arc::new(plane))
        .merge(others)
        .fallback(handlers::not_found)
        .method_not_allowed_fallback(handlers::method_not_allowed)
        // One layer made of three, since each layer of a router costs every call allocations.
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn(finish_response))
                .layer(CatchPanicLayer::custom(|_| internal_error()))
                .layer(DefaultBodyLimit::max(MAX_BODY as usize)),
        )
}

fn internal_error() -> Response {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong inside Keydesk.", Uuid::nil())
        .into_response()
}

/// Steps 1 and 9: gives a request its id and a deadline, and every answer its headers, its time and its log line.
async fn finish_response(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    request.extensions_mut().insert(RequestId(id));
    let method = request.method().clone();
    // Only the path is logged: a query is never read here, and may hold a key that was wrongly put there.
    let path = request.uri().path();
    let times = metrics::answers_at(path);
    let path = tracing::enabled!(tracing::Level::DEBUG).then(|| path.to_owned());
    let begun = Instant::now();
    let mut response = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Keydesk took too long. Try again.", id)
            .into_response()
    });
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(X_REQUEST_ID, machine_http::id_value(id));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    let took = begun.elapsed();
    if let Some(times) = times {
        times.record(took);
    }
    // A line for each call would cost more than the call. Refusals are kept by request id, and all calls are counted.
    tracing::debug!(
        plane = "keys", %id, %method, path = path.as_deref(), status = response.status().as_u16(),
        ms = took.as_secs_f64() * 1e3, "answered"
    );
    response
}
