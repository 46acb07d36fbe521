//! The webhook signing secret of an environment.

use leptos::prelude::*;

use crate::console_plane::{door, error::ConsoleError, model::IssuedWebhookSecret, webhooks::act};

/// Makes the environment's first secret and answers it, this once.
#[server(prefix = "/console/fn", endpoint = "webhooks/generate")]
pub async fn generate_webhook_secret(
    idempotency_key: String,
    environment: String,
) -> Result<IssuedWebhookSecret, ConsoleError> {
    door::answer(act::generate(idempotency_key, environment)).await
}

/// Replaces the environment's secret: the old one is dead at the answer.
#[server(prefix = "/console/fn", endpoint = "webhooks/regenerate")]
pub async fn regenerate_webhook_secret(
    idempotency_key: String,
    environment: String,
) -> Result<IssuedWebhookSecret, ConsoleError> {
    door::answer(act::regenerate(idempotency_key, environment)).await
}
