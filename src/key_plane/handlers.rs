//! Verify, whoami and healthz: skins of one decision.

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
    judge::{Judged, Metered, Question, Shown},
    wire::{self, KeyFacts, VerifyAnswer, VerifyRequest, Whoami},
};
use crate::{
    catalog::Headers,
    client, database,
    keys::verdict::{self, Asked, Record, Verdict},
    machine_http::{
        self, Object, Problem,
        credential::{self, Credential},
        service,
    },
    response_headers::RequestId,
};

/// What the headers show, as the catalog lets them count.
pub fn shown(headers: &HeaderMap, rules: Headers) -> Result<Shown<'_>, Problem> {
    match credential::from_headers(headers, rules) {
        Credential::One(credential) => Ok(Shown::Credential(credential)),
        Credential::None => Ok(Shown::Nothing),
        Credential::BearerDoesNotCount => Ok(Shown::WrongHeader),
        Credential::Ambiguous(detail) => Err(Problem::ambiguous(detail)),
    }
}

/// `GET /v1/whoami`: a key asks about itself.
pub async fn whoami(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Problem> {
    let (record, metered) = plane.ask_itself(id, peer, request.headers(), &[], "/v1/whoami").await?;
    let rate_limit = metered.as_ref().map(Into::into);
    let mut response = wire::json(&Whoami { key: KeyFacts::from(&*record), rate_limit });
    response.headers_mut().extend(wire::rate_limit_headers(metered.as_ref()));
    Ok(response)
}

const VERIFY_SHAPE: &str = "Send an object with \"key\" and, if you like, \"environment\", \"org\", \"scopes\", \"namespace\", \"address\" and \
     \"dry_run\"; any other field is refused rather than ignored.";

/// `POST /v1/keys/verify`: a service with `verify` asks about a key that was presented to it.
pub async fn verify(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers();
    // Who asks comes first: whoever may not ask learns nothing of what a well-formed question is.
    let shown = credential::from_headers(headers, credential::SERVICES);
    let service = service::enter(shown, "verify", &plane.memory, &plane.keys, &plane.catalog).await?;
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
    response.headers_mut().extend(wire::rate_limit_headers(judged.metered.as_ref()));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
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
    ) -> Result<(Arc<Record>, Option<Metered<'_>>), Problem> {
        let question = Question {
            asked: Asked { address: self.proxies.resolve(peer, headers).known(), scopes, ..Asked::default() },
            shown: shown(headers, self.catalog.headers)?,
            request_id: id.0,
            agent: client::agent(headers),
            via: None,
            dry_run: false,
            routed: true,
            request: ("GET", path),
        };
        match self.judge(question).await {
            Judged { verdict: Verdict::Valid, record: Some(record), metered, .. } => Ok((record, metered)),
            Judged { verdict, metered, .. } => Err(self.refusal(&verdict, metered.as_ref())),
        }
    }

    pub fn refusal(&self, verdict: &Verdict, metered: Option<&Metered<'_>>) -> Problem {
        Problem::refusal(verdict, &self.catalog).with_headers(wire::rate_limit_headers(metered))
    }
}

/// `GET /healthz`: 200 if keys can be judged.
pub async fn healthz(State(plane): State<Arc<KeyPlane>>) -> Result<Json<serde_json::Value>, Problem> {
    if !plane.memory.lease.left().is_zero() && database::store::is_answering(&plane.keys).await {
        Ok(Json(serde_json::json!({ "status": "ok" })))
    } else {
        Err(plane.refusal(&Verdict::Unavailable, None))
    }
}
