//! A server-drawn form in the browser's hands: send it, and say what came of it in the places the server drew for that.

use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    DocumentFragment, Element, FormData, Headers, HtmlElement, HtmlFormElement, HtmlInputElement, HtmlTemplateElement,
    RequestInit, Response, UrlSearchParams,
    js_sys::{Array, Reflect},
};

use crate::console_plane::error::{ConsoleError, FieldError};

/// What a server function answered when it did what it was asked: an [`IssuedKey`](crate::console_plane::model::IssuedKey)
/// or a [`Change`](crate::console_plane::model::Change).
pub struct Answer(JsValue);

impl Answer {
    /// Drawn by the dialog's template for answers of this kind.
    pub fn draw(&self, dialog: &Element) -> Option<DocumentFragment> {
        let kind = if text(&self.0, "secret").is_empty() { "changed" } else { "issued" };
        let template = first::<HtmlTemplateElement>(dialog, &format!("template[data-for={kind}]"))?;
        let drawn = template.content().clone_node_with_deep(true).ok()?.dyn_into::<DocumentFragment>().ok()?;
        if let Some(body) = drawn.first_element_child() {
            fill(&body, |name| text(&self.0, name));
        }
        Some(drawn)
    }
}

/// Sends a form as the browser itself would, to the same server function, for an answer that is data and not a page.
pub async fn send(form: &HtmlFormElement, data: &FormData) -> Result<Answer, ConsoleError> {
    let (done, body) = exchange(form, data).await.map_err(|_| ConsoleError::Unavailable)?;
    if done { Ok(Answer(body)) } else { Err(refusal(&body)) }
}

/// Whether it was done, and the body.
async fn exchange(form: &HtmlFormElement, data: &FormData) -> Result<(bool, JsValue), JsValue> {
    let headers = Headers::new()?;
    headers.set("accept", "application/json")?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    // Encoded as a browser encodes a form that holds no file.
    init.set_body(&UrlSearchParams::new_with_str_sequence_sequence(data)?.into());
    let action = form.get_attribute("action").unwrap_or_default();
    let response: Response = window().fetch_with_str_and_init(&action, &init).await?.dyn_into()?;
    Ok((response.ok(), response.json()?.await?))
}

/// A [`ConsoleError`] as the server writes it. Those whose words are the server's own differ in nothing that is shown.
fn refusal(body: &JsValue) -> ConsoleError {
    match text(body, "kind").as_str() {
        "fields" => {
            let fields = Reflect::get(body, &"fields".into()).map(|fields| Array::from(&fields)).unwrap_or_default();
            let field = |wrong| FieldError { field: text(&wrong, "field"), message: text(&wrong, "message") };
            ConsoleError::Fields { fields: fields.iter().map(field).collect() }
        }
        "signed_out" => ConsoleError::SignedOut,
        "refused" | "forbidden" | "not_found" | "conflict" => ConsoleError::Refused { message: text(body, "message") },
        _ => ConsoleError::Unavailable,
    }
}

/// A text in an object; empty if it has none of that name.
fn text(object: &JsValue, name: &str) -> String {
    Reflect::get(object, &name.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

/// Puts what `value` has of a name wherever `data-fill` says that name. A place that stays empty is not shown.
pub fn fill(root: &Element, value: impl Fn(&str) -> String) {
    each(root, "[data-fill]", |place| {
        let value = value(&place.get_attribute("data-fill").unwrap_or_default());
        match place.dyn_ref::<HtmlInputElement>() {
            Some(input) => input.set_default_value(&value),
            None => {
                place.set_text_content(Some(&value));
                // An attribute that may be set cannot fail to be.
                let _ = place.toggle_attribute_with_force("hidden", value.is_empty());
            }
        }
    });
}

/// All elements under `root` that match.
pub fn each(root: &Element, selector: &str, mut cx: impl FnMut(Element)) {
    let Ok(found) = root.query_selector_all(selector) else { return };
    for index in 0..found.length() {
        if let Some(element) = found.item(index).and_then(|node| node.dyn_into().ok()) {
            cx(element);
        }
    }
}

/// The first element under `root` that matches.
pub fn first<T: JsCast>(root: &Element, selector: &str) -> Option<T> {
    root.query_selector(selector).ok().flatten().and_then(|element| element.dyn_into().ok())
}

/// Shows every field's error, and above them what is about no field that is there.
pub fn show_problem(root: &Element, problem: Option<&ConsoleError>) {
    let mut shown = Vec::new();
    each(root, "[data-note]", |note| {
        let field = note.get_attribute("data-note").unwrap_or_default();
        show_in(root, &note, &field, problem.and_then(|problem| problem.for_field(&field)).as_deref());
        shown.push(field);
    });
    let general = match problem {
        Some(ConsoleError::Fields { fields }) => {
            fields.iter().find(|wrong| !shown.contains(&wrong.field)).map(|wrong| wrong.message.clone())
        }
        Some(other) => other.message(),
        None => None,
    };
    if let Some(text) = first::<Element>(root, "[data-problem] p") {
        text.set_text_content(general.as_deref());
    }
    if let Some(link) = first::<HtmlElement>(root, "[data-problem] a") {
        link.set_hidden(!matches!(problem, Some(ConsoleError::SignedOut)));
    }
}

/// Shows one field's error, or that there is none.
pub fn show_field(root: &Element, field: &str, message: Option<&str>) {
    if let Some(note) = first::<Element>(root, &format!("[data-note={field}]")) {
        show_in(root, &note, field, message);
    }
}

fn show_in(root: &Element, note: &Element, field: &str, message: Option<&str>) {
    let hint = note.get_attribute("data-hint");
    note.set_text_content(message.or(hint.as_deref()));
    // A class or an attribute that may be set cannot fail to be.
    let _ = note.class_list().toggle_with_force("wrong", message.is_some());
    if let Some(control) = first::<Element>(root, &format!("[name={field}]")) {
        let _ = match message {
            Some(_) => control.set_attribute("aria-invalid", "true"),
            None => control.remove_attribute("aria-invalid"),
        };
    }
}

/// Puts the focus on the first element that matches, if there is one.
pub fn focus(root: &Element, selector: &str) {
    if let Some(element) = first::<HtmlElement>(root, selector) {
        // It throws for nothing that is in the page.
        let _ = element.focus();
    }
}

/// Empties the forms under `root` back to what the server drew.
pub fn reset(root: &Element) {
    each(root, "form", |form| {
        if let Ok(form) = form.dyn_into::<HtmlFormElement>() {
            form.reset();
        }
    });
}
