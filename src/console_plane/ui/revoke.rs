//! What revokes one key: the button that asks for it, and the form in the dialog.

use leptos::prelude::*;
use strum::VariantArray;

use super::{FormProblem, SelectField, TextField};
use crate::{
    console_plane::model::{Choice, FormState, KeyRow, RevokeTarget},
    keys::model::Reason,
};

/// What a revoke dialog says about a key.
pub fn target_of(key: &KeyRow) -> RevokeTarget {
    let use_note = match &key.last_used {
        Some(last) => format!("last used {}", last.when.relative),
        None => "never used".to_owned(),
    };
    RevokeTarget { id: key.id.clone(), name: key.name.clone(), hint: key.hint.clone(), use_note }
}

/// A form of its own, which leads to the same page with the dialog open; the browser half opens it right here.
#[component]
pub fn RevokeButton(
    key: KeyRow,
    /// The page it is on.
    page: String,
    /// What the page's address needs besides.
    #[prop(optional)]
    keep: Vec<(&'static str, String)>,
    /// What `?revoke=` is to hold, if it is not the key's id.
    #[prop(optional)]
    ask: Option<&'static str>,
) -> impl IntoView {
    let target = target_of(&key);
    view! {
        <form method="get" action=page>
            <input type="hidden" name="revoke" value=ask.map_or_else(|| target.id.clone(), str::to_owned) />
            {hidden(keep)}
            <button
                class="button quiet-danger"
                aria-label=format!("Revoke {}", target.name)
                data-revoke-id=target.id
                data-revoke-name=target.name
                data-revoke-hint=target.hint
                data-revoke-use=target.use_note
            >
                "Revoke"
            </button>
        </form>
    }
}

/// What a form sends besides.
pub fn hidden(pairs: Vec<(&'static str, String)>) -> Vec<impl IntoView> {
    pairs.into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value /> }).collect()
}

/// `target` is the key the page's address asked for; for any other, the browser half fills in what its button says.
#[component]
pub fn RevokeForm(
    action: &'static str,
    /// The page without the dialog.
    back: String,
    target: Option<RevokeTarget>,
    refill: FormState,
    /// Support staff name the request they act on.
    #[prop(optional)]
    ticket: bool,
) -> impl IntoView {
    let RevokeTarget { id, name, hint, use_note } = target.unwrap_or_else(|| RevokeTarget {
        id: String::new(),
        name: String::new(),
        hint: String::new(),
        use_note: String::new(),
    });
    let ticket = ticket.then(|| {
        view! {
            <TextField
                name="ticket"
                label="Ticket"
                hint="The request you act on. The customer sees it in their audit log."
                refill=refill.clone()
            />
        }
    });
    let reasons = Reason::VARIANTS
        .iter()
        .map(|reason| Choice {
            value: reason.as_str().to_owned(),
            label: reason.label().to_owned(),
            note: String::new(),
        })
        .collect::<Vec<_>>();
    view! {
        <form method="post" action=action class="dialog-body" novalidate>
            <h2 id="revoke-title">"Revoke “" <span data-fill="revoke-name">{name}</span> "”?"</h2>
            <p class="muted">
                <code class="hint" data-fill="revoke-hint">
                    {hint}
                </code>
                " · "
                <span data-fill="revoke-use">{use_note}</span>
            </p>
            <p>"Every call with this key will be refused. This cannot be undone."</p>
            <FormProblem refill=refill.clone() fields=&["reason", "ticket"] />
            <input type="hidden" name="key_id" value=id data-fill="revoke-id" />
            // Without JavaScript the answer is the page this was asked for on.
            <input type="hidden" name="back" value=back.clone() />
            <SelectField name="reason" label="Reason" choices=reasons refill />
            {ticket}
            <div class="dialog-actions">
                <a class="button" href=back data-close="">
                    "Cancel"
                </a>
                <button class="button danger" data-pending="Revoking…">
                    "Revoke key"
                </button>
            </div>
        </form>
    }
}
