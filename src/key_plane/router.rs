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
