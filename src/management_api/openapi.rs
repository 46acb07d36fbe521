//! The document (OpenAPI 3.1), made from the code, and a page that shows it. Everything the page needs is in this binary.

use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Value, json};
use utoipa::OpenApi;

use crate::{
    catalog::Catalog,
    machine_http::{FieldProblem, ProblemDocument},
};

/// What is said of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keydesk management API",
        description = "Do from a script what you may do in the console. Create an access token on the console's settings \
                       page and send it as `Authorization: Bearer`. Errors are `application/problem+json` (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemDocument, FieldProblem)),
    security(("access_token" = []))
)]
pub struct Document;

/// Says in the document what there is to choose from in this deployment.
pub fn fit(document: &mut Value, catalog: &Catalog) {
    let environments: Vec<_> = catalog.environments.iter().map(|environment| json!(environment.name)).collect();
    let tiers: Vec<_> = catalog.tiers.iter().map(|tier| json!(tier.name)).collect();
    let scopes: Vec<_> = catalog.scopes.iter().map(|scope| json!(scope.name)).collect();
    // Null, like nothing at all, is the first.
    let or_null = |choices: &[Value]| json!([choices, &[Value::Null]].concat());
    let mut say = |schema: &str, word: &str, value: Value| {
        let object = document.pointer_mut(&format!("/components/schemas/{schema}")).and_then(Value::as_object_mut);
        debug_assert!(object.is_some(), "{schema} is not in the document");
        if let Some(object) = object {
            object.insert(word.to_owned(), value);
        }
    };
    say("CreateKeyRequest/properties/environment", "enum", or_null(&environments));
    say("CreateKeyRequest/properties/tier", "enum", or_null(&tiers));
    say("WebhookSecretRequest/properties/environment", "enum", json!(environments));
    for request in ["CreateKeyRequest", "EditKeyRequest"] {
        // Where the catalog has wildcards, a scope may also be one of those.
        if !catalog.wildcards {
            say(&format!("{request}/properties/scopes/items"), "enum", json!(scopes));
        }
        say(&format!("{request}/properties/namespaces/items"), "pattern", json!("^[A-Za-z0-9._-]{1,64}$"));
    }
}

/// The page's own policy: its script and its sheet, and the document.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub async fn page() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, include_str!("viewer/index.html")).into_response()
}

pub async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("viewer/viewer.js")).into_response()
}

pub async fn sheet() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("viewer/viewer.css")).into_response()
}
