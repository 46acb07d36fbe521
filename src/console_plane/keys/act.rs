//! What the server functions for keys do.

use std::time::Instant;

use uuid::Uuid;

use crate::{
    catalog::grouped,
    console_plane::{
        answers::Change,
        authorize::Authorized,
        context::RequestContext,
        error::{ConsoleError, FieldError},
        keys::{
            forms::{ConfirmKeyForm, CreateKeyForm, IssuedKey, RevokeAllKeysForm, RevokeKeyForm},
            snippets,
        },
        state::Console,
    },
    database::{self, RlsScope},
    ids::KeyId,
    keys::{
        lifecycle::{self, Issued, NewKey, Wish},
        model::Reason,
        store,
    },
    orgs::permit::{IssueKey, RevokeAllKeys, RevokeKey},
};

pub async fn create(form: CreateKeyForm) -> Result<IssuedKey, ConsoleError> {
    let CreateKeyForm { idempotency_key, name, environment, tier, scopes, expires, allow_duplicate_name } = form;
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<IssueKey>().await?;
    let console = &cx.console;
    let idempotency_key = Some(idempotency_key.parse::<Uuid>().map_err(|_| stale_form())?);
    let new = NewKey::parse(
        Wish { name, environment, tier, scopes, expires, idempotency_key, ..Wish::default() },
        &console.catalog,
    )
    .map_err(|wrong| {
        let fields = wrong.into_iter().map(|(field, message)| FieldError { field: field.to_owned(), message });
        ConsoleError::Fields { fields: fields.collect() }
    })?;
    let now = console.clock.now();
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let namesake =
        if allow_duplicate_name { None } else { store::find_by_name(&mut tx, permit.org(), new.name(), now).await? };
    // First, since a form that is sent twice is told that it made its key, and not that there is one of its name.
    let issued = lifecycle::issue(&mut tx, &console.server_keys.audit, &permit, &new, now).await?;
    if let Some(hint) = namesake {
        let message =
            format!("There is a key of this name already, {hint}. Choose another name, or tick this to have two.");
        return Err(ConsoleError::field("allow_duplicate_name", message));
    }
    tx.commit().await?;
    Ok(shown_once(console, &issued, new.name(), new.environment(), None))
}

pub async fn confirm(form: ConfirmKeyForm) -> Result<Change, ConsoleError> {
    let ConfirmKeyForm { key_id, last_four, .. } = form;
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<IssueKey>().await?;
    let console = &cx.console;
    let id: KeyId = key_id.parse().map_err(|_| no_such_key())?;
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let (key, now) = (&console.server_keys.audit, console.clock.now());
    let name = lifecycle::confirm(&mut tx, key, &permit, id, last_four.trim(), now).await?;
    tx.commit().await?;
    Ok(Change { text: format!("Noted that “{name}” is stored."), receipt: None })
}

/// A key just made, as it is shown to whoever made it.
pub fn shown_once(
    console: &Console,
    issued: &Issued,
    name: &str,
    environment: &str,
    old_key: Option<String>,
) -> IssuedKey {
    let secret = issued.secret.reveal().to_owned();
    let catalog = &console.catalog;
    IssuedKey {
        id: issued.id.to_string(),
        name: name.to_owned(),
        hint: issued.secret.hint.clone(),
        environment: environment.to_owned(),
        curl: format!("curl -H '{}: {secret}' {}/v1/whoami", catalog.snippets.header, console.keys_url),
        env_line: format!("{}_API_KEY={secret}", catalog.snippets.env_prefix),
        snippets: snippets::of(&catalog.snippets, &console.keys_url),
        secret,
        old_key,
    }
}

pub async fn revoke(form: RevokeKeyForm) -> Result<Change, ConsoleError> {
    let RevokeKeyForm { key_id, reason, .. } = form;
    let begun = Instant::now();
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<RevokeKey>().await?;
    let console = &cx.console;
    let reason = Reason::parse(&reason).map_err(|message| ConsoleError::field("reason", message))?;
    let id: KeyId = key_id.parse().map_err(|_| no_such_key())?;
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let revoked =
        lifecycle::revoke(&mut tx, &console.server_keys.audit, &permit, id, reason, console.clock.now()).await?;
    console.settle(tx, true, said_of(&revoked), begun).await
}

/// What is said of a key that is revoked now.
pub fn said_of(revoked: &lifecycle::RevokedKey) -> String {
    if revoked.already {
        format!("“{}” was revoked already.", revoked.name)
    } else {
        format!("Revoked “{}”.", revoked.name)
    }
}

pub async fn revoke_all(form: RevokeAllKeysForm) -> Result<Change, ConsoleError> {
    let RevokeAllKeysForm { confirmation } = form;
    let begun = Instant::now();
    let Authorized { cx, who, permit } = RequestContext::current()?.enter::<RevokeAllKeys>().await?;
    let console = &cx.console;
    let name = who.org.map(|org| org.name).unwrap_or_default();
    if confirmation.trim() != name {
        return Err(ConsoleError::field("confirmation", format!("Type the organization's name, {name}, exactly.")));
    }
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let count = lifecycle::revoke_all(&mut tx, &console.server_keys.audit, &permit, console.clock.now()).await?;
    console.settle(tx, true, how_many(count, "There was no key left to revoke."), begun).await
}

/// What is said of keys that are revoked now.
pub fn how_many(count: usize, none: &str) -> String {
    match count {
        0 => none.to_owned(),
        1 => "Revoked 1 key.".to_owned(),
        count => format!("Revoked {} keys.", grouped(count as u64)),
    }
}

pub fn no_such_key() -> ConsoleError {
    crate::keys::error::KeyError::NotFound.into()
}

pub fn stale_form() -> ConsoleError {
    ConsoleError::field("", "This form is not complete. Reload the page and fill it in again.")
}
