//! The parts most pages have.

use leptos::prelude::*;

use super::live::Toast;
use crate::console_plane::answers::Change;

/// A calm line above a page's content, after something was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    /// A second, smaller line, such as a receipt.
    pub detail: Option<String>,
}

impl From<Change> for Notice {
    fn from(change: Change) -> Self {
        Self { text: change.text, detail: change.receipt }
    }
}

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

/// What was just done.
#[component]
pub fn NoticeLine(notice: Option<Notice>) -> impl IntoView {
    notice.map(|Notice { text, detail }| view! { <Toast text detail /> }.into_any())
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
