//! The operator API's routes. The key plane's listener gives their answers what all answers carry.

use axum::{
    Router, middleware,
    routing::{get, post},
};

use super::{Operator, door, onboard, tenants, usage};

/// Every route, for the test that tries each with every kind of principal.
pub const ROUTES: [(&str, &str); 8] = [
    ("GET", "/gate/admin/tenants"),
    ("POST", "/gate/admin/tenants"),
    ("POST", "/gate/admin/tenants/{tenant_id}/suspend"),
    ("POST", "/gate/admin/tenants/{tenant_id}/resume"),
    ("GET", "/gate/admin/usage"),
    ("POST", "/gate/onboard/first-key"),
    ("POST", "/gate/onboard/rotate-key"),
    ("POST", "/gate/onboard/add-namespace"),
];

pub fn router(operator: Operator) -> Router {
    Router::new()
        .route("/gate/admin/tenants", get(tenants::list).post(tenants::create))
        .route("/gate/admin/tenants/{tenant_id}/suspend", post(tenants::suspend))
        .route("/gate/admin/tenants/{tenant_id}/resume", post(tenants::resume))
        .route("/gate/admin/usage", get(usage::export))
        .route("/gate/onboard/first-key", post(onboard::first_key))
        .route("/gate/onboard/rotate-key", post(onboard::rotate_key))
        .route("/gate/onboard/add-namespace", post(onboard::add_namespace))
        // Before anything of the request but its headers is read.
        .route_layer(middleware::from_fn_with_state(operator.clone(), door::door))
        .with_state(operator)
}
