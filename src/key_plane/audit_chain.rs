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
    ids::OrgId,
    keys::verdict::Verdict,
    machine_http::RequestId,
};

/// How many rows are read at once. Between two reads nothing but these rows is held, and no connection, however slowly the
/// client takes them.
const PAGE_ROWS: i64 = 100;

/// The chain as it is when the key is judged, one JSON object a line: what `keydesk audit verify` reads.
pub async fn audit_chain(
    State(plane): State<Arc<KeyPlane>>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let scopes = plane.catalog.audit_scope.as_slice();
    let (key, rate_limit) = match plane.judge_own_key(id, peer, request.headers(), scopes, "/v1/audit/chain").await {
        Ok(good) => good,
        Err(refusal) => return *refusal,
    };
    let mut response = match end(&plane.db, key.org_id).await {
        Ok(end) => {
            let lines = lines(plane.db.clone(), key.org_id, end);
            ([(header::CONTENT_TYPE, "application/jsonl; charset=utf-8")], Body::from_stream(lines)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an audit chain could not be read");
            plane.refusal(&Verdict::Unavailable, id, None)
        }
    };
    wire::set_rate_limit_headers(response.headers_mut(), rate_limit);
    response
}

async fn end(db: &PgPool, org: OrgId) -> sqlx::Result<i64> {
    let mut tx = database::begin(db, RlsScope::Org(org)).await?;
    audit::store::last(&mut tx, Chain::Org(org)).await
}

/// The rows up to the one that was the last when the key was judged; for later ones a key has to be judged again. An error
/// in the middle cuts the connection off, so that a part is not taken for the whole.
fn lines(db: PgPool, org: OrgId, end: i64) -> impl Stream<Item = Result<String, BoxError>> {
    stream::try_unfold((db, 0), move |(db, after)| async move {
        let mut tx = database::begin(&db, RlsScope::Org(org)).await?;
        let rows = audit::store::between(&mut tx, Chain::Org(org), after, end, PAGE_ROWS).await?;
        drop(tx);
        let Some(last) = rows.last().map(|row| row.seq) else { return Ok(None) };
        let mut lines = String::new();
        for row in rows {
            lines += &row.to_line()?;
        }
        Ok(Some((lines, (db, last))))
    })
}
