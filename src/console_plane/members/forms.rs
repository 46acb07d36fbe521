//! What owners and admins do to members.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use super::act;
use crate::console_plane::{answers::Change, error::ConsoleError};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetRoleForm {
    pub user_id: String,
    pub role: String,
}

/// Gives a member another role.
#[server(prefix = "/console/fn", endpoint = "members/role")]
pub async fn set_role(#[server(flatten)] form: SetRoleForm) -> Result<Change, ConsoleError> {
    act::set_role(form).await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveMemberForm {
    pub user_id: String,
}

/// Ends somebody's membership.
#[server(prefix = "/console/fn", endpoint = "members/remove")]
pub async fn remove_member(#[server(flatten)] form: RemoveMemberForm) -> Result<Change, ConsoleError> {
    act::remove(form).await
}
