//! What the server functions for webhook secrets do.

use uuid::Uuid;

use crate::{
    console_plane::{
        door::{self, Entry},
        error::ConsoleError,
        model::IssuedWebhookSecret,
    },
    database::{self, Reach},
    orgs::permit::ManageWebhooks,
    webhooks::{self, Make},
};

pub async fn generate(form_id: String, environment: String) -> Result<IssuedWebhookSecret, ConsoleError> {
    make(Make::First, form_id, environment).await
}

pub async fn regenerate(form_id: String, environment: String) -> Result<IssuedWebhookSecret, ConsoleError> {
    make(Make::Replacement, form_id, environment).await
}

async fn make(make: Make, form_id: String, environment: String) -> Result<IssuedWebhookSecret, ConsoleError> {
    let Entry { visit, permit, .. } = door::enter::<ManageWebhooks>().await?;
    let console = &visit.console;
    let form_id: Uuid = form_id
        .parse()
        .map_err(|_| ConsoleError::field("", "This form is not complete. Reload the page and try again."))?;
    if console.catalog.environment(&environment).is_none() {
        return Err(ConsoleError::field("environment", "There is no such environment."));
    }
    let keys = &console.server_keys;
    let mut tx = database::begin(&console.db, Reach::Org(permit.org())).await?;
    let now = console.clock.now();
    let secret = webhooks::make(&mut tx, &keys.audit, &keys.sealer, &permit, make, &environment, form_id, now).await?;
    tx.commit().await?;
    let secret = secret.reveal().to_owned();
    let env_line = format!("{}_WEBHOOK_SECRET={secret}", console.catalog.snippets.env_prefix);
    Ok(IssuedWebhookSecret { environment, secret, env_line })
}
