//! What owners and admins do to members.

use leptos::prelude::*;

use crate::console_plane::{door, error::ConsoleError, members::act, model::Change};

/// Gives a member another role; answers what came of it.
#[server(prefix = "/console/fn", endpoint = "members/role")]
pub async fn set_role(user_id: String, role: String) -> Result<Change, ConsoleError> {
    door::answer(act::set_role(user_id, role)).await
}

/// Ends somebody's membership; answers what came of it.
#[server(prefix = "/console/fn", endpoint = "members/remove")]
pub async fn remove(user_id: String) -> Result<Change, ConsoleError> {
    door::answer(act::remove(user_id)).await
}
