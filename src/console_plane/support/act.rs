//! What support staff do.

use serde_json::json;

use super::{load::found_key, page::WRONG};
use crate::{
    audit::Event,
    console_plane::{
        answers::Change,
        context::RequestContext,
        domain_errors::receipt,
        error::ConsoleError,
        keys::act::{no_such_key, said_of},
        support::forms::{FindKeyForm, Found, RevokeAnyKeyForm},
    },
    database::RlsScope,
    ids::KeyId,
    keys::{lifecycle, model::Reason, secret, store},
    permissions::permit::FindAnyKey,
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
    let (mut m, _) = RequestContext::current().await?.begin::<FindAnyKey>().await?;
    let query = Query::parse(&form.query).map_err(|message| ConsoleError::field("query", message))?;
    m.set_rls_scope(RlsScope::Support).await?;
    let (shown, keys, pasted) = match query {
        Query::Hint(hint) => {
            let keys = store::find_by_hint(&mut m, &hint).await?;
            (hint, keys, false)
        }
        Query::Digest { digest, pasted } => (
            digest.to_hex(),
            store::find_by_digest(&mut m, digest).await?.into_iter().collect(),
            pasted || !form.pasted.is_empty(),
        ),
    };
    m.record(Event {
        action: "support.find",
        subject: String::new(),
        summary: format!("Looked for a key: {} found", keys.len()),
        details: json!({ "keys": keys.iter().map(|key| key.id).collect::<Vec<_>>(), "pasted": pasted }),
    })
    .await?;
    let now = m.now();
    m.commit().await?;
    Ok(Found { query: shown, keys: keys.into_iter().map(|key| found_key(key, now)).collect(), pasted })
}

pub async fn revoke(form: RevokeAnyKeyForm) -> Result<Change, ConsoleError> {
    let (mut m, _) = RequestContext::current().await?.begin::<FindAnyKey>().await?;
    let reason = Reason::parse(&form.reason).map_err(|message| ConsoleError::field("reason", message))?;
    let ticket = form.ticket.trim();
    if ticket.is_empty() || ticket.chars().count() > 80 || ticket.chars().any(is_invisible) {
        return Err(ConsoleError::field(
            "ticket",
            "Name the request you act on, as in T-1042, in at most 80 characters.",
        ));
    }
    let id: KeyId = form.key_id.parse().map_err(|_| no_such_key())?;
    m.set_rls_scope(RlsScope::Support).await?;
    let key = store::find_by_id(&mut m, id).await?.ok_or_else(no_such_key)?;
    // From here on, the key's organization is all that can be touched.
    m.set_rls_scope(RlsScope::Org(key.org)).await?;
    let permit = m.permit()?;
    let revoked = lifecycle::revoke_any(&mut m, &permit, id, reason, Some(ticket)).await?;
    Ok(Change { text: said_of(&revoked), receipt: receipt(m.commit().await)? })
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
