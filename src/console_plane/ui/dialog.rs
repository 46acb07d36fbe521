//! A form in a dialog. The server draws the form, which works without any of this; the island opens the dialog over the
//! page, sends the form, and shows what came of it.

use std::sync::LazyLock;

use leptos::{
    ev, html,
    mount::mount_to,
    prelude::*,
    server_fn::ServerFn,
    task::{spawn_local, tick},
};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Element, FormData, Headers, HtmlElement, HtmlFormElement, HtmlInputElement, RequestInit, Response, UrlSearchParams,
};

use super::{
    issued::Issued,
    note::{Problem, Waiting},
};
use crate::{
    console_plane::{
        answers::Change,
        error::ConsoleError,
        keys::{
            forms::{ConfirmKey, CreateKey, EditKey, FinishRotation, IssuedKey, RevokeAllKeys, RevokeKey, RotateKey},
            row::RevokeTarget,
        },
        support::forms::RevokeAnyKey,
    },
    keys::model::KeyName,
};

/// A dialog that a button asked for: the id of its title, and the key it is about, if it is about one of several.
type Asked = (String, Option<RevokeTarget>);

/// The dialog that was asked for last. Of the whole page, since the button and its dialog are islands apart; only a browser
/// ever sets it.
pub static ASKED: LazyLock<ArcRwSignal<Option<Asked>>> = LazyLock::new(|| ArcRwSignal::new(None));

/// A button of a form that leads to the page with a dialog open; the browser half opens the dialog right here.
#[island]
pub fn OpenButton(
    /// The id of the dialog's title.
    opens: String,
    class: String,
    label: String,
    #[prop(optional)] about: Option<RevokeTarget>,
) -> impl IntoView {
    let name = about.as_ref().map(|key| format!("{label} {}", key.name));
    let open = move |event: ev::MouseEvent| {
        event.prevent_default();
        ASKED.set(Some((opens.clone(), about.clone())));
    };
    view! {
        <button class=class aria-label=name on:click=open>
            {label}
        </button>
    }
}

/// Sends a form as the browser itself would, for an answer that is data and not a page.
///
/// The client that Leptos makes of a server function turns the form's text into the struct and the struct into text again;
/// that costs a parser and a writer of forms, and a third of all that a page may weigh. The address and both types of the
/// answer are the server function's own.
async fn send<F>(form: &FormData) -> Result<F::Output, ConsoleError>
where
    F: ServerFn<Error = ConsoleError>,
    F::Output: DeserializeOwned,
{
    let (done, body) = exchange(F::PATH, form).await.map_err(|_| ConsoleError::Unavailable)?;
    if done {
        serde_json::from_str(&body).map_err(|_| ConsoleError::Unavailable)
    } else {
        Err(serde_json::from_str(&body).unwrap_or(ConsoleError::Unavailable))
    }
}

/// Whether it was done, and the body.
async fn exchange(path: &str, form: &FormData) -> Result<(bool, String), JsValue> {
    let headers = Headers::new()?;
    headers.set("accept", "application/json")?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&UrlSearchParams::new_with_str_sequence_sequence(form)?.into());
    let response: Response = window().fetch_with_str_and_init(path, &init).await?.dyn_into()?;
    Ok((response.ok(), response.text()?.await?.as_string().unwrap_or_default()))
}

enum Answer {
    Issued(IssuedKey),
    Changed(Change),
}

/// Sends whichever form stands in a dialog.
async fn send_to(action: &str, form: &FormData) -> Result<Answer, ConsoleError> {
    match action {
        CreateKey::PATH => send::<CreateKey>(form).await.map(Answer::Issued),
        RotateKey::PATH => send::<RotateKey>(form).await.map(Answer::Issued),
        ConfirmKey::PATH => send::<ConfirmKey>(form).await.map(Answer::Changed),
        EditKey::PATH => send::<EditKey>(form).await.map(Answer::Changed),
        FinishRotation::PATH => send::<FinishRotation>(form).await.map(Answer::Changed),
        RevokeKey::PATH => send::<RevokeKey>(form).await.map(Answer::Changed),
        RevokeAllKeys::PATH => send::<RevokeAllKeys>(form).await.map(Answer::Changed),
        RevokeAnyKey::PATH => send::<RevokeAnyKey>(form).await.map(Answer::Changed),
        _ => Err(ConsoleError::Unavailable),
    }
}

