//! What the server functions for webhook secrets do.

use uuid::Uuid;

use crate::{
    console_plane::{
        authorize::Authorized,
        context::RequestContext,
        error::ConsoleError,
        webhooks::forms::{IssuedWebhookSecret, WebhookSecretForm},
    },
    database::{self, RlsScope},
    orgs::permit::ManageWebhooks,
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
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<ManageWebhooks>().await?;
    let console = &cx.console;
    let idempotency_key: Uuid = idempotency_key
        .parse()
        .map_err(|_| ConsoleError::field("", "This form is not complete. Reload the page and try again."))?;
    if console.catalog.environment(&environment).is_none() {
        return Err(ConsoleError::field("environment", "There is no such environment."));
    }
    let keys = &console.server_keys;
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let now = console.clock.now();
    let secret =
        webhooks::make(&mut tx, &keys.audit, &keys.sealer, &permit, make, &environment, idempotency_key, now).await?;
    tx.commit().await?;
    let secret = secret.reveal().to_owned();
    let env_line = format!("{}_WEBHOOK_SECRET={secret}", console.catalog.snippets.env_prefix);
    Ok(IssuedWebhookSecret { environment, secret, env_line })
}
