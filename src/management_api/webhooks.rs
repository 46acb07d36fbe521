//! The webhook signing secret of each environment.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Management,
    body::{Body, Listed},
    door::Authorized,
    problem::{Problem, Refusals},
    repeat,
};
use crate::{
    database::{self, RlsScope},
    orgs::permit::{ManageWebhooks, ViewWebhooks},
    webhooks::{self, Make, store},
};

/// An environment's live secret; the secret itself is told once, when it is made.
#[derive(Serialize, ToSchema)]
pub struct WebhookSecret {
    environment: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    created_by: String,
}

/// SECRET: in the answer that made it, and nowhere else.
#[derive(Serialize, ToSchema)]
pub struct NewWebhookSecret {
    #[serde(flatten)]
    made: WebhookSecret,
    #[schema(example = "whsec_…")]
    secret: String,
}

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookWish {
    environment: String,
}

/// List the environments that have a secret
#[utoipa::path(
    get, path = "/api/v1/webhook-secrets", tag = "Webhook secrets", operation_id = "listWebhookSecrets",
    responses((status = 200, description = "All of them.", body = Listed<WebhookSecret>), Refusals)
)]
pub async fn list(
    State(management): State<Arc<Management>>,
    Authorized { permit, .. }: Authorized<ViewWebhooks>,
) -> Result<Json<Listed<WebhookSecret>>, Problem> {
    let mut tx = database::begin(&management.db, RlsScope::Org(permit.org())).await?;
    let mut data = Vec::new();
    for environment in &management.catalog.environments {
        let current = store::find_active(&mut tx, permit.org(), &environment.name).await?;
        data.extend(current.map(|secret| WebhookSecret {
            environment: environment.name.clone(),
            created_at: secret.created_at,
            created_by: secret.created_by,
        }));
    }
    tx.commit().await?;
    Ok(Json(Listed { data, next_cursor: None }))
}

/// Generate an environment's first secret
#[utoipa::path(
    post, path = "/api/v1/webhook-secrets", tag = "Webhook secrets", operation_id = "createWebhookSecret",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat of this request harmless.", pattern = "^[!-~]{1,255}$")),
    request_body = WebhookWish,
    responses(
        (status = 201, description = "The secret, shown once.", body = NewWebhookSecret),
        (status = 200, description = "A repeat: what was made, without its secret.", body = WebhookSecret),
        Refusals
    )
)]
pub async fn create(
    State(management): State<Arc<Management>>,
    entry: Authorized<ManageWebhooks>,
    body: Body<WebhookWish>,
) -> Result<Response, Problem> {
    make(&management, entry, body, Make::First).await
}

/// Replace an environment's secret
///
/// The old one is dead at the answer.
#[utoipa::path(
    post, path = "/api/v1/webhook-secrets/regenerate", tag = "Webhook secrets", operation_id = "regenerateWebhookSecret",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat of this request harmless.", pattern = "^[!-~]{1,255}$")),
    request_body = WebhookWish,
    responses(
        (status = 201, description = "The secret, shown once.", body = NewWebhookSecret),
        (status = 200, description = "A repeat: what was made, without its secret.", body = WebhookSecret),
        Refusals
    )
)]
pub async fn regenerate(
    State(management): State<Arc<Management>>,
    entry: Authorized<ManageWebhooks>,
    body: Body<WebhookWish>,
) -> Result<Response, Problem> {
    make(&management, entry, body, Make::Replacement).await
}

async fn make(
    management: &Management,
    Authorized { caller, permit }: Authorized<ManageWebhooks>,
    body: Body<WebhookWish>,
    make: Make,
) -> Result<Response, Problem> {
    let environment = &body.value.environment;
    if management.catalog.environment(environment).is_none() {
        return Err(Problem::fields(&[("environment", "There is no such environment.".to_owned())]));
    }
    let (keys, now) = (&management.server_keys, management.clock.now());
    let mut tx = database::begin(&management.db, RlsScope::Org(permit.org())).await?;
    if let Some(answer) = repeat::of(&mut tx, &caller, &body, now).await? {
        return Ok(answer);
    }
    let idempotency_key = Uuid::new_v4();
    let secret =
        webhooks::make(&mut tx, &keys.audit, &keys.sealer, &permit, make, environment, idempotency_key, now).await?;
    let made = WebhookSecret { environment: environment.clone(), created_at: now, created_by: caller.actor.name() };
    repeat::keep(&mut tx, &caller, &body, &made).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(NewWebhookSecret { made, secret: secret.reveal().to_owned() })).into_response())
}
