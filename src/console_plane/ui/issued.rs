//! A key just made, shown this once: drawn by the server for a form that the browser sent by itself, and as the template of
//! a dialog, which fills in what `data-fill` names.

use leptos::prelude::*;

use super::{FieldNote, FormProblem, snippets::snippets};
use crate::{
    console_plane::model::{FormState, IssuedKey},
    keys::lifecycle::ENDING,
};

/// `title` is the id of its heading.
pub fn issued(key: &IssuedKey, title: &str) -> AnyView {
    let ending: String = key.hint.chars().rev().take(ENDING).collect::<Vec<_>>().into_iter().rev().collect();
    let pattern = (!ending.is_empty()).then_some(ending);
    view! {
        <h2 id=title.to_owned()>"“" <span data-fill="name">{key.name.clone()}</span> "” is ready"</h2>
        <p class="callout warn">
            "This key is shown only once. Copy it now: what is kept of it is a fingerprint, not the key."
        </p>
        <p data-fill="old_key" hidden=key.old_key.is_none()>
            {key.old_key.clone()}
        </p>
        {secret_field("issued-secret", "Your new key", "Copy key", "secret", key.secret.clone())}
        {secret_field("issued-env", "For your .env file", "Copy .env line", "env_line", key.env_line.clone())}
        {secret_field("issued-curl", "Try it", "Copy curl command", "curl", key.curl.clone())}
        {snippets(&key.snippets)}
        <form method="post" action="/console/fn/keys/confirm" class="confirm">
            <FormProblem refill=FormState::default() fields=&["ending"] />
            <input type="hidden" name="key_id" value=key.id.clone() data-fill="id" />
            {ending_field("issued-ending", pattern, FormState::default())}
            <button class="button" data-pending="Confirming…">
                "I have stored it"
            </button>
        </form>
    }
    .into_any()
}

/// Where a key's last four characters are typed: whoever can type them has it before their eyes somewhere else. With a
/// `pattern`, the browser holds back what does not match, so that a slip does not cost the page that shows the key.
pub fn ending_field(id: &'static str, pattern: Option<String>, refill: FormState) -> AnyView {
    // A whole key that was pasted here is not shown again.
    let typed = refill.value("ending").filter(|typed| typed.chars().count() <= ENDING);
    view! {
        <div class="field">
            <label for=id>"Its last four characters"</label>
            <input
                id=id
                name="ending"
                class="input mono"
                maxlength=ENDING.to_string()
                required
                pattern=pattern
                title="The last four characters of the key"
                value=typed
                autocomplete="off"
                autocapitalize="off"
                spellcheck="false"
                aria-describedby=format!("{id}-note")
                aria-invalid=refill.field_error("ending").map(|_| "true")
            />
            <FieldNote name="ending" hint="As you stored it. Then nobody has to wonder whether it got lost." refill id />
        </div>
    }
    .into_any()
}

/// A value shown once, with a button that copies it. `fill` is what a dialog's answer calls it.
pub fn secret_field(
    id: &'static str,
    label: &'static str,
    copy: &'static str,
    fill: &'static str,
    value: String,
) -> AnyView {
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <div class="secret">
                <input
                    id=id
                    class="input mono"
                    readonly
                    value=value
                    spellcheck="false"
                    autocomplete="off"
                    data-fill=fill
                    data-first=""
                />
                {copy_button(id.to_owned(), copy.to_owned())}
            </div>
        </div>
    }
    .into_any()
}

/// Copies the field of that id: see `shell.js`.
pub fn copy_button(field: String, label: String) -> AnyView {
    view! {
        <span class="copy">
            <button type="button" class="button" data-copy=field>
                {label}
            </button>
            <span class="copy-said" role="status"></span>
        </span>
    }
    .into_any()
}
