//! The webhook signing secret of an environment.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::act;
use crate::console_plane::error::ConsoleError;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebhookSecretForm {
    /// A second click with the same one makes no second secret.
    pub idempotency_key: String,
    pub environment: String,
}

/// SECRET. In exactly one response: the answer to the form that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedWebhookSecret {
    pub environment: String,
    pub secret: String,
    pub env_line: String,
}

impl std::fmt::Debug for IssuedWebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedWebhookSecret").field("environment", &self.environment).finish_non_exhaustive()
    }
}

/// Makes the environment's first secret and answers it, this once.
#[server(prefix = "/console/fn", endpoint = "webhooks/generate")]
pub async fn generate_webhook_secret(
    #[server(flatten)] form: WebhookSecretForm,
) -> Result<IssuedWebhookSecret, ConsoleError> {
    act::generate(form).await
}

/// Replaces the environment's secret: the old one is dead at the answer.
#[server(prefix = "/console/fn", endpoint = "webhooks/regenerate")]
pub async fn regenerate_webhook_secret(
    #[server(flatten)] form: WebhookSecretForm,
) -> Result<IssuedWebhookSecret, ConsoleError> {
    act::regenerate(form).await
}
