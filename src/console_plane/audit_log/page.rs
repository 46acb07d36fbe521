//! What was done in the organization, by whom.

use leptos::prelude::*;

use crate::console_plane::{
    moment::When,
    ui::{Empty, Moment, PageHead},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub seq: i64,
    pub when: When,
    /// `Ada Lovelace`, `Sam (support)`, `Operator`.
    pub actor: String,
    /// `member`, `support`, `operator`, `anonymous`.
    pub actor_kind: String,
    /// `key.revoke`.
    pub action: String,
    /// `Revoked key “CI deploys” (kd_live_AbCd…WxYz)`.
    pub summary: String,
    pub address: String,
    /// Whether it was done, or refused.
    pub refused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPageModel {
    pub rows: Vec<AuditRow>,
    /// `?before=` of the next page, if there is one.
    pub older: Option<i64>,
    /// Whether this is not the first page.
    pub paged: bool,
}

/// Newest first, page by page.
#[component]
pub fn AuditPage(model: AuditPageModel) -> impl IntoView {
    let content = if model.rows.is_empty() {
        view! { <Empty title="Nothing here yet" text="Every key that is created or revoked, every sign-in and every change leaves a line here." /> }
            .into_any()
    } else {
        view! { <AuditTable rows=model.rows /> }.into_any()
    };
    let newest = model.paged.then(|| view! { <a class="button" href="/audit">"Newest"</a> });
    let older = model.older.map(|seq| view! { <a class="button" href=format!("/audit?before={seq}")>"Older"</a> });
    view! {
        <PageHead title="Audit log".to_owned() text="Every change and every refusal, numbered and chained: a row cannot be altered or left out unnoticed.">
            <a class="button" href="/audit/export" download>
                "Download as JSON lines"
            </a>
        </PageHead>
        {content}
        <nav class="pager" aria-label="Pages">
            {newest} {older}
        </nav>
    }
}

#[component]
fn AuditTable(rows: Vec<AuditRow>) -> impl IntoView {
    let rows = rows.into_iter().map(audit_row).collect::<Vec<_>>();
    view! {
        <div class="card table-card">
            <table role="table" class="table cards audit">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"What"</th>
                        <th role="columnheader" scope="col">"Who"</th>
                        <th role="columnheader" scope="col">"When"</th>
                        <th role="columnheader" scope="col" class="number">"No."</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
    }
}

fn audit_row(row: AuditRow) -> impl IntoView {
    view! {
        <tr role="row">
            <td role="cell" class="lead">
                <span class="first">
                    {row.summary} " " {row.refused.then(|| view! { <span class="badge bad">"Refused"</span> })}
                </span>
                <code class="second">{row.action}</code>
            </td>
            <td role="cell" data-label="Who">
                <span class="first">
                    {row.actor}
                    {(row.actor_kind != "member").then(|| view! { " " <span class="tag">{row.actor_kind}</span> })}
                </span>
                <span class="second">{row.address}</span>
            </td>
            <td role="cell" data-label="When">
                <Moment when=row.when />
            </td>
            <td role="cell" data-label="No." class="number">
                {row.seq}
            </td>
        </tr>
    }
}
