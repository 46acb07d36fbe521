//! The support desk: a customer's key, found and revoked.

use leptos::{nonce::use_nonce, prelude::*, server_fn::ServerFn};

use crate::{
    console_plane::{
        error::ConsoleError,
        form::FormState,
        keys::row::RevokeTarget,
        support::forms::{FindKey, FoundKey, RevokeAnyKey},
        ui::{
            Empty, EndNote, LastUsed, Moment, Notice, NoticeLine, PageHead, RevokeButton, RevokeDialog, StatusBadge,
            TextField, fact,
        },
    },
    keys::model::KeyState,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupportPanel {
    Closed,
    Revoke(RevokeTarget, FormState),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportPageModel {
    /// What was searched for, as it may be shown again: a hint or a digest, never a pasted key.
    pub query: String,
    /// `None` before a search.
    pub found: Option<Vec<FoundKey>>,
    pub error: Option<String>,
    pub panel: SupportPanel,
    pub notice: Option<Notice>,
}

const SCRIPT: &str = include_str!("paste.js");
/// What can be looked for.
pub const WRONG: &str = "Enter a hint as the customer sees it, with its dots, as in kd_live_AbCd…WxYz, or a digest of 64 hexadecimal digits.";
const INSECURE: &str = "Over plain http this browser cannot make the digest of a key, and a key is not sent. Ask for the \
                        hint, or for what “printf %s KEY | sha256sum” prints.";

#[component]
pub fn SupportPage(model: SupportPageModel) -> impl IntoView {
    let search = FormState {
        values: vec![("query".to_owned(), model.query)],
        error: model.error.map(|message| ConsoleError::field("query", message)),
    };
    let (target, refill) = match model.panel {
        SupportPanel::Closed => (None, FormState::default()),
        SupportPanel::Revoke(target, refill) => (Some(target), refill),
    };
    let found = model.found.map(|found| {
        if found.is_empty() {
            view! { <Empty title="No such key" text="Check the hint for a missing character, or ask for the digest." /> }
                .into_any()
        } else {
            view! { <ul class="found">{found.into_iter().map(found_key).collect::<Vec<_>>()}</ul> }.into_any()
        }
    });
    view! {
        <PageHead
            title="Support desk".to_owned()
            text="Find a customer’s key and revoke it. You see no secrets, and what you do appears in the customer’s audit log under your name."
        />
        <NoticeLine notice=model.notice />
        <RevokeDialog action=RevokeAnyKey::PATH back="/support".to_owned() target refill ticket=true />
        <form
            method="post"
            action=FindKey::PATH
            class="card find"
            role="search"
            novalidate
            data-wrong=WRONG
            data-insecure=INSECURE
        >
            <input type="hidden" name="pasted" value="" />
            <TextField
                name="query"
                label="Key hint or digest"
                refill=search
                hint="As in kd_live_AbCd…WxYz, or the 64 characters of the key’s SHA-256. Never ask for the key itself."
            />
            <button class="button primary">"Find key"</button>
        </form>
        {found}
        <script nonce=use_nonce() inner_html=SCRIPT></script>
    }
}

fn found_key(found: FoundKey) -> impl IntoView {
    let key = found.key;
    let quiet = key.status.is_over();
    view! {
        <li class="card" class:ended=quiet>
            <div class="found-head">
                <div>
                    <h2>{key.name.clone()}</h2>
                    <code class="hint">{key.hint.clone()}</code>
                </div>
                {(key.status != KeyState::Revoked).then(|| view! { <RevokeButton key=key.clone() page="/support".to_owned() /> })}
            </div>
            <dl class="facts">
                {fact("Organization", view! { {found.org} " " <code class="hint">{found.org_slug}</code> })}
                {fact("Status", view! { <StatusBadge status=key.status /> <EndNote key=key.clone() /> })}
                {fact("Environment", key.environment)}
                {fact("Created", view! { <Moment when=key.created /> {format!(" by {}", key.created_by)} })}
                {fact("Last used", view! { <LastUsed last_used=key.last_used /> })}
            </dl>
        </li>
    }
}
