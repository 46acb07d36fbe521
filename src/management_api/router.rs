//! The routes, and what every answer carries.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::{StatusCode, header};
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Management, audit_log, keys, members,
    openapi::{self, Document},
    problem::Problem,
    receipts, tokens, webhooks,
};
use crate::{catalog::Catalog, machine_http::RequestId, response_headers};

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
    // Not to be written out is no state a document can be in; without one the page says that there is none.
    let mut document = serde_json::to_value(described().get_openapi()).unwrap_or_default();
    openapi::fit(&mut document, catalog);
    document
}

/// Everything under `/api`, and the public keys. Other paths are for whoever shares the listener.
pub fn router(management: Arc<Management>) -> Router {
    let document = document(&management.catalog);
    Router::from(described())
        .route("/.well-known/jwks.json", get(jwks))
        .route("/api/v1/openapi.json", get(async move || Json(document)))
        .route("/api/v1/docs", get(openapi::page))
        .route("/api/v1/docs/viewer.js", get(openapi::script))
        .route("/api/v1/docs/viewer.css", get(openapi::sheet))
        .route("/api", any(not_found))
        .route("/api/", any(not_found))
        .route("/api/{*rest}", any(not_found))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(|_| Problem::unavailable().into_response()))
        .layer(middleware::from_fn_with_state(Arc::clone(&management), finish_response))
        .with_state(management)
}

/// The public keys of access tokens: for services that want to know whose script calls them.
async fn jwks(State(management): State<Arc<Management>>) -> Json<serde_json::Value> {
    Json(management.server_keys.tokens.jwks())
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", "There is nothing at this path.")
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path does not take this method.")
}

/// Gives a request its id and a deadline, and every answer its headers and log line. Problems are written here.
async fn finish_response(State(management): State<Arc<Management>>, mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    request.extensions_mut().insert(RequestId(id));
    let method = request.method().clone();
    // The path only: a query is never read as a credential, and might hold what somebody wrongly put there.
    let path = request.uri().path().to_owned();
    let begun = Instant::now();
    let mut response = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
        // Whoever only looks has changed nothing.
        let problem = if method.is_safe() { Problem::unavailable() } else { Problem::unknown_outcome() };
        problem.into_response()
    });
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.answer(id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    response_headers::set(response.headers_mut(), id, &management.origin);
    tracing::info!(
        plane = "management", %id, %method, path, status = response.status().as_u16(),
        ms = begun.elapsed().as_secs_f64() * 1e3, "answered"
    );
    response
}
