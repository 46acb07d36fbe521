//! Copying a value that is shown once. It says "Copied" only when it was; where the browser does not let a page copy
//! (plain http, a refused permission), the value is selected and the keys to press are named.

use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use web_sys::{HtmlInputElement, HtmlTextAreaElement};

#[wasm_bindgen]
extern "C" {
    // Deprecated everywhere and present everywhere: the only way to copy on plain http.
    #[wasm_bindgen(catch, js_namespace = document, js_name = execCommand)]
    fn exec_command(command: &str) -> Result<bool, JsValue>;
}

/// A button beside a read-only field that the server drew. Its props hold no secret: only the field's id.
#[island]
pub fn CopyButton(input: String, label: String) -> impl IntoView {
    copy_button(input, label)
}

/// The same, inside another island.
pub fn copy_button(input: String, label: String) -> impl IntoView {
    let said = RwSignal::new("");
    let copy = move |_| {
        let input = input.clone();
        said.set("");
        spawn_local(async move {
            said.set(if copied(&input).await { "Copied" } else { "Press Ctrl+C to copy" });
        });
    };
    view! {
        <span class="copy">
            <button type="button" class="button" on:click=copy>{label}</button>
            <span class="copy-said" role="status">{said}</span>
        </span>
    }
}

async fn copied(input: &str) -> bool {
    let Some(field) = document().get_element_by_id(input) else { return false };
    let (line, lines) = (field.dyn_ref::<HtmlInputElement>(), field.dyn_ref::<HtmlTextAreaElement>());
    let Some(value) = line.map(HtmlInputElement::value).or(lines.map(HtmlTextAreaElement::value)) else {
        return false;
    };
    let clipboard = window().navigator().clipboard();
    // Browsers leave it out on plain http.
    if !clipboard.is_undefined() && clipboard.write_text(&value).await.is_ok() {
        return true;
    }
    if let Some(line) = line {
        line.select();
    }
    if let Some(lines) = lines {
        lines.select();
    }
    exec_command("copy").unwrap_or(false)
}
