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
        door::{Done, Visit},
        draw::{self, Place},
        error::ConsoleError,
        forms::Sent,
        model::{Notice, Refill},
    },
    secrets::Digest,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SignInQuery {
    next: String,
    done: String,
}

pub async fn sign_in(visit: Visit, Query(query): Query<SignInQuery>) -> Response {
    // Whoever is signed in already has nothing to do here.
    if let Ok(Some(who)) = visit.who().await {
        return Redirect::to(act::safe_path(&query.next).unwrap_or(who.home())).into_response();
    }
    let text = match query.done.as_str() {
        "signed-out" => Some("You are signed out."),
        "signed-out-everywhere" => Some("You are signed out everywhere."),
        _ => None,
    };
    let notice = text.map(|text| Notice { text: text.to_owned(), detail: None });
    let next = act::safe_path(&query.next).unwrap_or_default().to_owned();
    draw_sign_in(&visit, StatusCode::OK, Refill::default(), next, notice).await
}

async fn draw_sign_in(
    visit: &Visit,
    status: StatusCode,
    refill: Refill,
    next: String,
    notice: Option<Notice>,
) -> Response {
    let brand = visit.console.catalog.brand.clone();
    draw::page(visit, status, Place::outside("Sign in"), move || {
        view! { <SignInPage brand=brand.clone() refill=refill.clone() next=next.clone() notice=notice.clone() /> }
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SetupQuery {
    token: String,
}

pub async fn setup(visit: Visit, Query(query): Query<SetupQuery>) -> Response {
    match act::link_is_live(&visit, Digest::of(query.token.as_bytes())).await {
        Ok(true) => draw_setup(&visit, StatusCode::OK, query.token, Refill::default()).await,
        Ok(false) => dead_link(&visit).await,
        Err(error) => draw::refusal(&visit, &error, "/sign-in").await,
    }
}

async fn draw_setup(visit: &Visit, status: StatusCode, token: String, refill: Refill) -> Response {
    let brand = visit.console.catalog.brand.clone();
    draw::page(visit, status, Place::outside("Set up"), move || {
        view! { <SetupPage brand=brand.clone() token=token.clone() refill=refill.clone() /> }
    })
    .await
}

async fn dead_link(visit: &Visit) -> Response {
    let text = act::dead_link().message().unwrap_or_default();
    draw::message(visit, StatusCode::NOT_FOUND, "This link does not work", text, ("/sign-in", "Sign in")).await
}

/// The page that answers a form of this feature that could not be done.
pub async fn answer(visit: &Visit, sent: &Sent, outcome: Result<Done, ConsoleError>) -> Result<Response, ConsoleError> {
    let error = outcome.err().unwrap_or(ConsoleError::Unavailable);
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(match (sent.name.as_str(), &error) {
        ("setup", ConsoleError::NotFound { .. }) => dead_link(visit).await,
        // The token is back where it came from, in a hidden field of the same form.
        ("setup", _) => draw_setup(visit, status, sent.value("token"), sent.refill(error)).await,
        ("sign-in", _) => {
            let next = act::safe_path(&sent.value("next")).unwrap_or_default().to_owned();
            draw_sign_in(visit, status, sent.refill(error), next, None).await
        }
        _ => draw::refusal(visit, &error, "/").await,
    })
}
