//! A native `<dialog>` around a form that the server drew: it sends the form and shows one answer. A click opens it
//! modally; when the page's address asked for it, the server has drawn it open in the page, and it is used where it
//! stands. Its form works without any of this.

use std::pin::Pin;

use leptos::{
    ev, html,
    prelude::*,
    task::{spawn_local, tick},
};
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, FormData, HtmlDialogElement, HtmlFormElement, HtmlInputElement, SubmitEvent};

pub use super::form::{text, texts};
use super::{
    copy::copy_button,
    form::{each, first, focus, reset, show_field, show_problem},
    snippets::snippets,
};
use crate::console_plane::{
    error::ConsoleError,
    model::{Change, IssuedKey},
};

/// What a dialog shows when its form was accepted.
pub enum Answer {
    Issued(IssuedKey),
    Changed(Change),
}

/// A request under way.
pub type Sent = Pin<Box<dyn Future<Output = Result<Answer, ConsoleError>>>>;

/// Makes a request of a server function's answer.
pub fn sent<T>(request: impl Future<Output = Result<T, ConsoleError>> + 'static, answer: fn(T) -> Answer) -> Sent
where
    T: 'static,
{
    Box::pin(async move { request.await.map(answer) })
}

/// Errors: a sentence that says what to do.
pub type Check = fn(&str) -> Result<(), &'static str>;

/// What makes one dialog different from the others.
#[derive(Clone, Copy)]
pub struct Asks {
    /// Its buttons, wherever on the page they are.
    pub opener: &'static str,
    /// The id of its heading.
    pub title: &'static str,
    /// The field checked when it is left, and the check.
    pub check: Option<(&'static str, Check)>,
    pub send: fn(&FormData) -> Sent,
}

/// `drawn_open` is what the page's address asked for; `back` is the page without the dialog.
pub fn dialog(asks: Asks, drawn_open: bool, back: String, children: Children) -> impl IntoView {
    let state =
        State { asks, node: NodeRef::new(), pending: StoredValue::new(false), answer: RwSignal::new_local(None) };
    Effect::new(move || state.listen());
    let back = StoredValue::new(back);
    view! {
        <dialog
            node_ref=state.node
            class="dialog"
            open=drawn_open
            aria-labelledby=asks.title
            on:submit=move |event| state.submit(event)
            on:focusout=move |event| state.check(&event)
            on:cancel=move |event| state.cancel(&event)
            on:close=move |_| state.closed(&back.get_value())
        >
            {children()}
            {move || state.answer.with(|answer| answer.as_ref().map(|answer| state.show(answer)))}
        </dialog>
    }
}

#[derive(Clone, Copy)]
struct State {
    asks: Asks,
    node: NodeRef<html::Dialog>,
    pending: StoredValue<bool>,
    answer: RwSignal<Option<Answer>, LocalStorage>,
}

impl State {
    fn listen(self) {
        // One listener for every button of the page, however many rows it has.
        let clicks = window_event_listener(ev::click, move |event| {
            let clicked = event.target().and_then(|target| target.dyn_into::<Element>().ok());
            let Some(clicked) = clicked else { return };
            if let Ok(Some(opener)) = clicked.closest(self.asks.opener) {
                event.prevent_default();
                self.open(&opener);
            } else if clicked.has_attribute("data-close") {
                self.leave(&clicked, &event);
            }
        });
        // A page kept for the back button must not keep a secret.
        let leaving = window_event_listener(ev::pagehide, move |_| self.answer.set(None));
        on_cleanup(move || {
            clicks.remove();
            leaving.remove();
        });
    }

    fn with(self, visit: impl FnOnce(&HtmlDialogElement)) {
        if let Some(dialog) = self.node.get_untracked() {
            visit(&dialog);
        }
    }

    /// Opens for what its button says: `data-revoke-id` goes wherever `data-fill="revoke-id"` is.
    fn open(self, opener: &Element) {
        self.with(|dialog| {
            show_problem(dialog, None);
            each(dialog, "[data-fill]", |place| {
                let key = place.get_attribute("data-fill").unwrap_or_default();
                let value = opener.get_attribute(&format!("data-{key}")).unwrap_or_default();
                match place.dyn_ref::<HtmlInputElement>() {
                    Some(input) => input.set_default_value(&value),
                    None => place.set_text_content(Some(&value)),
                }
            });
            // Drawn open by the server, it may be out of sight.
            dialog.set_open(false);
            show_modal(dialog);
        });
    }

    /// Cancel and Done: both close what can be closed; the rest is a link.
    fn leave(self, clicked: &Element, event: &Event) {
        self.with(|dialog| {
            let modal = dialog.matches(":modal").unwrap_or(false);
            if dialog.contains(Some(clicked)) && (modal || self.answered()) {
                event.prevent_default();
                dialog.close();
            }
        });
    }

    fn check(self, event: &Event) {
        let Some((field, check)) = self.asks.check else { return };
        let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else { return };
        // Nothing typed yet is no mistake yet.
        if input.name() == field && !input.value().is_empty() {
            self.with(|dialog| show_field(dialog, field, check(&input.value()).err()));
        }
    }

    fn submit(self, event: SubmitEvent) {
        event.prevent_default();
        let form = event.target().and_then(|target| target.dyn_into::<HtmlFormElement>().ok());
        let Some(data) = form.and_then(|form| FormData::new_with_form(&form).ok()) else { return };
        // A second click changes nothing.
        if self.pending.get_value() {
            return;
        }
        if let Some((field, check)) = self.asks.check
            && let Err(message) = check(&text(&data, field))
        {
            self.refused(&ConsoleError::field(field, message));
            return;
        }
        let request = (self.asks.send)(&data);
        self.wait(true);
        spawn_local(async move {
            let result = request.await;
            self.wait(false);
            match result {
                Ok(answer) => {
                    self.answer.set(Some(answer));
                    tick().await;
                    // Browsers let a second Esc close any dialog: the answer must still be seen.
                    self.with(|dialog| {
                        each(dialog, "form", |form| form.remove());
                        show_modal(dialog);
                        focus(dialog, "[data-answer]");
                    });
                }
                Err(error) => self.refused(&error),
            }
        });
    }

    fn refused(self, error: &ConsoleError) {
        self.with(|dialog| {
            show_problem(dialog, Some(error));
            show_modal(dialog);
            focus(dialog, "[aria-invalid=true], [data-pending]");
        });
    }

    /// The button says what it is doing, and does it once.
    fn wait(self, pending: bool) {
        self.pending.set_value(pending);
        self.with(|dialog| {
            let Some(button) = first::<Element>(dialog, "[data-pending]") else { return };
            // Swapped, so that the button finds its own label again.
            let label = button.text_content();
            button.set_text_content(button.get_attribute("data-pending").as_deref());
            // Attributes that may be set cannot fail to be.
            let _ = button.set_attribute("data-pending", &label.unwrap_or_default());
            let _ = button.toggle_attribute_with_force("disabled", pending);
        });
    }

    /// Esc: not while the answer is on its way.
    fn cancel(self, event: &Event) {
        if self.pending.get_value() {
            event.prevent_default();
        }
    }

    /// Forgets what was typed and answered; after an answer the page is out of date, so it is drawn again.
    fn closed(self, back: &str) {
        if self.pending.get_value() {
            return;
        }
        if self.answered() {
            self.answer.set(None);
            // It throws only for an address that is none.
            let _ = window().location().assign(back);
        } else {
            self.with(|dialog| reset(dialog));
        }
    }

    fn answered(self) -> bool {
        self.answer.with_untracked(Option::is_some)
    }

    fn show(self, answer: &Answer) -> AnyView {
        let title = self.asks.title;
        match answer {
            Answer::Issued(key) => view! {
                <div class="dialog-body">
                    <h2 id=title>{format!("“{}” is ready", key.name)}</h2>
                    <p class="callout warn">{ONCE}</p>
                    {key.old_key.clone().map(|old_key| view! { <p>{old_key}</p> })}
                    {secret_field("issued-secret", "Your new key", "Copy key", &key.secret)}
                    {secret_field("issued-curl", "Try it", "Copy curl command", &key.curl)}
                    {secret_field("issued-env", "For your .env file", "Copy .env line", &key.env_line)}
                    {snippets(&key.snippets, |input, label| copy_button(input, label).into_any())}
                    {done()}
                </div>
            }
            .into_any(),
            Answer::Changed(change) => said(title, change),
        }
    }
}

/// What is said above a new key, by the server and by the dialog.
pub const ONCE: &str = "This key is shown only once. Copy it now: what is kept of it is a fingerprint, not the key.";

fn show_modal(dialog: &HtmlDialogElement) {
    if !dialog.open() {
        // It throws only for a dialog that is open already.
        let _ = dialog.show_modal();
    }
}

fn secret_field(id: &'static str, label: &'static str, copy: &'static str, value: &str) -> AnyView {
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <div class="secret">
                <input id=id class="input mono" readonly value=value.to_owned() data-answer="" />
                {copy_button(id.to_owned(), copy.to_owned())}
            </div>
        </div>
    }
    .into_any()
}

fn said(title: &'static str, change: &Change) -> AnyView {
    view! {
        <div class="dialog-body" role="status">
            <h2 id=title>{change.text.clone()}</h2>
            {change.receipt.clone().map(|receipt| view! { <p class="muted">{receipt}</p> })}
            {done()}
        </div>
    }
    .into_any()
}

fn done() -> impl IntoView {
    view! {
        <div class="dialog-actions">
            <button type="button" class="button primary" data-close="" data-answer="">
                "Done"
            </button>
        </div>
    }
}
