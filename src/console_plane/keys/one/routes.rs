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
        authorize::Authorized,
        context::RequestContext,
        form::{FormState, Page},
        render::{self, Place},
        shell::Section,
        ui::Notice,
    },
    ids::KeyId,
    permissions::permit::ViewKeys,
};

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
    match draw_page(&cx, &id, panel, &looks, None).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, &format!("/keys/{id}")).await,
    }
}

/// The page of a key, for the answer to a form: `back` is the address that the form was on.
pub async fn draw(cx: &RequestContext, back: &str, key_id: &str, panel: Panel, notice: Option<Notice>) -> Page {
    // A rotation is ended from the page of either key.
    let page = back.strip_prefix("/keys/").unwrap_or(key_id);
    let (id, span) = page.split_once("?usage=").unwrap_or((page, ""));
    draw_page(cx, id, panel, &Looks { span: Span::parse(span), request: None }, notice).await
}

async fn draw_page(cx: &RequestContext, id: &str, panel: Panel, looks: &Looks, notice: Option<Notice>) -> Page {
    let entry: Authorized<ViewKeys> = cx.clone().enter().await?;
    let status = panel.state().map_or(StatusCode::OK, FormState::status);
    let model = match id.parse::<KeyId>() {
        Ok(id) => load::page(&entry, id, panel, looks, notice).await?,
        Err(_) => None,
    };
    let Some(model) = model else { return Ok(render::not_found(cx).await) };
    let place = Place::of(&entry.who, Section::Keys, &model.key.name);
    Ok(render::page(cx, status, place, || view! { <KeyPage model /> }))
}
