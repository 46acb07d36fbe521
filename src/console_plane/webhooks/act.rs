//! What the server functions for webhook secrets do.

use uuid::Uuid;

use crate::{
    console_plane::{
        context::RequestContext,
        error::ConsoleError,
        webhooks::forms::{IssuedWebhookSecret, WebhookSecretForm},
    },
    permissions::permit::ManageWebhooks,
    webhooks::{self, Make},
};

pub async fn generate(form: WebhookSecretForm) -> Result<IssuedWebhookSecret, ConsoleError> {
    make(Make::First, form).await
}

pub async fn regenerate(form: WebhookSecretForm) -> Result<IssuedWebhookSecret, ConsoleError> {
    make(Make::Replacement, form).await
}

async fn make(make: Make, form: WebhookSecretForm) -> Result<IssuedWebhookSecret, ConsoleError> {
    let WebhookSecretForm { idempotency_key, environment } = form;
    let cx = RequestContext::current().await?;
    let (mut m, permit) = cx.begin::<ManageWebhooks>().await?;
    let console = &cx.console;
    let idempotency_key: Uuid = idempotency_key
        .parse()
        .map_err(|_| ConsoleError::field("", "This form is not complete. Reload the page and try again."))?;
    if console.catalog.environment(&environment).is_none() {
        return Err(ConsoleError::field("environment", "There is no such environment."));
    }
    let sealer = &console.server_keys.sealer;
    let secret = webhooks::make(&mut m, &permit, sealer, make, &environment, idempotency_key).await?;
    m.commit().await?;
    let secret = secret.reveal().to_owned();
    let env_line = format!("{}_WEBHOOK_SECRET={secret}", console.catalog.snippets.env_prefix);
    Ok(IssuedWebhookSecret { environment, secret, env_line })
}
