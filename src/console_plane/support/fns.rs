//! What support staff can do: find a key and revoke it.

use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::console_plane::{door, support::act};
use crate::console_plane::{error::ConsoleError, model::Change};

/// Finds keys by hint or digest. A POST, so that what staff paste is in no URL, history or log.
#[server(prefix = "/console/fn", endpoint = "support/find")]
pub async fn find_key(query: String) -> Result<(), ConsoleError> {
    door::answer(act::find(query)).await.map(drop)
}

/// Revokes a customer's key; their audit log names who did it and for which ticket.
#[server(prefix = "/console/fn", endpoint = "support/revoke")]
pub async fn support_revoke_key(key_id: String, reason: String, ticket: String) -> Result<Change, ConsoleError> {
    door::answer(act::revoke(key_id, reason, ticket)).await
}
