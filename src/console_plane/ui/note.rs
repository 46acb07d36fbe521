//! What is said beside a form's fields: by the server when it draws the page, and by the dialog around the form once it has
//! an answer.

use leptos::prelude::*;

use crate::console_plane::error::ConsoleError;

/// Why the form of the dialog around was refused.
#[derive(Clone, Copy)]
pub struct Problem(pub RwSignal<Option<ConsoleError>>);

/// Whether the form of the dialog around is on its way.
#[derive(Clone, Copy)]
pub struct Waiting(pub RwSignal<bool>);

/// The line under a field: its hint, or what was wrong.
#[island]
pub fn FieldNote(
    name: String,
    /// The field's, followed by `-note`.
    id: String,
    hint: String,
    /// What the server says; a dialog around speaks for itself.
    error: Option<String>,
) -> impl IntoView {
    let problem = use_context::<Problem>();
    let wrong = move || match problem {
        Some(Problem(problem)) => problem.with(|problem| problem.as_ref().and_then(|problem| problem.for_field(&name))),
        None => error.clone(),
    };
    Effect::new({
        let wrong = wrong.clone();
        let control = format!(":is(input, select, textarea)[aria-describedby=\"{id}\"]");
        move || {
            if let Ok(Some(control)) = document().query_selector(&control) {
                // An attribute that may be set cannot fail to be.
                let _ = if wrong().is_some() {
                    control.set_attribute("aria-invalid", "true")
                } else {
                    control.remove_attribute("aria-invalid")
                };
            }
        }
    });
    let is_wrong = {
        let wrong = wrong.clone();
        move || wrong().is_some()
    };
    view! {
        <p id=id class="field-note" class:wrong=is_wrong>
            {move || wrong().or_else(|| (!hint.is_empty()).then(|| hint.clone()))}
        </p>
    }
}

/// What a form as a whole was refused for: what is about no field, or about a field that `fields` does not name and that would
/// be seen nowhere.
#[island]
pub fn FormProblem(error: Option<ConsoleError>, fields: String) -> impl IntoView {
    // The first thing in a form, so that a dialog around says to every field what the server drew the form with.
    let Problem(problem) = use_context().unwrap_or_else(|| Problem(RwSignal::new(None)));
    if error.is_some() {
        problem.set(error);
    }
    let signed_out = move || problem.with(|problem| *problem == Some(ConsoleError::SignedOut));
    let text = move || match problem.get()? {
        ConsoleError::Fields { fields: wrong } => wrong
            .into_iter()
            .find(|wrong| !fields.split(' ').any(|field| field == wrong.field))
            .map(|wrong| wrong.message),
        other => other.message(),
    };
    view! {
        <div role="alert" class="form-problem">
            <p>{text}</p>
            <a class="link" href="/sign-in" target="_blank" hidden=move || !signed_out()>
                "Sign in"
            </a>
        </div>
    }
}

/// The button that sends a form; while that is on its way, it says so and cannot be pressed.
#[island]
pub fn SubmitButton(class: String, label: String, sending: String) -> impl IntoView {
    let waiting = use_context::<Waiting>();
    let waits = move || waiting.is_some_and(|Waiting(waiting)| waiting.get());
    view! {
        <button class=class disabled=waits>
            {move || if waits() { sending.clone() } else { label.clone() }}
        </button>
    }
}
