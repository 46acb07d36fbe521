//! `keydesk nodes`

use clap::Args;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{CommandContext, CommandError, say, say_json};
use crate::{
    actor::Actor,
    database::RlsScope,
    ids::Deployment,
    permissions::{Permit, permit::ViewNodes},
    revocation::{self, Revision, store::NodeRow},
    usage::{
        refusals::MAX_SHOWN,
        store::{Refused, last_refusals},
    },
};

#[derive(Args)]
pub struct Nodes {
    #[arg(long)]
    json: bool,
}

pub async fn run(cx: &CommandContext<'_>, command: &Nodes) -> Result<(), CommandError> {
    let _: Permit<ViewNodes> = Permit::grant(&Actor::operator(), Deployment)?;
    let mut tx = cx.read(RlsScope::Operator).await?;
    let (nodes, newest) = revocation::store::nodes(&mut tx).await?;
    let refusals = last_refusals(&mut tx, MAX_SHOWN).await?;
    if command.json {
        return say_json(&json!({
            "newest_revision": newest.0,
            "nodes": nodes.iter().map(|node| node_json(node, newest)).collect::<Vec<_>>(),
            "refusals": refusals.iter().map(refusal_json).collect::<Vec<_>>(),
        }));
    }
    let mut lines = vec![format!("Newest revision: {}", newest.0)];
    if nodes.is_empty() {
        lines.push("No key plane is running.".to_owned());
    } else {
        let head = ["NODE", "STATE", "APPLIED", "BEHIND", "RENEWED", "LIMITER", "STARTED"];
        lines.extend(table(head, nodes.into_iter().map(|node| node_cells(node, newest)).collect()));
    }
    lines.push(String::new());
    if refusals.is_empty() {
        lines.push("Nothing was refused in the last seven days.".to_owned());
    } else {
        let head = ["REFUSED", "CODE", "ADDRESS", "AGENT", "ORG", "REQUEST"];
        lines.extend(table(head, refusals.into_iter().map(refusal_cells).collect()));
    }
    say(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A time to the second, as operators compare it with their own logs.
fn to_the_second(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

fn node_cells(node: NodeRow, newest: Revision) -> [String; 7] {
    let (state, behind, renewed) = (node.health().label().to_owned(), node.behind(newest), node.renewed());
    [
        node.name,
        state,
        node.applied.0.to_string(),
        behind.to_string(),
        renewed,
        node.limiter,
        to_the_second(node.started_at),
    ]
}

fn node_json(node: &NodeRow, newest: Revision) -> serde_json::Value {
    json!({
        "id": node.id, "name": node.name, "state": node.health().as_str(), "limiter": node.limiter,
        "applied_revision": node.applied.0, "behind": node.behind(newest),
        "lease_age_seconds": node.quiet.as_secs_f64(), "lease_seconds": node.lease.as_secs(), "started_at": to_the_second(node.started_at),
    })
}

fn refusal_cells(refused: Refused) -> [String; 6] {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    [
        to_the_second(refused.at),
        refused.code,
        or_dash(refused.address.map(|address| address.to_string()).unwrap_or_default()),
        or_dash(refused.agent),
        or_dash(refused.org.unwrap_or_default()),
        refused.request_id.to_string(),
    ]
}

fn refusal_json(refused: &Refused) -> serde_json::Value {
    json!({
        "request_id": refused.request_id, "at": to_the_second(refused.at), "code": refused.code, "address": refused.address,
        "agent": refused.agent, "org": refused.org,
    })
}

/// The lines of a table. Each column is as wide as its widest cell.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Vec<String> {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [String; N]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    std::iter::once(head.map(str::to_owned)).chain(rows).map(line).collect()
}
