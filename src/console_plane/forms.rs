//! Where server functions are called: by the browser half, which gets JSON, or by a form that the browser sent by itself,
//! which gets a page. No error ever travels in an address, and no result is lost in a redirect.

use std::sync::PoisonError;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderValue, StatusCode, header};
use leptos::prelude::*;

use super::{
    door::{Done, RequestContext},
    error::ConsoleError,
    keys, members,
    model::FormState,
    render, settings, sign_in, support,
    ui::ResendPage,
    webhooks,
};

/// A form as it was sent.
pub struct Sent {
    /// What follows `/console/fn/`.
    pub name: String,
    pub values: Vec<(String, String)>,
}

/// No form comes near it.
const MAX_BODY: usize = 64 * 1024;
/// Fields that no page repeats.
const NEVER_REPEATED: [&str; 4] = ["password", "current", "new", "token"];

impl Sent {
    pub fn value(&self, field: &str) -> String {
        self.values.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// What the page is drawn again with.
    pub fn refill(&self, error: ConsoleError) -> FormState {
        let values = self.values.iter().filter(|(name, _)| !NEVER_REPEATED.contains(&name.as_str())).cloned().collect();
        FormState { values, error: Some(error) }
    }
}

/// `POST /console/fn/…`
pub async fn receive(cx: RequestContext, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let name = parts.uri.path().trim_start_matches("/console/fn/").to_owned();
    let wants_page = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"));
    // What announces itself as too large is not waited for.
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let body = match announced {
        Some(length) if length > MAX_BODY as u64 => None,
        _ => to_bytes(body, MAX_BODY).await.ok(),
    };
    let Some(body) = body else {
        let text = "What you sent is larger than any form here. Go back and shorten it.";
        let back = ("/", "Back to the console");
        return render::message(&cx, StatusCode::PAYLOAD_TOO_LARGE, "Too large", text, back).await;
    };
    let values = form_urlencoded::parse(&body).into_owned().collect();
    // Leptos itself would answer a form with a redirect to where it came from, and put an error into that address.
    parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    parts.headers.remove(header::REFERER);
    let context = {
        let cx = cx.clone();
        move || provide_context(cx.clone())
    };
    let request = Request::from_parts(parts, Body::from(body));
    let known = is_known(&name);
    let mut response = leptos_axum::handle_server_fns_with_context(context, request).await.into_response();
    let outcome = cx.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if !known {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return if wants_page { render::not_found(&cx).await } else { response };
    }
    match outcome {
        Some(outcome) if wants_page => {
            let cookies = response.headers().get_all(header::SET_COOKIE).iter().cloned().collect::<Vec<_>>();
            let mut page = page(&cx, Sent { name, values }, outcome).await;
            for cookie in cookies {
                page.headers_mut().append(header::SET_COOKIE, cookie);
            }
            page
        }
        Some(_) => response,
        // The function never ran: what was sent is not its form.
        None => {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            if wants_page {
                let text = "The form did not arrive whole. Go back, reload the page and fill it in again.";
                render::message(
                    &cx,
                    StatusCode::BAD_REQUEST,
                    "This could not be read",
                    text,
                    ("/", "Back to the console"),
                )
                .await
            } else {
                response
            }
        }
    }
}

fn is_known(name: &str) -> bool {
    leptos::server_fn::axum::server_fn_paths().any(|(path, _)| path.strip_prefix("/console/fn/") == Some(name))
}

async fn page(cx: &RequestContext, sent: Sent, outcome: Result<Done, ConsoleError>) -> Response {
    match outcome {
        Ok(Done::Go(path)) => {
            let mut response = Redirect::to(&path).into_response();
            if sent.name == "sign-out" || sent.name == "sessions/end-all" {
                let forget = HeaderValue::from_static("\"cache\", \"storage\"");
                response.headers_mut().insert("clear-site-data", forget);
            }
            response
        }
        Err(ConsoleError::SignedOut) => signed_out(cx, sent).await,
        Err(error @ ConsoleError::Forbidden { .. }) => render::refusal(cx, &error, "/").await,
        outcome => {
            let answered = match sent.name.as_str() {
                name if name.starts_with("keys/") => keys::routes::answer(cx, &sent, outcome).await,
                name if name.starts_with("webhooks/") => webhooks::routes::answer(cx, &sent, outcome).await,
                name if name.starts_with("members/") => members::routes::answer(cx, &sent, outcome).await,
                name if name.starts_with("support/") => support::routes::answer(cx, &sent, outcome).await,
                name if name.starts_with("sessions/") || name.starts_with("account/") => {
                    settings::routes::answer(cx, &sent, outcome).await
                }
                _ => sign_in::routes::answer(cx, &sent, outcome).await,
            };
            match answered {
                Ok(response) => response,
                Err(error) => render::refusal(cx, &error, "/").await,
            }
        }
    }
}

/// The session ended while somebody was typing: nothing they typed is lost.
async fn signed_out(cx: &RequestContext, sent: Sent) -> Response {
    let place = render::Place::outside("Signed out");
    let values: Vec<(String, String)> =
        sent.values.iter().filter(|(name, _)| !NEVER_REPEATED.contains(&name.as_str())).cloned().collect();
    let whole = values.len() == sent.values.len();
    let action = format!("/console/fn/{}", sent.name);
    render::page(cx, StatusCode::UNAUTHORIZED, place, move || {
        view! { <ResendPage action=action.clone() values=values.clone() whole /> }
    })
    .await
}
