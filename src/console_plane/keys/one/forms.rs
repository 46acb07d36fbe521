//! The forms on a key's own page.

use leptos::{prelude::*, server_fn::ServerFn};

use super::view::{EditModel, RotateModel};
use crate::console_plane::{
    keys::{
        forms::{EditKey, RotateKey},
        page::scope_box,
    },
    ui::{
        LinesField, SelectField, TextField, dialog::FormDialog, field_note, form_problem, live::AddAddress,
        note::SubmitButton,
    },
};

const EDIT_FIELDS: &[&str] = &["name", "scopes", "namespaces", "addresses", "expires", "overwrite"];

/// What can be changed of a key, in a dialog.
#[component]
pub fn EditDialog(
    key_id: String,
    model: EditModel,
    /// The page without the dialog.
    back: String,
) -> impl IntoView {
    let EditModel { scopes, refill, expiry, namespaces_hint, address, open } = model;
    let scopes = scopes.into_iter().map(|scope| {
        let ticked = refill.ticked("scopes", &scope.value);
        scope_box(scope, ticked)
    });
    let scopes = scopes.collect::<Vec<_>>();
    let scopes = (!scopes.is_empty()).then(|| {
        view! {
            <fieldset class="field" aria-describedby="scopes-note">
                <legend>"Scopes"</legend>
                <input type="hidden" name="asks_scopes" value="true" />
                <div class="scopes">{scopes}</div>
                {field_note("scopes", "scopes", "", &refill)}
            </fieldset>
        }
    });
    view! {
        <FormDialog title="edit-title".to_owned() drawn_open=open back=back.clone()>
            <form method="post" action=EditKey::PATH class="dialog-body" novalidate>
                <h2 id="edit-title">"Edit key"</h2>
                {form_problem(&refill, EDIT_FIELDS)}
                <input type="hidden" name="key_id" value=key_id />
                <input type="hidden" name="back" value=back.clone() />
                <input type="hidden" name="version" value=refill.value("version") />
                <div class="field meanwhile">
                    <div class="check">
                        <input
                            type="checkbox"
                            id="overwrite"
                            name="overwrite"
                            value="true"
                            aria-describedby="overwrite-note"
                        />
                        <label for="overwrite">"Save mine over theirs"</label>
                    </div>
                    {field_note("overwrite", "overwrite", "", &refill)}
                </div>
                <TextField name="name" label="Name" autofocus=true refill=refill.clone() />
                {scopes}
                <div class="field-pair">
                    <div>
                        <LinesField
                            name="addresses"
                            label="Addresses"
                            hint="One on each line, or blocks as in 10.0.0.0/8. None: from anywhere."
                            refill=refill.clone()
                        />
                        <p class="here">
                            "Your own address is " <code class="mono">{address.clone()}</code>
                            <AddAddress address />
                        </p>
                    </div>
                    <LinesField
                        name="namespaces"
                        label="Namespaces"
                        hint=namespaces_hint
                        refill=refill.clone()
                    />
                </div>
                <SelectField name="expires" label="Expires" choices=expiry refill />
                <div class="dialog-actions">
                    <a class="button" href=back data-close="">
                        "Cancel"
                    </a>
                    <SubmitButton
                        class="button primary".to_owned()
                        label="Save changes".to_owned()
                        sending="Saving…".to_owned()
                    />
                </div>
            </form>
        </FormDialog>
    }
    .into_any()
}

/// How a key is to be replaced, in a dialog.
#[component]
pub fn RotateDialog(
    key_id: String,
    name: String,
    model: RotateModel,
    /// The page without the dialog.
    back: String,
) -> impl IntoView {
    let RotateModel { idempotency_key, windows, reasons, refill, open } = model;
    view! {
        <FormDialog title="rotate-title".to_owned() drawn_open=open back=back.clone()>
            <form method="post" action=RotateKey::PATH class="dialog-body" novalidate>
                <h2 id="rotate-title">{format!("Rotate “{name}”?")}</h2>
                <p>
                    "A new key takes its place, with the same name, scopes and limits. You see it once. Until the old one ends, \
                    both work, and this page shows who has changed over."
                </p>
                {form_problem(&refill, &["window", "reason"])}
                <input type="hidden" name="idempotency_key" value=idempotency_key />
                <input type="hidden" name="key_id" value=key_id />
                <input type="hidden" name="back" value=back.clone() />
                <div class="field-pair">
                    <SelectField name="window" label="The old key goes on for" choices=windows refill=refill.clone() />
                    <SelectField name="reason" id="rotate-reason" label="Why" choices=reasons refill />
                </div>
                <p class="muted">"If it has leaked, the old key ends at once, whatever is chosen for it."</p>
                <div class="dialog-actions">
                    <a class="button" href=back data-close="">
                        "Cancel"
                    </a>
                    <SubmitButton
                        class="button primary".to_owned()
                        label="Rotate key".to_owned()
                        sending="Rotating…".to_owned()
                    />
                </div>
            </form>
        </FormDialog>
    }
    .into_any()
}

/// A button that is a form of its own.
#[component]
pub fn PostButton(
    action: &'static str,
    key_id: String,
    label: &'static str,
    /// The page that answers.
    back: String,
) -> impl IntoView {
    view! {
        <form method="post" action=action>
            <input type="hidden" name="key_id" value=key_id />
            <input type="hidden" name="back" value=back />
            <button class="button">{label}</button>
        </form>
    }
}
