//! A key's own page, and the answers to its forms where there is no JavaScript.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    load,
    page::KeyPage,
    view::{Looks, Panel, Span},
};
use crate::{
    console_plane::{
        door::{Authorized, Done, RequestContext},
        error::ConsoleError,
        forms::Sent,
        model::{FormState, Notice},
        render::{self, Place},
        shell::Section,
    },
    ids::KeyId,
    orgs::permit::ViewKeys,
};

/// The forms that are answered with the page they were sent from.
pub const ANSWERED: [&str; 7] =
    ["keys/confirm", "keys/edit", "keys/disable", "keys/enable", "keys/rotate", "keys/extend", "keys/finish"];

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    edit: Option<String>,
    revoke: Option<String>,
    rotate: Option<String>,
    finish: Option<String>,
    usage: String,
    request: Option<String>,
}

pub async fn show(cx: RequestContext, Path(id): Path<String>, Query(query): Query<ShowQuery>) -> Response {
    let looks =
        Looks { span: Span::parse(&query.usage), request: query.request.filter(|text| !text.trim().is_empty()) };
    let panel = match (query.revoke, query.edit, query.rotate, query.finish) {
        (Some(_), ..) => Panel::Revoke,
        (_, Some(_), ..) => Panel::Edit(FormState::default()),
        (_, _, Some(_), _) => Panel::Rotate(FormState::default()),
        (.., Some(_)) => Panel::Finish(FormState::default()),
        _ => Panel::Closed,
    };
    match draw(&cx, StatusCode::OK, &id, panel, &looks, None).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, &format!("/keys/{id}")).await,
    }
}

/// The page that a form was sent from: its key, and how far back it looked.
pub fn sent_from(sent: &Sent) -> (String, Looks) {
    let back = sent.value("back");
    // A rotation is ended from the page of either key.
    let Some(page) = back.strip_prefix("/keys/") else { return (sent.value("key_id"), Looks::default()) };
    let (id, span) = page.split_once("?usage=").unwrap_or((page, ""));
    (id.to_owned(), Looks { span: Span::parse(span), request: None })
}

pub async fn draw(
    cx: &RequestContext,
    status: StatusCode,
    id: &str,
    panel: Panel,
    looks: &Looks,
    notice: Option<Notice>,
) -> Result<Response, ConsoleError> {
    let entry: Authorized<ViewKeys> = cx.clone().enter().await?;
    let model = match id.parse::<KeyId>() {
        Ok(id) => load::page(&entry, id, panel, looks, notice).await?,
        Err(_) => None,
    };
    let Some(model) = model else { return Ok(render::not_found(cx).await) };
    let place = Place::of(&entry.who, Section::Keys, &model.key.name);
    Ok(render::page(cx, status, place, move || view! { <KeyPage model=model.clone() /> }).await)
}

pub async fn answer(
    cx: &RequestContext,
    sent: &Sent,
    outcome: Result<Done, ConsoleError>,
) -> Result<Response, ConsoleError> {
    let (id, looks) = sent_from(sent);
    match outcome {
        Ok(Done::Changed(change)) => draw(cx, StatusCode::OK, &id, Panel::Closed, &looks, Some(change.into())).await,
        Ok(Done::Key(key)) => draw(cx, StatusCode::OK, &id, Panel::Issued(key), &looks, None).await,
        Ok(_) => Err(ConsoleError::Unavailable),
        Err(error @ (ConsoleError::NotFound { .. } | ConsoleError::Unavailable)) => Err(error),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let refill = sent.refill(error);
            let panel = match sent.name.as_str() {
                "keys/edit" => Panel::Edit(refill),
                "keys/rotate" => Panel::Rotate(refill),
                "keys/finish" => Panel::Finish(refill),
                "keys/confirm" => Panel::Confirm(refill),
                _ => Panel::Refused(refill),
            };
            draw(cx, status, &id, panel, &looks, None).await
        }
    }
}
