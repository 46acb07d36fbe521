//! What runs in the browser: an island inside a native `<dialog>` that the server drew, with a form in it. It opens the
//! dialog, sends the form to where the form itself says, and shows the answer in a template that the server drew beside it.
//! The form works without any of this.
//!
//! It takes no props and draws nothing, so that neither a parser nor a renderer has to travel: what differs between
//! dialogs is in their attributes.

use std::{cell::Cell, rc::Rc};

use leptos::{html, prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Element, Event, EventTarget, FormData, HtmlDialogElement, HtmlFormElement, HtmlInputElement};

use super::form::{Answer, each, fill, first, focus, reset, send, show_field, show_problem};
use crate::{console_plane::error::ConsoleError, keys::model::KeyName};

#[island]
pub fn DialogIsland() -> impl IntoView {
    let marker = NodeRef::<html::Span>::new();
    Effect::new(move || {
        let around = marker.get().and_then(|marker| marker.closest("dialog").ok().flatten());
        if let Some(node) = around.and_then(|dialog| dialog.dyn_into().ok()) {
            Dialog { node, pending: Rc::default(), unsure: Rc::default() }.listen();
        }
    });
    view! { <span node_ref=marker hidden></span> }
}

#[derive(Clone)]
struct Dialog {
    node: HtmlDialogElement,
    pending: Rc<Cell<bool>>,
    /// It may have been done, and nobody knows.
    unsure: Rc<Cell<bool>>,
}

type Handler = fn(&Dialog, &Event);

/// For as long as the page lives, which is as long as its dialogs do.
fn on(target: &EventTarget, event: &str, act: impl FnMut(Event) + 'static) {
    let act = Closure::<dyn FnMut(Event)>::new(act);
    // It throws for nothing that is a function.
    let _ = target.add_event_listener_with_callback(event, act.as_ref().unchecked_ref());
    act.forget();
}

fn target<T: JsCast>(event: &Event) -> Option<T> {
    event.target().and_then(|target| target.dyn_into().ok())
}

impl Dialog {
    fn listen(self) {
        let handlers: [(&str, Handler); 4] =
            [("submit", Self::submit), ("focusout", Self::left), ("cancel", Self::cancel), ("close", Self::closed)];
        for (event, handler) in handlers {
            let dialog = self.clone();
            on(&self.node, event, move |event| handler(&dialog, &event));
        }
        // A page kept for the back button must not keep a secret.
        let dialog = self.clone();
        on(&window(), "pagehide", move |_| dialog.forget());
        // One listener for every button of the page, however many rows it has.
        let opener = format!("[{}]", self.node.get_attribute("data-opener").unwrap_or_default());
        on(&window(), "click", move |event| {
            let Some(clicked) = target::<Element>(&event) else { return };
            if let Ok(Some(opener)) = clicked.closest(&opener) {
                event.prevent_default();
                self.open(&opener);
            } else if clicked.has_attribute("data-close") {
                self.leave(&clicked, &event);
            }
        });
    }

    /// Opens for what its button says: `data-revoke-id` goes wherever `data-fill="revoke-id"` is.
    fn open(&self, opener: &Element) {
        show_problem(&self.node, None);
        fill(&self.node, |name| opener.get_attribute(&format!("data-{name}")).unwrap_or_default());
        // Drawn open by the server, it may be out of sight.
        self.node.set_open(false);
        self.show_modal();
    }

    /// Cancel and Done: both close what can be closed; the rest is a link.
    fn leave(&self, clicked: &Element, event: &Event) {
        let modal = self.node.matches(":modal").unwrap_or(false);
        if self.node.contains(Some(clicked)) && (modal || self.answer().is_some()) {
            event.prevent_default();
            self.node.close();
        }
    }

    /// A key's name is looked at as soon as it is typed.
    fn left(&self, event: &Event) {
        let Some(input) = target::<HtmlInputElement>(event) else { return };
        // Nothing typed yet is no mistake yet.
        if input.name() == "name" && !input.value().is_empty() {
            show_field(&self.node, "name", KeyName::parse(&input.value()).err());
        }
    }

    fn submit(&self, event: &Event) {
        event.prevent_default();
        let Some(form) = target::<HtmlFormElement>(event) else { return };
        let Ok(data) = FormData::new_with_form(&form) else { return };
        // A second click changes nothing.
        if self.pending.get() {
            return;
        }
        if let Some(Err(message)) = data.get("name").as_string().map(|name| KeyName::parse(&name)) {
            self.refused(&ConsoleError::field("name", message));
            return;
        }
        self.wait(true);
        let dialog = self.clone();
        spawn_local(async move {
            let result = send(&form, &data).await;
            dialog.wait(false);
            match result {
                Ok(answer) => dialog.show(&answer),
                Err(error) => dialog.refused(&error),
            }
        });
    }

    fn refused(&self, error: &ConsoleError) {
        if *error == ConsoleError::Unavailable {
            self.unsure.set(true);
        }
        show_problem(&self.node, Some(error));
        self.show_modal();
        focus(&self.node, "[aria-invalid=true], [data-pending]");
    }

    /// The button says what it is doing, and does it once.
    fn wait(&self, pending: bool) {
        self.pending.set(pending);
        let Some(button) = first::<Element>(&self.node, "[data-pending]") else { return };
        // Swapped, so that the button finds its own label again.
        let label = button.text_content();
        button.set_text_content(button.get_attribute("data-pending").as_deref());
        // Attributes that may be set cannot fail to be.
        let _ = button.set_attribute("data-pending", &label.unwrap_or_default());
        let _ = button.toggle_attribute_with_force("disabled", pending);
    }

    /// Esc: not while the answer is on its way.
    fn cancel(&self, event: &Event) {
        if self.pending.get() {
            event.prevent_default();
        }
    }

    /// Forgets what was typed and answered. After an answer, or one that got lost, the page may be out of date, so it is
    /// drawn again.
    fn closed(&self, _: &Event) {
        if self.pending.get() {
            return;
        }
        if self.answer().is_some() || self.unsure.get() {
            self.forget();
            // It throws only for an address that is none.
            let _ = window().location().assign(&self.node.get_attribute("data-back").unwrap_or_default());
        } else {
            reset(&self.node);
        }
    }

    /// What was answered, if anything was.
    fn answer(&self) -> Option<Element> {
        first(&self.node, "[data-answer]")
    }

    fn forget(&self) {
        if let Some(answer) = self.answer() {
            answer.remove();
        }
    }

    /// In the place of what asked.
    fn show(&self, answer: &Answer) {
        let Some(drawn) = answer.draw(&self.node) else { return };
        each(&self.node, "[data-answer], form", |asked| asked.remove());
        // It throws for nothing that can stand in a dialog.
        let _ = self.node.append_child(&drawn);
        // Browsers let a second Esc close any dialog: the answer must still be seen.
        self.show_modal();
        focus(&self.node, "[data-first]");
    }

    fn show_modal(&self) {
        if !self.node.open() {
            // It throws only for a dialog that is open already.
            let _ = self.node.show_modal();
        }
    }
}
