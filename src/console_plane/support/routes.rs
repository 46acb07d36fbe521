//! The support desk's page, and the answers to its forms.

use axum::{extract::Query, response::Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    load::{self, Desk},
    page::SupportPage,
};
use crate::{
    console_plane::{
        door::{Authorized, Done, RequestContext},
        error::ConsoleError,
        forms::Sent,
        model::FormState,
        render::{self, Place},
        shell::Section,
    },
    orgs::permit::FindAnyKey,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    revoke: Option<String>,
}

pub async fn show(cx: RequestContext, Query(query): Query<ShowQuery>) -> Response {
    let desk = Desk { revoke: query.revoke.map(|id| (id, FormState::default())), ..Desk::default() };
    match draw_page(&cx, StatusCode::OK, desk).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/support").await,
    }
}

async fn draw_page(cx: &RequestContext, status: StatusCode, desk: Desk) -> Result<Response, ConsoleError> {
    let entry: Authorized<FindAnyKey> = cx.clone().enter().await?;
    let model = load::page(&entry, desk).await?;
    let place = Place::of(&entry.who, Section::Support, "Support desk");
    Ok(render::page(cx, status, place, move || view! { <SupportPage model=model.clone() /> }).await)
}

/// The page that answers a form of this feature.
pub async fn answer(
    cx: &RequestContext,
    sent: &Sent,
    outcome: Result<Done, ConsoleError>,
) -> Result<Response, ConsoleError> {
    let (status, desk) = match outcome {
        Ok(Done::Found(found)) => (StatusCode::OK, Desk { found: Some(found), ..Desk::default() }),
        Ok(Done::Changed(change)) => (StatusCode::OK, Desk { notice: Some(change.into()), ..Desk::default() }),
        Ok(_) => return Err(ConsoleError::Unavailable),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let desk = if sent.name == "support/find" {
                let message = error.for_field("query").or(error.message()).unwrap_or_default();
                Desk { refused: Some((sent.value("query"), message)), ..Desk::default() }
            } else if matches!(error, ConsoleError::NotFound { .. }) {
                return Err(error);
            } else {
                Desk { revoke: Some((sent.value("key_id"), sent.refill(error))), ..Desk::default() }
            };
            (status, desk)
        }
    };
    draw_page(cx, status, desk).await
}
