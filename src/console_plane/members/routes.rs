//! The members page, and the answers to its forms.

use axum::{extract::Query, response::Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::page::MembersPage;
use crate::{
    console_plane::{
        door::{Done, Entry, Visit},
        draw::{self, Place},
        error::ConsoleError,
        forms::Sent,
        model::{MemberRow, MembersPageModel, Notice, Refill, When},
        shell::Section,
    },
    database::{self, Reach},
    orgs::{
        self, Permit, Role,
        permit::{ManageMembers, ViewMembers},
    },
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    /// The id of a member whose panel is open.
    manage: String,
}

pub async fn show(visit: Visit, Query(query): Query<ShowQuery>) -> Response {
    match draw_page(&visit, StatusCode::OK, &query.manage, Refill::default(), None).await {
        Ok(response) => response,
        Err(error) => draw::refusal(&visit, &error, "/members").await,
    }
}

/// The page that answers a form of this feature.
pub async fn answer(visit: &Visit, sent: &Sent, outcome: Result<Done, ConsoleError>) -> Result<Response, ConsoleError> {
    let error = match outcome {
        Ok(Done::Changed(change)) => {
            return draw_page(visit, StatusCode::OK, "", Refill::default(), Some(change.into())).await;
        }
        Ok(_) => ConsoleError::Unavailable,
        Err(error) => error,
    };
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let about = sent.value("user_id");
    draw_page(visit, status, &about, sent.refill(error), None).await
}

async fn draw_page(
    visit: &Visit,
    status: StatusCode,
    manage: &str,
    refill: Refill,
    notice: Option<Notice>,
) -> Result<Response, ConsoleError> {
    let Entry { who, permit, .. } = visit.clone().enter::<ViewMembers>().await?;
    let now = visit.console.clock.now();
    let mut tx = database::begin(&visit.console.db, Reach::Org(permit.org())).await?;
    let members = orgs::store::members(&mut tx, permit.org()).await?;
    tx.commit().await?;
    let may_manage = Permit::<ManageMembers>::grant(&who.actor, permit.org()).is_ok();
    let rows: Vec<MemberRow> = members
        .into_iter()
        .map(|member| MemberRow {
            id: member.user.0.to_string(),
            you: member.user == who.user,
            // What the lifecycle would refuse is not offered.
            manageable: may_manage
                && member.user != who.user
                && (member.role != Role::Owner || who.role == Role::Owner),
            name: member.name,
            email: member.email,
            role: member.role.label(),
            role_word: member.role.as_str(),
            disabled: member.disabled,
            since: When::at(member.since, now),
            last_sign_in: member.last_sign_in_at.map(|at| When::at(at, now)),
        })
        .collect();
    let model = MembersPageModel {
        managed: rows.iter().find(|row| row.manageable && row.id == manage).cloned(),
        rows,
        slug: who.org.as_ref().map(|org| org.slug.clone()).unwrap_or_default(),
        may_make_owners: who.role == Role::Owner,
        bound: visit.console.catalog.bound_to_creator,
        refill,
        notice,
    };
    let place = Place::of(&who, Section::Members, "Members");
    let content = move || view! { <MembersPage model=model.clone() /> };
    Ok(draw::page(visit, status, place, content).await)
}
