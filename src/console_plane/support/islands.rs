//! What the support desk does in the browser. The form inside is drawn by the server, and works without it.

use leptos::prelude::*;

use super::fns::support_revoke_key;
use crate::console_plane::ui::dialog::{Answer, Asks, dialog, sent, text};

/// The dialog behind a found key's "Revoke".
#[island]
pub fn RevokeFoundKey(drawn_open: bool, children: Children) -> impl IntoView {
    let asks = Asks {
        opener: "[data-revoke-id]",
        title: "revoke-title",
        check: None,
        send: |form| {
            let [key_id, reason, ticket] = ["key_id", "reason", "ticket"].map(|field| text(form, field));
            sent(support_revoke_key(key_id, reason, ticket), Answer::Changed)
        },
    };
    dialog(asks, drawn_open, "/support".to_owned(), children)
}
