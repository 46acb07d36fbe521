//! Verify, whoami and healthz.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Extension, Json,
    extract::{ConnectInfo, FromRequest, Request, State},
    response::Response,
};
use http::{HeaderMap, header};

use super::{
    KeyPlane,
    judge::{Judged, Question},
    openapi::{KeyRefusals, Unavailable, VerifyRefusals},
    wire::{self, KeyFacts, RateLimit, VerifyAnswer, VerifyRequest, Whoami},
};
use crate::{
    client, database,
    keys::verdict::{KeyRecord, Requirements, Verdict},
    machine_http::{
        self, Object, Problem,
        credential::{self, PresentedCredential},
        service,
    },
    response_headers::RequestId,
};

/// Ask about the key that the request presents
#[utoipa::path(
    get, path = "/v1/whoami", tag = "Keys", operation_id = "whoami",
    security(("api_key" = []), ("api_key_as_bearer" = [])),
    responses((status = 200, description = "The key is good. It is called once more.", body = Whoami, headers(
        ("ratelimit-policy" = String, description = "The tier, its calls, and their window in seconds, where there is a limit."),
        ("ratelimit" = String, description = "How many calls are left, and the seconds until there are more."),
    )), KeyRefusals)
)]
pub async fn whoami(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Problem> {
    let (key, rate_limit) = plane.judge_own_key(id, peer, request.headers(), &[], "/v1/whoami").await?;
    // Step 8.
    let mut response = wire::json(&Whoami { key: KeyFacts::new(&plane.catalog, &key), rate_limit });
    response.headers_mut().extend(wire::rate_limit_headers(rate_limit));
    Ok(response)
}

const VERIFY_SHAPE: &str = "Send an object with \"key\" and, if you like, \"environment\", \"org\", \"scopes\", \"namespace\", \"address\" and \
     \"dry_run\"; any other field is refused rather than ignored.";

/// Ask about a key that was presented to a service
///
/// For service keys with the capability `verify`. The answer is 200 for every verdict.
#[utoipa::path(
    post, path = "/v1/keys/verify", tag = "Keys", operation_id = "verifyKey", security(("service_key" = [])),
    request_body = VerifyRequest,
    responses((status = 200, description = "The verdict.", body = VerifyAnswer, headers(
        ("ratelimit-policy" = String, description = "The tier, its calls, and their window in seconds, where there is a limit."),
        ("ratelimit" = String, description = "How many calls are left, and the seconds until there are more."),
        ("retry-after" = u64, description = "Seconds after which to try again, where the key has spent its calls."),
    )), VerifyRefusals)
)]
pub async fn verify(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers();
    // The caller is checked before its question: one that may not ask learns nothing of what a well-formed question is.
    let presented = credential::from_headers(headers, credential::SERVICES);
    let service = service::enter(presented, "verify", &plane.memory, &plane.db, &plane.catalog).await?;
    if machine_http::announces_too_much(headers) {
        return Err(Problem::too_large());
    }
    let agent = client::agent(headers).to_owned();
    let Json(Object(body)) = Json::<Object<VerifyRequest>>::from_request(request, &())
        .await
        .map_err(|rejection| Problem::bad_body(&rejection, VERIFY_SHAPE))?;
    let address = body.address.as_deref().map(str::parse::<IpAddr>).transpose();
    let address = address
        .map_err(|_| Problem::bad_request("\"address\" is the client's IP address alone, as in 203.0.113.7."))?
        .map(|address| address.to_canonical());
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
    response.headers_mut().extend(wire::rate_limit_headers(judged.rate_limit));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
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
    ) -> Result<(Arc<KeyRecord>, Option<RateLimit<'_>>), Problem> {
        // Step 2.
        let credential = credential::from_headers(headers, self.catalog.headers)?;
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
            Judged { verdict, rate_limit, .. } => Err(self.refusal(&verdict, rate_limit)),
        }
    }

    pub fn refusal(&self, verdict: &Verdict, rate_limit: Option<RateLimit<'_>>) -> Problem {
        Problem::refusal(verdict, &self.catalog).with_headers(wire::rate_limit_headers(rate_limit))
    }
}

/// Ask whether keys can be checked here
#[utoipa::path(
    get, path = "/healthz", tag = "Operation", operation_id = "health", security(()),
    responses((status = 200, description = "They can.", body = serde_json::Value, example = json!({ "status": "ok" })), Unavailable)
)]
pub async fn healthz(State(plane): State<Arc<KeyPlane>>) -> Result<Json<serde_json::Value>, Problem> {
    if !plane.memory.lease.left().is_zero() && database::store::is_answering(&plane.db).await {
        Ok(Json(serde_json::json!({ "status": "ok" })))
    } else {
        Err(plane.refusal(&Verdict::Unavailable, None))
    }
}
