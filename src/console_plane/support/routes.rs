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
        door::{Done, Entry, Visit},
        draw::{self, Place},
        error::ConsoleError,
        forms::Sent,
        model::Refill,
        shell::Section,
    },
    orgs::permit::FindAnyKey,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    revoke: Option<String>,
}

pub async fn show(visit: Visit, Query(query): Query<ShowQuery>) -> Response {
    let desk = Desk { revoke: query.revoke.map(|id| (id, Refill::default())), ..Desk::default() };
    match draw_page(&visit, StatusCode::OK, desk).await {
        Ok(response) => response,
        Err(error) => draw::refusal(&visit, &error, "/support").await,
    }
}

async fn draw_page(visit: &Visit, status: StatusCode, desk: Desk) -> Result<Response, ConsoleError> {
    let entry: Entry<FindAnyKey> = visit.clone().enter().await?;
    let model = load::page(&entry, desk).await?;
    let place = Place::of(&entry.who, Section::Support, "Support desk");
    Ok(draw::page(visit, status, place, move || view! { <SupportPage model=model.clone() /> }).await)
}

/// The page that answers a form of this feature.
pub async fn answer(visit: &Visit, sent: &Sent, outcome: Result<Done, ConsoleError>) -> Result<Response, ConsoleError> {
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
    draw_page(visit, status, desk).await
}
