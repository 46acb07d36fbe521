//! The secret that signs what Keydesk sends, one per environment.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::console_plane::{
    form::FormState,
    moment::When,
    ui::{Choice, Empty, Moment, PageHead, form_problem, issued::SecretField},
    webhooks::forms::{GenerateWebhookSecret, IssuedWebhookSecret, RegenerateWebhookSecret},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookPanel {
    Closed,
    /// Regenerate was asked for: say what it does before it is done.
    ConfirmRegenerate(FormState),
    /// The secret, shown once.
    Issued(IssuedWebhookSecret),
    Refused(FormState),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhooksPageModel {
    pub environments: Vec<Choice>,
    /// The chosen environment's value.
    pub environment: String,
    /// When and by whom the current secret was made; `None` if there is none.
    pub current: Option<(When, String)>,
    pub may_manage: bool,
    pub idempotency_key: String,
    pub panel: WebhookPanel,
}

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
                            <form method="post" action=GenerateWebhookSecret::PATH>
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
            {form_problem(&refill, &[])}
            <p class="callout warn">
                "The old secret stops working the moment the new one is made. Until your services have the new one, they will refuse what is sent to them."
            </p>
            <form method="post" action=RegenerateWebhookSecret::PATH class="dialog-actions">
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
            <SecretField id="issued-secret" label="Your webhook secret" copy="Copy secret" value=secret.secret />
            <SecretField id="issued-env" label="For your .env file" copy="Copy .env line" value=secret.env_line />
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
    view! { {form_problem(&refill, &[])} }
}
