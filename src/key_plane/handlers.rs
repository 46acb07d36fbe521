//! Verify, whoami and healthz: skins of one decision.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Extension, Json,
    extract::{ConnectInfo, FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};

use super::{
    KeyPlane,
    judge::{Judged, Metered, Question, Shown},
    wire::{self, KeyFacts, VerifyAnswer, VerifyRequest, Whoami},
};
use crate::{
    catalog::Headers,
    client, database,
    keys::verdict::{self, Asked, Record, Verdict},
    machine_http::{
        self, Object, Problem, RequestId,
        credential::{self, Credential},
        service,
    },
};

/// What the headers show, as the catalog lets them count.
pub fn shown(headers: &HeaderMap, rules: Headers, id: RequestId) -> Result<Shown<'_>, Box<Response>> {
    match credential::from_headers(headers, rules) {
        Credential::One(credential) => Ok(Shown::Credential(credential)),
        Credential::None => Ok(Shown::Nothing),
        Credential::BearerDoesNotCount => Ok(Shown::WrongHeader),
        Credential::Ambiguous(detail) => Err(Box::new(Problem::ambiguous(detail, id.0).into_response())),
    }
}

/// `GET /v1/whoami`: a key asks about itself.
pub async fn whoami(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    match plane.ask_itself(id, peer, request.headers(), &[], "/v1/whoami").await {
        Ok((record, metered)) => {
            let rate_limit = metered.as_ref().map(Into::into);
            let mut response = wire::json(&Whoami { key: KeyFacts::from(&*record), rate_limit });
            wire::set_rate_limit_headers(response.headers_mut(), metered.as_ref());
            response
        }
        Err(refusal) => *refusal,
    }
}

const VERIFY_SHAPE: &str = "Send an object with \"key\" and, if you like, \"environment\", \"org\", \"scopes\", \"namespace\", \"address\" and \
     \"dry_run\"; any other field is refused rather than ignored.";

/// `POST /v1/keys/verify`: a service with `verify` asks about a key that was presented to it.
pub async fn verify(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let headers = request.headers();
    // Who asks comes first: whoever may not ask learns nothing of what a well-formed question is.
    let shown = credential::from_headers(headers, credential::SERVICES);
    let service = match service::enter(shown, "verify", &plane.memory, &plane.keys, &plane.catalog, id.0).await {
        Ok(service) => service,
        Err(problem) => return problem.into_response(),
    };
    if machine_http::announces_too_much(headers) {
        return Problem::too_large(id.0).into_response();
    }
    let agent = client::agent(headers).to_owned();
    let Json(Object(body)) = match Json::<Object<VerifyRequest>>::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return Problem::bad_body(&rejection, VERIFY_SHAPE, id.0).into_response(),
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
        agent: &agent,
        via: Some(service.name.clone()),
        dry_run: body.dry_run,
        routed: true,
        request: ("POST", "/v1/keys/verify"),
    };
    let judged = plane.judge(question).await;
    let rate_limit = judged.metered.as_ref().map(Into::into);
    let retry_after = machine_http::retry_after(&judged.verdict);
    let mut response = wire::json(&VerifyAnswer {
        valid: judged.verdict == Verdict::Valid,
        code: judged.verdict.code(),
        detail: judged.verdict.detail(),
        request_id: id.0,
        key: judged.record.as_deref().map(Into::into),
        rate_limit,
        trace: body.dry_run.then(|| verdict::steps_json(&judged.steps)),
    });
    wire::set_rate_limit_headers(response.headers_mut(), judged.metered.as_ref());
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

impl KeyPlane {
    /// Judges a key that comes itself, for a `GET` of a path of ours that needs these scopes.
    pub async fn ask_itself(
        &self,
        id: RequestId,
        peer: SocketAddr,
        headers: &HeaderMap,
        scopes: &[String],
        path: &str,
    ) -> Result<(Arc<Record>, Option<Metered<'_>>), Box<Response>> {
        let question = Question {
            asked: Asked { address: self.proxies.resolve(peer, headers).known(), scopes, ..Asked::default() },
            shown: shown(headers, self.catalog.headers, id)?,
            request_id: id.0,
            agent: client::agent(headers),
            via: None,
            dry_run: false,
            routed: true,
            request: ("GET", path),
        };
        match self.judge(question).await {
            Judged { verdict: Verdict::Valid, record: Some(record), metered, .. } => Ok((record, metered)),
            Judged { verdict, metered, .. } => Err(Box::new(self.refusal(&verdict, id, metered.as_ref()))),
        }
    }

    pub fn refusal(&self, verdict: &Verdict, id: RequestId, metered: Option<&Metered<'_>>) -> Response {
        let mut response = Problem::refusal(verdict, &self.catalog, id.0).into_response();
        wire::set_rate_limit_headers(response.headers_mut(), metered);
        response
    }
}

/// `GET /healthz`: 200 if keys can be judged.
pub async fn healthz(State(plane): State<Arc<KeyPlane>>, Extension(id): Extension<RequestId>) -> Response {
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
