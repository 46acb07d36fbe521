//! The nodes page.

use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use super::{load, page::NodesPage};
use crate::{
    console_plane::{
        authorize::Authorized,
        context::RequestContext,
        error::ConsoleError,
        render::{self, Place},
        shell::Section,
    },
    permissions::permit::ViewNodes,
};

pub async fn show(cx: RequestContext) -> Response {
    match draw_page(&cx).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/nodes").await,
    }
}

async fn draw_page(cx: &RequestContext) -> Result<Response, ConsoleError> {
    let entry: Authorized<ViewNodes> = cx.clone().enter().await?;
    let model = load::page(&entry).await?;
    let place = Place::of(&entry.who, Section::Nodes, "Nodes");
    Ok(render::page(cx, StatusCode::OK, place, || view! { <NodesPage model /> }))
}
