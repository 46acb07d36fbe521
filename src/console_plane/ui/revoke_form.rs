//! The form that revokes one key, and the button that asks for it.

use leptos::prelude::*;

use super::{
    Choice, SelectField, TextField,
    dialog::{FormDialog, OpenButton},
    form_problem,
    note::SubmitButton,
    revoke::RevokeSubject,
};
use crate::{
    console_plane::{
        form::FormState,
        keys::row::{KeyRow, RevokeTarget},
    },
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
            <OpenButton
                opens="revoke-title".to_owned()
                class="button quiet-danger".to_owned()
                label="Revoke".to_owned()
                about=target
            />
        </form>
    }
    .into_any()
}

/// What a form sends besides.
pub fn hidden(pairs: Vec<(&'static str, String)>) -> Vec<impl IntoView> {
    pairs.into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value /> }).collect()
}

/// `target` is the key the page's address asked for; for any other, its button says which it is.
#[component]
pub fn RevokeDialog(
    action: &'static str,
    /// The page without the dialog.
    back: String,
    target: Option<RevokeTarget>,
    refill: FormState,
    /// Support staff name the request they act on.
    #[prop(optional)]
    ticket: bool,
) -> impl IntoView {
    let drawn_open = target.is_some();
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
    let reasons = Reason::ALL
        .into_iter()
        .map(|reason| Choice {
            value: reason.as_str().to_owned(),
            label: reason.label().to_owned(),
            note: String::new(),
        })
        .collect::<Vec<_>>();
    view! {
        <FormDialog title="revoke-title".to_owned() drawn_open back=back.clone()>
            <form method="post" action=action class="dialog-body" novalidate>
                {form_problem(&refill, &["reason", "ticket"])}
                <RevokeSubject drawn=target />
                <p>"Every call with this key will be refused. This cannot be undone."</p>
                // Without JavaScript the answer is the page this was asked for on.
                <input type="hidden" name="back" value=back.clone() />
                <SelectField name="reason" label="Reason" choices=reasons refill />
                {ticket}
                <div class="dialog-actions">
                    <a class="button" href=back data-close="">
                        "Cancel"
                    </a>
                    <SubmitButton
                        class="button danger".to_owned()
                        label="Revoke key".to_owned()
                        sending="Revoking…".to_owned()
                    />
                </div>
            </form>
        </FormDialog>
    }
    .into_any()
}
