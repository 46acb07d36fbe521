//! What the key plane says on the wire: verify's JSON and whoami's JSON.

use std::fmt::{self, Write};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{judge::Metered, limiter::Rate};
use crate::keys::verdict::{Code, Record};

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

impl From<&Metered<'_>> for RateLimit {
    fn from(metered: &Metered<'_>) -> Self {
        let Rate { limit, remaining, reset } = metered.rate;
        Self { limit, remaining, reset }
    }
}

/// Room for nearly every answer's body, and for the headers that it will carry: growing by and by costs more.
const BODY: usize = 1024;
const HEADERS: usize = 12;

/// An answer in JSON.
pub fn json(answer: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(BODY);
    if let Err(error) = serde_json::to_writer(&mut body, answer) {
        tracing::error!(%error, "an answer cannot be written as JSON");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut response = Response::new(Body::from(body));
    response.headers_mut().reserve(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), where there is a limit.
pub fn rate_limit_headers(metered: Option<&Metered<'_>>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    metered.into_iter().flat_map(|metered| {
        let Rate { limit, remaining, reset } = metered.rate;
        let (tier, window) = (&metered.tier, metered.window.as_secs());
        // A tier's name is lower-case ASCII without quotes: the catalog sees to that.
        let header = |name, value: fmt::Arguments<'_>| {
            let mut text = String::with_capacity(64);
            // Writing to a string does not fail.
            let _ = text.write_fmt(value);
            HeaderValue::try_from(text).ok().map(|value| (name, value))
        };
        [
            header(RATELIMIT_POLICY, format_args!("\"{tier}\";q={limit};w={window}")),
            header(RATELIMIT, format_args!("\"{tier}\";r={remaining};t={reset}")),
        ]
        .into_iter()
        .flatten()
    })
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
            retires_at: record.overlap_ends_at,
        }
    }
}
