//! `keydesk org …`

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CommandContext, CommandError, commit, say, say_json, slug};
use crate::orgs::{Slug, lifecycle};

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

pub async fn run(cx: &CommandContext<'_>, command: OrgCommand) -> Result<(), CommandError> {
    let (which, suspended) = match &command {
        OrgCommand::Suspend(which) => (which, true),
        OrgCommand::Resume(which) => (which, false),
    };
    let slug = which.org.as_str();
    let (mut m, _) = cx.begin_in(&which.org).await?;
    let permit = m.permit()?;
    let changed = match suspended {
        true => lifecycle::suspend(&mut m, &permit).await?,
        false => lifecycle::resume(&mut m, &permit).await?,
    };
    let effect = commit(m).await?;
    if which.json {
        return say_json(&json!({
            "org": slug, "suspended": suspended, "changed": changed,
            "receipt": effect,
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
