//! Copying a value that is shown once.

use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlDocument, HtmlInputElement, HtmlTextAreaElement};

/// Copies the field of that id. It says "Copied" only when it was; where the browser does not let a page copy (plain http,
/// a refused permission), the value is selected and the keys to press are named.
#[island]
pub fn CopyButton(field: String, label: String) -> impl IntoView {
    let (asked, done) = (RwSignal::new(false), RwSignal::new(false));
    let copy = move |_| {
        let Some(field) = document().get_element_by_id(&field) else { return };
        asked.set(false);
        spawn_local(async move {
            done.set(copied(&field).await);
            asked.set(true);
        });
    };
    view! {
        <span class="copy">
            <button type="button" class="button" on:click=copy>
                {label}
            </button>
            <span class="copy-said" role="status">
                {move || asked.get().then(|| if done.get() { "Copied" } else { "Press Ctrl+C to copy" }.to_owned())}
            </span>
        </span>
    }
}

async fn copied(field: &Element) -> bool {
    let (input, area) = (field.dyn_ref::<HtmlInputElement>(), field.dyn_ref::<HtmlTextAreaElement>());
    let value = input.map(HtmlInputElement::value).or_else(|| area.map(HtmlTextAreaElement::value)).unwrap_or_default();
    let clipboard = window().navigator().clipboard();
    // Browsers have none on plain http.
    if !clipboard.is_undefined() && clipboard.write_text(&value).await.is_ok() {
        return true;
    }
    if let Some(input) = input {
        input.select();
    } else if let Some(area) = area {
        area.select();
    }
    // Deprecated everywhere and present everywhere: the only way to copy on plain http.
    document().dyn_into::<HtmlDocument>().is_ok_and(|page| page.exec_command("copy").unwrap_or(false))
}
