//! Verify, whoami and healthz: skins of one decision.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Extension, Json,
    extract::{ConnectInfo, FromRequest, Request, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use uuid::Uuid;

use super::{
    KeyPlane,
    credential::{self, Credential},
    judge::{Judged, Metered, Question, Shown, steps_json},
    wire::{self, KeyFacts, Problem, VerifyAnswer, VerifyRequest, Whoami},
};
use crate::{
    catalog::Headers,
    database,
    keys::{
        secret::Presented,
        store,
        verdict::{Asked, Verdict},
    },
};

/// The id that an answer carries and the log knows it by.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

/// What the headers show, as the catalog lets them count.
pub fn shown(headers: &HeaderMap, rules: Headers, id: RequestId) -> Result<Shown<'_>, Box<Response>> {
    match credential::from_headers(headers, rules) {
        Credential::One(credential) => Ok(Shown::Credential(credential)),
        Credential::None => Ok(Shown::Nothing),
        Credential::BearerDoesNotCount => Ok(Shown::WrongHeader),
        Credential::Ambiguous(detail) => Err(Box::new(ambiguous(detail, id))),
    }
}

/// `GET /v1/whoami`: a key asks about itself.
pub async fn whoami(
    State(plane): State<KeyPlane>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let shown = match shown(&headers, plane.catalog.headers, id) {
        Ok(shown) => shown,
        Err(refusal) => return *refusal,
    };
    let question = Question {
        asked: Asked { address: plane.proxies.resolve(peer, &headers).known(), ..Asked::default() },
        shown,
        request_id: id.0,
        agent: agent(&headers),
        via: None,
        dry_run: false,
        routed: true,
        request: ("GET", "/v1/whoami"),
    };
    match plane.judge(question).await {
        Judged { verdict: Verdict::Valid, record: Some(record), metered, .. } => {
            let rate_limit = metered.as_ref().map(Into::into);
            let mut response = Json(Whoami { key: KeyFacts::from(&*record), rate_limit }).into_response();
            wire::put_rate(response.headers_mut(), metered.as_ref());
            response
        }
        Judged { verdict, metered, .. } => plane.refusal(&verdict, id, metered.as_ref()),
    }
}

/// `POST /v1/keys/verify`: a service with `verify` asks about a key that was presented to it.
pub async fn verify(State(plane): State<KeyPlane>, Extension(id): Extension<RequestId>, request: Request) -> Response {
    let headers = request.headers().clone();
    // Who asks comes first: whoever may not ask learns nothing of what a well-formed question is.
    let service = match plane.service(&headers, "verify", id).await {
        Ok(service) => service,
        Err(refusal) => return *refusal,
    };
    // What announces itself as too large is not waited for.
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return too_large(id);
    }
    let Json(body) = match Json::<VerifyRequest>::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return bad_body(&rejection, id),
    };
    let address = match body.address.as_deref().map(str::parse::<IpAddr>).transpose() {
        Ok(address) => address.map(|address| address.to_canonical()),
        Err(_) => {
            let detail = "\"address\" is the client's IP address alone, as in 203.0.113.7.";
            return Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail, id.0).into_response();
        }
    };
    let asked = Asked {
        org: body.org.as_deref(),
        environment: body.environment.as_deref(),
        namespace: body.namespace.as_deref(),
        scopes: &body.scopes,
        address,
    };
    let key = body.key.as_bytes();
    let question = Question {
        asked,
        shown: if key.is_empty() { Shown::Nothing } else { Shown::Credential(key) },
        request_id: id.0,
        agent: agent(&headers),
        via: Some(service),
        dry_run: body.dry_run,
        routed: true,
        request: ("POST", "/v1/keys/verify"),
    };
    let judged = plane.judge(question).await;
    let rate_limit = judged.metered.as_ref().map(Into::into);
    let retry_after = wire::retry_after(&judged.verdict);
    let mut response = Json(VerifyAnswer {
        valid: judged.verdict == Verdict::Valid,
        code: judged.verdict.code(),
        detail: judged.verdict.detail(),
        request_id: id.0,
        key: judged.record.as_deref().map(Into::into),
        rate_limit,
        trace: body.dry_run.then(|| steps_json(&judged.steps)),
    })
    .into_response();
    wire::put_rate(response.headers_mut(), judged.metered.as_ref());
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

