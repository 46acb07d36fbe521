//! The nodes: which key planes run, how far each has followed, and what was refused last.

use leptos::prelude::*;

use crate::console_plane::{
    moment::When,
    ui::{Empty, Moment, PageHead},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLine {
    pub name: String,
    /// `Following`, `Late`, `Cut off`.
    pub state: &'static str,
    /// How urgent that is: `good`, `warn`, `bad`.
    pub tone: &'static str,
    pub applied: i64,
    pub behind: u64,
    /// `renewed 0.2 s ago`: the age of its lease.
    pub renewed: String,
    /// `memory` or `redis`.
    pub limiter: String,
    pub started: When,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalRow {
    pub when: When,
    /// `REVOKED`.
    pub code: String,
    /// Empty where it was not known.
    pub address: String,
    /// `curl`; empty when it sent none.
    pub agent: String,
    /// The organization's slug; `None` where no key matched.
    pub org: Option<String>,
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodesPageModel {
    pub newest_revision: i64,
    pub nodes: Vec<NodeLine>,
    /// Newest first.
    pub refusals: Vec<RefusalRow>,
}

#[component]
pub fn NodesPage(model: NodesPageModel) -> impl IntoView {
    let nodes = if model.nodes.is_empty() {
        view! { <Empty title="No key plane is running" text="Nobody answers for keys. Start one with keydesk serve, or look at its log if it should be running." /> }
            .into_any()
    } else {
        view! { <NodesTable nodes=model.nodes /> }.into_any()
    };
    let refusals = if model.refusals.is_empty() {
        view! { <Empty title="Nothing was refused" text="A refusal is kept for seven days, under the request id that its answer carried." /> }
            .into_any()
    } else {
        view! { <RefusalsTable refusals=model.refusals /> }.into_any()
    };
    view! {
        <PageHead
            title="Nodes"
            text="The key planes, as this page was loaded. One that is cut off answers for no key until it has caught up."
        >
            <a class="button" href="/nodes">
                "Look again"
            </a>
        </PageHead>
        {nodes}
        <p class="muted under">"The newest revision is " <span class="mono">{model.newest_revision}</span> "."</p>
        <h2 class="section-title">"Last refusals"</h2>
        {refusals}
    }
}

#[component]
fn NodesTable(nodes: Vec<NodeLine>) -> impl IntoView {
    let lines = nodes.into_iter().map(node_line).collect::<Vec<_>>();
    view! {
        <div class="card table-card">
            <table role="table" class="table cards" aria-label="Nodes">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Node"</th>
                        <th role="columnheader" scope="col">"State"</th>
                        <th role="columnheader" scope="col">"Applied revision"</th>
                        <th role="columnheader" scope="col">"Limiter"</th>
                        <th role="columnheader" scope="col">"Started"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{lines}</tbody>
            </table>
        </div>
    }
}

fn node_line(node: NodeLine) -> impl IntoView {
    let behind = match node.behind {
        0 => "the newest".to_owned(),
        behind => format!("{behind} behind"),
    };
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <span class="first">{node.name}</span>
            </th>
            <td role="cell" data-label="State">
                <div>
                    <span class=format!("badge {}", node.tone)>{node.state}</span>
                    <span class="second">{node.renewed}</span>
                </div>
            </td>
            <td role="cell" data-label="Applied revision">
                <div>
                    <span class="mono">{node.applied}</span>
                    <span class="second">{behind}</span>
                </div>
            </td>
            <td role="cell" data-label="Limiter">
                {node.limiter}
            </td>
            <td role="cell" data-label="Started">
                <Moment when=node.started />
            </td>
        </tr>
    }
}

#[component]
fn RefusalsTable(refusals: Vec<RefusalRow>) -> impl IntoView {
    let rows = refusals.into_iter().map(refusal_row).collect::<Vec<_>>();
    view! {
        <div class="card table-card">
            <table role="table" class="table cards" aria-label="Last refusals">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Code"</th>
                        <th role="columnheader" scope="col">"When"</th>
                        <th role="columnheader" scope="col">"From"</th>
                        <th role="columnheader" scope="col">"Organization"</th>
                        <th role="columnheader" scope="col">"Request"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
    }
}

fn refusal_row(refusal: RefusalRow) -> impl IntoView {
    let org = match refusal.org {
        Some(org) => view! { <code class="hint">{org}</code> }.into_any(),
        None => view! { <span class="muted">"No key matched"</span> }.into_any(),
    };
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <code class="mono">{refusal.code}</code>
            </th>
            <td role="cell" data-label="When">
                <Moment when=refusal.when />
            </td>
            <td role="cell" data-label="From">
                <div>
                    {refusal.address}
                    <span class="second cut">{refusal.agent}</span>
                </div>
            </td>
            <td role="cell" data-label="Organization">
                {org}
            </td>
            <td role="cell" data-label="Request">
                <code class="hint">{refusal.request_id}</code>
            </td>
        </tr>
    }
}
