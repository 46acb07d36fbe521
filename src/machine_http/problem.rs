//! Errors, as `application/problem+json` (RFC 9457): the one type by which handlers for programs refuse something.

use axum::{
    extract::rejection::JsonRejection,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::credential::Ambiguous;
use crate::{
    catalog::Catalog,
    error_kind::{DomainError, ErrorKind},
    keys::verdict::{Code, Verdict},
};

const X_KEYDESK_PROBLEM: HeaderName = HeaderName::from_static("x-keydesk-problem");
/// A proxy has room for a few kilobytes of headers, and a detail can quote what the client sent.
const MAX_PROBLEM_HEADER_BYTES: usize = 2048;

/// Seconds after which to try again, where trying again helps.
pub fn retry_after(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::RateLimited { retry_after } | Verdict::UsageExceeded { retry_after } => Some(*retry_after),
        _ => None,
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    pub field: &'static str,
    /// A sentence that says what to do.
    pub message: String,
}

/// Why a request was not done. Whoever returns it does not know the request's id: the answer is written in
/// [`crate::response_headers`], around all handlers.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// What programs compare: the end of a URN, or a whole address.
    pub kind: &'static str,
    /// A sentence that says what to do.
    pub detail: String,
    /// The verdict's word, where a key was judged.
    pub code: Option<Code>,
    pub errors: Vec<FieldProblem>,
    /// What one kind of problem alone tells.
    pub more: Map<String, Value>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the document is repeated in a header: for nginx, which reads no body of an answer to `auth_request`.
    pub repeat_in_header: bool,
}

/// Any answer that is an error.
#[derive(Serialize, ToSchema)]
#[schema(title = "Problem")]
pub struct ProblemDocument<'a> {
    /// Stable: what programs compare.
    #[schema(example = "urn:keydesk:problem:not-found")]
    r#type: String,
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A sentence that says what to do.
    detail: &'a str,
    /// The verdict's word, where a key was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    /// What the log knows the request by.
    request_id: Uuid,
    /// Which fields need mending, where it is about fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldProblem],
    #[serde(flatten)]
    #[schema(ignore)]
    more: &'a Map<String, Value>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            code: None,
            errors: Vec::new(),
            more: Map::new(),
            headers: Vec::new(),
            repeat_in_header: false,
        }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong inside Keydesk.")
    }

    /// What was asked cannot be taken, field by field.
    pub fn fields(fields: &[(&'static str, String)]) -> Self {
        let detail: Vec<_> = fields.iter().map(|(field, message)| format!("{field}: {message}")).collect();
        let errors = fields.iter().map(|(field, message)| FieldProblem { field, message: message.clone() }).collect();
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail.join(" ")) }
    }

    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "bad-request", "Send a body of at most 64 KiB.")
    }

    /// What is wrong with a body, without quoting it: it may hold a key. `shape` says what the body is to be.
    pub fn bad_body(rejection: &JsonRejection, shape: &str) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => {
                let detail = "Send the body as Content-Type: application/json.";
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad-request", detail)
            }
            JsonRejection::BytesRejection(_) => Self::too_large(),
            JsonRejection::JsonSyntaxError(_) => Self::bad_request("The body is not JSON."),
            _ => Self::bad_request(shape),
        }
    }

    /// A verdict that is not `VALID`, for whoever presented the key itself.
    pub fn refusal(verdict: &Verdict, catalog: &Catalog) -> Self {
        let (status, error) = match verdict {
            // RFC 6750 §3.1: no error code where no credential was sent.
            Verdict::Missing(_) => (StatusCode::UNAUTHORIZED, None),
            Verdict::WrongOrg if catalog.headers.wrong_org_is_403 => (StatusCode::FORBIDDEN, None),
            Verdict::Malformed(_)
            | Verdict::NotFound
            | Verdict::WrongOrg
            | Verdict::Revoked
            | Verdict::Rotated { .. }
            | Verdict::Disabled
            | Verdict::Expired
            | Verdict::Suspended => (StatusCode::UNAUTHORIZED, Some("invalid_token")),
            Verdict::WrongEnvironment | Verdict::IpNotAllowed | Verdict::NamespaceNotAllowed { .. } => {
                (StatusCode::FORBIDDEN, None)
            }
            Verdict::InsufficientScope { .. } | Verdict::BeyondCreator { .. } => {
                (StatusCode::FORBIDDEN, Some("insufficient_scope"))
            }
            Verdict::RateLimited { .. } | Verdict::UsageExceeded { .. } => (StatusCode::TOO_MANY_REQUESTS, None),
            Verdict::Unavailable | Verdict::Valid => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        // The type that the draft of the RateLimit headers registers.
        let quota = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        let kind = if status == StatusCode::TOO_MANY_REQUESTS { quota } else { kind(verdict.code()) };
        let mut problem = Self { code: Some(verdict.code()), ..Self::new(status, kind, verdict.detail()) };
        if status == StatusCode::UNAUTHORIZED || error.is_some() {
            let mut challenge = format!("Bearer realm=\"{}\"", catalog.brand);
            if let Some(error) = error {
                challenge += &format!(", error=\"{error}\"");
            }
            if let Verdict::InsufficientScope { missing } | Verdict::BeyondCreator { missing } = verdict {
                challenge += &format!(", scope=\"{}\"", missing.join(" "));
            }
            problem = problem.challenge(challenge);
        }
        if let Some(seconds) = retry_after(verdict) {
            problem.headers.push((header::RETRY_AFTER, seconds.into()));
        }
        problem
    }

    /// Says more, for programs.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// Adds headers to the answer.
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Adds the header `WWW-Authenticate`.
    pub fn challenge(self, challenge: String) -> Self {
        let value = HeaderValue::try_from(challenge).ok();
        self.with_headers(value.map(|value| (header::WWW_AUTHENTICATE, value)))
    }

    /// Words an error that no handler has worded.
    pub fn word(response: &mut Response, request_id: Uuid) {
        let (kind, detail) = match response.status() {
            StatusCode::NOT_FOUND => ("no-such-path", "There is nothing at this path."),
            StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "This path does not take this method."),
            StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "Keydesk took too long. Try again."),
            _ => return Self::internal().write(response, request_id),
        };
        Self::new(response.status(), kind, detail).write(response, request_id);
    }

    /// Makes the document the body of an answer.
    pub fn write(&self, response: &mut Response, request_id: Uuid) {
        let document = ProblemDocument {
            r#type: match self.kind.contains(':') {
                true => self.kind.to_owned(),
                false => format!("urn:keydesk:problem:{}", self.kind),
            },
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
            more: &self.more,
        };
        // Texts and numbers can always be written as JSON.
        let body = serde_json::to_string(&document).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.repeat_in_header
            && let Some(value) = header_value(&body)
        {
            headers.insert(X_KEYDESK_PROBLEM, value);
        }
        *response.body_mut() = body.into();
    }
}

