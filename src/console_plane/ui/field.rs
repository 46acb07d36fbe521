//! Form fields with their label, their hint, and what was wrong with them. The inputs belong to the browser: nothing
//! controls them, so what a person typed before the browser half arrived stays.

use leptos::prelude::*;

use crate::console_plane::{
    error::ConsoleError,
    model::{Choice, FormState},
};

/// A labelled input. Hint and error share one line, so that an error moves nothing below it.
#[component]
pub fn TextField(
    /// Its name in the form, and its id.
    name: &'static str,
    #[prop(into)] label: String,
    refill: FormState,
    #[prop(default = "text")] kind: &'static str,
    #[prop(default = "")] hint: &'static str,
    #[prop(default = "off")] autocomplete: &'static str,
    #[prop(optional)] autofocus: bool,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <input
                id=name
                name=name
                type=kind
                value=refill.value(name)
                class="input"
                autocomplete=autocomplete
                autocapitalize="off"
                spellcheck="false"
                required
                autofocus=autofocus
                aria-describedby=format!("{name}-note")
                aria-invalid=refill.field_error(name).map(|_| "true")
            />
            <FieldNote name hint refill />
        </div>
    }
}

/// A labelled list, one entry on each line.
#[component]
pub fn LinesField(
    /// Its name in the form, and its id.
    name: &'static str,
    label: &'static str,
    refill: FormState,
    #[prop(default = "")] hint: &'static str,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <textarea
                id=name
                name=name
                class="input mono lines"
                rows="3"
                autocapitalize="off"
                autocomplete="off"
                spellcheck="false"
                aria-describedby=format!("{name}-note")
                aria-invalid=refill.field_error(name).map(|_| "true")
            >
                {refill.value(name).map(|text| as_markup(&text))}
            </textarea>
            <FieldNote name hint refill />
        </div>
    }
}

/// Text inside a `<textarea>`: Leptos writes it down as it is there, as in a `<script>`, and `</textarea>` would end it.
fn as_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A labelled select; the first choice is its default.
#[component]
pub fn SelectField(
    /// Its name in the form, and its id.
    name: &'static str,
    label: &'static str,
    refill: FormState,
    choices: Vec<Choice>,
) -> impl IntoView {
    let chosen = refill.value(name);
    let options = choices
        .into_iter()
        .map(|choice| {
            let selected = chosen.as_ref() == Some(&choice.value);
            let text =
                if choice.note.is_empty() { choice.label } else { format!("{} · {}", choice.label, choice.note) };
            view! {
                <option value=choice.value selected=selected>
                    {text}
                </option>
            }
        })
        .collect::<Vec<_>>();
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <select
                id=name
                name=name
                class="input select"
                aria-describedby=format!("{name}-note")
                aria-invalid=refill.field_error(name).map(|_| "true")
            >
                {options}
            </select>
            <FieldNote name hint="" refill />
        </div>
    }
}

/// The line under a field: its hint, or what was wrong. The browser half writes here too.
#[component]
pub fn FieldNote(
    name: &'static str,
    hint: &'static str,
    refill: FormState,
    /// The field's, if it is not its name.
    #[prop(optional)]
    id: Option<&'static str>,
) -> impl IntoView {
    let error = refill.field_error(name);
    let wrong = error.is_some();
    view! {
        <p id=format!("{}-note", id.unwrap_or(name)) class="field-note" class:wrong=wrong data-note=name data-hint=hint>
            {error.unwrap_or_else(|| hint.to_owned())}
        </p>
    }
}

/// What a form as a whole was refused for: what is about no field, or about a field that is not in `fields` and would
/// be seen nowhere. The browser half writes here too.
#[component]
pub fn FormProblem(refill: FormState, #[prop(default = &[])] fields: &'static [&'static str]) -> impl IntoView {
    let signed_out = refill.error == Some(ConsoleError::SignedOut);
    let text = match refill.error {
        Some(ConsoleError::Fields { fields: wrong }) => {
            wrong.into_iter().find(|wrong| !fields.contains(&wrong.field.as_str())).map(|wrong| wrong.message)
        }
        Some(other) => other.message(),
        None => None,
    };
    view! {
        <div role="alert" class="form-problem" data-problem="">
            <p>{text}</p>
            <a class="link" href="/sign-in" target="_blank" hidden=!signed_out>
                "Sign in"
            </a>
        </div>
    }
}
