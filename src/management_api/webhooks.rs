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
    body::Listed,
    door::{Authorized, Change},
    refusals::Refusals,
    repeat,
};
use crate::{
    machine_http::Problem,
    permissions::permit::{ManageWebhooks, ViewWebhooks},
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
pub struct WebhookSecretRequest {
    environment: String,
}

/// List the environments that have a secret
#[utoipa::path(
    get, path = "/api/v1/webhook-secrets", tag = "Webhook secrets", operation_id = "listWebhookSecrets",
    responses((status = 200, description = "All of them.", body = Listed<WebhookSecret>), Refusals)
)]
pub async fn list(
    State(management): State<Arc<Management>>,
    Authorized { mut tx, permit }: Authorized<ViewWebhooks>,
) -> Result<Json<Listed<WebhookSecret>>, Problem> {
    let mut data = Vec::new();
    for environment in &management.catalog.environments {
        let current = store::find_active(&mut tx, permit.org(), &environment.name).await?;
        data.extend(current.map(|secret| WebhookSecret {
            environment: environment.name.clone(),
            created_at: secret.created_at,
            created_by: secret.created_by,
        }));
    }
    Ok(Json(Listed { data, next_cursor: None }))
}

/// Generate an environment's first secret
#[utoipa::path(
    post, path = "/api/v1/webhook-secrets", tag = "Webhook secrets", operation_id = "createWebhookSecret",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat of this request harmless.", pattern = "^[!-~]{1,255}$")),
    request_body = WebhookSecretRequest,
    responses(
        (status = 201, description = "The secret, shown once.", body = NewWebhookSecret),
        (status = 200, description = "A repeat: what was made, without its secret.", body = WebhookSecret),
        Refusals
    )
)]
pub async fn create(
    State(management): State<Arc<Management>>,
    change: Change<ManageWebhooks, WebhookSecretRequest>,
) -> Result<Response, Problem> {
    make(&management, change, Make::First).await
}

/// Replace an environment's secret
///
/// The old one is dead at the answer.
#[utoipa::path(
    post, path = "/api/v1/webhook-secrets/regenerate", tag = "Webhook secrets", operation_id = "regenerateWebhookSecret",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat of this request harmless.", pattern = "^[!-~]{1,255}$")),
    request_body = WebhookSecretRequest,
    responses(
        (status = 201, description = "The secret, shown once.", body = NewWebhookSecret),
        (status = 200, description = "A repeat: what was made, without its secret.", body = WebhookSecret),
        Refusals
    )
)]
pub async fn regenerate(
    State(management): State<Arc<Management>>,
    change: Change<ManageWebhooks, WebhookSecretRequest>,
) -> Result<Response, Problem> {
    make(&management, change, Make::Replacement).await
}

async fn make(
    management: &Management,
    Change { mut m, caller, permit, body, .. }: Change<ManageWebhooks, WebhookSecretRequest>,
    make: Make,
) -> Result<Response, Problem> {
    let environment = &body.value.environment;
    if management.catalog.environment(environment).is_none() {
        return Err(Problem::fields(&[("environment", "There is no such environment.".to_owned())]));
    }
    if let Some(answer) = repeat::of(&mut m, &caller, &body).await? {
        return Ok(answer);
    }
    let sealer = &management.server_keys.sealer;
    let secret = webhooks::make(&mut m, &permit, sealer, make, environment, Uuid::new_v4()).await?;
    let made = WebhookSecret { environment: environment.clone(), created_at: m.now(), created_by: m.actor().name() };
    repeat::keep(&mut m, &caller, &body, &made).await?;
    m.commit().await?;
    Ok((StatusCode::CREATED, Json(NewWebhookSecret { made, secret: secret.reveal().to_owned() })).into_response())
}
