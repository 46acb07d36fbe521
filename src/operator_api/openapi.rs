//! The document (OpenAPI 3.1) of the operator API, made from the code.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, OpenApi,
    openapi::{RefOr, Response},
};

use crate::machine_http::{FieldProblem, ProblemDocument, openapi::problems};

/// What is said of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keydesk operator API",
        description = "For the provider's back office: tenants, their first keys, and how much they call. Errors are \
                       `application/problem+json` (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemDocument, FieldProblem)),
    security(("service_key" = []))
)]
pub struct Document;

/// How any request may be refused.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (400, "The request cannot be read: its body or its query is not what is described here."),
            (401, "No service key, or none that is good."),
            (403, "The service key lacks the capability `operate`."),
            (404, "There is no such tenant or key."),
            (409, "It is so already, or cannot be. Where a tenant has several live keys, `keys` lists them."),
            (413, "More than 64 KiB."),
            (415, "The body is not sent as JSON."),
            (422, "Read, but a value is not one that can be taken: `errors` says which."),
            (503, "Keydesk could not find out, or it is done, but could not be seen to hold everywhere."),
        ])
    }
}
