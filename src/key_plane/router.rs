//! The key plane's routes and what every answer of it carries.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    routing::{any, get},
};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};

use super::{KeyPlane, audit_chain, forward_auth, handlers, metrics, openapi::Document, ready};
use crate::{
    catalog::Catalog,
    machine_http::{Problem, openapi::written},
    response_headers::{self, Answers},
};

/// A request that takes longer is answered with 503.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Handlers and what is said of them are one thing, so that neither is there without the other.
fn described(catalog: &Catalog) -> OpenApiRouter<Arc<KeyPlane>> {
    // Envoy asks with the client's method; only headers are read.
    let (schemas, paths, _): UtoipaMethodRouter<Arc<KeyPlane>> = routes!(forward_auth::forward_auth);
    let router = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(handlers::healthz))
        .routes(routes!(ready::readyz))
        .routes(routes!(handlers::whoami))
        .routes(routes!(handlers::verify))
        .routes((schemas, paths, any(forward_auth::forward_auth)));
    // Where the catalog does not offer it, there is nothing at this path.
    match catalog.audit_scope {
        Some(_) => router.routes(routes!(audit_chain::audit_chain)),
        None => router,
    }
}

/// The document, for a deployment with this catalog.
pub fn document(catalog: &Catalog) -> Value {
    let security_schemes = json!({
        "api_key": { "type": "apiKey", "in": "header", "name": "x-api-key" },
        "api_key_as_bearer": { "type": "http", "scheme": "bearer", "description": "Where the catalog lets it count." },
        "service_key": { "type": "http", "scheme": "bearer", "description": "A service key with the capability." },
    });
    written(described(catalog).get_openapi(), security_schemes)
}

pub fn router(plane: KeyPlane) -> Router {
    router_beside(plane, Router::new())
}

/// The key plane's routes and others for programs on one listener, so that every answer carries the same headers.
pub fn router_beside(plane: KeyPlane, others: Router) -> Router {
    let document = document(&plane.catalog);
    let answers = Answers {
        plane: "keys",
        timeout: REQUEST_TIMEOUT,
        headers: response_headers::for_programs(),
        word_error: Problem::word,
        histogram: metrics::answers_at,
        logged: false,
    };
    let router = Router::from(described(&plane.catalog))
        .route("/v1/openapi.json", get(async move || Json(document)))
        .with_state(Arc::new(plane))
        .merge(others);
    response_headers::finish(router, answers)
}
