//! A valid token is exchanged for a fresh one of the same session, while the session lives.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    Management,
    body::{Body, Nothing},
    door::Bearer,
    refusals::Refusals,
};
use crate::{accounts::access_token, machine_http::Problem};

/// SECRET: in the answer that made it, and nowhere else.
#[derive(Serialize, ToSchema)]
pub struct Token {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Exchange the token for a fresh one
///
/// The fresh token belongs to the same console session, and ends with it. The one that was sent stays valid until it
/// expires.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "Access tokens", operation_id = "createToken",
    request_body(content = Option<Nothing>, description = "Nothing, or an empty object."),
    responses((status = 201, description = "A fresh token, shown once.", body = Token), Refusals)
)]
pub async fn create(
    State(management): State<Arc<Management>>,
    bearer: Bearer,
    body: Result<Body<Option<Nothing>>, Problem>,
) -> Result<(StatusCode, Json<Token>), Problem> {
    let (mut m, _) = bearer.begin_own(&management).await?;
    body?;
    let token = access_token::mint(&mut m, &management.server_keys.tokens, &management.origin, bearer.session).await?;
    m.commit().await?;
    let answer = Token {
        access_token: token.reveal(),
        token_type: "Bearer",
        expires_in: access_token::LIFETIME.whole_seconds(),
        expires_at: token.expires_at,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}
