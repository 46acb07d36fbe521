//! What a member can do with keys.

use leptos::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};

#[cfg(feature = "ssr")]
use super::{act, list, one};
use crate::console_plane::{answers::Change, error::ConsoleError};

/// A checkbox, whose form says `true` if it is ticked. In a flattened form a value is known only as text.
fn ticked<'de, D: Deserializer<'de>>(form: D) -> Result<bool, D::Error> {
    String::deserialize(form).map(|value| value == "true")
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateKeyForm {
    /// A second click with the same one makes no second key.
    pub idempotency_key: String,
    pub name: String,
    pub environment: String,
    pub tier: String,
    #[serde(default)]
    pub scopes: Vec<String>,
    pub expires: String,
    /// To be made although there is a key of this name.
    #[serde(default, deserialize_with = "ticked")]
    pub allow_duplicate_name: bool,
}

/// SECRET. In exactly one response: the answer to the form that made it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedKey {
    pub id: String,
    pub name: String,
    pub hint: String,
    pub environment: String,
    pub secret: String,
    /// A ready-made curl command that asks the key plane about the key.
    pub curl: String,
    /// A line for a `.env` file.
    pub env_line: String,
    /// Not secret: they read the key from the environment.
    pub snippets: Vec<Snippet>,
    /// What becomes of the key that it replaces, if it replaces one. Not secret.
    pub old_key: Option<String>,
}

impl std::fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedKey").field("id", &self.id).field("hint", &self.hint).finish_non_exhaustive()
    }
}

/// How a program calls the provider's API with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippet {
    /// `curl`, `Python`, `TypeScript`, `Go`
    pub language: String,
    pub code: String,
}

/// Makes a key and answers its secret, this once.
#[server(prefix = "/console/fn", endpoint = "keys/issue")]
pub async fn create_key(#[server(flatten)] form: CreateKeyForm) -> Result<IssuedKey, ConsoleError> {
    act::create(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfirmKeyForm {
    pub key_id: String,
    /// Typed from where the key is stored.
    pub last_four: String,
    /// The page it was sent from.
    #[serde(default)]
    pub back: String,
}

/// Notes that a key is stored.
#[server(prefix = "/console/fn", endpoint = "keys/confirm")]
pub async fn confirm_key(#[server(flatten)] form: ConfirmKeyForm) -> Result<Change, ConsoleError> {
    act::confirm(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeKeyForm {
    pub key_id: String,
    pub reason: String,
    #[serde(default)]
    pub back: String,
}

/// Revokes one key of the org. Revoking what is revoked already is fine.
#[server(prefix = "/console/fn", endpoint = "keys/revoke")]
pub async fn revoke_key(#[server(flatten)] form: RevokeKeyForm) -> Result<Change, ConsoleError> {
    act::revoke(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeSomeKeysForm {
    #[serde(default)]
    pub key_ids: Vec<String>,
    pub reason: String,
    #[serde(default)]
    pub back: String,
}

/// Revokes some keys of the org: all of these, or none.
#[server(prefix = "/console/fn", endpoint = "keys/revoke-some")]
pub async fn revoke_some_keys(#[server(flatten)] form: RevokeSomeKeysForm) -> Result<Change, ConsoleError> {
    list::act::revoke_some(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeAllKeysForm {
    /// The org's name, typed.
    pub confirmation: String,
}

/// Revokes every key of the org.
#[server(prefix = "/console/fn", endpoint = "keys/revoke-all")]
pub async fn revoke_all_keys(#[server(flatten)] form: RevokeAllKeysForm) -> Result<Change, ConsoleError> {
    act::revoke_all(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EditKeyForm {
    pub key_id: String,
    /// Of the key that the form was drawn from: whoever did not see the key as it is now changes nothing.
    pub version: String,
    /// To be saved whatever somebody else did meanwhile.
    #[serde(default, deserialize_with = "ticked")]
    pub overwrite: bool,
    pub name: String,
    /// Without it the form did not ask for scopes, and they stay.
    #[serde(default, deserialize_with = "ticked")]
    pub asks_scopes: bool,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// One entry on each line, or with commas or spaces between them; so are the addresses.
    pub namespaces: String,
    pub addresses: String,
    /// Empty: as it is.
    pub expires: String,
    #[serde(default)]
    pub back: String,
}

/// Changes a key to what its form says.
#[server(prefix = "/console/fn", endpoint = "keys/edit")]
pub async fn edit_key(#[server(flatten)] form: EditKeyForm) -> Result<Change, ConsoleError> {
    one::act::edit(form).await
}

/// A form that only names a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyForm {
    pub key_id: String,
    #[serde(default)]
    pub back: String,
}

/// Stops a key until it is enabled again.
#[server(prefix = "/console/fn", endpoint = "keys/disable")]
pub async fn disable_key(#[server(flatten)] form: KeyForm) -> Result<Change, ConsoleError> {
    one::act::disable(form).await
}

/// Lets a disabled key go on.
#[server(prefix = "/console/fn", endpoint = "keys/enable")]
pub async fn enable_key(#[server(flatten)] form: KeyForm) -> Result<Change, ConsoleError> {
    one::act::enable(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotateKeyForm {
    /// A second click with the same one makes no second successor.
    pub idempotency_key: String,
    pub key_id: String,
    pub window: String,
    pub reason: String,
    #[serde(default)]
    pub back: String,
}

/// Replaces a key by a successor and answers its secret, this once. The old key goes on for a while, unless somebody else
/// has it.
#[server(prefix = "/console/fn", endpoint = "keys/rotate")]
pub async fn rotate_key(#[server(flatten)] form: RotateKeyForm) -> Result<IssuedKey, ConsoleError> {
    one::rotate::rotate(form).await
}

/// Gives whoever holds a replaced key as much time again, once.
#[server(prefix = "/console/fn", endpoint = "keys/extend")]
pub async fn extend_rotation(#[server(flatten)] form: KeyForm) -> Result<Change, ConsoleError> {
    one::rotate::extend(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FinishRotationForm {
    pub key_id: String,
    /// To be ended although somebody still calls with it.
    #[serde(default, deserialize_with = "ticked")]
    pub force: bool,
    #[serde(default)]
    pub back: String,
}

/// Ends a replaced key before its time.
#[server(prefix = "/console/fn", endpoint = "keys/finish")]
pub async fn finish_rotation(#[server(flatten)] form: FinishRotationForm) -> Result<Change, ConsoleError> {
    one::rotate::finish(form).await
}
