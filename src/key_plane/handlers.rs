//! Verify, whoami and healthz.

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
    judge::{Judged, Question},
    wire::{self, KeyFacts, RateLimit, VerifyAnswer, VerifyRequest, Whoami},
};
use crate::{
    client, database,
    keys::verdict::{KeyRecord, Requirements, Verdict},
    machine_http::{
        self, Object, Problem, RequestId,
        credential::{self, Ambiguous, PresentedCredential},
        service,
    },
};

/// `GET /v1/whoami`: a key asks about itself.
pub async fn whoami(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    match plane.judge_own_key(id, peer, request.headers(), &[], "/v1/whoami").await {
        Ok((key, rate_limit)) => {
            // Step 8.
            let mut response = wire::json(&Whoami { key: KeyFacts::new(&plane.catalog, &key), rate_limit });
            wire::set_rate_limit_headers(response.headers_mut(), rate_limit);
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
    // The caller is checked before its question: one that may not ask learns nothing of what a well-formed question is.
    let presented = credential::from_headers(headers, credential::SERVICES);
    let service = match service::enter(presented, "verify", &plane.memory, &plane.db, &plane.catalog, id.0).await {
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
    let requirements = Requirements {
        orgs: [body.org.as_deref(), None],
        environment: body.environment.as_deref(),
        namespace: body.namespace.as_deref(),
        scopes: &body.scopes,
        address,
    };
    let credential = match body.key.as_bytes() {
        [] => PresentedCredential::Missing(credential::where_keys_belong(plane.catalog.headers)),
        key => PresentedCredential::Key(key),
    };
    let question = Question {
        credential,
        requirements,
        request_id: id.0,
        agent: &agent,
        via: Some(service.name.clone()),
        dry_run: body.dry_run,
        routed: true,
        request: ("POST", "/v1/keys/verify"),
    };
    let judged = plane.judge(question).await;
    let retry_after = machine_http::retry_after(&judged.verdict);
    let mut response = wire::json(&VerifyAnswer {
        valid: judged.verdict == Verdict::Valid,
        code: judged.verdict.code(),
        detail: judged.verdict.detail(),
        request_id: id.0,
        key: judged.key.as_deref().map(|key| KeyFacts::new(&plane.catalog, key)),
        rate_limit: judged.rate_limit,
        trace: body.dry_run.then(|| machine_http::gates_json(&judged.evaluation)),
    });
    wire::set_rate_limit_headers(response.headers_mut(), judged.rate_limit);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

impl KeyPlane {
    /// Judges the key that a request presents, for a `GET` of a path of ours that needs these scopes.
    pub async fn judge_own_key(
        &self,
        id: RequestId,
        peer: SocketAddr,
        headers: &HeaderMap,
        scopes: &[String],
        path: &str,
    ) -> Result<(Arc<KeyRecord>, Option<RateLimit<'_>>), Box<Response>> {
        // Step 2.
        let credential = credential::from_headers(headers, self.catalog.headers)
            .map_err(|Ambiguous(detail)| Box::new(Problem::ambiguous(detail, id.0).into_response()))?;
        let address = self.proxies.resolve(peer, headers).known();
        let question = Question {
            credential,
            requirements: Requirements { address, scopes, ..Requirements::default() },
            request_id: id.0,
            agent: client::agent(headers),
            via: None,
            dry_run: false,
            routed: true,
            request: ("GET", path),
        };
        match self.judge(question).await {
            Judged { verdict: Verdict::Valid, key: Some(key), rate_limit, .. } => Ok((key, rate_limit)),
            Judged { verdict, rate_limit, .. } => Err(Box::new(self.refusal(&verdict, id, rate_limit))),
        }
    }

    pub fn refusal(&self, verdict: &Verdict, id: RequestId, rate_limit: Option<RateLimit<'_>>) -> Response {
        let mut response = Problem::refusal(verdict, &self.catalog, id.0).into_response();
        wire::set_rate_limit_headers(response.headers_mut(), rate_limit);
        response
    }
}

/// `GET /healthz`: 200 if keys can be judged.
pub async fn healthz(State(plane): State<Arc<KeyPlane>>, Extension(id): Extension<RequestId>) -> Response {
    if !plane.memory.lease.left().is_zero() && database::store::is_answering(&plane.db).await {
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
