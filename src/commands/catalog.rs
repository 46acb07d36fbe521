//! `keydesk catalog check FILE|PRESET`

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{CommandError, say, say_json};
use crate::catalog::Catalog;

#[derive(Subcommand)]
pub enum CatalogCommand {
    /// Read a catalog as the server would: prints a summary, or the first mistake with line and field
    Check(Check),
}

#[derive(Args)]
pub struct Check {
    /// A TOML file, with a / or a . in its path, or a preset
    catalog: String,
    #[arg(long)]
    json: bool,
}

pub fn run(CatalogCommand::Check(check): &CatalogCommand) -> Result<(), CommandError> {
    let catalog = Catalog::load(&check.catalog)?;
    if check.json {
        let summary: Map<String, Value> = catalog
            .summary()
            .into_iter()
            .map(|(label, texts)| (label.to_lowercase().replace(' ', "_"), texts.into()))
            .collect();
        return say_json(&json!({ "ok": true, "catalog": summary }));
    }
    say(&[&format!("{} is a good catalog.", check.catalog), &catalog.summary_text()])
}
