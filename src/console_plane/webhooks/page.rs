//! The secret that signs what Keydesk sends, one per environment.

use leptos::prelude::*;

use crate::console_plane::{
    model::{FormState, IssuedWebhookSecret, WebhookPanel, WebhooksPageModel},
    ui::{Empty, FormProblem, Moment, PageHead, issued::secret_field},
};

/// One environment at a time.
#[component]
pub fn WebhooksPage(model: WebhooksPageModel) -> impl IntoView {
    let chosen = model
        .environments
        .iter()
        .find(|environment| environment.value == model.environment)
        .map_or_else(|| model.environment.clone(), |environment| environment.label.clone());
    let switch = model
        .environments
        .into_iter()
        .map(|environment| {
            let here = (environment.value == model.environment).then_some("page");
            view! {
                <a href=format!("/webhooks?environment={}", environment.value) aria-current=here>
                    {environment.label}
                </a>
            }
        })
        .collect::<Vec<_>>();
    let regenerating = matches!(model.panel, WebhookPanel::ConfirmRegenerate(_));
    let panel = match model.panel {
        WebhookPanel::Closed => ().into_any(),
        WebhookPanel::ConfirmRegenerate(refill) => {
            confirm(refill, &model.idempotency_key, &model.environment, &chosen).into_any()
        }
        WebhookPanel::Issued(secret) => issued(secret, &chosen).into_any(),
        WebhookPanel::Refused(refill) => refused(refill).into_any(),
    };
    let may_act = model.may_manage && !regenerating;
    let current = match model.current {
        None => view! {
            <Empty
                title=format!("No secret for {chosen} yet")
                text=if model.may_manage {
                    "Generate one, and give it to the service that receives webhooks from this environment."
                } else {
                    "An owner or an admin can generate it."
                }
            >
                {may_act
                    .then(|| {
                        view! {
                            <form method="post" action="/console/fn/webhooks/generate">
                                <input type="hidden" name="idempotency_key" value=model.idempotency_key.clone() />
                                <input type="hidden" name="environment" value=model.environment.clone() />
                                <button class="button primary">"Generate secret"</button>
                            </form>
                        }
                    })}
            </Empty>
        }
        .into_any(),
        Some((when, by)) => view! {
            <div class="card row">
                <div>
                    <h2>{format!("Signing secret for {chosen}")}</h2>
                    <p class="second">"Generated " <Moment when /> {format!(" by {by}. It cannot be shown again.")}</p>
                </div>
                {may_act
                    .then(|| {
                        view! {
                            <form method="get" action="/webhooks">
                                <input type="hidden" name="environment" value=model.environment.clone() />
                                <input type="hidden" name="regenerate" value="1" />
                                <button class="button">"Regenerate secret"</button>
                            </form>
                        }
                    })}
            </div>
        }
        .into_any(),
    };
    view! {
        <PageHead
            title="Webhooks"
            text="What is sent to your services is signed with this secret, so that they can tell it from a forgery."
        />
        <nav class="switch" aria-label="Environment">
            {switch}
        </nav>
        {panel}
        {current}
    }
}

fn confirm(refill: FormState, idempotency_key: &str, environment: &str, label: &str) -> impl IntoView {
    view! {
        <section class="card panel" aria-labelledby="regenerate-title">
            <h2 id="regenerate-title">{format!("Regenerate the secret for {label}?")}</h2>
            <FormProblem refill />
            <p class="callout warn">
                "The old secret stops working the moment the new one is made. Until your services have the new one, they will refuse what is sent to them."
            </p>
            <form method="post" action="/console/fn/webhooks/regenerate" class="dialog-actions">
                <input type="hidden" name="idempotency_key" value=idempotency_key.to_owned() />
                <input type="hidden" name="environment" value=environment.to_owned() />
                <a class="button" href=format!("/webhooks?environment={environment}")>
                    "Cancel"
                </a>
                <button class="button danger">"Regenerate secret"</button>
            </form>
        </section>
    }
}

fn issued(secret: IssuedWebhookSecret, label: &str) -> impl IntoView {
    view! {
        <section class="card panel" aria-labelledby="issued-title">
            <h2 id="issued-title">{format!("The secret for {label} is ready")}</h2>
            <p class="callout warn">"This secret is shown only once. Copy it now."</p>
            {secret_field("issued-secret", "Your webhook secret", "Copy secret", "secret", secret.secret)}
            {secret_field("issued-env", "For your .env file", "Copy .env line", "env_line", secret.env_line)}
            <div class="dialog-actions">
                <form method="get" action="/webhooks">
                    <input type="hidden" name="environment" value=secret.environment />
                    <button class="button primary">"Done"</button>
                </form>
            </div>
        </section>
    }
}

fn refused(refill: FormState) -> impl IntoView {
    view! { <FormProblem refill /> }
}
