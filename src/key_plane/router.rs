//! The key plane's routes and what every answer of it carries.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    routing::{any, get, post},
};

use super::{KeyPlane, audit_chain, forward_auth, handlers, metrics, ready};
use crate::{
    machine_http::Problem,
    response_headers::{self, Answers},
};

/// Every route, for the test that tries each with every kind of principal.
pub const ROUTES: [(&str, &str); 6] = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/v1/whoami"),
    ("GET", "/v1/forward-auth"),
    ("GET", "/v1/audit/chain"),
    ("POST", "/v1/keys/verify"),
];

/// No answer takes longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

pub fn router(plane: KeyPlane) -> Router {
    router_beside(plane, Router::new())
}

/// The same listener, with other routes for programs beside: whatever is answered here carries the same headers.
pub fn router_beside(plane: KeyPlane, others: Router) -> Router {
    // Where the catalog does not offer it, there is nothing at this path.
    let audit_chain = match plane.catalog.audit_scope {
        Some(_) => Router::new().route("/v1/audit/chain", get(audit_chain::audit_chain)),
        None => Router::new(),
    };
    let answers = Answers {
        plane: "keys",
        timeout: REQUEST_TIMEOUT,
        headers: response_headers::for_programs(),
        word_error: Problem::word,
        histogram: metrics::answers_at,
        logged: false,
    };
    let router = Router::new()
        .route("/healthz", get(handlers::healthz))
        .route("/readyz", get(ready::readyz))
        .route("/v1/whoami", get(handlers::whoami))
        // Envoy asks with the client's method; only headers are read.
        .route("/v1/forward-auth", any(forward_auth::forward_auth))
        .route("/v1/keys/verify", post(handlers::verify))
        .merge(audit_chain)
        .with_state(Arc::new(plane))
        .merge(others);
    response_headers::finish(router, answers)
}
