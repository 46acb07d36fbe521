//! Whether this node can do its work, and what is missing if not.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;

use super::{KeyPlane, limiter::Subject, metrics};
use crate::{catalog::Limit, revocation};

/// Expiry is judged by this node's clock, so it must not be far from the database's.
const MAX_CLOCK_OFFSET: Duration = Duration::from_secs(1);
/// How long a warning may take to be found. A load balancer waits a second or so for an answer, and while the database is away
/// this node may answer for a lease's length.
const WARNING_PATIENCE: Duration = Duration::from_millis(250);

#[derive(Serialize, ToSchema)]
pub struct Readiness {
    ready: bool,
    /// What keeps it from being ready.
    missing: Vec<String>,
    /// What an operator should see to.
    warnings: Vec<String>,
}

impl KeyPlane {
    async fn readiness(&self) -> Readiness {
        let (mut missing, mut warnings) = (Vec::new(), Vec::new());
        if *self.draining.borrow() {
            missing.push("this node is about to stop".to_owned());
        }
        if self.memory.lease.left().is_zero() {
            missing.push("this node may not answer: it does not follow the database".to_owned());
        }
        if let Some(back) = self.memory.went_back() {
            missing.push(back.reason.clone());
        }
        let offset = self.memory.clock_offset();
        if offset > MAX_CLOCK_OFFSET {
            missing.push(format!("this node's clock and the database's are {} ms apart", offset.as_millis()));
        }
        // The limiter is asked about an address that no client has, and counts nothing.
        let nobody = Subject::Address(Ipv4Addr::UNSPECIFIED.into());
        if self.limiter.peek(nobody, Limit::per_minute(1), self.clock.steady()).await.is_err() {
            // The limiter is the same one for all nodes: none would be left if each of them gave up on it.
            let needed = self.catalog.tiers.iter().any(|tier| tier.limit.is_some() && !tier.open_without_limiter);
            let lacking = if needed { &mut missing } else { &mut warnings };
            lacking.push("the limiter does not answer".to_owned());
        }
        warnings.extend(self.limiter.warnings());
        if let Ok(Some(warning)) = tokio::time::timeout(WARNING_PATIENCE, self.unshared_limiters_warning()).await {
            warnings.push(warning);
        }
        Readiness { ready: missing.is_empty(), missing, warnings }
    }

    /// The warning that several nodes count each in its own memory, and so let through several times the limit.
    pub async fn unshared_limiters_warning(&self) -> Option<String> {
        if self.limiter.is_shared() {
            return None;
        }
        let nodes = revocation::store::count_unshared_limiters(&self.db).await.ok()?;
        (nodes > 1).then(|| {
            format!("{nodes} nodes count calls each in its own memory, so that a key can make {nodes} times its calls: set KEYDESK_LIMITER to a Redis that all use")
        })
    }
}

/// Ask whether this node can do its work, and what is missing if not
#[utoipa::path(
    get, path = "/readyz", tag = "Operation", operation_id = "readiness", security(()),
    responses(
        (status = 200, description = "It can.", body = Readiness),
        (status = 503, description = "It cannot.", body = Readiness)
    )
)]
pub async fn readyz(State(plane): State<Arc<KeyPlane>>) -> Response {
    let readiness = plane.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

/// The operator's own port: readiness and metrics.
pub fn admin_router(plane: KeyPlane, handle: Option<PrometheusHandle>) -> Router {
    let metrics = async move |State(plane): State<Arc<KeyPlane>>| {
        metrics::observe(&plane);
        let text = handle.as_ref().map(PrometheusHandle::render).unwrap_or_default();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
    };
    Router::new().route("/metrics", get(metrics)).route("/readyz", get(readyz)).with_state(Arc::new(plane))
}
