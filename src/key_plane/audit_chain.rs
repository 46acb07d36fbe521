//! `GET /v1/audit/chain`: a key reads the audit log of its organization, where the catalog names a scope for that.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    BoxError, Extension,
    body::Body,
    extract::{ConnectInfo, Request, State},
    response::{IntoResponse, Response},
};
use futures::{Stream, stream};
use http::header;
use sqlx::PgPool;

use super::{KeyPlane, wire};
use crate::{
    audit::{self, Chain},
    database::{self, RlsScope},
    keys::verdict::Verdict,
    machine_http::Problem,
    orgs::OrgId,
    response_headers::RequestId,
};

/// So many rows are read at once. Between two reads neither a connection nor anything but these rows is held, however
/// slowly they are taken.
const PAGE: i64 = 100;

/// The chain as it is when the key is judged, one JSON object a line: what `keydesk audit verify` reads.
pub async fn audit_chain(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Problem> {
    let scopes = plane.catalog.audit_scope.as_slice();
    let (record, metered) = plane.ask_itself(id, peer, request.headers(), scopes, "/v1/audit/chain").await?;
    let end = end(&plane.keys, record.org_id).await.map_err(|error| {
        tracing::error!(%error, "an audit chain could not be read");
        plane.refusal(&Verdict::Unavailable, metered.as_ref())
    })?;
    let lines = lines(plane.keys.clone(), record.org_id, end);
    let content_type = [(header::CONTENT_TYPE, "application/jsonl; charset=utf-8")];
    let mut response = (content_type, Body::from_stream(lines)).into_response();
    response.headers_mut().extend(wire::rate_limit_headers(metered.as_ref()));
    Ok(response)
}

async fn end(keys: &PgPool, org: OrgId) -> sqlx::Result<i64> {
    let mut tx = database::begin(keys, RlsScope::Org(org)).await?;
    audit::store::last(&mut tx, Chain::Org(org)).await
}

/// Up to the row that was the last when the key was judged: later ones are told to whoever may still ask then. An error
/// in the middle cuts the connection off, so that a part is not taken for the whole.
fn lines(keys: PgPool, org: OrgId, end: i64) -> impl Stream<Item = Result<String, BoxError>> {
    stream::try_unfold((keys, 0), move |(keys, after)| async move {
        let mut tx = database::begin(&keys, RlsScope::Org(org)).await?;
        let rows = audit::store::between(&mut tx, Chain::Org(org), after, end, PAGE).await?;
        drop(tx);
        let Some(last) = rows.last().map(|row| row.seq) else { return Ok(None) };
        let mut lines = String::new();
        for row in rows {
            lines += &row.to_line()?;
        }
        Ok(Some((lines, (keys, last))))
    })
}
