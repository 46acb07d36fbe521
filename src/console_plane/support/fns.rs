//! What support staff can do: find a key and revoke it.

use leptos::prelude::*;

use crate::console_plane::{door, error::ConsoleError, model::Change, support::act};

/// Finds keys by hint or digest. A POST, so that what staff paste is in no URL, history or log. `pasted`: it is the
/// digest of a key that was, made in the browser.
#[server(prefix = "/console/fn", endpoint = "support/find")]
pub async fn find_key(query: String, #[server(default)] pasted: String) -> Result<(), ConsoleError> {
    door::answer(act::find(query, !pasted.is_empty())).await.map(drop)
}

/// Revokes a customer's key; their audit log names who did it and for which ticket.
#[server(prefix = "/console/fn", endpoint = "support/revoke")]
pub async fn support_revoke_key(key_id: String, reason: String, ticket: String) -> Result<Change, ConsoleError> {
    door::answer(act::revoke(key_id, reason, ticket)).await
}
