//! Errors as problem documents (RFC 9457).

use axum::{
    Json,
    extract::rejection::JsonRejection,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    catalog::Catalog,
    keys::verdict::{Code, Verdict},
};

/// Seconds after which to try again, where trying again helps.
pub fn retry_after(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::RateLimited { retry_after } | Verdict::UsageExceeded { retry_after } => Some(*retry_after),
        _ => None,
    }
}

/// An error, as `application/problem+json`.
#[derive(Serialize)]
pub struct Problem {
    /// Stable: what programs compare.
    pub r#type: String,
    pub title: &'static str,
    pub status: u16,
    /// A sentence that says what to do.
    pub detail: String,
    /// The verdict's word, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    pub request_id: Uuid,
    /// More, for programs.
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// The `WWW-Authenticate` header.
    #[serde(skip)]
    pub challenge: Option<String>,
    /// The `Retry-After` header, in seconds.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>, request_id: Uuid) -> Self {
        Self {
            r#type: format!("urn:keydesk:problem:{kind}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code: None,
            request_id,
            more: Map::new(),
            challenge: None,
            retry_after: None,
        }
    }

    /// Says more, for programs.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// Headers that hold two credentials, or one twice.
    pub fn ambiguous(detail: &str, request_id: Uuid) -> Self {
        let challenge = Some("Bearer error=\"invalid_request\"".to_owned());
        Self { challenge, ..Self::new(StatusCode::BAD_REQUEST, "ambiguous-credential", detail, request_id) }
    }

    pub fn too_large(request_id: Uuid) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "bad-request", "Send a body of at most 64 KiB.", request_id)
    }

    /// What is wrong with a body, without quoting it: it may hold a key. `shape` says what the body is to be.
    pub fn bad_body(rejection: &JsonRejection, shape: &str, request_id: Uuid) -> Self {
        let (status, detail) = match rejection {
            JsonRejection::MissingJsonContentType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send the body as Content-Type: application/json.")
            }
            JsonRejection::BytesRejection(_) => return Self::too_large(request_id),
            JsonRejection::JsonSyntaxError(_) => (StatusCode::BAD_REQUEST, "The body is not JSON."),
            _ => (StatusCode::BAD_REQUEST, shape),
        };
        Self::new(status, "bad-request", detail, request_id)
    }

    /// A verdict that is not `VALID`, for whoever presented the key itself.
    pub fn refusal(verdict: &Verdict, catalog: &Catalog, request_id: Uuid) -> Self {
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
        let mut challenge = format!("Bearer realm=\"{}\"", catalog.brand);
        if let Some(error) = error {
            challenge += &format!(", error=\"{error}\"");
        }
        if let Verdict::InsufficientScope { missing } | Verdict::BeyondCreator { missing } = verdict {
            challenge += &format!(", scope=\"{}\"", missing.join(" "));
        }
        let challenged = status == StatusCode::UNAUTHORIZED || error.is_some();
        let mut problem = Self {
            code: Some(verdict.code()),
            challenge: challenged.then_some(challenge),
            retry_after: retry_after(verdict),
            ..Self::new(status, kind(verdict.code()), verdict.detail(), request_id)
        };
        if status == StatusCode::TOO_MANY_REQUESTS {
            // The type that the draft of the RateLimit headers registers.
            problem.r#type = "https://iana.org/assignments/http-problem-types#quota-exceeded".to_owned();
        }
        problem
    }
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
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let challenge = self.challenge.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
