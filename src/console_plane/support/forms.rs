//! What support staff can do: find a key and revoke it.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::act;
use crate::console_plane::{answers::Change, error::ConsoleError, keys::row::KeyRow};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindKeyForm {
    pub query: String,
    /// Not empty: it is the digest of a key that somebody pasted, made in the browser.
    #[serde(default)]
    pub pasted: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What was asked, as it may be shown again: a hint or a digest, never a key.
    pub query: String,
    pub keys: Vec<FoundKey>,
    /// A whole key was pasted where a hint was asked for.
    pub pasted: bool,
}

/// A key as the support desk sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundKey {
    pub key: KeyRow,
    pub org: String,
    pub org_slug: String,
}

/// Finds keys by hint or digest. A POST, so that what staff paste is in no URL, history or log.
#[server(prefix = "/console/fn", endpoint = "support/find")]
pub async fn find_key(#[server(flatten)] form: FindKeyForm) -> Result<Found, ConsoleError> {
    act::find(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokeAnyKeyForm {
    pub key_id: String,
    pub reason: String,
    /// The request that is acted on.
    pub ticket: String,
}

/// Revokes a customer's key; their audit log names who did it and for which ticket.
#[server(prefix = "/console/fn", endpoint = "support/revoke")]
pub async fn revoke_any_key(#[server(flatten)] form: RevokeAnyKeyForm) -> Result<Change, ConsoleError> {
    act::revoke(form).await
}
