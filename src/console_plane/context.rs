//! One request: from where it comes, by what, with which session, and who is signed in.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{StatusCode, request::Parts};
use leptos::prelude::{FromServerFnError, use_context};
use tower_cookies::Cookies;
use tower_sessions::Session;
use uuid::Uuid;

use super::{
    appearance::Appearance,
    error::ConsoleError,
    sessions::{ENTRY, SignedIn},
    state::Console,
};
use crate::{
    actor::{Actor, Principal, Role},
    client,
    database::{self, RlsScope},
    ids::{Scope, UserId},
    orgs::{
        standing::{Standing, standing},
        store::Org,
    },
};

/// The id that an answer carries and the logs know it by.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

/// One request: from where, by what, with which session.
#[derive(Clone)]
pub struct RequestContext {
    pub console: Arc<Console>,
    pub request_id: Uuid,
    /// The client's address.
    pub address: IpAddr,
    pub agent: String,
    pub look: Appearance,
    pub session: Session,
    pub cookies: Cookies,
}

impl FromRequestParts<Arc<Console>> for RequestContext {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, console: &Arc<Console>) -> Result<Self, Self::Rejection> {
        // All of these are put there by the layers around the router; a request without them is a mistake of ours.
        let missing = StatusCode::INTERNAL_SERVER_ERROR;
        let RequestId(request_id) = *parts.extensions.get().ok_or(missing)?;
        let ConnectInfo(peer) = *parts.extensions.get::<ConnectInfo<SocketAddr>>().ok_or(missing)?;
        let session = parts.extensions.get::<Session>().cloned().ok_or(missing)?;
        let cookies = parts.extensions.get::<Cookies>().cloned().ok_or(missing)?;
        Ok(Self {
            console: Arc::clone(console),
            request_id,
            address: console.proxies.resolve(peer, &parts.headers).nearest(),
            agent: client::clean_agent(client::agent(&parts.headers)),
            look: Appearance::of(&cookies),
            session,
            cookies,
        })
    }
}

impl RequestContext {
    /// The request that a server function runs in.
    pub async fn current() -> Result<Self, ConsoleError> {
        let Some(console) = use_context::<Arc<Console>>() else {
            tracing::error!("a server function ran outside a request");
            return Err(ConsoleError::Unavailable);
        };
        leptos_axum::extract_with_state(&console).await.map_err(ConsoleError::from_server_fn_error)
    }

    /// What the session knows, if there is one.
    pub async fn signed_in(&self) -> Result<Option<SignedIn>, ConsoleError> {
        self.session.get(ENTRY).await.map_err(|error| {
            tracing::error!(%error, "a session could not be read");
            ConsoleError::Unavailable
        })
    }

    /// Who is signed in, if anybody is. Reads rights anew at every request, so that a change of them holds at once.
    pub async fn who(&self) -> Result<Option<CurrentUser>, ConsoleError> {
        let Some(session) = self.signed_in().await? else { return Ok(None) };
        let user = UserId(session.user);
        let mut tx = database::read(&self.console.db, RlsScope::Person(user)).await?;
        let standing = standing(&mut tx, user).await?;
        Ok(standing.map(|standing| self.current_user(&session, standing)))
    }

    pub fn current_user(&self, session: &SignedIn, standing: Standing) -> CurrentUser {
        let Standing { person, org, role, principal } = standing;
        CurrentUser {
            actor: self.actor(principal),
            user: UserId(session.user),
            email: person.email,
            name: person.name,
            session_id: session.session,
            org,
            role,
        }
    }

    pub fn actor(&self, principal: Principal) -> Actor {
        Actor { principal, address: self.address.to_string(), agent: self.agent.clone(), request_id: self.request_id }
    }
}

/// Who is signed in.
#[derive(Clone)]
pub struct CurrentUser {
    pub actor: Actor,
    pub user: UserId,
    pub email: String,
    pub name: String,
    /// The session's public id.
    pub session_id: Uuid,
    /// `None` for staff.
    pub org: Option<Org>,
    pub role: Role,
}

impl CurrentUser {
    /// Where they act.
    pub fn scope(&self) -> Scope {
        self.org.as_ref().map_or(Scope::Deployment, |org| Scope::Org(org.id))
    }

    /// The page they start on.
    pub fn home(&self) -> &'static str {
        if self.org.is_some() { "/keys" } else { "/support" }
    }
}
