//! `keydesk history accept`

use clap::{Args, Subcommand};

use super::{CommandContext, CommandError, commit, say};
use crate::{
    audit::heads::Heads,
    database::RlsScope,
    keys::{
        lifecycle,
        model::{KeyName, Reason},
        service_keys, store,
    },
    node::witness::{self, Seen},
    revocation,
    secrets::Digest,
};

#[derive(Subcommand)]
pub enum HistoryCommand {
    /// Go on with the database as it is, and revoke again what is known to have been revoked
    Accept(Accept),
}

#[derive(Args)]
pub struct Accept {
    /// Let the keys go on that were revoked since the state that the database went back to
    #[arg(long)]
    without_revoking: bool,
}

pub async fn accept(cx: &CommandContext<'_>, command: &Accept) -> Result<(), CommandError> {
    // What cannot be read is replaced below. Until then a warning is all that it is good for.
    let seen = witness::read(cx.data_dir).unwrap_or_else(|error| {
        eprintln!("{error}");
        Seen::default()
    });
    let before = seen.last.map_or_else(|| "nothing".to_owned(), |last| format!("revision {}", last.revision.0));
    let mut revoked = 0;
    if !command.without_revoking {
        for digest in &seen.revoked {
            revoked += u32::from(revoke(cx, *digest).await?);
        }
    }
    let mut tx = cx.read(RlsScope::Operator).await?;
    let head = revocation::store::head(&mut tx).await?;
    drop(tx);
    witness::update(cx.data_dir, |file| {
        let (last, accepted) = (Some(head), file.accepted.max(seen.accepted) + 1);
        let revoked = if command.without_revoking { Default::default() } else { file.revoked };
        Seen { accepted, last, revoked }
    })?;
    // The log of this history ends where it ends. What was kept of the other one would be missed for ever.
    Heads::default().write(cx.data_dir)?;
    let keys = if revoked == 1 { "1 key was".to_owned() } else { format!("{revoked} keys were") };
    let revision = head.revision.0;
    say(&[&format!(
        "The history is accepted: {before} was seen, the database is at revision {revision}. {keys} revoked again."
    )])
}

/// Revokes the key or service key of a digest. `false`: the database does not know it, or it is revoked.
async fn revoke(cx: &CommandContext<'_>, digest: Digest) -> Result<bool, CommandError> {
    let mut m = cx.begin(RlsScope::Operator).await?;
    let key = store::candidates(&mut m, None, Some(digest)).await?.into_iter().next();
    if let Some(key) = key {
        if key.revoked {
            return Ok(false);
        }
        m.set_rls_scope(RlsScope::Org(key.org)).await?;
        let permit = m.permit()?;
        lifecycle::revoke_any(&mut m, &permit, key.id, Reason::Other, None).await?;
        let effect = commit(m).await?;
        say(&[&format!("“{}” of {} is revoked again. {effect}", key.name, key.org_slug)])?;
        return Ok(true);
    }
    let Some(name) = service_keys::store::find_name(&mut m, digest).await? else { return Ok(false) };
    m.set_rls_scope(RlsScope::Nothing).await?;
    let (permit, name) = (m.permit()?, KeyName::parse(&name).map_err(CommandError::said)?);
    lifecycle::revoke_service_key(&mut m, &permit, &name).await?;
    let effect = commit(m).await?;
    say(&[&format!("Service key “{}” is revoked again. {effect}", name.as_str())])?;
    Ok(true)
}
