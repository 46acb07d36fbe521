//! What the nodes page shows.

use time::OffsetDateTime;

use crate::{
    console_plane::{
        authorize::Authorized,
        error::ConsoleError,
        moment::When,
        nodes::page::{NodeLine, NodesPageModel, RefusalRow},
    },
    database::{self, RlsScope},
    permissions::permit::ViewNodes,
    revocation::{self, Revision, health::Health, store::NodeRow},
    usage::{
        refusals::MAX_SHOWN,
        store::{Refused, last_refusals},
    },
};

pub async fn page(entry: &Authorized<ViewNodes>) -> Result<NodesPageModel, ConsoleError> {
    let console = &entry.cx.console;
    let now = console.clock.now();
    let mut tx = database::read(&console.db, RlsScope::Support).await?;
    let (nodes, newest) = revocation::store::nodes(&mut tx).await?;
    let refusals = last_refusals(&mut tx, MAX_SHOWN).await?;
    Ok(NodesPageModel {
        newest_revision: newest.0,
        nodes: nodes.into_iter().map(|node| line(node, newest, now)).collect(),
        refusals: refusals.into_iter().map(|refused| refusal_row(refused, now)).collect(),
    })
}

fn line(node: NodeRow, newest: Revision, now: OffsetDateTime) -> NodeLine {
    let health = node.health();
    let tone = match health {
        Health::Following => "good",
        Health::Late => "warn",
        Health::CutOff => "bad",
    };
    NodeLine {
        state: health.label(),
        tone,
        applied: node.applied.0,
        behind: node.behind(newest),
        renewed: format!("renewed {}", node.renewed()),
        started: When::at(node.started_at, now),
        name: node.name,
        limiter: node.limiter,
    }
}

fn refusal_row(refused: Refused, now: OffsetDateTime) -> RefusalRow {
    RefusalRow {
        when: When::at(refused.at, now),
        code: refused.code,
        address: refused.address.map(|address| address.to_string()).unwrap_or_default(),
        agent: refused.agent,
        org: refused.org,
        request_id: refused.request_id.to_string(),
    }
}
