//! What the key plane says on the wire: verify's JSON, whoami's JSON, and problem documents (RFC 9457).

use axum::{Json, response::IntoResponse};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::keys::verdict::{Code, Record, Verdict};

/// The body of `POST /v1/keys/verify`. A field this version does not know is refused: a caller must not believe that
/// something was checked which was not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The credential exactly as its holder sent it.
    pub key: Secret,
    pub environment: Option<String>,
    /// An organization's slug or id: a key of any other is `NOT_FOUND`.
    pub org: Option<String>,
    /// All of them are needed.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A string that does not print.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// The answer of `POST /v1/keys/verify`: always 200 once the caller itself was let in.
#[derive(Serialize)]
pub struct VerifyAnswer {
    pub valid: bool,
    pub code: Code,
    /// A sentence for the key's holder.
    pub detail: String,
    pub request_id: Uuid,
    #[serde(flatten)]
    pub key: Option<KeyFacts>,
}

/// What is told of a key whose full secret matched.
#[derive(Serialize)]
pub struct KeyFacts {
    pub key_id: Uuid,
    /// The organization's slug.
    pub org: String,
    pub name: String,
    pub environment: String,
    pub tier: String,
    pub scopes: Vec<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

impl From<Record> for KeyFacts {
    fn from(record: Record) -> Self {
        Self {
            key_id: record.id.0,
            org: record.org,
            name: record.name,
            environment: record.environment,
            tier: record.tier,
            scopes: record.scopes,
            expires_at: record.expires_at,
        }
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
    /// The `WWW-Authenticate` header.
    #[serde(skip)]
    pub challenge: Option<String>,
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
            challenge: None,
        }
    }

    /// A verdict that is not `VALID`, for whoever presented the key itself.
    pub fn refusal(verdict: &Verdict, realm: &str, request_id: Uuid) -> Self {
        let (status, error) = match verdict {
            // RFC 6750 §3.1: no error code where no credential was sent.
            Verdict::Missing => (StatusCode::UNAUTHORIZED, None),
            Verdict::Malformed(_) | Verdict::NotFound | Verdict::Revoked | Verdict::Disabled | Verdict::Expired => {
                (StatusCode::UNAUTHORIZED, Some("invalid_token"))
            }
            Verdict::WrongEnvironment => (StatusCode::FORBIDDEN, None),
            Verdict::InsufficientScope { .. } => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Verdict::Unavailable | Verdict::Valid => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        let mut challenge = format!("Bearer realm=\"{realm}\"");
        if let Some(error) = error {
            challenge += &format!(", error=\"{error}\"");
        }
        if let Verdict::InsufficientScope { missing } = verdict {
            challenge += &format!(", scope=\"{}\"", missing.join(" "));
        }
        let challenged = status == StatusCode::UNAUTHORIZED || error.is_some();
        Self {
            code: Some(verdict.code()),
            challenge: challenged.then_some(challenge),
            ..Self::new(status, kind(verdict.code()), verdict.detail(), request_id)
        }
    }
}

fn kind(code: Code) -> &'static str {
    match code {
        Code::Valid => "valid",
        Code::Missing => "missing",
        Code::Malformed => "malformed",
        Code::NotFound => "not-found",
        Code::Revoked => "revoked",
        Code::Disabled => "disabled",
        Code::Expired => "expired",
        Code::WrongEnvironment => "wrong-environment",
        Code::InsufficientScope => "insufficient-scope",
        Code::Unavailable => "unavailable",
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let challenge = self.challenge.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
