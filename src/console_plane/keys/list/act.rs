//! What revokes the keys that were chosen.

use std::collections::BTreeSet;

use crate::{
    console_plane::{
        answers::Change,
        context::RequestContext,
        domain_errors::receipt,
        error::ConsoleError,
        keys::{
            act::{how_many, no_such_key},
            forms::RevokeSomeKeysForm,
            list::load::MOST_AT_ONCE,
        },
    },
    ids::KeyId,
    keys::{lifecycle, model::Reason},
    permissions::permit::RevokeKey,
};

pub async fn revoke_some(form: RevokeSomeKeysForm) -> Result<Change, ConsoleError> {
    let (mut m, permit) = RequestContext::current().await?.begin::<RevokeKey>().await?;
    let reason = Reason::parse(&form.reason).map_err(|message| ConsoleError::field("reason", message))?;
    let ids = form.key_ids.iter().map(|id| id.parse::<KeyId>()).collect::<Result<BTreeSet<_>, _>>();
    let ids = ids.map_err(|_| no_such_key())?;
    if ids.is_empty() || ids.len() > MOST_AT_ONCE {
        let message = format!("Choose the keys to revoke: at least one, and at most {MOST_AT_ONCE} at once.");
        return Err(ConsoleError::field("", message));
    }
    let count = lifecycle::revoke_some(&mut m, &permit, &ids, reason).await?;
    let text = how_many(count, "These keys were revoked already.");
    Ok(Change { text, receipt: receipt(m.commit().await)? })
}
