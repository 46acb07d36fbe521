//! The nodes page.

use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use super::{load, page::NodesPage};
use crate::{
    console_plane::{
        door::{Entry, Visit},
        draw::{self, Place},
        error::ConsoleError,
        shell::Section,
    },
    orgs::permit::ViewNodes,
};

pub async fn show(visit: Visit) -> Response {
    match draw_page(&visit).await {
        Ok(response) => response,
        Err(error) => draw::refusal(&visit, &error, "/nodes").await,
    }
}

async fn draw_page(visit: &Visit) -> Result<Response, ConsoleError> {
    let entry: Entry<ViewNodes> = visit.clone().enter().await?;
    let model = load::page(&entry).await?;
    let place = Place::of(&entry.who, Section::Nodes, "Nodes");
    Ok(draw::page(visit, StatusCode::OK, place, move || view! { <NodesPage model=model.clone() /> }).await)
}
