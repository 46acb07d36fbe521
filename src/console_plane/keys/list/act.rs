//! What revokes the keys that were chosen.

use std::{collections::BTreeSet, time::Instant};

use crate::{
    console_plane::{
        answers::Change,
        authorize::Authorized,
        context::RequestContext,
        error::ConsoleError,
        keys::{
            act::{how_many, no_such_key},
            forms::RevokeSomeKeysForm,
            list::load::MOST_AT_ONCE,
        },
    },
    database::{self, RlsScope},
    ids::KeyId,
    keys::{lifecycle, model::Reason},
    orgs::permit::RevokeKey,
};

pub async fn revoke_some(form: RevokeSomeKeysForm) -> Result<Change, ConsoleError> {
    let RevokeSomeKeysForm { key_ids, reason, .. } = form;
    let begun = Instant::now();
    let Authorized { cx, permit, .. } = RequestContext::current()?.enter::<RevokeKey>().await?;
    let console = &cx.console;
    let reason = Reason::parse(&reason).map_err(|message| ConsoleError::field("reason", message))?;
    let ids = key_ids.iter().map(|id| id.parse::<KeyId>()).collect::<Result<BTreeSet<_>, _>>();
    let ids = ids.map_err(|_| no_such_key())?;
    if ids.is_empty() || ids.len() > MOST_AT_ONCE {
        let message = format!("Choose the keys to revoke: at least one, and at most {MOST_AT_ONCE} at once.");
        return Err(ConsoleError::field("", message));
    }
    let mut tx = database::begin(&console.db, RlsScope::Org(permit.org())).await?;
    let now = console.clock.now();
    let count = lifecycle::revoke_some(&mut tx, &console.server_keys.audit, &permit, &ids, reason, now).await?;
    console.settle(tx, true, how_many(count, "These keys were revoked already."), begun).await
}
