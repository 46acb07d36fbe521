//! What support staff do.

use crate::ids::KeyId;
use std::time::Instant;

use serde_json::json;

use super::{load::found_key, page::WRONG};
use crate::{
    audit::{self, Chain, Event},
    console_plane::{
        answers::Change,
        authorize::Authorized,
        context::RequestContext,
        error::ConsoleError,
        keys::act::{no_such_key, said_of},
        support::forms::{FindKeyForm, Found, RevokeAnyKeyForm},
    },
    database::{self, RlsScope},
    keys::{lifecycle, model::Reason, secret, store},
    orgs::{
        Permit,
        permit::{FindAnyKey, RevokeAnyKey},
    },
    secrets::Digest,
    text::is_invisible,
};

/// What somebody typed to find a key by.
enum Query {
    Hint(String),
    Digest { digest: Digest, pasted: bool },
}

impl Query {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if let Some(digest) = Digest::from_hex(text) {
            return Ok(Self::Digest { digest, pasted: false });
        }
        if let Ok(digest) = secret::digest_of_key(text.as_bytes()) {
            return Ok(Self::Digest { digest, pasted: true });
        }
        // Not everybody can type the ellipsis.
        let hint = text.replace("...", "…");
        if hint.contains('…') && hint.chars().count() <= 64 { Ok(Self::Hint(hint)) } else { Err(WRONG) }
    }
}

pub async fn find(form: FindKeyForm) -> Result<Found, ConsoleError> {
    let FindKeyForm { query, pasted: digest_of_paste } = form;
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<FindAnyKey>().await?;
    let console = &cx.console;
    let now = console.clock.now();
    let query = Query::parse(&query).map_err(|message| ConsoleError::field("query", message))?;
    let mut tx = database::begin(&console.db, RlsScope::Support).await?;
    let (shown, keys, pasted) = match query {
        Query::Hint(hint) => {
            let keys = store::find_by_hint(&mut tx, &hint).await?;
            (hint, keys, false)
        }
        Query::Digest { digest, pasted } => (
            digest.to_hex(),
            store::find_by_digest(&mut tx, digest).await?.into_iter().collect(),
            pasted || !digest_of_paste.is_empty(),
        ),
    };
    let event = Event {
        action: "support.find",
        subject: String::new(),
        summary: format!("Looked for a key: {} found", keys.len()),
        details: json!({ "keys": keys.iter().map(|key| key.id).collect::<Vec<_>>(), "pasted": pasted }),
        refused: false,
        actor: permit.actor(),
        at: now,
    };
    audit::record(&mut tx, &console.server_keys.audit, Chain::Deployment, event).await?;
    tx.commit().await?;
    Ok(Found { query: shown, keys: keys.into_iter().map(|key| found_key(key, now)).collect(), pasted })
}

pub async fn revoke(form: RevokeAnyKeyForm) -> Result<Change, ConsoleError> {
    let RevokeAnyKeyForm { key_id, reason, ticket } = form;
    let begun = Instant::now();
    let Authorized { cx, who, .. } = RequestContext::current()?.enter::<RevokeAnyKey>().await?;
    let console = &cx.console;
    let reason = Reason::parse(&reason).map_err(|message| ConsoleError::field("reason", message))?;
    let ticket = ticket.trim();
    if ticket.is_empty() || ticket.chars().count() > 80 || ticket.chars().any(is_invisible) {
        return Err(ConsoleError::field(
            "ticket",
            "Name the request you act on, as in T-1042, in at most 80 characters.",
        ));
    }
    let id: KeyId = key_id.parse().map_err(|_| no_such_key())?;
    let mut tx = database::begin(&console.db, RlsScope::Support).await?;
    let key = store::find_by_id(&mut tx, id).await?.ok_or_else(no_such_key)?;
    // From here on, the key's organization is all that can be touched.
    database::set_rls_scope(&mut tx, RlsScope::Org(key.org)).await?;
    let permit: Permit<RevokeAnyKey> = Permit::grant(&who.actor, key.org).map_err(|_| no_such_key())?;
    let now = console.clock.now();
    let revoked =
        lifecycle::revoke_any(&mut tx, &console.server_keys.audit, &permit, id, reason, Some(ticket), now).await?;
    console.settle(tx, true, said_of(&revoked), begun).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::secret::NewSecret;

    #[test]
    fn a_key_is_looked_for_by_hint_or_digest_and_a_pasted_one_is_noticed() {
        assert!(matches!(Query::parse(" kd_live_AbCd…WxYz "), Ok(Query::Hint(hint)) if hint == "kd_live_AbCd…WxYz"));
        assert!(matches!(Query::parse("kd_live_AbCd...WxYz"), Ok(Query::Hint(hint)) if hint == "kd_live_AbCd…WxYz"));
        let secret = NewSecret::generate("kd_live_").unwrap();
        let by_digest = Query::parse(&secret.digest.to_hex());
        assert!(matches!(by_digest, Ok(Query::Digest { digest, pasted: false }) if digest == secret.digest));
        let by_paste = Query::parse(secret.reveal());
        assert!(matches!(by_paste, Ok(Query::Digest { digest, pasted: true }) if digest == secret.digest));
        for bad in ["", "kd_live_AbCd", "x", &"…".repeat(65)] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }
}
