//! What the server functions on a key's own page do.

use sqlx::PgConnection;

use crate::{
    console_plane::{door, error::ConsoleError, keys::act::no_such_key, model::Change},
    ids::{KeyId, OrgId},
    keys::{
        error::KeyError,
        lifecycle::{self, Changed, Edit},
    },
    orgs::permit::EditKey,
};

/// A key as somebody wants it, as its form has it.
pub struct Typed {
    pub key_id: String,
    pub seen: String,
    /// To be saved whatever somebody else did meanwhile.
    pub overwrite: bool,
    pub name: String,
    /// `None`: the form did not ask.
    pub scopes: Option<Vec<String>>,
    pub namespaces: String,
    pub ip_allowlist: String,
    /// Empty: as it is.
    pub expires: String,
}

pub async fn edit(typed: Typed) -> Result<Change, ConsoleError> {
    let cx = door::cx()?;
    let (mut m, permit) = cx.begin::<EditKey>().await?;
    let id: KeyId = typed.key_id.parse().map_err(|_| no_such_key())?;
    let edit = Edit {
        name: Some(typed.name),
        scopes: typed.scopes,
        namespaces: Some(entries(&typed.namespaces)),
        ip_allowlist: Some(entries(&typed.ip_allowlist)),
        expires: (!typed.expires.is_empty()).then_some(typed.expires),
        version: (!typed.overwrite).then_some(typed.seen),
    };
    let changed = match lifecycle::edit(&mut m, &permit, id, &edit, &cx.console.catalog).await {
        Err(KeyError::ChangedMeanwhile) => return Err(changed_meanwhile(&mut m, permit.org(), id).await?),
        changed => changed?,
    };
    let text = if changed.changed {
        format!("Changed “{}”.", changed.name)
    } else {
        format!("“{}” is like this already: there was nothing to change.", changed.name)
    };
    Ok(Change { text, receipt: door::receipt(m.commit().await)? })
}

/// What somebody typed into a list: one entry on each line, or with commas or spaces between them.
fn entries(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || c == ',').filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// Says who did what, beside the box that has it undone.
async fn changed_meanwhile(db: &mut PgConnection, org: OrgId, id: KeyId) -> Result<ConsoleError, ConsoleError> {
    let rows = lifecycle::history(db, org, id, None, 20).await?;
    let edit = rows.into_iter().find(|row| row.action == "key.edit");
    let what = edit.map_or_else(
        || "Somebody else has changed this key since you opened it.".to_owned(),
        |row| format!("{} has changed this key since you opened it. {}.", row.actor_name, row.summary),
    );
    let message = format!("{what} Tick this box to save yours over that; cancel to see the key as it is now.");
    Ok(ConsoleError::field("overwrite", message))
}

pub async fn switch(key_id: String, on: bool) -> Result<Change, ConsoleError> {
    let (mut m, permit) = door::cx()?.begin::<EditKey>().await?;
    let id: KeyId = key_id.parse().map_err(|_| no_such_key())?;
    let Changed { name, changed } = match on {
        true => lifecycle::enable(&mut m, &permit, id).await?,
        false => lifecycle::disable(&mut m, &permit, id).await?,
    };
    let text = match (on, changed) {
        (true, true) => format!("Enabled “{name}”."),
        (true, false) => format!("“{name}” was enabled already."),
        (false, true) => format!("Disabled “{name}”: it is refused until somebody enables it."),
        (false, false) => format!("“{name}” was disabled already."),
    };
    Ok(Change { text, receipt: door::receipt(m.commit().await)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_typed_in_lines_or_with_commas() {
        assert_eq!(entries(" 10.0.0.0/8,\n\r\n ::1 ; "), ["10.0.0.0/8", "::1", ";"]);
        assert!(entries(" \n,").is_empty());
    }
}
