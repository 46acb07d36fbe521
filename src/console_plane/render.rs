//! From a view to an answer: the document around it, its nonce and its policy.

use std::sync::Arc;

use axum::response::{Html, IntoResponse, Redirect, Response};
use form_urlencoded::byte_serialize;
use http::{StatusCode, header};
use hydration_context::SsrSharedContext;
use leptos::{
    nonce::{provide_nonce, use_nonce},
    prelude::*,
};

use super::{
    context::{CurrentUser, RequestContext},
    error::ConsoleError,
    moment::When,
    shell::{Document, Section, Viewer},
    ui::MessagePage,
};
use crate::{actor::Role, permissions::Action};

/// A page's place in the console.
#[derive(Clone)]
pub struct Place {
    pub title: String,
    pub section: Section,
    pub viewer: Option<Viewer>,
}

impl Place {
    /// A page before one is signed in.
    pub fn outside(title: &str) -> Self {
        Self { title: title.to_owned(), section: Section::None, viewer: None }
    }

    pub fn of(who: &CurrentUser, section: Section, title: &str) -> Self {
        Self { title: title.to_owned(), section, viewer: Some(viewer(who)) }
    }
}

pub fn viewer(who: &CurrentUser) -> Viewer {
    Viewer {
        name: who.name.clone(),
        email: who.email.clone(),
        org: who.org.as_ref().map(|org| org.name.clone()),
        role: who.role.label(),
        staff: who.org.is_none(),
        may_view_audit: who.role.may(Action::ViewAudit),
    }
}

/// Draws a page. What it shows was loaded before, so nothing in it waits.
pub fn page<V: IntoView>(
    cx: &RequestContext,
    status: StatusCode,
    place: Place,
    content: impl FnOnce() -> V,
) -> Response {
    let console = &cx.console;
    let (assets, brand) = (console.site.assets.clone(), console.catalog.brand.clone());
    let now = console.clock.now();
    let (look, now) = (cx.look, When::at(now, now).iso);
    // Islands are marked in the page, and what is around them is not.
    let owner = Owner::new_root(Some(Arc::new(SsrSharedContext::new_islands())));
    let (nonce, html) = owner.with(|| {
        provide_nonce();
        let content = content().into_any();
        let document = view! {
            <Document title=place.title brand viewer=place.viewer current=place.section assets look now content />
        };
        (use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default(), document.to_html())
    });
    owner.unset_with_forced_cleanup();
    (status, [(header::CONTENT_SECURITY_POLICY, policy(&nonce))], Html(html)).into_response()
}

fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// A page that only says something, in the frame of whoever looks at it.
pub async fn message(
    cx: &RequestContext,
    status: StatusCode,
    title: &str,
    text: impl Into<String>,
    action: (&str, &str),
) -> Response {
    // Without the database this still has to be said.
    let who = cx.who().await.unwrap_or_default();
    let place = match &who {
        Some(who) => Place::of(who, Section::None, title),
        None => Place::outside(title),
    };
    let (title, text) = (title.to_owned(), text.into());
    let action = (action.0.to_owned(), action.1.to_owned());
    page(cx, status, place, || view! { <MessagePage title text action=Some(action) /> })
}

/// The page for what could not be done at all; `path` is where the person was going.
pub async fn refusal(cx: &RequestContext, error: &ConsoleError, path: &str) -> Response {
    let status = error.status_code();
    let text = error.message().unwrap_or_else(|| error.to_string());
    match error {
        ConsoleError::SignedOut => {
            let next: String = byte_serialize(path.as_bytes()).collect();
            Redirect::to(&format!("/sign-in?next={next}")).into_response()
        }
        ConsoleError::Forbidden { .. } => {
            let who = cx.who().await.unwrap_or_default();
            let text = match who {
                Some(who) if who.org.is_some() && who.role != Role::Owner => {
                    format!("{text} An owner of your organization can help.")
                }
                _ => text,
            };
            message(cx, status, "Not allowed", text, ("/", "Back to the console")).await
        }
        ConsoleError::NotFound { .. } => not_found(cx).await,
        ConsoleError::Conflict { .. } => message(cx, status, "Already done", text, ("/", "Back to the console")).await,
        ConsoleError::Unavailable => {
            let text = "The console cannot reach its database right now. Nothing was changed. Try again in a moment.";
            message(cx, status, "The console is not available", text, (path, "Try again")).await
        }
        ConsoleError::UnknownOutcome { .. } => {
            message(cx, status, "Nobody knows whether this was done", text, (path, "Look")).await
        }
        ConsoleError::Fields { .. } | ConsoleError::Refused { .. } => {
            message(cx, status, "This could not be done", text, ("/", "Back to the console")).await
        }
    }
}

pub async fn not_found(cx: &RequestContext) -> Response {
    let text = "There is nothing at this address, or it is not yours to see.";
    message(cx, StatusCode::NOT_FOUND, "Not found", text, ("/", "Back to the console")).await
}
