//! What the key plane says on the wire: verify's JSON and whoami's JSON.

use std::fmt::{self, Write};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::limiter::Count;
use crate::{
    catalog::Catalog,
    keys::verdict::{Code, KeyRecord, effective_scopes},
};

/// The body of `POST /v1/keys/verify`. A field this version does not know is refused: a caller must not believe that
/// something was checked which was not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The credential exactly as its holder sent it.
    #[schema(value_type = String)]
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
#[derive(Serialize, ToSchema)]
pub struct VerifyAnswer<'a> {
    pub valid: bool,
    pub code: Code,
    /// A sentence for the key's holder.
    pub detail: String,
    pub request_id: Uuid,
    #[serde(flatten)]
    pub key: Option<KeyFacts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// What each gate says, where the question is a dry run.
    #[schema(value_type = Option<Vec<Object>>)]
    pub trace: Option<serde_json::Value>,
}

/// The answer of `GET /v1/whoami`.
#[derive(Serialize, ToSchema)]
pub struct Whoami<'a> {
    #[serde(flatten)]
    pub key: KeyFacts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit<'a>>,
}

/// What is left of a tier's calls, for the body and the headers of an answer.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct RateLimit<'a> {
    #[serde(skip)]
    tier: &'a str,
    #[serde(skip)]
    window_seconds: u64,
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until there is more.
    pub reset: u64,
}

impl<'a> RateLimit<'a> {
    pub fn new(tier: &'a str, count: &Count) -> Self {
        Self {
            tier,
            window_seconds: count.limit.window().as_secs(),
            limit: count.limit.calls(),
            remaining: count.remaining(),
            reset: count.reset_seconds(),
        }
    }
}

/// Room for the body of nearly every answer, since growing it step by step costs more.
const BODY_BYTES: usize = 1024;
/// Room for the headers of nearly every answer.
const HEADER_COUNT: usize = 12;

/// An answer in JSON.
pub fn json(answer: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(BODY_BYTES);
    if let Err(error) = serde_json::to_writer(&mut body, answer) {
        tracing::error!(%error, "an answer cannot be written as JSON");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut response = Response::new(Body::from(body));
    response.headers_mut().reserve(HEADER_COUNT);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), where there is a limit.
pub fn rate_limit_headers(rate_limit: Option<RateLimit<'_>>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let header = |name, value: fmt::Arguments<'_>| {
        let mut text = String::with_capacity(64);
        // Writing to a string does not fail.
        let _ = text.write_fmt(value);
        // A tier's name is lower-case ASCII without quotes: the catalog sees to that.
        HeaderValue::try_from(text).ok().map(|value| (name, value))
    };
    let headers = rate_limit.map(|RateLimit { tier, window_seconds, limit, remaining, reset }| {
        [
            header(RATELIMIT_POLICY, format_args!("\"{tier}\";q={limit};w={window_seconds}")),
            header(RATELIMIT, format_args!("\"{tier}\";r={remaining};t={reset}")),
        ]
    });
    headers.into_iter().flatten().flatten()
}

/// What is told of a key whose full secret matched.
#[derive(Serialize, ToSchema)]
pub struct KeyFacts<'a> {
    pub key_id: Uuid,
    /// The organization's slug.
    pub org: &'a str,
    pub name: &'a str,
    pub environment: &'a str,
    pub tier: &'a str,
    /// The scopes that it has today.
    #[schema(value_type = Vec<String>)]
    pub scopes: EffectiveScopes<'a>,
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

impl<'a> KeyFacts<'a> {
    pub fn new(catalog: &'a Catalog, key: &'a KeyRecord) -> Self {
        Self {
            key_id: key.id.0,
            org: &key.org,
            name: &key.name,
            environment: &key.environment,
            tier: &key.tier,
            scopes: EffectiveScopes(catalog, key),
            namespaces: &key.namespaces,
            expires_at: key.expires_at,
            replaced_by: key.successor.map(|id| id.0),
            retires_at: key.overlap_ends_at,
        }
    }
}

/// The scopes of a key that count today, picked out while they are written, so that nothing is copied.
pub struct EffectiveScopes<'a>(&'a Catalog, &'a KeyRecord);

impl Serialize for EffectiveScopes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(effective_scopes(self.0, self.1))
    }
}
