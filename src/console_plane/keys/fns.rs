//! What a member can do with keys from the browser.

use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::console_plane::{
    door,
    keys::{act, list},
};
use crate::console_plane::{
    error::ConsoleError,
    model::{IssuedKey, RevokeReceipt},
};

/// Makes a key and answers its secret, this once. `form_id` makes a second click answer "already created".
#[server(prefix = "/console/fn", endpoint = "keys/issue")]
pub async fn issue_key(
    form_id: String,
    name: String,
    environment: String,
    tier: String,
    #[server(default)] scopes: Vec<String>,
    expires: String,
) -> Result<IssuedKey, ConsoleError> {
    door::answer(act::issue(form_id, name, environment, tier, scopes, expires)).await
}

/// Revokes one key of the org. Revoking what is revoked already is fine, and says since when.
#[server(prefix = "/console/fn", endpoint = "keys/revoke")]
pub async fn revoke_key(key_id: String, reason: String) -> Result<RevokeReceipt, ConsoleError> {
    door::answer(act::revoke(key_id, reason)).await
}

/// Revokes some keys of the org: all of these, or none.
#[server(prefix = "/console/fn", endpoint = "keys/revoke-some")]
pub async fn revoke_some_keys(
    #[server(default)] key_ids: Vec<String>,
    reason: String,
) -> Result<RevokeReceipt, ConsoleError> {
    door::answer(list::act::revoke_some(key_ids, reason)).await
}

/// Revokes every key of the org. `confirmation` is the org's name, typed.
#[server(prefix = "/console/fn", endpoint = "keys/revoke-all")]
pub async fn revoke_all_keys(confirmation: String) -> Result<RevokeReceipt, ConsoleError> {
    door::answer(act::revoke_all(confirmation)).await
}
