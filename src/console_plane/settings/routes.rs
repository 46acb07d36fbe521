//! The settings page, and the answers to its forms.

use axum::{extract::Query, response::Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::{load, page::SettingsPage};
use crate::console_plane::{
    door::{Done, RequestContext},
    error::ConsoleError,
    forms::Sent,
    model::{FormState, IssuedAccessToken, Notice, SettingsPageModel},
    render::{self, Place, viewer},
    shell::Section,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    done: String,
}

pub async fn show(cx: RequestContext, Query(query): Query<ShowQuery>) -> Response {
    let notice = match query.done.as_str() {
        "password" => Some(("Your password is changed.", Some("Your other sessions have ended."))),
        "session" => Some(("The session has ended.", None)),
        "look" => Some(("This browser remembers how you like it.", None)),
        _ => None,
    };
    let notice = notice.map(|(text, detail)| Notice { text: text.to_owned(), detail: detail.map(str::to_owned) });
    match draw_page(&cx, StatusCode::OK, FormState::default(), notice, None).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/settings").await,
    }
}

async fn draw_page(
    cx: &RequestContext,
    status: StatusCode,
    refill: FormState,
    notice: Option<Notice>,
    token: Option<IssuedAccessToken>,
) -> Result<Response, ConsoleError> {
    let who = cx.who().await?.ok_or(ConsoleError::SignedOut)?;
    let model = SettingsPageModel { token, ..load::page(cx, &who, refill, notice).await? };
    let place = Place::of(&who, Section::Settings, "Settings");
    let look = cx.look;
    let content = move || view! { <SettingsPage model=model.clone() viewer=viewer(&who) look /> };
    Ok(render::page(cx, status, place, content).await)
}

/// The page that answers a form of this feature: one that could not be done, or one that shows a token.
pub async fn answer(
    cx: &RequestContext,
    sent: &Sent,
    outcome: Result<Done, ConsoleError>,
) -> Result<Response, ConsoleError> {
    let error = match outcome {
        Ok(Done::AccessToken(token)) => {
            return draw_page(cx, StatusCode::OK, FormState::default(), None, Some(token)).await;
        }
        Ok(_) => ConsoleError::Unavailable,
        Err(error) => error,
    };
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    draw_page(cx, status, sent.refill(error), None, None).await
}
