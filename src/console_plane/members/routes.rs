//! The members page, and the answers to its forms.

use axum::{extract::Query, response::Response};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

use super::page::MembersPage;
use crate::{
    actor::Role,
    console_plane::{
        door::{Authorized, Done, RequestContext},
        error::ConsoleError,
        forms::Sent,
        model::{FormState, MemberRow, MembersPageModel, Notice, When},
        render::{self, Place},
        shell::Section,
    },
    database::{self, RlsScope},
    orgs::{
        self, Permit,
        permit::{ManageMembers, ViewMembers},
    },
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ShowQuery {
    /// The id of a member whose panel is open.
    manage: String,
}

pub async fn show(cx: RequestContext, Query(query): Query<ShowQuery>) -> Response {
    match draw_page(&cx, StatusCode::OK, &query.manage, FormState::default(), None).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/members").await,
    }
}

/// The page that answers a form of this feature.
pub async fn answer(
    cx: &RequestContext,
    sent: &Sent,
    outcome: Result<Done, ConsoleError>,
) -> Result<Response, ConsoleError> {
    let error = match outcome {
        Ok(Done::Changed(change)) => {
            return draw_page(cx, StatusCode::OK, "", FormState::default(), Some(change.into())).await;
        }
        Ok(_) => ConsoleError::Unavailable,
        Err(error) => error,
    };
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let about = sent.value("user_id");
    draw_page(cx, status, &about, sent.refill(error), None).await
}

async fn draw_page(
    cx: &RequestContext,
    status: StatusCode,
    manage: &str,
    refill: FormState,
    notice: Option<Notice>,
) -> Result<Response, ConsoleError> {
    let Authorized { who, permit, .. } = cx.clone().enter::<ViewMembers>().await?;
    let now = cx.console.clock.now();
    let mut tx = database::begin(&cx.console.db, RlsScope::Org(permit.org())).await?;
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
        bound: cx.console.catalog.bound_to_creator,
        refill,
        notice,
    };
    let place = Place::of(&who, Section::Members, "Members");
    let content = move || view! { <MembersPage model=model.clone() /> };
    Ok(render::page(cx, status, place, content).await)
}
