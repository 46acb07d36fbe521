//! The support desk's page, and the answers to its forms.

use axum::{extract::Query, response::Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    forms::{FindKey, Found, RevokeAnyKey},
    load::{self, Desk},
    page::SupportPage,
};
use crate::{
    console_plane::{
        answers::Change,
        authorize::Authorized,
        context::RequestContext,
        form::{Form, FormState, Page},
        render::{self, Place},
        shell::Section,
    },
    permissions::permit::FindAnyKey,
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

async fn draw_page(cx: &RequestContext, status: StatusCode, desk: Desk) -> Page {
    let entry: Authorized<FindAnyKey> = cx.clone().enter().await?;
    let model = load::page(&entry, desk).await?;
    let place = Place::of(&entry.who, Section::Support, "Support desk");
    Ok(render::page(cx, status, place, || view! { <SupportPage model /> }))
}

impl Form for FindKey {
    async fn done(self, cx: &RequestContext, found: Found) -> Page {
        draw_page(cx, StatusCode::OK, Desk { found: Some(found), ..Desk::default() }).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        let message = state.field_error("query").or(state.message()).unwrap_or_default();
        let status = state.status();
        draw_page(cx, status, Desk { refused: Some((self.form.query, message)), ..Desk::default() }).await
    }
}

impl Form for RevokeAnyKey {
    async fn done(self, cx: &RequestContext, change: Change) -> Page {
        draw_page(cx, StatusCode::OK, Desk { notice: Some(change.into()), ..Desk::default() }).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        let state = state.unless_absent()?;
        let status = state.status();
        draw_page(cx, status, Desk { revoke: Some((self.form.key_id, state)), ..Desk::default() }).await
    }
}
