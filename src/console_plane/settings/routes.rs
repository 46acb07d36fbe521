//! The settings page, and the answers to its forms.

use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    forms::{ChangePassword, CreateAccessToken, EndAllSessions, EndSession, IssuedAccessToken, SetAppearance},
    load,
    page::{SettingsPage, SettingsPageModel},
};
use crate::console_plane::{
    answers::GoTo,
    context::RequestContext,
    error::ConsoleError,
    form::{Form, FormState, Page},
    render::{self, Place, viewer},
    shell::Section,
    sign_in::routes::forgotten,
    ui::Notice,
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
    match draw_page(&cx, FormState::default(), notice, None).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/settings").await,
    }
}

async fn draw_page(
    cx: &RequestContext,
    refill: FormState,
    notice: Option<Notice>,
    token: Option<IssuedAccessToken>,
) -> Page {
    let who = cx.who().await?.ok_or(ConsoleError::SignedOut)?;
    let status = refill.status();
    let model = SettingsPageModel { token, ..load::page(cx, &who, refill, notice).await? };
    let place = Place::of(&who, Section::Settings, "Settings");
    let look = cx.look;
    Ok(render::page(cx, status, place, || view! { <SettingsPage model viewer=viewer(&who) look /> }))
}

/// Forms that lead on to a page which says what was done, and are shown again on the settings page.
macro_rules! leads_on {
    ($($form:ty, $secrets:expr, $answer:expr;)*) => {$(
        impl Form for $form {
            const SECRETS: &'static [&'static str] = &$secrets;

            async fn done(self, _: &RequestContext, to: GoTo) -> Page {
                Ok($answer(&to))
            }

            async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
                draw_page(cx, state, None, None).await
            }
        }
    )*};
}
leads_on! {
    EndSession, [], next;
    EndAllSessions, [], forgotten;
    ChangePassword, ["current", "new"], next;
    SetAppearance, [], next;
}

fn next(to: &GoTo) -> Response {
    Redirect::to(&to.path).into_response()
}

impl Form for CreateAccessToken {
    async fn done(self, cx: &RequestContext, token: IssuedAccessToken) -> Page {
        draw_page(cx, FormState::default(), None, Some(token)).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        draw_page(cx, state, None, None).await
    }
}
