//! A dialog around a form: what the server draws of it. What it does in the browser is in [`super::dialog`].

use leptos::prelude::*;

use super::{dialog::DialogIsland, issued::issued};
use crate::console_plane::model::{IssuedKey, Snippet};

/// Its form stands in the page where the page's address asked for it; a click on one of its buttons opens it over the page.
#[component]
pub fn FormDialog(
    /// Its buttons, wherever on the page they are, have this attribute: `data-create-key`.
    opener: &'static str,
    /// The id of its heading.
    title: &'static str,
    drawn_open: bool,
    /// The page without the dialog.
    back: String,
    /// Where its answer is a new key: the examples that are shown with it.
    #[prop(optional)]
    issues: Option<Vec<Snippet>>,
    children: Children,
) -> impl IntoView {
    let new_key = issues.map(|snippets| {
        view! {
            <template data-for="issued">
                <div class="dialog-body" data-answer="">
                    {issued(&IssuedKey::blank(snippets), title)} {done(false)}
                </div>
            </template>
        }
    });
    view! {
        <dialog class="dialog" open=drawn_open aria-labelledby=title data-opener=opener data-back=back>
            {children()} <DialogIsland /> <template data-for="changed">
                <div class="dialog-body" role="status" data-answer="">
                    <h2 id=title data-fill="text"></h2>
                    <p class="muted" data-fill="receipt"></p>
                    {done(true)}
                </div>
            </template> {new_key}
        </dialog>
    }
}

fn done(first: bool) -> impl IntoView {
    view! {
        <div class="dialog-actions">
            <button type="button" class="button primary" data-close="" data-first=first.then_some("")>
                "Done"
            </button>
        </div>
    }
}
