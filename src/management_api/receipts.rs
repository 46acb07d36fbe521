//! Where changes hold that were answered before they held everywhere.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;

use super::{Management, body::RevisionPath, door::Authorized, refusals::Refusals};
use crate::{
    machine_http::Problem,
    permissions::permit::ViewKeys,
    revocation::{Receipt, Revision},
};

/// The answer to a change: 202 while it does not hold everywhere, and 200 once it does.
pub type Confirmed<T> = (StatusCode, Json<T>);

pub fn confirmed<T>(receipt: Option<Receipt>, answer: impl FnOnce(Option<Receipt>) -> T) -> Confirmed<T> {
    let complete = receipt.as_ref().is_none_or(Receipt::is_complete);
    (if complete { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(answer(receipt)))
}

/// Read how far the key planes are with a change
///
/// For a change that was answered with 202.
#[utoipa::path(
    get, path = "/api/v1/receipts/{revision}", tag = "API keys", operation_id = "readReceipt",
    params(("revision" = i64, Path, description = "The receipt's revision.")),
    responses(
        (status = 200, description = "It holds everywhere.", body = Receipt),
        (status = 202, description = "Not everywhere yet: `waiting_for` says where not.", body = Receipt),
        Refusals
    )
)]
pub async fn one(
    State(management): State<Arc<Management>>,
    Authorized { tx, .. }: Authorized<ViewKeys>,
    RevisionPath(revision): RevisionPath,
) -> Result<Confirmed<Receipt>, Problem> {
    drop(tx);
    let receipt = Receipt::of(&management.db, Revision(revision)).await?;
    let absent = || Problem::not_found("There is no such change.");
    let receipt = receipt.ok_or_else(absent)?;
    let status = if receipt.is_complete() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(receipt)))
}