/// JSON escaped to ASCII, unless it is too long for a header.
fn header_value(json: &str) -> Option<HeaderValue> {
    let ascii: String = json
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect();
    (ascii.len() <= MAX_PROBLEM_HEADER_BYTES).then(|| HeaderValue::try_from(ascii).ok())?
}

fn kind(code: Code) -> &'static str {
    match code {
        Code::Valid => "valid",
        Code::Missing => "missing",
        Code::Malformed => "malformed",
        Code::NotFound => "not-found",
        Code::Revoked => "revoked",
        Code::Rotated => "rotated",
        Code::Disabled => "disabled",
        Code::Expired => "expired",
        Code::Suspended => "suspended",
        Code::WrongEnvironment => "wrong-environment",
        Code::IpNotAllowed => "ip-not-allowed",
        Code::NamespaceNotAllowed => "namespace-not-allowed",
        Code::InsufficientScope => "insufficient-scope",
        Code::RateLimited => "rate-limited",
        Code::UsageExceeded => "usage-exceeded",
        Code::Unavailable => "unavailable",
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut response = self.status.into_response();
        response.headers_mut().extend(std::mem::take(&mut self.headers));
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Ambiguous> for Problem {
    fn from(Ambiguous(detail): Ambiguous) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ambiguous-credential", detail)
            .challenge("Bearer error=\"invalid_request\"".to_owned())
    }
}

impl<E: DomainError> From<E> for Problem {
    fn from(error: E) -> Self {
        let detail = error.sentence();
        match error.kind() {
            ErrorKind::NotFound => Self::not_found(detail),
            ErrorKind::Invalid(fields) => Self::fields(fields),
            ErrorKind::Conflict => Self::conflict(detail),
            ErrorKind::Forbidden => Self::new(StatusCode::FORBIDDEN, "forbidden", detail),
            ErrorKind::Unavailable => {
                tracing::error!(%error, "a program's request failed");
                let detail = "Keydesk could not reach its database. Look before you try again.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            }
            ErrorKind::Unknown => {
                tracing::error!(%error, "a change may have been made, or not");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unknown-outcome", detail)
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
