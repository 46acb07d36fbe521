//! The document (OpenAPI 3.1) of the key plane, made from the code.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, OpenApi,
    openapi::{RefOr, Response},
};

use crate::machine_http::{FieldProblem, ProblemDocument, openapi::problems};

/// What is said of the key plane as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keydesk key plane",
        description = "Programs ask here whether an API key is good. Which headers a key may be sent in is the catalog's \
                       choice. Errors are `application/problem+json` (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemDocument, FieldProblem))
)]
pub struct Document;

/// How a request that presents an API key may be refused.
pub struct KeyRefusals;

impl IntoResponses for KeyRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (400, "The request cannot be read, or it presents two keys that differ."),
            (401, "No key, or none that is good: `code` says why."),
            (403, "The key is good, but not for this: `code` says why."),
            (429, "The key has spent its calls, or the address has presented too many keys that do not exist."),
            (503, "Keydesk cannot check keys right now."),
        ])
    }
}

/// How a service's question may be refused.
pub struct VerifyRefusals;

impl IntoResponses for VerifyRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (400, "The question cannot be read, or a field is not known."),
            (401, "No service key, or none that is good."),
            (403, "The service key lacks the capability `verify`."),
            (413, "More than 64 KiB."),
            (415, "The body is not sent as JSON."),
            (503, "Keydesk cannot check keys right now."),
        ])
    }
}

/// How the node says that it cannot check keys.
pub struct Unavailable;

impl IntoResponses for Unavailable {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[(503, "Keydesk cannot check keys right now.")])
    }
}
