//! The operator API's routes. The key plane's listener gives their answers what all answers carry.

use axum::{Json, Router, middleware, routing::get};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Operator, door, onboard, openapi::Document, tenants, usage};
use crate::machine_http::openapi::written;

/// Handlers and what is said of them are one thing, so that neither is there without the other.
fn described() -> OpenApiRouter<Operator> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::suspend))
        .routes(routes!(tenants::resume))
        .routes(routes!(usage::export))
        .routes(routes!(onboard::first_key))
        .routes(routes!(onboard::rotate_key))
        .routes(routes!(onboard::add_namespace))
}

/// The document: the same in every deployment.
pub fn document() -> Value {
    let service_key = json!({
        "type": "http", "scheme": "bearer", "description": "A service key with the capability `operate`."
    });
    written(described().get_openapi(), json!({ "service_key": service_key }))
}

pub fn router(operator: Operator) -> Router {
    let document = document();
    Router::from(described())
        // Before anything of the request but its headers is read.
        .route_layer(middleware::from_fn_with_state(operator.clone(), door::door))
        .route("/gate/openapi.json", get(async move || Json(document)))
        .with_state(operator)
}
