//! What the webhooks page shows.

use crate::{
    console_plane::{
        authorize::Authorized,
        error::ConsoleError,
        moment::When,
        ui::Choice,
        webhooks::page::{WebhookPanel, WebhooksPageModel},
    },
    database::{self, RlsScope},
    permissions::{Action, permit::ViewWebhooks},
    webhooks::store,
};

/// The page of an environment; of the first, if there is none of that name.
pub async fn page(
    entry: &Authorized<ViewWebhooks>,
    environment: &str,
    panel: WebhookPanel,
) -> Result<WebhooksPageModel, ConsoleError> {
    let console = &entry.cx.console;
    let org = entry.permit.org();
    let environments = &console.catalog.environments;
    let environment = environments
        .iter()
        .find(|known| known.name == environment)
        .or(environments.first())
        .map(|known| known.name.clone())
        .unwrap_or_default();
    let mut tx = database::read(&console.db, RlsScope::Org(org)).await?;
    let current = store::find_active(&mut tx, org, &environment).await?;
    let may_manage = entry.who.role.may(Action::ManageWebhooks);
    let panel = match panel {
        // Nothing to replace, or not theirs to replace.
        WebhookPanel::ConfirmRegenerate(refill) if refill.error.is_none() && (current.is_none() || !may_manage) => {
            WebhookPanel::Closed
        }
        panel => panel,
    };
    Ok(WebhooksPageModel {
        environments: environments
            .iter()
            .map(|known| Choice { value: known.name.clone(), label: known.label.clone(), note: String::new() })
            .collect(),
        environment,
        current: current.map(|secret| (When::at(secret.created_at, console.clock.now()), secret.created_by)),
        may_manage,
        idempotency_key: uuid::Uuid::new_v4().to_string(),
        panel,
    })
}
