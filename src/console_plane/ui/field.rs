//! Form fields with their label, their hint, and what was wrong with them. The inputs belong to the browser: nothing
//! controls them, so what a person typed before the browser half arrived stays.

use leptos::prelude::*;

use super::note::{FieldNote, FormProblem};
use crate::console_plane::form::FormState;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub value: String,
    pub label: String,
    /// A word of explanation; empty when the label says it all.
    pub note: String,
}

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
            {field_note(name, name, hint, &refill)}
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
            {field_note(name, name, hint, &refill)}
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
    name: &'static str,
    /// Where another form of the page has a field of this name.
    #[prop(optional)]
    id: Option<&'static str>,
    label: &'static str,
    refill: FormState,
    choices: Vec<Choice>,
) -> impl IntoView {
    let id = id.unwrap_or(name);
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
            <label for=id>{label}</label>
            <select
                id=id
                name=name
                class="input select"
                aria-describedby=format!("{id}-note")
                aria-invalid=refill.field_error(name).map(|_| "true")
            >
                {options}
            </select>
            {field_note(name, id, "", &refill)}
        </div>
    }
}

/// The line under a field, which is drawn as its form was refused or not.
pub fn field_note(
    name: &'static str,
    id: &'static str,
    hint: &'static str,
    state: &FormState,
) -> impl IntoView + use<> {
    let (id, error) = (format!("{id}-note"), state.field_error(name));
    view! { <FieldNote name=name.to_owned() id hint=hint.to_owned() error /> }.into_any()
}

/// What a form as a whole was refused for; `fields` have notes of their own.
pub fn form_problem(state: &FormState, fields: &[&str]) -> AnyView {
    view! { <FormProblem error=state.error.clone() fields=fields.join(" ") /> }.into_any()
}
