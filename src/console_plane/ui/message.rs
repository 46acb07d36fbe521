//! A page that only says something: not found, not allowed, signed out, broken.

use leptos::prelude::*;

/// A heading, a sentence, and where to go from here.
#[component]
pub fn MessagePage(
    title: String,
    text: String,
    /// Address and label.
    action: Option<(String, String)>,
) -> impl IntoView {
    view! {
        <div class="message">
            <h1>{title}</h1>
            <p>{text}</p>
            {action.map(|(href, label)| view! { <a class="button primary" href=href>{label}</a> })}
        </div>
    }
}
