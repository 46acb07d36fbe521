//! How requests are refused, as the document tells it.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response},
};

use crate::machine_http::openapi::problems;

/// How any request may be refused.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (400, "The request cannot be read: its body, a field, a cursor or a header is not what is described here."),
            (401, "No access token, or none that is valid and whose session lives."),
            (403, "The person's role does not allow this."),
            (404, "Not there, or not theirs, which is the same answer."),
            (409, "It is so already, or cannot be any more."),
            (413, "More than 64 KiB."),
            (415, "The body is not sent as JSON."),
            (
                422,
                "Read, but a value is not one that can be taken, or an Idempotency-Key was used for another request.",
            ),
            (503, "Keydesk could not find out. Try again."),
        ])
    }
}
