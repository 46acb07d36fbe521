//! How a key's own page is drawn.

use leptos::{prelude::*, server_fn::ServerFn};

use super::{
    forms::{EditDialog, PostButton, RotateDialog},
    refused::RefusedSection,
    rotation::RotationSection,
    usage::UsageSection,
    view::KeyPageModel,
};
use crate::{
    console_plane::{
        audit_log::page::AuditRow,
        form::FormState,
        keys::{
            forms::{ConfirmKey, DisableKey, EnableKey},
            page::{expiry, issued_panel, revoke_dialog},
            row::KeyRow,
        },
        ui::{
            EndNote, LastUsed, Moment, NoticeLine, PageHead, RevokeButton, ScopeTags, StatusBadge, dialog::OpenButton,
            fact, issued::LastFourField, target_of,
        },
    },
    keys::model::KeyState,
};

/// One key: what is known of it, and what happened to it.
#[component]
pub fn KeyPage(model: KeyPageModel) -> impl IntoView {
    let key = model.key.clone();
    let span = model.usage.span;
    let here = format!("/keys/{}", key.id);
    // Where dialogs and forms come back to: how far back one looked is kept.
    let back = span.of(&here);
    let facts = facts(&model);
    let asked = model.revoke_open.then(|| (target_of(&key), FormState::default()));
    let actions = actions(&key, &here, &back, model.edit.is_some(), model.rotate.is_some(), model.may_revoke);
    let edit =
        model.edit.map(|edit| view! { <EditDialog key_id=key.id.clone() model=edit back=back.clone() /> }.into_any());
    let rotate = model.rotate.map(|rotate| {
        view! { <RotateDialog key_id=key.id.clone() name=key.name.clone() model=rotate back=back.clone() /> }.into_any()
    });
    let rotation = model.rotation.map(|rotation| {
        view! { <RotationSection model=rotation key_id=key.id.clone() back=back.clone() /> }.into_any()
    });
    let usage = view! { <UsageSection model=model.usage here=here.clone() /> }.into_any();
    let refused = view! { <RefusedSection model=model.refused here span /> }.into_any();
    let said = view! {
        <NoticeLine notice=model.notice />
        {model.problem.map(|problem| view! { <p class="callout note warn" role="alert">{problem}</p> })}
        {model.unused_days.map(unused)}
        {model.unconfirmed.map(|refill| unconfirmed(key.id.clone(), back.clone(), refill).into_any())}
        {model.issued.map(|key| issued_panel(key, back.clone()))}
    }
    .into_any();
    view! {
        <a class="back" href="/keys">
            "API keys"
        </a>
        <PageHead title=key.name>{actions}</PageHead>
        {said}
        {edit}
        {rotate}
        {model.may_revoke.then(|| revoke_dialog(asked, back).into_any())}
        {facts}
        {rotation}
        {usage}
        {refused}
        {model.history.map(history)}
    }
}

/// What is known of the key.
fn facts(model: &KeyPageModel) -> AnyView {
    let (key, limit, ends) = (model.key.clone(), model.limit.clone(), model.ends.clone());
    let ends = ends.map(|when| view! { <span class="second">"Replaced, ends " <Moment when /></span> });
    let tier = (key.tier.clone(), (!limit.is_empty()).then(|| view! { <span class="second">{limit}</span> }));
    view! {
        <dl class="card facts">
            {fact("Status", view! { <StatusBadge status=key.status /> <EndNote key=key.clone() /> {ends} })}
            {fact("Hint", view! { <code class="hint">{key.hint}</code> })}
            {fact("Environment", key.environment)}
            {fact("Tier", tier)}
            {fact("Scopes", view! { <ScopeTags scopes=key.scopes /> })}
            {fact("Namespaces", only(model.namespaces.clone(), "All"))}
            {fact("Addresses", only(model.addresses.clone(), "Any"))}
            {fact("Created", view! { <Moment when=key.created /> {format!(" by {}", key.created_by)} })}
            {fact("Expires", expiry(key.expires))}
            {fact("Last used", view! { <LastUsed last_used=key.last_used /> })}
        </dl>
    }
    .into_any()
}

fn history(rows: Vec<AuditRow>) -> impl IntoView {
    let rows = rows.into_iter().map(history_row).collect::<Vec<_>>();
    view! {
        <section aria-labelledby="history-title">
            <h2 id="history-title" class="section-title">
                "History"
            </h2>
            <ul class="card rows">{rows}</ul>
        </section>
    }
}

/// What can be done with the key.
fn actions(
    key: &KeyRow,
    here: &str,
    back: &str,
    may_edit: bool,
    may_rotate: bool,
    may_revoke: bool,
) -> impl IntoView + use<> {
    let (id, back) = (key.id.clone(), back.to_owned());
    let rotate = may_rotate.then(|| {
        view! {
            <form method="get" action=here.to_owned()>
                <input type="hidden" name="rotate" value="1" />
                <OpenButton opens="rotate-title".to_owned() class="button".to_owned() label="Rotate".to_owned() />
            </form>
        }
    });
    let edit = may_edit.then(|| {
        let switch = match key.status {
            KeyState::Disabled => (EnableKey::PATH, "Enable"),
            _ => (DisableKey::PATH, "Disable"),
        };
        view! {
            <form method="get" action=here.to_owned()>
                <input type="hidden" name="edit" value="1" />
                <OpenButton opens="edit-title".to_owned() class="button".to_owned() label="Edit".to_owned() />
            </form>
            {rotate}
            <PostButton action=switch.0 key_id=id label=switch.1 back />
        }
    });
    let revoke = may_revoke.then(|| view! { <RevokeButton key=key.clone() page=here.to_owned() ask="1" /> });
    view! {
        {edit}
        {revoke}
    }
}

/// A key that may have been made for nothing.
fn unused(days: i64) -> impl IntoView {
    view! {
        <p class="callout note warn">
            {format!("Never used since it was created {days} days ago. If nothing is going to use it, revoke it.")}
        </p>
    }
}

/// A key that may have got lost before anybody stored it.
fn unconfirmed(key_id: String, back: String, refill: FormState) -> impl IntoView {
    // A whole key that was pasted here is not shown again.
    let typed = refill.value("last_four").filter(|typed| typed.chars().count() <= 4);
    let error = refill.field_error("last_four");
    view! {
        <section class="card confirm-card" aria-labelledby="confirm-title">
            <h2 id="confirm-title">"Is this key stored somewhere?"</h2>
            <p class="muted">
                "Nobody has said so, and nothing has called with it yet. If it got lost, revoke it and create another."
            </p>
            <form method="post" action=ConfirmKey::PATH class="confirm" novalidate>
                <input type="hidden" name="key_id" value=key_id />
                <input type="hidden" name="back" value=back />
                <LastFourField id="last_four" pattern=None typed error />
                <button class="button">"I have stored it"</button>
            </form>
        </section>
    }
}

/// What a key is held to; `all` is said where it is held to nothing.
fn only(these: Vec<String>, all: &'static str) -> AnyView {
    if these.is_empty() { view! { <span class="muted">{all}</span> }.into_any() } else { these.join(", ").into_any() }
}

fn history_row(row: AuditRow) -> impl IntoView {
    view! {
        <li>
            <div>
                <span class="first">{row.summary}</span>
                <span class="second">{row.actor}</span>
            </div>
            <Moment when=row.when />
        </li>
    }
}
