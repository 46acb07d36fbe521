//! What the server functions on a key's own page do.

use std::time::Instant;

use sqlx::PgConnection;

use crate::{
    console_plane::{
        answers::Change,
        authorize::Authorized,
        context::RequestContext,
        error::ConsoleError,
        keys::{
            act::no_such_key,
            forms::{EditKeyForm, KeyForm},
        },
    },
    database::{self, RlsScope},
    ids::{KeyId, OrgId},
    keys::{
        error::KeyError,
        lifecycle::{self, Changed, Edit},
    },
    orgs::permit::EditKey,
};

pub async fn edit(form: EditKeyForm) -> Result<Change, ConsoleError> {
    let begun = Instant::now();
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<EditKey>().await?;
    let console = &cx.console;
    let id: KeyId = form.key_id.parse().map_err(|_| no_such_key())?;
    let wish = Edit {
        name: Some(form.name),
        scopes: form.asks_scopes.then_some(form.scopes),
        namespaces: Some(entries(&form.namespaces)),
        addresses: Some(entries(&form.addresses)),
        expires: (!form.expires.is_empty()).then_some(form.expires),
        seen: (!form.overwrite).then_some(form.version),
    };
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let (key, now) = (&console.server_keys.audit, console.clock.now());
    let changed = match lifecycle::edit(&mut tx, key, &permit, id, &wish, &console.catalog, now).await {
        Err(KeyError::ChangedMeanwhile) => return Err(changed_meanwhile(&mut tx, permit.org(), id).await?),
        changed => changed?,
    };
    let text = if changed.changed {
        format!("Changed “{}”.", changed.name)
    } else {
        format!("“{}” is like this already: there was nothing to change.", changed.name)
    };
    console.settle(tx, changed.narrows, text, begun).await
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
    switch(form.key_id, true).await
}

pub async fn disable(form: KeyForm) -> Result<Change, ConsoleError> {
    switch(form.key_id, false).await
}

async fn switch(key_id: String, on: bool) -> Result<Change, ConsoleError> {
    let begun = Instant::now();
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<EditKey>().await?;
    let console = &cx.console;
    let id: KeyId = key_id.parse().map_err(|_| no_such_key())?;
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let (key, now) = (&console.server_keys.audit, console.clock.now());
    let Changed { name, changed, narrows } = match on {
        true => lifecycle::enable(&mut tx, key, &permit, id, now).await?,
        false => lifecycle::disable(&mut tx, key, &permit, id, now).await?,
    };
    let text = match (on, changed) {
        (true, true) => format!("Enabled “{name}”."),
        (true, false) => format!("“{name}” was enabled already."),
        (false, true) => format!("Disabled “{name}”: it is refused until somebody enables it."),
        (false, false) => format!("“{name}” was disabled already."),
    };
    console.settle(tx, narrows, text, begun).await
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
