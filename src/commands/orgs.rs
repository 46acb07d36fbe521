//! `keydesk org …`

use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CommandError, Desk, say, say_json, slug};
use crate::{
    actor::Actor,
    database::RlsScope,
    orgs::{Permit, Slug, lifecycle},
};

#[derive(Subcommand)]
pub enum OrgCommand {
    /// Stop serving an organization: every key of it is refused; prints the receipt
    Suspend(Which),
    /// Serve a suspended organization again
    Resume(Which),
}

#[derive(Args)]
pub struct Which {
    /// The organization's slug
    #[arg(long, value_parser = slug)]
    org: Slug,
    #[arg(long)]
    json: bool,
}

pub async fn run(desk: &Desk, command: OrgCommand) -> Result<(), CommandError> {
    let begun = Instant::now();
    let (which, suspended) = match &command {
        OrgCommand::Suspend(which) => (which, true),
        OrgCommand::Resume(which) => (which, false),
    };
    let slug = which.org.as_str();
    let org =
        desk.org(&which.org).await?.ok_or_else(|| CommandError::said(format!("there is no organization {slug}")))?;
    let permit = Permit::grant(&Actor::operator(), org.id)?;
    let audit_key = &desk.server_keys.audit;
    let mut tx = desk.begin(RlsScope::Org(org.id)).await?;
    let changed = match suspended {
        true => lifecycle::suspend(&mut tx, audit_key, &permit, desk.now).await?,
        false => lifecycle::resume(&mut tx, audit_key, &permit, desk.now).await?,
    };
    let effect = desk.settle(tx, suspended, begun).await?;
    if which.json {
        return say_json(&json!({
            "org": slug, "suspended": suspended, "changed": changed,
            "receipt": effect.json(),
        }));
    }
    let done = match (suspended, changed) {
        (true, true) => "is suspended",
        (true, false) => "was suspended already",
        (false, true) => "is served again",
        (false, false) => "was not suspended",
    };
    say(&[&format!("{slug} {done}. {effect}")])
}
