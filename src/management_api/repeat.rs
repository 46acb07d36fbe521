//! A create that may be repeated: with the same `Idempotency-Key` and the same request, nothing is made a second time, and
//! what was made is answered again without its secret.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Serialize;

use super::{
    body::Body,
    door::Caller,
    store::{self, Taken},
};
use crate::{machine_http::Problem, mutation::Mutation};

/// For so long is a repeat known as one.
pub const REMEMBERED: time::Duration = time::Duration::hours(24);

/// Takes the request's key, if it has one. `Some`: what to answer, because it was done before.
pub async fn of<T>(m: &mut Mutation, caller: &Caller, body: &Body<T>) -> Result<Option<Response>, Problem> {
    let (Some(key), now) = (&body.key, m.now()) else { return Ok(None) };
    let Taken::Before { digest, answer } = store::take(m, caller.org, caller.user, key, body.request, now).await?
    else {
        return Ok(None);
    };
    if digest != body.request {
        let detail = "This Idempotency-Key was sent with another request before. Choose a new one for each request.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail));
    }
    Ok(Some(([("idempotent-replayed", "true")], Json(answer)).into_response()))
}

/// Keeps what a request made, without its secret, for a repeat.
pub async fn keep<T>(m: &mut Mutation, caller: &Caller, body: &Body<T>, made: &impl Serialize) -> Result<(), Problem> {
    if let Some(key) = &body.key {
        store::keep(m, caller.org, caller.user, key, &serde_json::to_value(made)?).await?;
    }
    Ok(())
}
