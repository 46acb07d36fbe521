//! One key's page, and the answers to their forms where there is no JavaScript.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    list::{
        load::Ask,
        routes::{draw_list, preview_again},
        view::ListView,
    },
    load,
    page::KeyPage,
};
use crate::{
    console_plane::{
        door::{Done, Entry, Visit},
        draw::{self, Place},
        error::ConsoleError,
        forms::Sent,
        model::{KeysPanel, Notice, Refill},
        shell::Section,
    },
    keys::model::KeyId,
    orgs::permit::ViewKeys,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct OneQuery {
    revoke: Option<String>,
}

pub async fn one(visit: Visit, Path(id): Path<String>, Query(query): Query<OneQuery>) -> Response {
    match draw_one(&visit, StatusCode::OK, &id, query.revoke.is_some(), Refill::default(), None).await {
        Ok(response) => response,
        Err(error) => draw::refusal(&visit, &error, &format!("/keys/{id}")).await,
    }
}

async fn draw_one(
    visit: &Visit,
    status: StatusCode,
    id: &str,
    asks_revoke: bool,
    refill: Refill,
    notice: Option<Notice>,
) -> Result<Response, ConsoleError> {
    let entry: Entry<ViewKeys> = visit.clone().enter().await?;
    let model = match id.parse::<KeyId>() {
        Ok(id) => load::one(&entry, id, asks_revoke, refill, notice).await?,
        Err(_) => None,
    };
    let Some(model) = model else { return Ok(draw::not_found(visit).await) };
    let place = Place::of(&entry.who, Section::Keys, &model.key.name);
    Ok(draw::page(&visit.console, status, place, move || view! { <KeyPage model=model.clone() /> }).await)
}

/// The page that answers a form of this feature.
pub async fn answer(visit: &Visit, sent: &Sent, outcome: Result<Done, ConsoleError>) -> Result<Response, ConsoleError> {
    let back = sent.value("back");
    let view = ListView::parse(back.strip_prefix("/keys?").unwrap_or_default(), &visit.console.catalog);
    match outcome {
        Ok(Done::Key(key)) => {
            draw_list(visit, StatusCode::OK, ListView::default(), Ask::Show(KeysPanel::Issued(key)), None).await
        }
        Ok(Done::Revoked(receipt)) => {
            let notice = Notice { text: receipt.text, detail: Some(receipt.receipt) };
            if back.starts_with("/keys/") {
                return draw_one(visit, StatusCode::OK, &sent.value("key_id"), false, Refill::default(), Some(notice))
                    .await;
            }
            draw_list(visit, StatusCode::OK, view, Ask::Nothing, Some(notice)).await
        }
        Ok(_) => Err(ConsoleError::Unavailable),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let ask = match sent.name.as_str() {
                "keys/issue" => Ask::Create(sent.refill(error)),
                "keys/revoke-all" => Ask::RevokeAll(sent.refill(error)),
                _ if matches!(error, ConsoleError::NotFound { .. }) => return Err(error),
                "keys/revoke-some" => return preview_again(visit, status, view, sent, error).await,
                _ => Ask::Revoke(sent.value("key_id"), sent.refill(error)),
            };
            draw_list(visit, status, view, ask, None).await
        }
    }
}
