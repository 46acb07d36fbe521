//! The door: an access token in `Authorization: Bearer`, and nothing else. Whose it is and what they may do is read anew for
//! each request, so that a token dies with its session, and a role that changes changes at once.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use http::{HeaderMap, StatusCode, request::Parts};
use serde::de::DeserializeOwned;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::{Management, body::Body};
use crate::{
    accounts::{self, session},
    actor::{Actor, Principal},
    client,
    database::{self, RlsScope},
    ids::{OrgId, UserId},
    machine_http::{
        Problem,
        credential::{self, Ambiguous, PresentedCredential},
    },
    mutation::Mutation,
    orgs::standing::{self, Standing, standing},
    permissions::{Permit, permit::Act},
    response_headers::RequestId,
};

/// Somebody whose token is one of ours and not over. Whether its session lives, and what they may do, is in the database.
pub struct Bearer {
    user: UserId,
    /// The session that the token was minted from.
    pub session: Uuid,
    address: String,
    agent: String,
    request_id: Uuid,
}

/// A member whose script calls.
pub struct Caller {
    pub user: UserId,
    pub org: OrgId,
}

/// Let in to read, with the permit to do `A`.
pub struct Authorized<A: Act> {
    pub tx: Transaction<'static, Postgres>,
    pub permit: Permit<A>,
}

/// Let in to change something: a change that has begun, with the permit to do `A`. `P` is what the path says.
pub struct Change<A: Act, T, P = ()> {
    pub m: Mutation,
    pub caller: Caller,
    pub permit: Permit<A>,
    pub path: P,
    pub body: Body<T>,
}

impl FromRequestParts<Arc<Management>> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, management: &Arc<Management>) -> Result<Self, Problem> {
        // Both are put there by the layers around the router; a request without them is a mistake of ours.
        let RequestId(request_id) = *parts.extensions.get().ok_or_else(Problem::internal)?;
        let ConnectInfo(peer) = *parts.extensions.get::<ConnectInfo<SocketAddr>>().ok_or_else(Problem::internal)?;
        let token = bearer(&parts.headers)?;
        let now = management.clock.now();
        let claims = management.server_keys.tokens.read(token, &management.origin, now).map_err(|why| {
            tracing::info!(%request_id, %why, "an access token was refused");
            refused()
        })?;
        Ok(Self {
            user: claims.user(),
            session: claims.sid,
            address: management.proxies.resolve(peer, &parts.headers).nearest().to_string(),
            agent: client::clean_agent(client::agent(&parts.headers)),
            request_id,
        })
    }
}

impl Bearer {
    fn actor(&self, principal: Principal) -> Actor {
        Actor { principal, address: self.address.clone(), agent: self.agent.clone(), request_id: self.request_id }
    }

    /// Who they are, if the session lives and they are a member.
    async fn caller(
        &self,
        db: &mut PgConnection,
        standing: Option<Standing>,
        management: &Management,
    ) -> Result<(Caller, Principal), Problem> {
        let (idle_since, begun_since) = session::bounds(management.clock.now());
        let lives = accounts::store::session_lives(db, self.user, self.session, idle_since, begun_since).await?;
        let Some(Standing { org, principal, .. }) = standing.filter(|_| lives) else { return Err(refused()) };
        let Some(org) = org else {
            let detail =
                "The management API is for members of an organization. Support staff work at the support desk.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "not-a-member", detail));
        };
        Ok((Caller { user: self.user, org: org.id }, principal))
    }

    /// Begins a change in their organization.
    pub async fn begin_own(&self, management: &Management) -> Result<(Mutation, Caller), Problem> {
        let (audit_key, now) = (&management.server_keys.audit, management.clock.now());
        let actor = |principal| self.actor(principal);
        let begun = standing::begin_as(&management.db, audit_key, self.user, actor, now).await?;
        let Some((mut m, standing)) = begun else { return Err(refused()) };
        let (caller, _) = self.caller(&mut m, Some(standing), management).await?;
        Ok((m, caller))
    }

    /// Begins a change in their organization, if they may do `A` there. A refusal is in the audit log.
    pub async fn begin<A: Act>(&self, management: &Management) -> Result<(Mutation, Caller, Permit<A>), Problem> {
        let (m, caller) = self.begin_own(management).await?;
        let (m, permit) = m.authorize().await??;
        Ok((m, caller, permit))
    }
}

impl<A: Act> FromRequestParts<Arc<Management>> for Authorized<A> {
    type Rejection = Problem;

    /// A refusal is in the audit log.
    async fn from_request_parts(parts: &mut Parts, management: &Arc<Management>) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, management).await?;
        let mut tx = database::read(&management.db, RlsScope::Person(bearer.user)).await?;
        let standing = standing(&mut tx, bearer.user).await?;
        let (caller, principal) = bearer.caller(&mut tx, standing, management).await?;
        match Permit::grant(&bearer.actor(principal), caller.org) {
            Ok(permit) => Ok(Self { tx, permit }),
            Err(denied) => {
                drop(tx);
                bearer.begin::<A>(management).await?;
                Err(denied.into())
            }
        }
    }
}

impl<A, T, P> FromRequest<Arc<Management>> for Change<A, T, P>
where
    A: Act,
    T: DeserializeOwned + Send,
    P: FromRequestParts<Arc<Management>> + Send,
    Problem: From<P::Rejection>,
{
    type Rejection = Problem;

    /// The body is read first, since no transaction waits for what a client sends. But what is wrong with it, or with the
    /// path, is told to those alone who may make the change.
    async fn from_request(request: Request, management: &Arc<Management>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let bearer = Bearer::from_request_parts(&mut parts, management).await?;
        let path = P::from_request_parts(&mut parts, management).await.map_err(Problem::from);
        let body = Body::from_request(Request::from_parts(parts, body), management).await;
        let (m, caller, permit) = bearer.begin(management).await?;
        Ok(Self { m, caller, permit, path: path?, body: body? })
    }
}

impl From<Infallible> for Problem {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The token in `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Result<&[u8], Problem> {
    match credential::bearer(headers) {
        Ok(PresentedCredential::Key(token)) => Ok(token),
        Ok(PresentedCredential::Missing(_)) => {
            let detail = "Send an access token as Authorization: Bearer. Create one on the console's settings page.";
            // RFC 6750 §3.1: no error code where no credential was sent.
            let challenge = "Bearer realm=\"management\"".to_owned();
            Err(Problem::new(StatusCode::UNAUTHORIZED, "missing-token", detail).challenge(challenge))
        }
        Err(Ambiguous(detail)) => Err(Problem::bad_request(detail)),
    }
}

/// One answer, whatever is wrong with a token.
fn refused() -> Problem {
    let detail = "This is no access token, or it has ended: with its 15 minutes, or with the session it was created from. \
                  Create one on the console's settings page. API keys and service keys do not count here.";
    let challenge = "Bearer realm=\"management\", error=\"invalid_token\"".to_owned();
    Problem::new(StatusCode::UNAUTHORIZED, "invalid-token", detail).challenge(challenge)
}
