//! The audit page, and the log as a file that `keydesk audit verify` reads.

use axum::{
    extract::Query,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use leptos::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::{load, page::AuditPage};
use crate::{
    audit::{self, Chain, Event},
    console_plane::{
        door::{Entry, Visit},
        draw::{self, Place},
        error::ConsoleError,
        shell::Section,
    },
    database::{self, Reach},
    orgs::permit::ViewAudit,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    before: Option<String>,
}

pub async fn show(visit: Visit, Query(query): Query<ShowQuery>) -> Response {
    let before = query.before.and_then(|before| before.parse().ok());
    match draw_page(&visit, before).await {
        Ok(response) => response,
        Err(error) => draw::refusal(&visit, &error, "/audit").await,
    }
}

async fn draw_page(visit: &Visit, before: Option<i64>) -> Result<Response, ConsoleError> {
    let entry: Entry<ViewAudit> = visit.clone().enter().await?;
    let model = load::page(&entry, before).await?;
    let place = Place::of(&entry.who, Section::Audit, "Audit log");
    Ok(draw::page(visit, StatusCode::OK, place, move || view! { <AuditPage model=model.clone() /> }).await)
}

/// The whole chain, one JSON object a line. That it was taken is its last row.
pub async fn export(visit: Visit) -> Response {
    match lines(&visit).await {
        Ok(lines) => {
            let headers = [
                (header::CONTENT_TYPE, "application/jsonl; charset=utf-8"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
            ];
            (headers, lines).into_response()
        }
        Err(error) => draw::refusal(&visit, &error, "/audit").await,
    }
}

async fn lines(visit: &Visit) -> Result<String, ConsoleError> {
    let Entry { permit, .. } = visit.clone().enter::<ViewAudit>().await?;
    let console = &visit.console;
    let chain = Chain::Org(permit.org());
    let mut tx = database::begin(&console.db, Reach::Org(permit.org())).await?;
    let event = Event {
        action: "audit.export",
        subject: String::new(),
        summary: "Downloaded the audit log".to_owned(),
        details: json!({}),
        refused: false,
        actor: permit.actor(),
        at: console.clock.now(),
    };
    audit::record(&mut tx, &console.server_keys.audit, chain, event).await?;
    let rows = audit::store::whole(&mut tx, chain).await?;
    tx.commit().await?;
    let mut lines = String::new();
    for row in rows {
        lines += &row.to_line().map_err(|error| {
            tracing::error!(%error, "an audit row could not be written as JSON");
            ConsoleError::Unavailable
        })?;
    }
    Ok(lines)
}
