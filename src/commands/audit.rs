//! `keydesk audit verify [FILE]`

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{CommandContext, CommandError, say, say_json};
use crate::{
    audit::{
        self, Row,
        chain::{Broken, Checker},
        heads::Heads,
        store::CheckError,
    },
    config::Config,
    database::{self, RlsScope},
    server_keys::ServerKeys,
};

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Check the live log, or an exported one; names the first bad row
    Verify(Verify),
}

#[derive(Args)]
pub struct Verify {
    /// An export: one JSON object a line
    pub file: Option<PathBuf>,
    #[arg(long)]
    pub json: bool,
}

fn broken_error(broken: &Broken) -> CommandError {
    CommandError::said(format!("the audit log is broken: {broken}"))
}

fn say_whole(chains: u64, rows: i64, json: bool) -> Result<(), CommandError> {
    if json {
        return say_json(&json!({ "ok": true, "chains": chains, "rows": rows }));
    }
    let plural = |count: i64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let chains = i64::try_from(chains).unwrap_or(i64::MAX);
    say(&[&format!("The audit log is whole: {} in {}.", plural(rows, "row"), plural(chains, "chain"))])
}

/// Checks the database's log against itself and against where it ended before, and keeps where it ends now.
pub async fn verify_live(cx: &CommandContext<'_>, json: bool) -> Result<(), CommandError> {
    // Otherwise a row that is written meanwhile is taken for a forged one.
    let mut tx = database::read_snapshot(&cx.database.console, RlsScope::Operator).await?;
    let kept = Heads::read(cx.data_dir)?;
    let checked =
        audit::store::check_all(&mut tx, &cx.server_keys.audit, &kept).await.map_err(|error| match error {
            CheckError::Broken(found) => broken_error(&found),
            CheckError::Database(error) => error.into(),
        })?;
    if checked.heads != kept
        && let Err(error) = checked.heads.write(cx.data_dir)
    {
        tracing::warn!(%error, "where the audit log ends is not kept");
    }
    say_whole(checked.heads.0.len() as u64, checked.rows, json)
}

/// Checks an export. It does not hold the heads of the chains, so rows that are missing at its end go unnoticed.
pub fn verify_file(config: &Config, path: &Path, json: bool) -> Result<(), CommandError> {
    let audit_key = ServerKeys::audit_key(&config.data_dir)?;
    let file_error = |error: std::io::Error| CommandError::said(format!("{}: {error}", path.display()));
    let mut checkers: HashMap<Uuid, Checker<'_>> = HashMap::new();
    for (index, line) in BufReader::new(File::open(path).map_err(file_error)?).lines().enumerate() {
        let line = line.map_err(file_error)?;
        if line.is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(&line)
            .map_err(|error| CommandError::said(format!("{}, line {}: {error}", path.display(), index + 1)))?;
        let checker = checkers.entry(row.chain).or_insert_with(|| Checker::new(&audit_key, row.chain));
        checker.row(&row).map_err(|broken| broken_error(&broken))?;
    }
    let rows = checkers.values().map(Checker::rows).sum();
    say_whole(checkers.len() as u64, rows, json)
}
