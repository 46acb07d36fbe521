//! The webhooks page, and the answers to its forms.

use axum::{extract::Query, response::Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    forms::{GenerateWebhookSecret, IssuedWebhookSecret, RegenerateWebhookSecret},
    load,
    page::{WebhookPanel, WebhooksPage},
};
use crate::{
    console_plane::{
        authorize::Authorized,
        context::RequestContext,
        form::{Form, FormState, Page},
        render::{self, Place},
        shell::Section,
    },
    permissions::permit::ViewWebhooks,
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
    match draw_page(&cx, &query.environment, panel).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/webhooks").await,
    }
}

async fn draw_page(cx: &RequestContext, environment: &str, panel: WebhookPanel) -> Page {
    let entry: Authorized<ViewWebhooks> = cx.clone().enter().await?;
    let status = match &panel {
        WebhookPanel::Refused(state) => state.status(),
        _ => StatusCode::OK,
    };
    let model = load::page(&entry, environment, panel).await?;
    let place = Place::of(&entry.who, Section::Webhooks, "Webhooks");
    Ok(render::page(cx, status, place, || view! { <WebhooksPage model /> }))
}

impl Form for GenerateWebhookSecret {
    async fn done(self, cx: &RequestContext, secret: IssuedWebhookSecret) -> Page {
        draw_page(cx, &self.environment, WebhookPanel::Issued(secret)).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        draw_page(cx, &self.environment, WebhookPanel::Refused(state)).await
    }
}

impl Form for RegenerateWebhookSecret {
    async fn done(self, cx: &RequestContext, secret: IssuedWebhookSecret) -> Page {
        draw_page(cx, &self.environment, WebhookPanel::Issued(secret)).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        draw_page(cx, &self.environment, WebhookPanel::Refused(state)).await
    }
}
