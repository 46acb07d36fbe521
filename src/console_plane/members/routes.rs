//! The members page, and the answers to its forms.

use axum::{extract::Query, response::Response};
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    forms::{RemoveMember, SetRole},
    page::MembersPage,
};
use crate::{
    actor::Role,
    console_plane::{
        answers::Change,
        authorize::Authorized,
        context::RequestContext,
        form::{Form, FormState, Page},
        members::page::{MemberRow, MembersPageModel},
        moment::When,
        render::{self, Place},
        shell::Section,
        ui::Notice,
    },
    database::{self, RlsScope},
    orgs,
    permissions::{
        Permit,
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
    match draw_page(&cx, &query.manage, FormState::default(), None).await {
        Ok(response) => response,
        Err(error) => render::refusal(&cx, &error, "/members").await,
    }
}

impl Form for SetRole {
    async fn done(self, cx: &RequestContext, change: Change) -> Page {
        draw_page(cx, "", FormState::default(), Some(change.into())).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        draw_page(cx, &self.user_id, state, None).await
    }
}

impl Form for RemoveMember {
    async fn done(self, cx: &RequestContext, change: Change) -> Page {
        draw_page(cx, "", FormState::default(), Some(change.into())).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        draw_page(cx, &self.user_id, state, None).await
    }
}

async fn draw_page(cx: &RequestContext, manage: &str, refill: FormState, notice: Option<Notice>) -> Page {
    let status = refill.status();
    let Authorized { who, permit, .. } = cx.clone().enter::<ViewMembers>().await?;
    let now = cx.console.clock.now();
    let mut tx = database::read(&cx.console.db, RlsScope::Org(permit.org())).await?;
    let members = orgs::store::list_members(&mut tx, permit.org()).await?;
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
    Ok(render::page(cx, status, place, || view! { <MembersPage model /> }))
}
