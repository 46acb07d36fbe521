//! The routes, and what every answer carries.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    routing::{any, get},
};
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Management, audit_log, keys, members,
    openapi::{self, Document},
    receipts, tokens, webhooks,
};
use crate::{
    catalog::Catalog,
    machine_http::{Problem, openapi::written},
    response_headers::{self, Answers},
};

/// The routes that the document does not describe: the document itself, its page, and the public keys.
pub const UNDESCRIBED: [(&str, &str); 5] = [
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/docs"),
    ("GET", "/api/v1/docs/viewer.js"),
    ("GET", "/api/v1/docs/viewer.css"),
];

/// No answer takes longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Handlers and what is said of them are one thing, so that neither is there without the other.
fn described() -> OpenApiRouter<Arc<Management>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(tokens::create))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke_all))
        .routes(routes!(keys::one, keys::patch, keys::put))
        .routes(routes!(keys::disable))
        .routes(routes!(keys::enable))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::revoke))
        .routes(routes!(receipts::one))
        .routes(routes!(members::list))
        .routes(routes!(members::set_role, members::remove))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::regenerate))
        .routes(routes!(audit_log::list))
}

/// The document, for a deployment with this catalog.
pub fn document(catalog: &Catalog) -> Value {
    let access_token = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
    let mut document = written(described().get_openapi(), json!({ "access_token": access_token }));
    openapi::fit(&mut document, catalog);
    document
}

/// Everything under `/api`, and the public keys. Other paths are for whoever shares the listener.
pub fn router(management: Arc<Management>) -> Router {
    let document = document(&management.catalog);
    let answers = Answers {
        plane: "management",
        timeout: REQUEST_TIMEOUT,
        headers: response_headers::for_browsers(&management.origin),
        word_error: Problem::word,
        histogram: |_| None,
        logged: true,
    };
    let router = Router::from(described())
        .route("/.well-known/jwks.json", get(jwks))
        .route("/api/v1/openapi.json", get(async move || Json(document)))
        .route("/api/v1/docs", get(openapi::page))
        .route("/api/v1/docs/viewer.js", get(openapi::script))
        .route("/api/v1/docs/viewer.css", get(openapi::sheet))
        .route("/api", any(StatusCode::NOT_FOUND))
        .route("/api/", any(StatusCode::NOT_FOUND))
        .route("/api/{*rest}", any(StatusCode::NOT_FOUND))
        .with_state(management);
    response_headers::finish(router, answers)
}

/// The public keys of access tokens: for services that want to know whose script calls them.
async fn jwks(State(management): State<Arc<Management>>) -> Json<serde_json::Value> {
    Json(management.server_keys.tokens.jwks())
}
