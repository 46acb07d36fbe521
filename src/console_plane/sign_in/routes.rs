//! The pages before one is signed in, and the answers to their forms.

use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    act,
    page::{SetupPage, SignInPage},
};
use crate::{
    console_plane::{
        door::{Done, RequestContext},
        error::ConsoleError,
        forms::Sent,
        model::{FormState, Notice},
        render::{self, Place},
    },
    secrets::Digest,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SignInQuery {
    next: String,
    done: String,
}

pub async fn sign_in(cx: RequestContext, Query(query): Query<SignInQuery>) -> Response {
    // Whoever is signed in already has nothing to do here.
    if let Ok(Some(who)) = cx.who().await {
        return Redirect::to(act::safe_path(&query.next).unwrap_or(who.home())).into_response();
    }
    let text = match query.done.as_str() {
        "signed-out" => Some("You are signed out."),
        "signed-out-everywhere" => Some("You are signed out everywhere."),
        _ => None,
    };
    let notice = text.map(|text| Notice { text: text.to_owned(), detail: None });
    let next = act::safe_path(&query.next).unwrap_or_default().to_owned();
    draw_sign_in(&cx, StatusCode::OK, FormState::default(), next, notice).await
}

async fn draw_sign_in(
    cx: &RequestContext,
    status: StatusCode,
    refill: FormState,
    next: String,
    notice: Option<Notice>,
) -> Response {
    let brand = cx.console.catalog.brand.clone();
    render::page(cx, status, Place::outside("Sign in"), move || {
        view! { <SignInPage brand=brand.clone() refill=refill.clone() next=next.clone() notice=notice.clone() /> }
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SetupQuery {
    token: String,
}

pub async fn setup(cx: RequestContext, Query(query): Query<SetupQuery>) -> Response {
    match act::link_is_live(&cx, Digest::of(query.token.as_bytes())).await {
        Ok(true) => draw_setup(&cx, StatusCode::OK, query.token, FormState::default()).await,
        Ok(false) => dead_link(&cx).await,
        Err(error) => render::refusal(&cx, &error, "/sign-in").await,
    }
}

async fn draw_setup(cx: &RequestContext, status: StatusCode, token: String, refill: FormState) -> Response {
    let brand = cx.console.catalog.brand.clone();
    render::page(cx, status, Place::outside("Set up"), move || {
        view! { <SetupPage brand=brand.clone() token=token.clone() refill=refill.clone() /> }
    })
    .await
}

async fn dead_link(cx: &RequestContext) -> Response {
    let text = act::dead_link().message().unwrap_or_default();
    render::message(cx, StatusCode::NOT_FOUND, "This link does not work", text, ("/sign-in", "Sign in")).await
}

/// The page that answers a form of this feature that could not be done.
pub async fn answer(
    cx: &RequestContext,
    sent: &Sent,
    outcome: Result<Done, ConsoleError>,
) -> Result<Response, ConsoleError> {
    let error = outcome.err().unwrap_or(ConsoleError::Unavailable);
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(match (sent.name.as_str(), &error) {
        ("setup", ConsoleError::NotFound { .. }) => dead_link(cx).await,
        // The token is back where it came from, in a hidden field of the same form.
        ("setup", _) => draw_setup(cx, status, sent.value("token"), sent.refill(error)).await,
        ("sign-in", _) => {
            let next = act::safe_path(&sent.value("next")).unwrap_or_default().to_owned();
            draw_sign_in(cx, status, sent.refill(error), next, None).await
        }
        _ => render::refusal(cx, &error, "/").await,
    })
}
