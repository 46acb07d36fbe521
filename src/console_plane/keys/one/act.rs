//! What the server functions on a key's own page do.

use sqlx::PgConnection;

use crate::{
    console_plane::{
        answers::Change,
        context::RequestContext,
        domain_errors::receipt,
        error::ConsoleError,
        keys::{
            act::no_such_key,
            forms::{EditKeyForm, KeyForm},
        },
    },
    ids::{KeyId, OrgId},
    keys::{
        error::KeyError,
        lifecycle::{self, Changed, Edit},
    },
    permissions::permit::EditKey,
};

pub async fn edit(form: EditKeyForm) -> Result<Change, ConsoleError> {
    let cx = RequestContext::current().await?;
    let (mut m, permit) = cx.begin::<EditKey>().await?;
    let id: KeyId = form.key_id.parse().map_err(|_| no_such_key())?;
    let edit = Edit {
        name: Some(form.name),
        scopes: form.asks_scopes.then_some(form.scopes),
        namespaces: Some(entries(&form.namespaces)),
        ip_allowlist: Some(entries(&form.ip_allowlist)),
        expires: (!form.expires.is_empty()).then_some(form.expires),
        version: (!form.overwrite).then_some(form.version),
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
    Ok(Change { text, receipt: receipt(m.commit().await)? })
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

pub async fn enable(form: KeyForm) -> Result<Change, ConsoleError> {
    switch(&form.key_id, true).await
}

pub async fn disable(form: KeyForm) -> Result<Change, ConsoleError> {
    switch(&form.key_id, false).await
}

async fn switch(key_id: &str, on: bool) -> Result<Change, ConsoleError> {
    let (mut m, permit) = RequestContext::current().await?.begin::<EditKey>().await?;
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
    Ok(Change { text, receipt: receipt(m.commit().await)? })
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
