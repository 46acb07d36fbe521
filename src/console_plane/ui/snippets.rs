//! Examples in several languages, one of them seen at a time. The tabs are radio buttons, so they work before the browser
//! half arrives, or without it, and with the arrow keys.

use leptos::prelude::*;

use super::issued::copy_button;
use crate::console_plane::model::Snippet;

pub fn snippets(snippets: &[Snippet]) -> AnyView {
    let tabs = snippets
        .iter()
        .enumerate()
        .map(|(index, Snippet { language, code })| {
            let tab = format!("snippet-{index}");
            let field = format!("snippet-{index}-code");
            let rows = code.lines().count().to_string();
            view! {
                <input type="radio" name="snippet" id=tab.clone() checked=index == 0 />
                <label for=tab>{language.clone()}</label>
                <div class="snippet">
                    <textarea
                        id=field.clone()
                        class="input mono"
                        readonly
                        rows=rows
                        wrap="off"
                        spellcheck="false"
                        autocomplete="off"
                        aria-label=format!("{language} example")
                    >
                        {code.clone()}
                    </textarea>
                    {copy_button(field, format!("Copy {language} example"))}
                </div>
            }
        })
        .collect::<Vec<_>>();
    view! {
        <fieldset class="field">
            <legend>"In your program"</legend>
            <div class="snippets">{tabs}</div>
        </fieldset>
    }
    .into_any()
}