impl KeyPlane {
    pub fn refusal(&self, verdict: &Verdict, id: RequestId, metered: Option<&Metered>) -> Response {
        let mut response = Problem::refusal(verdict, &self.catalog, id.0).into_response();
        wire::put_rate(response.headers_mut(), metered);
        response
    }

    /// The name of the service whose key the headers hold, if it may do `capability`.
    async fn service(&self, headers: &HeaderMap, capability: &str, id: RequestId) -> Result<String, Box<Response>> {
        let refuse = |verdict: &Verdict, detail: Option<&str>| {
            let mut problem = Problem::refusal(verdict, &self.catalog, id.0);
            if let Some(detail) = detail {
                problem.detail = detail.to_owned();
            }
            Box::new(problem.into_response())
        };
        let credential = match shown(headers, credential::SERVICES, id)? {
            Shown::Credential(credential) => credential,
            Shown::Nothing | Shown::WrongHeader => {
                let missing = Verdict::Missing { bearer: true };
                return Err(refuse(&missing, Some("Send your service key as Authorization: Bearer.")));
            }
        };
        let digest = Presented::parse(credential).map_err(|why| refuse(&Verdict::Malformed(why), None))?.digest;
        let found = self
            .memory
            .get(digest, || store::service_key(&self.keys, digest))
            .await
            .map_err(|_| refuse(&Verdict::Unavailable, None))?;
        let Some(service) = found else {
            let detail = "There is no such service key. An API key cannot verify others.";
            return Err(refuse(&Verdict::NotFound, Some(detail)));
        };
        if service.capabilities.iter().any(|known| known == capability) {
            return Ok(service.name.clone());
        }
        let missing = Verdict::InsufficientScope { missing: vec![capability.to_owned()] };
        Err(refuse(&missing, Some(&format!("The service key lacks the capability {capability}."))))
    }
}

pub fn ambiguous(detail: &str, id: RequestId) -> Response {
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, "ambiguous-credential", detail, id.0);
    problem.challenge = Some("Bearer error=\"invalid_request\"".to_owned());
    problem.into_response()
}

/// No question comes near it.
pub const MAX_BODY: u64 = 64 * 1024;

fn too_large(id: RequestId) -> Response {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "bad-request", "Send a body of at most 64 KiB.", id.0).into_response()
}

/// What is wrong with a body, without quoting it: it holds a key.
fn bad_body(rejection: &JsonRejection, id: RequestId) -> Response {
    let (status, detail) = match rejection {
        JsonRejection::MissingJsonContentType(_) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send the body as Content-Type: application/json.")
        }
        JsonRejection::BytesRejection(_) => return too_large(id),
        JsonRejection::JsonSyntaxError(_) => (StatusCode::BAD_REQUEST, "The body is not JSON."),
        _ => (
            StatusCode::BAD_REQUEST,
            "Send an object with \"key\" and, if you like, \"environment\", \"org\", \"scopes\", \"namespace\", \"address\" \
             and \"dry_run\"; any other field is refused rather than ignored.",
        ),
    };
    Problem::new(status, "bad-request", detail, id.0).into_response()
}

pub fn agent(headers: &HeaderMap) -> String {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// `GET /healthz`: 200 if keys can be judged.
pub async fn healthz(State(plane): State<KeyPlane>, Extension(id): Extension<RequestId>) -> Response {
    if !plane.memory.lease.left().is_zero() && database::store::is_answering(&plane.keys).await {
        Json(serde_json::json!({ "status": "ok" })).into_response()
    } else {
        plane.refusal(&Verdict::Unavailable, id, None)
    }
}

pub async fn not_found(Extension(id): Extension<RequestId>) -> Response {
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", "There is nothing at this path.", id.0).into_response()
}

pub async fn method_not_allowed(Extension(id): Extension<RequestId>) -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path does not take this method.", id.0)
        .into_response()
}
