//! What the server functions for keys do.

use uuid::Uuid;

use crate::{
    catalog::grouped,
    console_plane::{
        answers::Change,
        context::RequestContext,
        domain_errors::receipt,
        error::ConsoleError,
        keys::{
            forms::{ConfirmKeyForm, CreateKeyForm, IssuedKey, RevokeAllKeysForm, RevokeKeyForm},
            snippets,
        },
        state::Console,
    },
    ids::KeyId,
    keys::{
        error::KeyError,
        lifecycle::{self, CreateKeyInput, Issued, NewKey},
        model::Reason,
    },
    permissions::permit::{IssueKey, RevokeAllKeys, RevokeKey},
};

pub async fn create(form: CreateKeyForm) -> Result<IssuedKey, ConsoleError> {
    let CreateKeyForm { idempotency_key, name, environment, tier, scopes, expires, allow_duplicate_name } = form;
    let cx = RequestContext::current().await?;
    let (mut m, permit) = cx.begin::<IssueKey>().await?;
    let console = &cx.console;
    let idempotency_key = Some(idempotency_key.parse::<Uuid>().map_err(|_| stale_form())?);
    let input = CreateKeyInput {
        name,
        environment,
        tier,
        scopes,
        expires,
        idempotency_key,
        allow_duplicate_name,
        ..CreateKeyInput::default()
    };
    let new = NewKey::parse(input, &console.catalog).map_err(KeyError::Fields)?;
    let issued = lifecycle::issue(&mut m, &permit, &new).await.map_err(|error| match error {
        KeyError::DuplicateName { hint } => ConsoleError::field(
            "allow_duplicate_name",
            format!("There is a key of this name already, {hint}. Choose another name, or tick this to have two."),
        ),
        error => error.into(),
    })?;
    m.commit().await?;
    Ok(shown_once(console, &issued, new.name(), new.environment(), None))
}

pub async fn confirm(form: ConfirmKeyForm) -> Result<Change, ConsoleError> {
    let (mut m, permit) = RequestContext::current().await?.begin::<IssueKey>().await?;
    let id: KeyId = form.key_id.parse().map_err(|_| no_such_key())?;
    let name = lifecycle::confirm(&mut m, &permit, id, form.last_four.trim()).await?;
    Ok(Change { text: format!("Noted that “{name}” is stored."), receipt: receipt(m.commit().await)? })
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
    let (mut m, permit) = RequestContext::current().await?.begin::<RevokeKey>().await?;
    let reason = Reason::parse(&form.reason).map_err(|message| ConsoleError::field("reason", message))?;
    let id: KeyId = form.key_id.parse().map_err(|_| no_such_key())?;
    let revoked = lifecycle::revoke(&mut m, &permit, id, reason).await?;
    Ok(Change { text: said_of(&revoked), receipt: receipt(m.commit().await)? })
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
    let (m, who) = RequestContext::current().await?.begin_own().await?;
    let (mut m, permit) = m.authorize::<RevokeAllKeys>().await??;
    let name = who.org.map(|org| org.name).unwrap_or_default();
    if form.confirmation.trim() != name {
        return Err(ConsoleError::field("confirmation", format!("Type the organization's name, {name}, exactly.")));
    }
    let count = lifecycle::revoke_all(&mut m, &permit).await?;
    let text = how_many(count, "There was no key left to revoke.");
    Ok(Change { text, receipt: receipt(m.commit().await)? })
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
    KeyError::NotFound.into()
}

pub fn stale_form() -> ConsoleError {
    ConsoleError::field("", "This form is not complete. Reload the page and fill it in again.")
}
