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
    wire::{KeyFacts, Problem, VerifyAnswer, VerifyRequest},
};
use crate::{
    database,
    keys::{
        secret::Presented,
        store,
        verdict::{self, Expected, Record, Verdict},
    },
    usage::Use,
};

/// The id that an answer carries and the log knows it by.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

impl KeyPlane {
    /// Judges a credential: shape, then the record, then everything the record says.
    async fn judge(&self, credential: &[u8], expected: &Expected<'_>) -> (Verdict, Option<Record>) {
        let presented = match Presented::parse(credential) {
            Ok(presented) => presented,
            Err(why) => return (Verdict::Malformed(why), None),
        };
        match store::record(&self.keys, presented.digest).await {
            Ok(record) => {
                let verdict = verdict::decide(record.as_ref(), expected, self.clock.now());
                // To whoever may not know of it, the key's facts are as absent as the key.
                let told = record.filter(|_| verdict != Verdict::NotFound);
                (verdict, told)
            }
            Err(error) => {
                tracing::error!(%error, "a key could not be looked up");
                (Verdict::Unavailable, None)
            }
        }
    }

    fn note_use(&self, record: &Record, address: IpAddr, agent: String, via: Option<String>) {
        self.usage.note(Use { key: record.id, org: record.org_id, at: self.clock.now(), address, agent, via });
    }

    fn refusal(&self, verdict: &Verdict, id: RequestId) -> Response {
        Problem::refusal(verdict, &self.catalog.brand, id.0).into_response()
    }
}

/// `GET /v1/whoami`: a key asks about itself.
pub async fn whoami(
    State(plane): State<KeyPlane>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let credential = match credential::from_headers(&headers) {
        Credential::One(credential) => credential,
        Credential::None => return plane.refusal(&Verdict::Missing, id),
        Credential::Ambiguous(detail) => return ambiguous(detail, id),
    };
    match plane.judge(credential, &Expected::default()).await {
        (Verdict::Valid, Some(record)) => {
            plane.note_use(&record, peer.ip().to_canonical(), agent(&headers), None);
            Json(KeyFacts::from(record)).into_response()
        }
        (verdict, _) => plane.refusal(&verdict, id),
    }
}

/// `POST /v1/keys/verify`: a service with `verify` asks about a key that was presented to it.
pub async fn verify(
    State(plane): State<KeyPlane>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    // Who asks comes first: whoever may not ask learns nothing of what a well-formed question is.
    let service = match plane.service(&headers, "verify", id).await {
        Ok(service) => service,
        Err(refusal) => return refusal,
    };
    // What announces itself as too large is not waited for.
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return too_large(id);
    }
    let Json(asked) = match Json::<VerifyRequest>::from_request(request, &()).await {
        Ok(asked) => asked,
        Err(rejection) => return bad_body(&rejection, id),
    };
    let expected =
        Expected { org: asked.org.as_deref(), environment: asked.environment.as_deref(), scopes: &asked.scopes };
    let (verdict, record) = if asked.key.as_bytes().is_empty() {
        (Verdict::Missing, None)
    } else {
        plane.judge(asked.key.as_bytes(), &expected).await
    };
    if let (Verdict::Valid, Some(record)) = (&verdict, &record) {
        plane.note_use(record, peer.ip().to_canonical(), agent(&headers), Some(service));
    }
    let answer = VerifyAnswer {
        valid: verdict == Verdict::Valid,
        code: verdict.code(),
        detail: verdict.detail(),
        request_id: id.0,
        key: record.map(Into::into),
    };
    Json(answer).into_response()
}

impl KeyPlane {
    /// The name of the service whose key the headers hold, if it may do `capability`.
    async fn service(&self, headers: &HeaderMap, capability: &str, id: RequestId) -> Result<String, Response> {
        let credential = match credential::from_headers(headers) {
            Credential::One(credential) => credential,
            Credential::None => {
                let mut problem = Problem::refusal(&Verdict::Missing, &self.catalog.brand, id.0);
                problem.detail = "Send your service key as Authorization: Bearer.".to_owned();
                return Err(problem.into_response());
            }
            Credential::Ambiguous(detail) => return Err(ambiguous(detail, id)),
        };
        let digest = Presented::parse(credential).map_err(|why| self.refusal(&Verdict::Malformed(why), id))?.digest;
        let found = store::service_key(&self.keys, digest).await.map_err(|error| {
            tracing::error!(%error, "a service key could not be looked up");
            self.refusal(&Verdict::Unavailable, id)
        })?;
        let Some(service) = found else {
            let mut problem = Problem::refusal(&Verdict::NotFound, &self.catalog.brand, id.0);
            problem.detail = "There is no such service key. An API key cannot verify others.".to_owned();
            return Err(problem.into_response());
        };
        if service.capabilities.iter().any(|known| known == capability) {
            Ok(service.name)
        } else {
            let missing = Verdict::InsufficientScope { missing: vec![capability.to_owned()] };
            let mut problem = Problem::refusal(&missing, &self.catalog.brand, id.0);
            problem.detail = format!("The service key lacks the capability {capability}.");
            Err(problem.into_response())
        }
    }
}

fn ambiguous(detail: &str, id: RequestId) -> Response {
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
            "Send an object with \"key\" and, if you like, \"environment\", \"org\" and \"scopes\"; other fields are not \
             understood by this version, so they are refused rather than ignored.",
        ),
    };
    Problem::new(status, "bad-request", detail, id.0).into_response()
}

fn agent(headers: &HeaderMap) -> String {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// `GET /healthz`: 200 if keys can be judged.
pub async fn healthz(State(plane): State<KeyPlane>, Extension(id): Extension<RequestId>) -> Response {
    if database::store::is_answering(&plane.keys).await {
        Json(serde_json::json!({ "status": "ok" })).into_response()
    } else {
        plane.refusal(&Verdict::Unavailable, id)
    }
}

pub async fn not_found(Extension(id): Extension<RequestId>) -> Response {
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", "There is nothing at this path.", id.0).into_response()
}

pub async fn method_not_allowed(Extension(id): Extension<RequestId>) -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path does not take this method.", id.0)
        .into_response()
}
