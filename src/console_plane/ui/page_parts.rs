//! The parts most pages have.

use leptos::prelude::*;

use crate::console_plane::model::Notice;

/// A page's heading, what the page is for, and what can be done there.
#[component]
pub fn PageHead(
    #[prop(into)] title: String,
    #[prop(optional, into)] text: Option<String>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="page-head">
            <div>
                <h1>{title}</h1>
                {text.map(|text| view! { <p class="muted">{text}</p> })}
            </div>
            {children.map(|children| view! { <div class="page-actions">{children()}</div> })}
        </div>
    }
}

/// What was just done: over the page's edge where `shell.js` can take it away again, else above what follows.
#[component]
pub fn NoticeLine(notice: Option<Notice>) -> impl IntoView {
    notice.map(|notice| {
        view! {
            <div class="callout good toast">
                <div role="status">
                    <p>
                        <strong>{notice.text}</strong>
                    </p>
                    {notice.detail.map(|detail| view! { <p>{detail}</p> })}
                </div>
                <button type="button" class="button quiet" aria-label="Dismiss" hidden>
                    "×"
                </button>
            </div>
        }
    })
}

/// A place where something will be, and how to get there.
#[component]
pub fn Empty(
    #[prop(into)] title: String,
    #[prop(into)] text: String,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <h2>{title}</h2>
            <p class="muted">{text}</p>
            {children.map(|children| children())}
        </div>
    }
}
