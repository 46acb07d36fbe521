//! The console's door: who comes in, with which session, and what they may do. Nothing behind it asks again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{StatusCode, request::Parts};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;
use sqlx::{PgPool, Postgres, Transaction};
use tower_sessions::Session;
use uuid::Uuid;

use super::{
    appearance::Appearance,
    assets::Site,
    error::{ConsoleError, FieldError},
    model::{Change, FoundKey, IssuedAccessToken, IssuedKey, IssuedWebhookSecret},
};
use crate::{
    accounts::{
        UserId,
        password::Hasher,
        session::{ENTRY, SignedIn},
    },
    audit::Chain,
    catalog::Catalog,
    client::{self, TrustedProxies},
    clock::Clock,
    config::Origin,
    database::{self, RlsScope},
    error_kind::{DomainError, ErrorKind},
    orgs::{
        Actor, OrgId, Permit, Principal, Role,
        lifecycle::note_refusal,
        permit::Act,
        standing::{Standing, standing},
        store::Org,
    },
    response_headers::RequestId,
    revocation::{self, Revision},
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

impl Console {
    /// Commits a change. Where it takes something away, only what holds everywhere is said to be done.
    pub async fn settle(
        &self,
        tx: Transaction<'static, Postgres>,
        narrows: bool,
        text: String,
        begun: Instant,
    ) -> Result<Change, ConsoleError> {
        let receipt = if narrows {
            let revision = revocation::commit(tx).await?;
            Some(self.receipt(revision, begun).await)
        } else {
            tx.commit().await?;
            None
        };
        Ok(Change { text, receipt })
    }

    /// Waits until a narrowing change holds everywhere, and says where and how soon. The change is made by now: where its
    /// receipt fails, that is said, and not that it failed.
    pub async fn receipt(&self, revision: Revision, begun: Instant) -> String {
        match revocation::wait(&self.db, revision, begun).await {
            Ok(receipt) => receipt.to_string(),
            Err(error) => {
                tracing::error!(%error, "a change could not be seen to hold everywhere");
                "It is recorded, but the server could not see whether every node knows yet. Do it once more to be sure."
                    .to_owned()
            }
        }
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
            agent: client::kept_agent(client::agent(&parts.headers)),
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
    /// The audit chain that what they do to their own account belongs to.
    pub fn chain(&self) -> Chain {
        self.org.as_ref().map_or(Chain::Deployment, |org| Chain::Org(org.id))
    }

    /// What a transaction about their own account may touch.
    pub fn rls_scope(&self) -> RlsScope {
        self.org.as_ref().map_or(RlsScope::Nothing, |org| RlsScope::Org(org.id))
    }

    /// The page they start on.
    pub fn home(&self) -> &'static str {
        if self.org.is_some() { "/keys" } else { "/support" }
    }
}

/// Let in, with the permit to do `A`.
pub struct Authorized<A> {
    pub cx: RequestContext,
    pub who: CurrentUser,
    pub permit: Permit<A>,
}

impl RequestContext {
    /// Who is signed in, if anybody is. Reads rights anew at every request, so that a change of them holds at once.
    pub async fn who(&self) -> Result<Option<CurrentUser>, ConsoleError> {
        let entry: Option<SignedIn> = self.session.get(ENTRY).await.map_err(|error| {
            tracing::error!(%error, "a session could not be read");
            ConsoleError::Unavailable
        })?;
        let Some(entry) = entry else { return Ok(None) };
        let user = UserId(entry.user);
        let mut tx = database::begin(&self.console.db, RlsScope::Person(user)).await?;
        let standing = standing(&mut tx, user).await?;
        tx.commit().await?;
        Ok(standing.map(|Standing { person, org, role, principal }| CurrentUser {
            actor: self.actor(principal),
            user,
            email: person.email,
            name: person.name,
            session_id: entry.session,
            org,
            role,
        }))
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
        let org = who.org.as_ref().map_or(OrgId::NONE, |org| org.id);
        match Permit::grant(&who.actor, org) {
            Ok(permit) => Ok(Authorized { cx: self, who, permit }),
            Err(denied) => {
                let mut tx = database::begin(&self.console.db, who.rls_scope()).await?;
                let (key, now) = (&self.console.server_keys.audit, self.console.clock.now());
                note_refusal(&mut tx, key, who.chain(), &who.actor, &denied, now).await?;
                tx.commit().await?;
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

/// [`RequestContext::enter`], for a server function.
pub async fn enter<A: Act>() -> Result<Authorized<A>, ConsoleError> {
    cx()?.enter().await
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
