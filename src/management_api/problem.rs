//! Errors, as `application/problem+json` (RFC 9457): one closed list of how things are refused here.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

use crate::{
    error_kind::{DomainError, ErrorKind},
    machine_http,
    mutation::MAY_BE_RECORDED,
};

/// What is wrong with one field.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    pub field: String,
    /// A sentence that says what to do.
    pub message: String,
}

/// Why a request was not done.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// The end of the type, which programs compare.
    pub kind: &'static str,
    pub detail: String,
    pub errors: Vec<FieldProblem>,
}

/// Any answer that is an error: a [`machine_http::Problem`], as the document describes it.
#[derive(ToSchema)]
#[schema(title = "Problem")]
#[allow(dead_code, reason = "read by the document's generator alone")]
pub struct ProblemDocument {
    /// Stable: what programs compare.
    #[schema(example = "urn:keydesk:problem:not-found")]
    pub r#type: String,
    pub title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// A sentence that says what to do.
    pub detail: String,
    /// Which fields need mending, where it is about fields.
    #[schema(required = false)]
    pub errors: Vec<FieldProblem>,
    /// What the log knows the request by.
    pub request_id: Uuid,
}

/// How any request may be refused.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "read by the document's generator alone")]
pub enum Refusals {
    /// The request cannot be read: its body, a field, a cursor or a header is not what is described here.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemDocument),
    /// No access token, or none that is valid and whose session lives.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemDocument),
    /// The person's role does not allow this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemDocument),
    /// Not there, or not theirs, which is the same answer.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemDocument),
    /// It is so already, or cannot be any more.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemDocument),
    /// More than 64 KiB.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemDocument),
    /// The body is not sent as JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(ProblemDocument),
    /// Read, but a value is not one that can be taken, or an Idempotency-Key was used for another request.
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(ProblemDocument),
    /// Keydesk could not find out. Try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemDocument),
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), errors: Vec::new() }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    pub fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    pub fn unavailable() -> Self {
        let detail = "Keydesk could not reach its database. Nothing was changed. Try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// Nobody knows whether a change was made.
    pub fn unknown_outcome() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unknown-outcome", MAY_BE_RECORDED)
    }

    /// What was asked cannot be taken, field by field.
    pub fn fields(fields: &[(&str, String)]) -> Self {
        let errors = fields.iter().map(|(field, message)| {
            // What the domain calls addresses, scripts call by the name that the API has.
            let field = if *field == "addresses" { "ip_whitelist" } else { field };
            FieldProblem { field: field.to_owned(), message: message.clone() }
        });
        let errors: Vec<_> = errors.collect();
        let detail = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>();
        let detail = detail.join(" ");
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    /// The whole answer, for a request.
    pub fn answer(self, request_id: Uuid) -> Response {
        // RFC 6750 §3.1: no error code where no credential was sent.
        let challenge = match (self.status, self.kind) {
            (StatusCode::UNAUTHORIZED, "missing-token") => Some("Bearer realm=\"management\""),
            (StatusCode::UNAUTHORIZED, _) => Some("Bearer realm=\"management\", error=\"invalid_token\""),
            _ => None,
        };
        let mut problem = machine_http::Problem::new(self.status, self.kind, self.detail, request_id);
        problem.challenge = challenge.map(str::to_owned);
        if !self.errors.is_empty() {
            problem = problem.with("errors", json!(self.errors));
        }
        problem.into_response()
    }
}

/// The router's outermost layer knows the request's id, and writes the answer.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "an answer of the management API could not be written");
        Self::unavailable()
    }
}

impl<E: DomainError> From<E> for Problem {
    fn from(error: E) -> Self {
        let detail = error.sentence();
        match error.kind() {
            ErrorKind::NotFound => Self::not_found(&detail),
            ErrorKind::Invalid(fields) => Self::fields(fields),
            ErrorKind::Conflict => Self::conflict(detail),
            ErrorKind::Forbidden => Self::new(StatusCode::FORBIDDEN, "forbidden", detail),
            ErrorKind::Unavailable => {
                tracing::error!(%error, "a request of the management API failed");
                Self::unavailable()
            }
            ErrorKind::Unknown => {
                tracing::error!(%error, "a change may have been made, or not");
                Self::unknown_outcome()
            }
            ErrorKind::Unconfirmed => {
                tracing::error!(%error, "a change could not be seen to hold everywhere");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unconfirmed", detail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::error::KeyError, orgs::lifecycle::OrgError};

    #[test]
    fn each_thing_that_is_absent_is_called_by_its_name() {
        assert_eq!(Problem::from(OrgError::NoOrg).detail, "There is no such organization.");
        assert_eq!(Problem::from(OrgError::NoMember).detail, "There is no such member.");
        assert_eq!(Problem::from(KeyError::NotFound).detail, "There is no such key.");
    }
}
