//! The console's door: who comes in, with which session, and what they may do. Nothing behind it asks again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{StatusCode, request::Parts};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use sqlx::PgPool;
use tower_sessions::Session;
use uuid::Uuid;

use super::{
    appearance::Appearance,
    assets::Site,
    error::{ConsoleError, FieldError},
    model::{Change, FoundKey, IssuedAccessToken, IssuedKey, IssuedWebhookSecret},
    sessions::{ENTRY, SignedIn},
};
use crate::{
    accounts::password::Hasher,
    actor::{Actor, Principal, Role},
    catalog::Catalog,
    client::{self, TrustedProxies},
    clock::Clock,
    config::Origin,
    database::{self, RlsScope},
    error_kind::{DomainError, ErrorKind},
    ids::{Scope, UserId},
    mutation::{CommitError, Mutation},
    orgs::{
        Permit,
        permit::Act,
        standing::{Standing, standing},
        store::Org,
    },
    response_headers::RequestId,
    revocation::Receipt,
    server_keys::ServerKeys,
};

/// What the console works with.
pub struct Console {
    /// As `keydesk_console`.
    pub db: PgPool,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub hasher: Hasher,
    pub origin: Origin,
    /// Where programs reach the key plane, for ready-made commands: `http://127.0.0.1:3001`.
    pub keys_url: String,
    pub proxies: Arc<TrustedProxies>,
    pub site: Site,
}

/// What is said of a change that was committed: where it holds, if it was waited for. Where that could not be seen, the
/// change is made all the same, and that is said rather than that it failed.
pub fn receipt(committed: Result<Option<Receipt>, CommitError>) -> Result<Option<String>, ConsoleError> {
    match committed {
        Ok(receipt) => Ok(receipt.map(|receipt| receipt.to_string())),
        Err(CommitError::Unconfirmed(error)) => {
            tracing::error!(%error, "a change could not be seen to hold everywhere");
            let text = "It is recorded, but the server could not see whether every node knows yet. Do it once more to be sure.";
            Ok(Some(text.to_owned()))
        }
        Err(CommitError::NotDone(error)) => Err(error.into()),
    }
}

/// What a server function did, for an answer that is a page: the browser sent a form by itself, without JavaScript.
#[derive(Clone)]
pub enum Done {
    /// Nothing to show here: go to this path.
    Go(String),
    Key(IssuedKey),
    WebhookSecret(IssuedWebhookSecret),
    AccessToken(IssuedAccessToken),
    Changed(Change),
    Found(Found),
}

/// A path of ours to go to next.
#[derive(Clone)]
pub struct GoTo(pub String);

/// What the support desk found.
#[derive(Clone)]
pub struct Found {
    /// What was asked, as it may be shown again.
    pub query: String,
    pub keys: Vec<FoundKey>,
    /// A whole key was pasted where a hint was asked for.
    pub pasted: bool,
}

impl From<GoTo> for Done {
    fn from(go: GoTo) -> Self {
        Self::Go(go.0)
    }
}
impl From<IssuedKey> for Done {
    fn from(key: IssuedKey) -> Self {
        Self::Key(key)
    }
}
impl From<IssuedWebhookSecret> for Done {
    fn from(secret: IssuedWebhookSecret) -> Self {
        Self::WebhookSecret(secret)
    }
}
impl From<IssuedAccessToken> for Done {
    fn from(token: IssuedAccessToken) -> Self {
        Self::AccessToken(token)
    }
}
impl From<Change> for Done {
    fn from(change: Change) -> Self {
        Self::Changed(change)
    }
}
impl From<Found> for Done {
    fn from(found: Found) -> Self {
        Self::Found(found)
    }
}

/// Where a server function leaves its result for the request it runs in.
pub type Slot = Arc<Mutex<Option<Result<Done, ConsoleError>>>>;

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
    pub slot: Slot,
}

impl FromRequestParts<Arc<Console>> for RequestContext {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, console: &Arc<Console>) -> Result<Self, Self::Rejection> {
        // All three are put there by the layers around the router; a request without them is a mistake of ours.
        let missing = StatusCode::INTERNAL_SERVER_ERROR;
        let RequestId(request_id) = *parts.extensions.get().ok_or(missing)?;
        let ConnectInfo(peer) = *parts.extensions.get::<ConnectInfo<SocketAddr>>().ok_or(missing)?;
        let session = parts.extensions.get::<Session>().cloned().ok_or(missing)?;
        Ok(Self {
            console: Arc::clone(console),
            request_id,
            address: console.proxies.resolve(peer, &parts.headers).nearest(),
            agent: client::clean_agent(client::agent(&parts.headers)),
            look: Appearance::of(&parts.headers),
            session,
            slot: Slot::default(),
        })
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

/// Let in, with the permit to do `A`.
pub struct Authorized<A: Act> {
    pub cx: RequestContext,
    pub who: CurrentUser,
    pub permit: Permit<A>,
}

impl RequestContext {
    /// What the session knows, if there is one.
    async fn signed_in(&self) -> Result<Option<SignedIn>, ConsoleError> {
        self.session.get(ENTRY).await.map_err(|error| {
            tracing::error!(%error, "a session could not be read");
            ConsoleError::Unavailable
        })
    }

