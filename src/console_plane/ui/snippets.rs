//! Examples in several languages, one of them seen at a time. The tabs are radio buttons, so they work before the browser
//! half arrives, or without it, and with the arrow keys.

use leptos::prelude::*;

use crate::console_plane::model::Snippet;

/// `copy` makes the button that copies the field of an id: an island where the server draws, a part of one where an island
/// does.
pub fn snippets(snippets: &[Snippet], copy: fn(String, String) -> AnyView) -> AnyView {
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
                    {copy(field, format!("Copy {language} example"))}
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
