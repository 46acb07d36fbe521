//! The members page.

use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;

use super::page::MembersPage;
use crate::{
    console_plane::{
        door::{Entry, Visit},
        draw::{self, Place},
        error::ConsoleError,
        model::{MemberRow, When},
        shell::Section,
    },
    database::{self, Reach},
    orgs::{self, permit::ViewMembers},
};

pub async fn show(visit: Visit) -> Response {
    match draw_page(&visit).await {
        Ok(response) => response,
        Err(error) => draw::refusal(&visit, &error, "/members").await,
    }
}

async fn draw_page(visit: &Visit) -> Result<Response, ConsoleError> {
    let Entry { who, permit, .. } = visit.clone().enter::<ViewMembers>().await?;
    let now = visit.console.clock.now();
    let mut tx = database::begin(&visit.console.db, Reach::Org(permit.org())).await?;
    let members = orgs::store::members(&mut tx, permit.org()).await?;
    tx.commit().await?;
    let rows: Vec<MemberRow> = members
        .into_iter()
        .map(|member| MemberRow {
            you: member.user == who.user,
            name: member.name,
            email: member.email,
            role: member.role.label(),
            since: When::at(member.since, now),
            last_sign_in: member.last_sign_in_at.map(|at| When::at(at, now)),
        })
        .collect();
    let slug = who.org.as_ref().map(|org| org.slug.clone()).unwrap_or_default();
    let place = Place::of(&who, Section::Members, "Members");
    let content = move || view! { <MembersPage rows=rows.clone() slug=slug.clone() /> };
    Ok(draw::page(&visit.console, StatusCode::OK, place, content).await)
}
