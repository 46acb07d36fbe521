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

use super::{KeyPlane, openapi::KeyRefusals, wire};
use crate::{
    audit,
    database::{self, RlsScope},
    ids::OrgId,
    keys::verdict::Verdict,
    machine_http::Problem,
    response_headers::RequestId,
};

/// How many rows are read at once. Between two reads nothing but these rows is held, and no connection, however slowly the
/// client takes them.
const PAGE_ROWS: i64 = 100;

/// Read the audit log of the key's organization
///
/// The log as it is when the key is checked, one JSON object a line, as `keydesk audit verify` reads it.
#[utoipa::path(
    get, path = "/v1/audit/chain", tag = "Audit", operation_id = "auditChain",
    security(("api_key" = []), ("api_key_as_bearer" = [])),
    responses(
        (status = 200, description = "The rows, oldest first.", body = String, content_type = "application/jsonl", headers(
            ("ratelimit-policy" = String, description = "The tier, its calls, and their window in seconds, where there is a limit."),
            ("ratelimit" = String, description = "How many calls are left, and the seconds until there are more."),
        )),
        KeyRefusals
    )
)]
pub async fn audit_chain(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Problem> {
    let scopes = plane.catalog.audit_scope.as_slice();
    let (key, rate_limit) = plane.judge_own_key(id, peer, request.headers(), scopes, "/v1/audit/chain").await?;
    let end = end(&plane.db, key.org_id).await.map_err(|error| {
        tracing::error!(%error, "an audit chain could not be read");
        plane.refusal(&Verdict::Unavailable, rate_limit)
    })?;
    let lines = Body::from_stream(lines(plane.db.clone(), key.org_id, end));
    let mut response = ([(header::CONTENT_TYPE, "application/jsonl; charset=utf-8")], lines).into_response();
    response.headers_mut().extend(wire::rate_limit_headers(rate_limit));
    Ok(response)
}

async fn end(db: &PgPool, org: OrgId) -> sqlx::Result<i64> {
    let mut tx = database::read(db, RlsScope::Org(org)).await?;
    audit::store::last(&mut tx, org.into()).await
}

/// The rows up to the one that was the last when the key was judged; for later ones a key has to be judged again. An error
/// in the middle cuts the connection off, so that a part is not taken for the whole.
fn lines(db: PgPool, org: OrgId, end: i64) -> impl Stream<Item = Result<String, BoxError>> {
    stream::try_unfold((db, 0), move |(db, after)| async move {
        let mut tx = database::read(&db, RlsScope::Org(org)).await?;
        let rows = audit::store::between(&mut tx, org.into(), after, end, PAGE_ROWS).await?;
        drop(tx);
        let Some(last) = rows.last().map(|row| row.seq) else { return Ok(None) };
        let mut lines = String::new();
        for row in rows {
            lines += &row.to_line()?;
        }
        Ok(Some((lines, (db, last))))
    })
}
