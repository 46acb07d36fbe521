//! What is known of a key, as small pieces: the keys page, a key's own page and the support desk show the same.

use leptos::prelude::*;

use crate::{
    console_plane::{
        keys::row::{KeyRow, LastUse},
        moment::When,
    },
    keys::model::KeyState,
};

/// A moment, relative; the exact one shows on hover and on focus.
#[component]
pub fn Moment(when: When) -> impl IntoView {
    view! {
        <time class="tip" datetime=when.iso data-tip=when.exact tabindex="0">
            {when.relative}
        </time>
    }
}

/// One line of a list of facts, a `<dl class="facts">`.
pub fn fact(term: &'static str, what: impl IntoView) -> impl IntoView {
    view! {
        <div>
            <dt>{term}</dt>
            <dd>{what}</dd>
        </div>
    }
}

#[component]
pub fn StatusBadge(status: KeyState) -> impl IntoView {
    let class = match status {
        KeyState::Active => "badge good",
        KeyState::Disabled => "badge warn",
        KeyState::Expired | KeyState::Rotated | KeyState::Revoked => "badge",
    };
    view! { <span class=class>{status.label()}</span> }
}

/// A key's scopes; a long list is cut short, and the rest shows on hover and on focus.
#[component]
pub fn ScopeTags(scopes: Vec<String>) -> impl IntoView {
    const SHOWN: usize = 3;
    if scopes.is_empty() {
        return view! { <span class="muted">"None"</span> }.into_any();
    }
    let rest = scopes.iter().skip(SHOWN).cloned().collect::<Vec<_>>();
    let more = (!rest.is_empty()).then(|| {
        view! {
            <span class="tag tip" tabindex="0" data-tip=rest.join(", ")>
                {format!("+{}", rest.len())}
            </span>
        }
    });
    let tags =
        scopes.into_iter().take(SHOWN).map(|scope| view! { <span class="tag">{scope}</span> }).collect::<Vec<_>>();
    view! { <span class="tags">{tags} {more}</span> }.into_any()
}

/// When a key was last used, from where, with what, and through which service.
#[component]
pub fn LastUsed(last_used: Option<LastUse>) -> impl IntoView {
    let Some(last) = last_used else {
        return view! { <span class="muted">"Never"</span> }.into_any();
    };
    let from = from_where(&last);
    view! {
        <Moment when=last.when />
        <span class="second cut" title=from.clone()>
            {from.clone()}
        </span>
    }
    .into_any()
}

fn from_where(last: &LastUse) -> String {
    let via = last.via.as_ref().map(|via| format!("via {via}"));
    [Some(last.address.clone()), Some(last.agent.clone()), via]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

/// How a key ended, for those that were revoked.
#[component]
pub fn EndNote(key: KeyRow) -> impl IntoView {
    key.revoked.map(|end| {
        view! {
            <span class="second">
                "Revoked " <Moment when=end.when /> {format!(" by {} · {}", end.by, end.reason)}
            </span>
        }
    })
}
