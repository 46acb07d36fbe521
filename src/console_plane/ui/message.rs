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

/// The session ended before a form was sent: sign in elsewhere, then send it again from here.
#[component]
pub fn ResendPage(
    action: &'static str,
    /// What the form held, passwords left out.
    values: Vec<(String, String)>,
    /// Whether that was all of it.
    whole: bool,
) -> impl IntoView {
    let inputs = values
        .into_iter()
        .map(|(name, value)| view! { <input type="hidden" name=name value=value /> })
        .collect::<Vec<_>>();
    let again = whole.then(|| {
        view! {
            <form method="post" action=action>
                {inputs}
                <button class="button">"Send it again"</button>
            </form>
        }
    });
    let text = if whole {
        "Nothing was changed, and what you typed is kept on this page. Sign in in another tab, then come back and send it again."
    } else {
        "Nothing was changed. Sign in and fill the form in again: passwords are not kept."
    };
    view! {
        <div class="message">
            <h1>"Your session has ended"</h1>
            <p>{text}</p>
            <a class="button primary" href="/sign-in" target=whole.then_some("_blank")>
                "Sign in"
            </a>
            {again}
        </div>
    }
}
