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
    audit::{self, Event},
    console_plane::{
        authorize::Authorized,
        context::RequestContext,
        error::ConsoleError,
        render::{self, Place},
        shell::Section,
    },
    permissions::permit::ViewAudit,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    before: Option<String>,
}

pub async fn show(cx: RequestContext, Query(query): Query<ShowQuery>) -> Response {
    let before = query.before.and_then(|before| before.parse().ok());
    match draw_page(&cx, before).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/audit").await,
    }
}

async fn draw_page(cx: &RequestContext, before: Option<i64>) -> Result<Response, ConsoleError> {
    let entry: Authorized<ViewAudit> = cx.clone().enter().await?;
    let model = load::page(&entry, before).await?;
    let place = Place::of(&entry.who, Section::Audit, "Audit log");
    Ok(render::page(cx, StatusCode::OK, place, || view! { <AuditPage model /> }))
}

/// The whole chain, one JSON object a line. That it was taken is its last row.
pub async fn export(cx: RequestContext) -> Response {
    match lines(&cx).await {
        Ok(lines) => {
            let headers = [
                (header::CONTENT_TYPE, "application/jsonl; charset=utf-8"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
            ];
            (headers, lines).into_response()
        }
        Err(error) => render::refusal(&cx, &error, "/audit").await,
    }
}

async fn lines(cx: &RequestContext) -> Result<String, ConsoleError> {
    let (mut m, permit) = cx.begin::<ViewAudit>().await?;
    m.record(Event {
        action: "audit.export",
        subject: String::new(),
        summary: "Downloaded the audit log".to_owned(),
        details: json!({}),
    })
    .await?;
    let rows = audit::store::whole(&mut m, permit.org().into()).await?;
    m.commit().await?;
    let mut lines = String::new();
    for row in rows {
        lines += &row.to_line().map_err(|error| {
            tracing::error!(%error, "an audit row could not be written as JSON");
            ConsoleError::Unavailable
        })?;
    }
    Ok(lines)
}
