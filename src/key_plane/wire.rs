//! What the key plane says on the wire: verify's JSON, whoami's JSON, and problem documents (RFC 9457).

use axum::{Json, response::IntoResponse};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{judge::Metered, limiter::Rate};
use crate::{
    catalog::Catalog,
    keys::verdict::{Code, Record, Verdict},
};

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
    pub namespace: Option<String>,
    /// The client's address. A key with an allowlist is refused without it.
    pub address: Option<String>,
    /// Spends and records nothing, and tells what each gate says.
    #[serde(default)]
    pub dry_run: bool,
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
pub struct VerifyAnswer<'a> {
    pub valid: bool,
    pub code: Code,
    /// A sentence for the key's holder.
    pub detail: String,
    pub request_id: Uuid,
    #[serde(flatten)]
    pub key: Option<KeyFacts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<serde_json::Value>,
}

/// The answer of `GET /v1/whoami`.
#[derive(Serialize)]
pub struct Whoami<'a> {
    #[serde(flatten)]
    pub key: KeyFacts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

/// What is left of a tier's calls.
#[derive(Serialize)]
pub struct RateLimit {
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until there is more.
    pub reset: u64,
}

impl From<&Metered> for RateLimit {
    fn from(metered: &Metered) -> Self {
        let Rate { limit, remaining, reset } = metered.rate;
        Self { limit, remaining, reset }
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), where there is a limit.
pub fn put_rate(headers: &mut HeaderMap, metered: Option<&Metered>) {
    let Some(metered) = metered else { return };
    let Rate { limit, remaining, reset } = metered.rate;
    let (tier, window) = (&metered.tier, metered.window.as_secs());
    for (name, value) in [
        ("ratelimit-policy", format!("\"{tier}\";q={limit};w={window}")),
        ("ratelimit", format!("\"{tier}\";r={remaining};t={reset}")),
    ] {
        // A tier's name is lower-case ASCII without quotes: the catalog sees to that.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Seconds after which to try again, where trying again helps.
pub fn retry_after(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::RateLimited { retry_after } | Verdict::UsageExceeded { retry_after } => Some(*retry_after),
        _ => None,
    }
}

/// What is told of a key whose full secret matched.
#[derive(Serialize)]
pub struct KeyFacts<'a> {
    pub key_id: Uuid,
    /// The organization's slug.
    pub org: &'a str,
    pub name: &'a str,
    pub environment: &'a str,
    pub tier: &'a str,
    pub scopes: &'a [String],
    pub namespaces: &'a [String],
    #[serde(with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The key that replaced it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<Uuid>,
    /// Until when it goes on, if it was replaced.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<OffsetDateTime>,
}

impl<'a> From<&'a Record> for KeyFacts<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            key_id: record.id.0,
            org: &record.org,
            name: &record.name,
            environment: &record.environment,
            tier: &record.tier,
            scopes: &record.scopes,
            namespaces: &record.namespaces,
            expires_at: record.expires_at,
            replaced_by: record.successor.map(|id| id.0),
            retires_at: record.retire_at,
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
            challenge: None,
            retry_after: None,
        }
    }

    /// A verdict that is not `VALID`, for whoever presented the key itself.
    pub fn refusal(verdict: &Verdict, catalog: &Catalog, request_id: Uuid) -> Self {
        let (status, error) = match verdict {
            // RFC 6750 §3.1: no error code where no credential was sent.
            Verdict::Missing { .. } | Verdict::WrongHeader => (StatusCode::UNAUTHORIZED, None),
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
            Verdict::InsufficientScope { .. } => (StatusCode::FORBIDDEN, Some("insufficient_scope")),
            Verdict::RateLimited { .. } | Verdict::UsageExceeded { .. } => (StatusCode::TOO_MANY_REQUESTS, None),
            Verdict::Unavailable | Verdict::Valid => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        let mut challenge = format!("Bearer realm=\"{}\"", catalog.brand);
        if let Some(error) = error {
            challenge += &format!(", error=\"{error}\"");
        }
        if let Verdict::InsufficientScope { missing } = verdict {
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
    fn into_response(self) -> axum::response::Response {
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