    /// Who is signed in, if anybody is. Reads rights anew at every request, so that a change of them holds at once.
    pub async fn who(&self) -> Result<Option<CurrentUser>, ConsoleError> {
        let Some(entry) = self.signed_in().await? else { return Ok(None) };
        let user = UserId(entry.user);
        let mut tx = database::read(&self.console.db, RlsScope::Person(user)).await?;
        let standing = standing(&mut tx, user).await?;
        Ok(standing.map(|standing| self.current_user(&entry, standing)))
    }

    fn current_user(&self, entry: &SignedIn, Standing { person, org, role, principal }: Standing) -> CurrentUser {
        CurrentUser {
            actor: self.actor(principal),
            user: UserId(entry.user),
            email: person.email,
            name: person.name,
            session_id: entry.session,
            org,
            role,
        }
    }

    /// Begins a change by whoever is signed in, where they belong.
    pub async fn begin_own(&self) -> Result<(Mutation, CurrentUser), ConsoleError> {
        let entry = self.signed_in().await?.ok_or(ConsoleError::SignedOut)?;
        let (console, user) = (&self.console, UserId(entry.user));
        let actor = |principal| self.actor(principal);
        let begun = Mutation::begin_as(&console.db, &console.server_keys.audit, user, actor, console.clock.now());
        let (m, standing) = begun.await?.ok_or(ConsoleError::SignedOut)?;
        Ok((m, self.current_user(&entry, standing)))
    }

    /// Begins a change by whoever is signed in, if they may do `A` where they belong. A refusal is in the audit log.
    pub async fn begin<A: Act>(&self) -> Result<(Mutation, Permit<A>), ConsoleError> {
        let (m, _) = self.begin_own().await?;
        Ok(m.authorize().await??)
    }

    /// Begins a change by somebody who needs no session.
    pub async fn begin_as(&self, principal: Principal, rls: RlsScope) -> Result<Mutation, ConsoleError> {
        let console = &self.console;
        let (audit_key, now) = (&console.server_keys.audit, console.clock.now());
        Ok(Mutation::begin(&console.db, audit_key, rls, self.actor(principal), now).await?)
    }

    pub fn actor(&self, principal: Principal) -> Actor {
        Actor { principal, address: self.address.to_string(), agent: self.agent.clone(), request_id: self.request_id }
    }

    /// Begins a session for whoever has just proved who they are: a new id, and the old one is dead.
    pub async fn begin_session(&self, user: UserId) -> Result<(), ConsoleError> {
        let entry =
            SignedIn { user: user.0, session: Uuid::nil(), agent: self.agent.clone(), address: Some(self.address) };
        let begun = async {
            self.session.cycle_id().await?;
            self.session.insert(ENTRY, entry).await?;
            self.session.save().await
        };
        begun.await.map_err(|error| {
            tracing::error!(%error, "a session could not be begun");
            ConsoleError::Unavailable
        })
    }

    /// Ends this session, here and in the database.
    pub async fn end_session(&self) -> Result<(), ConsoleError> {
        self.session.flush().await.map_err(|error| {
            tracing::error!(%error, "a session could not be ended");
            ConsoleError::Unavailable
        })
    }

    /// Lets in whoever is signed in and may do `A` in their own organization, or, for staff, in the deployment. A refusal
    /// is in the audit log.
    pub async fn enter<A: Act>(self) -> Result<Authorized<A>, ConsoleError> {
        let who = self.who().await?.ok_or(ConsoleError::SignedOut)?;
        match Permit::grant(&who.actor, who.scope()) {
            Ok(permit) => Ok(Authorized { cx: self, who, permit }),
            Err(denied) => {
                self.begin::<A>().await?;
                Err(denied.into())
            }
        }
    }
}

/// The request a server function runs in.
pub fn cx() -> Result<RequestContext, ConsoleError> {
    use_context::<RequestContext>().ok_or_else(|| {
        tracing::error!("a server function ran outside a request");
        ConsoleError::Unavailable
    })
}

/// Every server function answers through here: its refusal gets a status, and its result is left for a browser that wants
/// a page.
pub async fn answer<T: Clone + Into<Done>>(
    work: impl Future<Output = Result<T, ConsoleError>>,
) -> Result<T, ConsoleError> {
    let result = work.await;
    if let Err(error) = &result
        && let Some(options) = use_context::<ResponseOptions>()
    {
        options.set_status(StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    }
    if let Ok(cx) = cx() {
        *cx.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.clone().map(Into::into));
    }
    result
}

impl<E: DomainError> From<E> for ConsoleError {
    fn from(error: E) -> Self {
        let message = error.sentence();
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound { message },
            ErrorKind::Conflict => Self::Conflict { message },
            ErrorKind::Forbidden => Self::Forbidden { message },
            ErrorKind::Invalid(fields) => Self::Fields {
                fields: fields
                    .iter()
                    .map(|(field, message)| FieldError { field: (*field).to_owned(), message: message.clone() })
                    .collect(),
            },
            ErrorKind::Unavailable | ErrorKind::Unconfirmed => {
                tracing::error!(%error, "a request of the console failed");
                Self::Unavailable
            }
        }
    }
}
