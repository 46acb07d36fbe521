//! What a member can do with keys from the browser.

#![allow(
    clippy::too_many_arguments,
    reason = "a form has as many fields as it has; the macro leaves no room to say so there"
)]

use leptos::prelude::*;

use crate::console_plane::{
    door,
    error::ConsoleError,
    keys::{act, list, one},
    model::{Change, IssuedKey},
};

/// Makes a key and answers its secret, this once. `idempotency_key` makes a second click answer "already created"; of a name that
/// another key has, only if `same_name` says that this is meant.
#[server(prefix = "/console/fn", endpoint = "keys/issue")]
pub async fn issue_key(
    idempotency_key: String,
    name: String,
    environment: String,
    tier: String,
    #[server(default)] scopes: Vec<String>,
    expires: String,
    #[server(default)] same_name: bool,
) -> Result<IssuedKey, ConsoleError> {
    door::answer(act::issue(idempotency_key, name, environment, tier, scopes, expires, same_name)).await
}

/// Notes that a key is stored. `ending` is its last four characters, typed from where it is.
#[server(prefix = "/console/fn", endpoint = "keys/confirm")]
pub async fn confirm_key(key_id: String, ending: String) -> Result<Change, ConsoleError> {
    door::answer(act::confirm(key_id, ending)).await
}

/// Revokes one key of the org. Revoking what is revoked already is fine, and says since when.
#[server(prefix = "/console/fn", endpoint = "keys/revoke")]
pub async fn revoke_key(key_id: String, reason: String) -> Result<Change, ConsoleError> {
    door::answer(act::revoke(key_id, reason)).await
}

/// Revokes some keys of the org: all of these, or none.
#[server(prefix = "/console/fn", endpoint = "keys/revoke-some")]
pub async fn revoke_some_keys(#[server(default)] key_ids: Vec<String>, reason: String) -> Result<Change, ConsoleError> {
    door::answer(list::act::revoke_some(key_ids, reason)).await
}

/// Revokes every key of the org. `confirmation` is the org's name, typed.
#[server(prefix = "/console/fn", endpoint = "keys/revoke-all")]
pub async fn revoke_all_keys(confirmation: String) -> Result<Change, ConsoleError> {
    door::answer(act::revoke_all(confirmation)).await
}

/// Changes a key to what its form says. `seen` is the mark of what the form was drawn from: whoever did not see the key as
/// it is now changes nothing, unless they say `overwrite`.
#[server(prefix = "/console/fn", endpoint = "keys/edit")]
#[allow(clippy::too_many_arguments, reason = "the fields of a form")]
pub async fn edit_key(
    key_id: String,
    seen: String,
    #[server(default)] overwrite: bool,
    name: String,
    #[server(default)] asks_scopes: bool,
    #[server(default)] scopes: Vec<String>,
    namespaces: String,
    ip_allowlist: String,
    expires: String,
) -> Result<Change, ConsoleError> {
    let scopes = asks_scopes.then_some(scopes);
    let typed = one::act::Typed { key_id, seen, overwrite, name, scopes, namespaces, ip_allowlist, expires };
    door::answer(one::act::edit(typed)).await
}

/// Stops a key until it is enabled again.
#[server(prefix = "/console/fn", endpoint = "keys/disable")]
pub async fn disable_key(key_id: String) -> Result<Change, ConsoleError> {
    door::answer(one::act::switch(key_id, false)).await
}

/// Lets a disabled key go on.
#[server(prefix = "/console/fn", endpoint = "keys/enable")]
pub async fn enable_key(key_id: String) -> Result<Change, ConsoleError> {
    door::answer(one::act::switch(key_id, true)).await
}

/// Replaces a key by a successor and answers its secret, this once. The old key goes on for a while, unless somebody else
/// has it.
#[server(prefix = "/console/fn", endpoint = "keys/rotate")]
pub async fn rotate_key(
    idempotency_key: String,
    key_id: String,
    window: String,
    why: String,
) -> Result<IssuedKey, ConsoleError> {
    door::answer(one::rotate::rotate(idempotency_key, key_id, window, why)).await
}

/// Gives whoever holds a replaced key as much time again, once.
#[server(prefix = "/console/fn", endpoint = "keys/extend")]
pub async fn extend_rotation(key_id: String) -> Result<Change, ConsoleError> {
    door::answer(one::rotate::extend(key_id)).await
}

/// Ends a replaced key before its time. While somebody still calls with it, only if `cutting` says that this is meant.
#[server(prefix = "/console/fn", endpoint = "keys/finish")]
pub async fn finish_rotation(key_id: String, #[server(default)] cutting: bool) -> Result<Change, ConsoleError> {
    door::answer(one::rotate::finish(key_id, cutting)).await
}
