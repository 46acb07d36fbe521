//! What a request says: its JSON body, its page, the id in its path. Each is read once, and what is not described is refused
//! rather than ignored.

use std::{str::FromStr, sync::Arc};

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use super::Management;
use crate::{
    ids::{KeyId, UserId},
    machine_http::{self, Problem},
    secrets::Digest,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A JSON body. Nothing at all is read as null: what a body that may be left out is then.
pub struct Body<T> {
    pub value: T,
    /// By what a repeat is known as one.
    pub request: Digest,
    /// The header `Idempotency-Key`.
    pub key: Option<String>,
}

impl<T: DeserializeOwned> FromRequest<Arc<Management>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Management>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let key = idempotency_key(&parts)?;
        let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Send a body of at most 64 KiB.");
        // What announces itself as too large is not waited for.
        if machine_http::announces_too_much(&parts.headers) {
            return Err(too_large());
        }
        let bytes = to_bytes(body, machine_http::MAX_BODY as usize).await.map_err(|_| too_large())?;
        let json = parts.headers.get(header::CONTENT_TYPE).is_some_and(is_json);
        if !bytes.is_empty() && !json {
            let detail = "Send the body as Content-Type: application/json.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
        }
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        // Which would be read as an object's fields in their order.
        if text.trim_ascii_start().starts_with(b"[") {
            return Err(Problem::bad_request("The body is to be a JSON object."));
        }
        let value = serde_json::from_slice(text).map_err(|error| {
            // Which field, and what was expected. Bodies hold no secrets here.
            Problem::bad_request(format!("The body cannot be taken: {error}."))
        })?;
        let line = format!("{} {}\n", parts.method, parts.uri.path());
        Ok(Self { value, request: Digest::of(&[line.as_bytes(), &bytes].concat()), key })
    }
}

fn is_json(value: &HeaderValue) -> bool {
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// 1 to 255 visible ASCII characters.
fn idempotency_key(parts: &Parts) -> Result<Option<String>, Problem> {
    let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(Problem::bad_request("Idempotency-Key is 1 to 255 visible ASCII characters, sent once.")),
    }
}

/// A request without anything to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    #[serde(default = "default_limit")]
    pub limit: i64,
    /// `next_cursor` of the part before.
    pub cursor: Option<String>,
}

fn default_limit() -> i64 {
    50
}

impl FromRequestParts<Arc<Management>> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Management>) -> Result<Self, Problem> {
        let Query(page) = Query::<Self>::try_from_uri(&parts.uri).map_err(|_| {
            Problem::bad_request("A list takes \"limit\" (a number) and \"cursor\", each once, and nothing else.")
        })?;
        if (1..=200).contains(&page.limit) { Ok(page) } else { Err(Problem::bad_request("\"limit\" is 1 to 200.")) }
    }
}

impl Page {
    /// Where to go on.
    pub fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let cursor = self.cursor.as_deref().map(str::parse).transpose();
        let sentence = "Send the next_cursor of a list, as it was answered.";
        cursor.map_err(|_| Problem::fields(&[("cursor", sentence.to_owned())]))
    }
}

/// Part of a list.
#[derive(Serialize, ToSchema)]
pub struct Listed<T> {
    pub data: Vec<T>,
    /// Send it as `cursor` for what follows; null at the end.
    pub next_cursor: Option<String>,
}

impl<T> Listed<T> {
    /// Of one item more than a page holds, to know whether there are more.
    pub fn page(items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> Self {
        let (data, next_cursor) = machine_http::part(items, limit, cursor);
        Self { data, next_cursor }
    }
}

/// The key that a path is about. What is no id is nobody's.
pub struct KeyPath(pub KeyId);

impl FromRequestParts<Arc<Management>> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, management: &Arc<Management>) -> Result<Self, Problem> {
        id(parts, management).await.map(Self).ok_or_else(|| Problem::not_found("There is no such key."))
    }
}

/// The member that a path is about.
pub struct MemberPath(pub UserId);

impl FromRequestParts<Arc<Management>> for MemberPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, management: &Arc<Management>) -> Result<Self, Problem> {
        let id = id(parts, management).await.map(UserId);
        id.map(Self).ok_or_else(|| Problem::not_found("There is no such member."))
    }
}

/// The change that a path is about.
pub struct RevisionPath(pub i64);

impl FromRequestParts<Arc<Management>> for RevisionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, management: &Arc<Management>) -> Result<Self, Problem> {
        id(parts, management).await.map(Self).ok_or_else(|| Problem::not_found("There is no such change."))
    }
}

async fn id<T: FromStr>(parts: &mut Parts, management: &Arc<Management>) -> Option<T> {
    let Path(id) = Path::<String>::from_request_parts(parts, management).await.ok()?;
    id.parse().ok()
}
