//! The pages before one is signed in, and the answers to their forms.

use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderValue, StatusCode};
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    act,
    forms::{SetUp, SignIn, SignOut},
    page::{SetupPage, SignInPage},
};
use crate::{
    console_plane::{
        answers::GoTo,
        context::RequestContext,
        error::ConsoleError,
        form::{Form, FormState, Page},
        render::{self, Place},
        ui::Notice,
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
    draw_sign_in(&cx, FormState::default(), &query.next, notice)
}

fn draw_sign_in(cx: &RequestContext, state: FormState, next: &str, notice: Option<Notice>) -> Response {
    let brand = cx.console.catalog.brand.clone();
    let next = act::safe_path(next).unwrap_or_default().to_owned();
    let place = Place::outside("Sign in");
    render::page(cx, state.status(), place, || view! { <SignInPage brand refill=state next notice /> })
}

impl Form for SignIn {
    const SECRETS: &'static [&'static str] = &["password"];

    async fn done(self, _: &RequestContext, GoTo { path }: GoTo) -> Page {
        Ok(Redirect::to(&path).into_response())
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        Ok(draw_sign_in(cx, state, &self.next, None))
    }
}

impl Form for SignOut {
    async fn done(self, _: &RequestContext, to: GoTo) -> Page {
        Ok(forgotten(&to))
    }

    async fn refused(self, _: &RequestContext, state: FormState) -> Page {
        Err(state.error.unwrap_or(ConsoleError::Unavailable))
    }
}

/// Goes on, and has the browser forget what it kept of this console.
pub fn forgotten(to: &GoTo) -> Response {
    let forget = HeaderValue::from_static("\"cache\", \"storage\"");
    ([("clear-site-data", forget)], Redirect::to(&to.path)).into_response()
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct SetupQuery {
    token: String,
}

pub async fn setup(cx: RequestContext, Query(query): Query<SetupQuery>) -> Response {
    match act::link_is_live(&cx, Digest::of(query.token.as_bytes())).await {
        Ok(true) => draw_setup(&cx, query.token, FormState::default()),
        Ok(false) => dead_link(&cx).await,
        Err(error) => render::refusal(&cx, &error, "/sign-in").await,
    }
}

fn draw_setup(cx: &RequestContext, token: String, state: FormState) -> Response {
    let brand = cx.console.catalog.brand.clone();
    let place = Place::outside("Set up");
    render::page(cx, state.status(), place, || view! { <SetupPage brand token refill=state /> })
}

async fn dead_link(cx: &RequestContext) -> Response {
    let text = act::dead_link().message().unwrap_or_default();
    render::message(cx, StatusCode::NOT_FOUND, "This link does not work", text, ("/sign-in", "Sign in")).await
}

impl Form for SetUp {
    const SECRETS: &'static [&'static str] = &["password", "token"];

    async fn done(self, _: &RequestContext, GoTo { path }: GoTo) -> Page {
        Ok(Redirect::to(&path).into_response())
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        Ok(match state.error {
            Some(ConsoleError::NotFound { .. }) => dead_link(cx).await,
            // The token is back where it came from, in a hidden field of the same form.
            _ => draw_setup(cx, self.form.token.0, state),
        })
    }
}
