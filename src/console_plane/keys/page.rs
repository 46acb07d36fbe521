//! The forms in the dialogs, and a key just made.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::console_plane::{
    form::FormState,
    keys::{
        forms::{CreateKey, IssuedKey, RevokeAllKeys, RevokeKey},
        load::CreateOptions,
        row::RevokeTarget,
    },
    moment::When,
    ui::{
        Choice, Moment, RevokeDialog, SelectField, TextField, field_note, form_problem, issued::Issued,
        note::SubmitButton,
    },
};

pub(super) fn revoke_dialog(asked: Option<(RevokeTarget, FormState)>, back: String) -> impl IntoView {
    let (target, refill) = asked.unzip();
    view! { <RevokeDialog action=RevokeKey::PATH back target refill=refill.unwrap_or_default() /> }
}

#[component]
pub(super) fn CreateForm(options: CreateOptions, idempotency_key: String, refill: FormState) -> impl IntoView {
    let fresh = refill.values.is_empty();
    let scopes = options
        .scopes
        .into_iter()
        .map(|scope| {
            let ticked = if fresh {
                options.default_scopes.contains(&scope.value)
            } else {
                refill.ticked("scopes", &scope.value)
            };
            scope_box(scope, ticked)
        })
        .collect::<Vec<_>>();
    // Where the catalog has none, there is nothing to choose.
    let scopes = (!scopes.is_empty()).then(|| {
        view! {
            <fieldset class="field" aria-describedby="scopes-note">
                <legend>"Scopes"</legend>
                <div class="scopes">{scopes}</div>
                {field_note("scopes", "scopes", "What the key may do.", &refill)}
            </fieldset>
        }
    });
    view! {
        <form method="post" action=CreateKey::PATH class="dialog-body" novalidate>
            <h2 id="create-title">"Create an API key"</h2>
            {form_problem(&refill, &["name", "allow_duplicate_name", "environment", "tier", "scopes", "expires"])}
            <input type="hidden" name="idempotency_key" value=idempotency_key />
            <TextField
                name="name"
                label="Name"
                hint="Where it will be used, such as “CI deploys”."
                autofocus=true
                refill=refill.clone()
            />
            <div class="field meanwhile">
                <div class="check">
                    <input
                        type="checkbox"
                        id="allow_duplicate_name"
                        name="allow_duplicate_name"
                        value="true"
                        checked=refill.ticked("allow_duplicate_name", "true")
                        aria-describedby="allow_duplicate_name-note"
                    />
                    <label for="allow_duplicate_name">"Make a second one all the same"</label>
                </div>
                {field_note("allow_duplicate_name", "allow_duplicate_name", "", &refill)}
            </div>
            <div class="field-pair">
                <SelectField name="environment" label="Environment" choices=options.environments refill=refill.clone() />
                <SelectField name="tier" label="Tier" choices=options.tiers refill=refill.clone() />
            </div>
            {scopes}
            <SelectField name="expires" label="Expires" choices=options.lifetimes refill />
            <div class="dialog-actions">
                <a class="button" href="/keys" data-close="">
                    "Cancel"
                </a>
                <SubmitButton
                    class="button primary".to_owned()
                    label="Create".to_owned()
                    sending="Creating…".to_owned()
                />
            </div>
        </form>
    }
}

pub(super) fn scope_box(scope: Choice, ticked: bool) -> impl IntoView {
    let id = format!("scope-{}", scope.value);
    let note = (!scope.note.is_empty()).then(|| format!("{id}-note"));
    view! {
        <div class="check">
            <input type="checkbox" id=id.clone() name="scopes[]" value=scope.value checked=ticked aria-describedby=note.clone() />
            <label for=id>{scope.label}</label>
            {note.map(|id| view! { <span id=id class="muted">{scope.note}</span> })}
        </div>
    }
}

#[component]
pub(super) fn RevokeAllForm(org_name: String, count: u32, refill: FormState) -> impl IntoView {
    let (title, button) = match count {
        1 => ("Revoke the only key?".to_owned(), "Revoke 1 key".to_owned()),
        _ => (format!("Revoke all {count} keys?"), format!("Revoke {count} keys")),
    };
    view! {
        <form method="post" action=RevokeAllKeys::PATH class="dialog-body" novalidate>
            <h2 id="revoke-all-title">{title}</h2>
            <p>
                "Every call with any key of " <strong>{org_name.clone()}</strong>
                " will be refused, in all environments. This cannot be undone."
            </p>
            {form_problem(&refill, &["confirmation"])}
            <TextField name="confirmation" label=format!("Type {org_name} to confirm") autofocus=true refill />
            <div class="dialog-actions">
                <a class="button" href="/keys" data-close="">
                    "Cancel"
                </a>
                <SubmitButton class="button danger".to_owned() label=button sending="Revoking…".to_owned() />
            </div>
        </form>
    }
}

/// The answer to a form that the browser sent by itself.
pub(super) fn issued_panel(key: IssuedKey, back: String) -> AnyView {
    view! {
        <section class="card panel" aria-labelledby="issued-title">
            <Issued key title="issued-title" is_page=true />
            <div class="dialog-actions">
                <form method="get" action=back>
                    <button class="button primary">"Done"</button>
                </form>
            </div>
        </section>
    }
    .into_any()
}

pub(super) fn expiry(expires: Option<When>) -> AnyView {
    match expires {
        Some(when) => view! { <Moment when /> }.into_any(),
        None => view! { <span class="muted">"No expiry"</span> }.into_any(),
    }
}
