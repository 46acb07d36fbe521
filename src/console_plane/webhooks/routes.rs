//! The webhooks page, and the answers to its forms.

use axum::{extract::Query, response::Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::{load, page::WebhooksPage};
use crate::{
    console_plane::{
        door::{Authorized, Done, RequestContext},
        error::ConsoleError,
        forms::Sent,
        model::{FormState, WebhookPanel},
        render::{self, Place},
        shell::Section,
    },
    orgs::permit::ViewWebhooks,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    environment: String,
    regenerate: Option<String>,
}

pub async fn show(cx: RequestContext, Query(query): Query<ShowQuery>) -> Response {
    let panel = match query.regenerate {
        Some(_) => WebhookPanel::ConfirmRegenerate(FormState::default()),
        None => WebhookPanel::Closed,
    };
    match draw_page(&cx, StatusCode::OK, &query.environment, panel).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/webhooks").await,
    }
}

async fn draw_page(
    cx: &RequestContext,
    status: StatusCode,
    environment: &str,
    panel: WebhookPanel,
) -> Result<Response, ConsoleError> {
    let entry: Authorized<ViewWebhooks> = cx.clone().enter().await?;
    let model = load::page(&entry, environment, panel).await?;
    let place = Place::of(&entry.who, Section::Webhooks, "Webhooks");
    Ok(render::page(cx, status, place, move || view! { <WebhooksPage model=model.clone() /> }).await)
}

/// The page that answers a form of this feature.
pub async fn answer(
    cx: &RequestContext,
    sent: &Sent,
    outcome: Result<Done, ConsoleError>,
) -> Result<Response, ConsoleError> {
    match outcome {
        Ok(Done::WebhookSecret(secret)) => {
            let environment = secret.environment.clone();
            draw_page(cx, StatusCode::OK, &environment, WebhookPanel::Issued(secret)).await
        }
        Ok(_) => Err(ConsoleError::Unavailable),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            draw_page(cx, status, &sent.value("environment"), WebhookPanel::Refused(sent.refill(error))).await
        }
    }
}