/// A dialog around the form that is its child. The form stands in the page where the page's address asked for it.
#[island]
pub fn FormDialog(
    /// The id of its title, which is how its buttons call it.
    title: String,
    drawn_open: bool,
    /// The page without the dialog.
    back: String,
    children: Children,
) -> impl IntoView {
    let problem = RwSignal::new(None);
    let pending = RwSignal::new(false);
    let answered = RwSignal::new(false);
    let place = NodeRef::<html::Div>::new();
    // It may have been done, and nobody knows.
    let unsure = RwSignal::new(false);
    provide_context(Problem(problem));
    provide_context(Waiting(pending));
    let node = NodeRef::<html::Dialog>::new();
    let show = move || {
        if let Some(node) = node.get_untracked().filter(|node| !node.open()) {
            // It throws only for a dialog that is open already.
            let _ = node.show_modal();
        }
    };
    Effect::new({
        let title = title.clone();
        move || {
            if ASKED.with(|asked| asked.as_ref().is_some_and(|(opens, _)| *opens == title))
                && let Some(node) = node.get_untracked()
            {
                problem.set(None);
                // Drawn open by the server, it may be out of sight.
                node.set_open(false);
                show();
            }
        }
    });
    let forget = move || {
        if let Some(place) = place.get_untracked() {
            place.set_inner_html("");
        }
    };
    if is_browser() {
        // A page kept for the back button must not keep a secret.
        window_event_listener_untyped("pagehide", move |_| forget());
    }
    // An answer is only ever drawn by the browser, so it is mounted: to hydrate it, too, would have to be learnt for nothing.
    let owner = Owner::current();
    let draw = move |answer: Answer| {
        forget();
        answered.set(true);
        if let (Some(place), Some(owner)) = (place.get_untracked(), &owner) {
            owner.with(|| mount_to(place.into(), || view! { <AnswerBody answer /> }).forget());
        }
    };
    let refuse = move |error: ConsoleError| async move {
        if error == ConsoleError::Unavailable {
            unsure.set(true);
        }
        problem.set(Some(error));
        show();
        tick().await;
        // What asked before an answer is still there, hidden.
        focus(node, ":scope > :not([hidden]) :is([aria-invalid=true], button:not([type]))");
    };
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let form = event.target().and_then(|target| target.dyn_into::<HtmlFormElement>().ok());
        let sent = form.and_then(|form| Some((form.get_attribute("action")?, FormData::new_with_form(&form).ok()?)));
        let Some((action, form)) = sent else { return };
        // A second click changes nothing.
        if pending.get_untracked() {
            return;
        }
        let wrong = form.get("name").as_string().and_then(|name| KeyName::parse(&name).err());
        pending.set(wrong.is_none());
        let draw = draw.clone();
        spawn_local(async move {
            let outcome = match wrong {
                Some(message) => Err(ConsoleError::field("name", message)),
                None => send_to(&action, &form).await,
            };
            pending.set(false);
            match outcome {
                Ok(done) => {
                    problem.set(None);
                    draw(done);
                    // Browsers let a second Esc close any dialog: the answer must still be seen.
                    show();
                    tick().await;
                    focus(node, ".dialog-answer :is(input, button)");
                }
                Err(error) => refuse(error).await,
            }
        });
    };
    // A key's name is looked at as soon as it is typed; nothing typed yet is no mistake yet.
    let left = move |event: ev::FocusEvent| {
        let input = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
        if let Some(input) = input.filter(|input| input.name() == "name" && !input.value().is_empty()) {
            problem.set(KeyName::parse(&input.value()).err().map(|message| ConsoleError::field("name", message)));
        }
    };
    // Cancel and Done both close what can be closed; what cannot is a link.
    let leave = move |event: ev::MouseEvent| {
        let clicked = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let closes = clicked.is_some_and(|clicked| clicked.has_attribute("data-close"));
        if let Some(node) = node.get_untracked().filter(|_| closes)
            && (node.matches(":modal").unwrap_or(false) || answered.get_untracked())
        {
            event.prevent_default();
            node.close();
        }
    };
    // After an answer, or one that got lost, the page may be out of date, so it is drawn again.
    let closed = move |_: ev::Event| {
        if pending.get_untracked() {
        } else if answered.get_untracked() || unsure.get_untracked() {
            forget();
            // It throws only for an address that is none.
            let _ = window().location().assign(&back);
        } else {
            problem.set(None);
            let form = node.get_untracked().and_then(|node| node.query_selector("form").ok().flatten());
            if let Some(form) = form.and_then(|form| form.dyn_into::<HtmlFormElement>().ok()) {
                form.reset();
            }
        }
    };
    let cancel = move |event: ev::Event| {
        if pending.get_untracked() {
            event.prevent_default();
        }
    };
    view! {
        <dialog
            class="dialog"
            open=drawn_open
            aria-labelledby=move || if answered.get() { "answer-title".to_owned() } else { title.clone() }
            node_ref=node
            on:submit=submit
            on:focusout=left
            on:click=leave
            on:cancel=cancel
            on:close=closed
        >
            <div hidden=move || answered.get()>{children()}</div>
            <div node_ref=place></div>
        </dialog>
    }
}

#[component]
fn AnswerBody(answer: Answer) -> impl IntoView {
    let (role, key, change) = match answer {
        Answer::Issued(key) => (None, Some(key), None),
        Answer::Changed(change) => (Some("status"), None, Some(change)),
    };
    view! {
        <div class="dialog-body dialog-answer" role=role>
            {key.map(|key| view! { <Issued key title="answer-title" /> })}
            {change
                .map(|change| {
                    view! {
                        <h2 id="answer-title">{change.text}</h2>
                        {change.receipt.map(|receipt| view! { <p class="muted">{receipt}</p> })}
                    }
                })}
            <div class="dialog-actions">
                <button type="button" class="button primary" data-close="">
                    "Done"
                </button>
            </div>
        </div>
    }
}

/// Puts the focus on the first element in a dialog that matches, if there is one.
fn focus(dialog: NodeRef<html::Dialog>, selector: &str) {
    let found = dialog.get_untracked().and_then(|dialog| dialog.query_selector(selector).ok().flatten());
    if let Some(found) = found.and_then(|found| found.dyn_into::<HtmlElement>().ok()) {
        // It throws for nothing that is in the page.
        let _ = found.focus();
    }
}
