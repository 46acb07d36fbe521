//! A server-drawn form in the browser's hands: read it, and say what was wrong with it in the places the server drew
//! for that.

use wasm_bindgen::JsCast;
use web_sys::{Element, FormData, HtmlElement, HtmlFormElement};

use crate::console_plane::error::ConsoleError;

/// One value of a form; what is missing is empty, and the server says so.
pub fn text(form: &FormData, name: &str) -> String {
    form.get(name).as_string().unwrap_or_default()
}

/// All values of one name, such as of ticked boxes.
pub fn texts(form: &FormData, name: &str) -> Vec<String> {
    form.get_all(name).iter().filter_map(|value| value.as_string()).collect()
}

/// All elements under `root` that match.
pub fn each(root: &Element, selector: &str, mut visit: impl FnMut(Element)) {
    let Ok(found) = root.query_selector_all(selector) else { return };
    for index in 0..found.length() {
        if let Some(element) = found.item(index).and_then(|node| node.dyn_into().ok()) {
            visit(element);
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
