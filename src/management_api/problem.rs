//! Errors, as `application/problem+json` (RFC 9457): one closed list of how things are refused here.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

use crate::{
    accounts::access_token::MintError,
    keys::error::KeyError,
    machine_http,
    mutation::CommitError,
    orgs::{Denied, lifecycle::OrgError},
    webhooks::WebhookError,
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

    /// What was asked cannot be taken, field by field.
    pub fn fields(fields: Vec<(&'static str, String)>) -> Self {
        let errors = fields.into_iter().map(|(field, message)| {
            // What the domain calls addresses, scripts call by the name that the API has.
            let field = if field == "addresses" { "ip_whitelist" } else { field };
            FieldProblem { field: field.to_owned(), message }
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

/// What is said of a change that is made, and was not seen to hold everywhere.
const UNCONFIRMED: &str =
    "It is recorded, but Keydesk could not see whether every node knows yet. Repeat it to be sure.";

/// A fault of ours: logged, and told as no more than that.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "a request of the management API failed");
        Self::unavailable()
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "an answer of the management API could not be written");
        Self::unavailable()
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NotDone(error) => error.into(),
            CommitError::Unconfirmed(error) => {
                tracing::error!(%error, "a change could not be seen to hold everywhere");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unconfirmed", UNCONFIRMED)
            }
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", denied.message())
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NotFound => Self::not_found("There is no such key."),
            KeyError::Fields(fields) => Self::fields(fields),
            KeyError::AlreadyIssued { name, hint } => {
                Self::conflict(format!("The key “{name}” ({hint}) was created already."))
            }
            KeyError::DuplicateName { hint } => Self::conflict(format!(
                "There is a key of this name already, {hint}. Choose another name, or send allow_duplicate_name: true."
            )),
            KeyError::ChangedMeanwhile
            | KeyError::StillInUse { .. }
            | KeyError::Revoked
            | KeyError::Replaced
            | KeyError::Expired
            | KeyError::Disabled
            | KeyError::HasSuccessor { .. }
            | KeyError::PredecessorLives
            | KeyError::NotInCatalog
            | KeyError::NotReplaced
            | KeyError::Extended
            | KeyError::EndsByItself => Self::conflict(error.sentence()),
            KeyError::Database(error) => error.into(),
            KeyError::Randomness(_) => {
                tracing::error!(%error, "a key could not be made");
                Self::unavailable()
            }
        }
    }
}

impl From<OrgError> for Problem {
    fn from(error: OrgError) -> Self {
        match error {
            OrgError::NoMember | OrgError::NoOrg => Self::not_found("There is no such member."),
            OrgError::OwnersOnly => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "Only an owner may change an owner, or make one.")
            }
            OrgError::LastOwner => {
                Self::conflict("The organization would be left without an owner. Make somebody else an owner first.")
            }
            OrgError::SlugTaken(_) | OrgError::EmailTaken(_) => Self::conflict(format!("{error}.")),
            OrgError::Database(error) => error.into(),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Exists => {
                Self::conflict("The environment has a secret already. Regenerate it if it is lost.")
            }
            WebhookError::Absent => Self::conflict("The environment has no secret to replace. Create one."),
            WebhookError::Database(error) => error.into(),
            WebhookError::Randomness(_) | WebhookError::Sealing(_) => {
                tracing::error!(%error, "a webhook secret could not be made");
                Self::unavailable()
            }
        }
    }
}

impl From<MintError> for Problem {
    fn from(error: MintError) -> Self {
        match error {
            MintError::NotAMember => Self::new(StatusCode::FORBIDDEN, "not-a-member", error.to_string()),
            MintError::Database(error) => error.into(),
            MintError::Signing => {
                tracing::error!(%error, "an access token could not be minted");
                Self::unavailable()
            }
        }
    }
}
