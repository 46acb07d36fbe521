//! What the keys pages do in the browser. The forms inside are drawn by the server, and work without it.

use leptos::prelude::*;

use super::fns::{edit_key, finish_rotation, issue_key, revoke_all_keys, revoke_key, rotate_key};
use crate::{
    console_plane::ui::dialog::{Answer, Asks, dialog, sent, text, texts},
    keys::model::KeyName,
};

/// The dialog behind "Create key".
#[island]
pub fn CreateKey(drawn_open: bool, children: Children) -> impl IntoView {
    let asks = Asks {
        opener: "[data-create-key]",
        title: "create-title",
        check: Some(("name", |name| KeyName::parse(name).map(|_| ()))),
        send: |form| {
            let scopes = texts(form, "scopes[]");
            let [form_id, name, environment, tier, expires] =
                ["form_id", "name", "environment", "tier", "expires"].map(|field| text(form, field));
            sent(issue_key(form_id, name, environment, tier, scopes, expires), Answer::Issued)
        },
    };
    dialog(asks, drawn_open, "/keys".to_owned(), children)
}

/// The dialog behind every key's "Revoke".
#[island]
pub fn RevokeKey(drawn_open: bool, back: String, children: Children) -> impl IntoView {
    let asks = Asks {
        opener: "[data-revoke-id]",
        title: "revoke-title",
        check: None,
        send: |form| sent(revoke_key(text(form, "key_id"), text(form, "reason")), Answer::Changed),
    };
    dialog(asks, drawn_open, back, children)
}

/// The dialog behind "Revoke all keys".
#[island]
pub fn RevokeAllKeys(drawn_open: bool, children: Children) -> impl IntoView {
    let asks = Asks {
        opener: "[data-revoke-all]",
        title: "revoke-all-title",
        check: None,
        send: |form| sent(revoke_all_keys(text(form, "confirmation")), Answer::Changed),
    };
    dialog(asks, drawn_open, "/keys".to_owned(), children)
}

/// The dialog behind a key's "Edit".
#[island]
pub fn EditKey(drawn_open: bool, back: String, children: Children) -> impl IntoView {
    let asks = Asks {
        opener: "[data-edit-key]",
        title: "edit-title",
        check: Some(("name", |name| KeyName::parse(name).map(|_| ()))),
        send: |form| {
            let [key_id, seen, name, namespaces, addresses, expires] =
                ["key_id", "seen", "name", "namespaces", "addresses", "expires"].map(|field| text(form, field));
            let (overwrite, asks_scopes) = (form.has("overwrite"), form.has("asks_scopes"));
            let scopes = texts(form, "scopes[]");
            let edit = edit_key(key_id, seen, overwrite, name, asks_scopes, scopes, namespaces, addresses, expires);
            sent(edit, Answer::Changed)
        },
    };
    dialog(asks, drawn_open, back, children)
}

/// The dialog behind a key's "Rotate".
#[island]
pub fn RotateKey(drawn_open: bool, back: String, children: Children) -> impl IntoView {
    let asks = Asks {
        opener: "[data-rotate-key]",
        title: "rotate-title",
        check: None,
        send: |form| {
            let [form_id, key_id, window, why] = ["form_id", "key_id", "window", "why"].map(|field| text(form, field));
            sent(rotate_key(form_id, key_id, window, why), Answer::Issued)
        },
    };
    dialog(asks, drawn_open, back, children)
}

/// The dialog behind "End the old key".
#[island]
pub fn FinishRotation(drawn_open: bool, back: String, children: Children) -> impl IntoView {
    let asks = Asks {
        opener: "[data-finish-rotation]",
        title: "finish-title",
        check: None,
        send: |form| sent(finish_rotation(text(form, "key_id"), form.has("cutting")), Answer::Changed),
    };
    dialog(asks, drawn_open, back, children)
}
