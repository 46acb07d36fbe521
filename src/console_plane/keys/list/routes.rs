//! The list, its file, and what is shown before some of its keys are revoked.

use std::collections::BTreeSet;

use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use http::{StatusCode, header};
use leptos::prelude::*;

use super::{
    csv,
    load::{self, Ask, Chosen, MOST_AT_ONCE},
    page::KeysPage,
    preview::RevokeSomePage,
    view::{self, ListView},
};
use crate::{
    catalog::grouped,
    console_plane::{
        authorize::Authorized,
        context::RequestContext,
        form::{FormState, Page},
        render::{self, Place},
        shell::Section,
        ui::Notice,
    },
    ids::KeyId,
    permissions::permit::{RevokeKey, ViewKeys},
};

/// An address's query, read once. A name may be there several times.
type Pairs = Query<Vec<(String, String)>>;

/// What an address says of `name`, as often as it says it.
fn values<'a>(query: &'a [(String, String)], name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
    query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
}

pub async fn list(cx: RequestContext, Query(query): Pairs) -> Response {
    if let Some(tidy) = view::tidied(&query) {
        let to = if tidy.is_empty() { "/keys".to_owned() } else { format!("/keys?{tidy}") };
        return Redirect::to(&to).into_response();
    }
    let view = ListView::parse(&query, &cx.console.catalog);
    let asked = |name| values(&query, name).next_back().map(str::to_owned);
    let ask = match (asked("revoke"), asked("revoke-all"), asked("new")) {
        (Some(id), ..) => Ask::Revoke(id, FormState::default()),
        (_, Some(_), _) => Ask::RevokeAll(FormState::default()),
        (.., Some(_)) => Ask::Create(FormState::default()),
        _ => Ask::Nothing,
    };
    let back = view.address("/keys");
    match draw_list(&cx, StatusCode::OK, view, ask, None).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, &back).await,
    }
}

pub async fn draw_list(
    cx: &RequestContext,
    status: StatusCode,
    view: ListView,
    ask: Ask,
    notice: Option<Notice>,
) -> Page {
    let entry: Authorized<ViewKeys> = cx.clone().enter().await?;
    let model = load::list(&entry, view, ask, notice).await?;
    let place = Place::of(&entry.who, Section::Keys, "API keys");
    Ok(render::page(cx, status, place, || view! { <KeysPage model /> }))
}

pub async fn csv(cx: RequestContext, Query(query): Pairs) -> Response {
    let view = ListView::parse(&query, &cx.console.catalog);
    let file = async { csv::file(&cx.clone().enter().await?, &view).await };
    match file.await {
        Ok(Some(file)) => {
            let headers = [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"keys.csv\""),
            ];
            (headers, file).into_response()
        }
        Ok(None) => {
            let most = grouped(csv::MOST.into());
            let text = format!(
                "These are more than {most} keys. Set a filter, such as the environment, and take them in parts."
            );
            let back = view.address("/keys");
            render::message(
                &cx,
                StatusCode::UNPROCESSABLE_ENTITY,
                "Too many for one file",
                text,
                (&back, "Back to the list"),
            )
            .await
        }
        Err(error) => render::refusal(&cx, &error, &view.address("/keys")).await,
    }
}

pub async fn preview(cx: RequestContext, Query(query): Pairs) -> Response {
    let view = ListView::parse(&query, &cx.console.catalog);
    let these: BTreeSet<KeyId> = values(&query, "key").filter_map(|id| id.parse().ok()).collect();
    let says = |name| values(&query, name).next().is_some();
    let chosen = match (these.is_empty(), says("all"), says("matching")) {
        (true, true, _) => Chosen::Page,
        (true, false, true) => Chosen::Matching,
        _ => Chosen::These(these),
    };
    let back = view.address("/keys");
    if let (Chosen::Matching, Some(name)) = (&chosen, view.dropped(&query)) {
        let text = format!(
            "The filter “{name}” in this address is not known, or its value is not. Without it more keys would match than you \
             asked for, so none are offered. Go back to the list and set the filter again."
        );
        let action = (back.as_str(), "Back to the list");
        return render::message(&cx, StatusCode::UNPROCESSABLE_ENTITY, "This filter is not clear", text, action).await;
    }
    let drawn = draw_preview(&cx, view, chosen, FormState::default()).await;
    match drawn {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, &back).await,
    }
}

/// The same once more, with why it was not done.
pub async fn preview_again(cx: &RequestContext, view: ListView, key_ids: &[String], state: FormState) -> Page {
    let chosen = key_ids.iter().filter_map(|id| id.parse().ok()).collect();
    draw_preview(cx, view, Chosen::These(chosen), state).await
}

async fn draw_preview(cx: &RequestContext, view: ListView, chosen: Chosen, refill: FormState) -> Page {
    let status = refill.status();
    let entry: Authorized<RevokeKey> = cx.clone().enter().await?;
    let back = view.address("/keys");
    let Some(model) = load::preview(&entry, view, chosen, refill).await? else {
        let most = grouped(MOST_AT_ONCE as u64);
        let text = format!(
            "More than {most} keys match, and {most} can be revoked at once. Set another filter, such as the creator, and \
             take them in parts."
        );
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(render::message(cx, status, "Too many at once", text, (&back, "Back to the list")).await);
    };
    if model.keys.is_empty() {
        let text = "Tick the keys to revoke in the list, then choose “Revoke selected”. Keys that are revoked already \
                    cannot be revoked again.";
        return Ok(render::message(cx, status, "No key is selected", text, (&back, "Back to the list")).await);
    }
    let place = Place::of(&entry.who, Section::Keys, "Revoke keys");
    Ok(render::page(cx, status, place, || view! { <RevokeSomePage model /> }))
}
