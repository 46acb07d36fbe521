//! The door: an access token in `Authorization: Bearer`, and nothing else. Whose it is and what they may do is read anew for
//! each request, so that a token dies with its session, and a role that changes changes at once.

use std::{net::SocketAddr, sync::Arc};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, StatusCode, header, request::Parts};
use uuid::Uuid;

use super::{Management, problem::Problem};
use crate::{
    accounts::{self, session},
    actor::Actor,
    audit::Chain,
    client,
    database::{self, RlsScope},
    ids::UserId,
    machine_http::RequestId,
    orgs::{
        Permit,
        lifecycle::note_refusal,
        permit::Act,
        standing::{Standing, standing},
        store::Org,
    },
};

/// A member whose script calls.
pub struct Caller {
    pub actor: Actor,
    pub user: UserId,
    pub org: Org,
    /// The session that the token was minted from.
    pub session: Uuid,
}

/// Let in, with the permit to do `A`.
pub struct Authorized<A> {
    pub caller: Caller,
    pub permit: Permit<A>,
}

impl FromRequestParts<Arc<Management>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, management: &Arc<Management>) -> Result<Self, Problem> {
        // Both are put there by the layers around the router; a request without them is a mistake of ours.
        let RequestId(request_id) = *parts.extensions.get().ok_or_else(Problem::unavailable)?;
        let ConnectInfo(peer) = *parts.extensions.get::<ConnectInfo<SocketAddr>>().ok_or_else(Problem::unavailable)?;
        let token = bearer(&parts.headers)?;
        let now = management.clock.now();
        let claims = management.server_keys.tokens.read(token, &management.origin, now).map_err(|why| {
            tracing::info!(%request_id, %why, "an access token was refused");
            refused()
        })?;
        let user = claims.user();
        let (idle_since, begun_since) = session::bounds(now);
        let mut tx = database::begin(&management.db, RlsScope::Person(user)).await?;
        let lives = accounts::store::session_lives(&mut tx, user, claims.sid, idle_since, begun_since).await?;
        let standing = standing(&mut tx, user).await?;
        tx.commit().await?;
        let Some(Standing { org, principal, .. }) = standing.filter(|_| lives) else { return Err(refused()) };
        let Some(org) = org else {
            let detail =
                "The management API is for members of an organization. Support staff work at the support desk.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "not-a-member", detail));
        };
        let actor = Actor {
            principal,
            address: management.proxies.resolve(peer, &parts.headers).nearest().to_string(),
            agent: client::clean_agent(client::agent(&parts.headers)),
            request_id,
        };
        Ok(Self { actor, user, org, session: claims.sid })
    }
}

impl<A: Act> FromRequestParts<Arc<Management>> for Authorized<A> {
    type Rejection = Problem;

    /// A refusal is in the audit log.
    async fn from_request_parts(parts: &mut Parts, management: &Arc<Management>) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, management).await?;
        match Permit::grant(&caller.actor, caller.org.id) {
            Ok(permit) => Ok(Self { caller, permit }),
            Err(denied) => {
                let mut tx = database::begin(&management.db, RlsScope::Org(caller.org.id)).await?;
                let (key, now) = (&management.server_keys.audit, management.clock.now());
                note_refusal(&mut tx, key, Chain::Org(caller.org.id), &caller.actor, &denied, now).await?;
                tx.commit().await?;
                Err(denied.into())
            }
        }
    }
}

/// The token after `Bearer` (in any case, RFC 9110 §11.1) and one space.
fn bearer(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Problem::bad_request("The Authorization header was sent more than once."));
    }
    let token = value.and_then(|value| value.as_bytes().split_at_checked(7));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer ")).map(|(_, token)| token);
    token.ok_or_else(|| {
        let detail = "Send an access token as Authorization: Bearer. Create one on the console's settings page.";
        Problem::new(StatusCode::UNAUTHORIZED, "missing-token", detail)
    })
}

/// One answer, whatever is wrong with a token.
fn refused() -> Problem {
    let detail = "This is no access token, or it has ended: with its 15 minutes, or with the session it was created from. \
                  Create one on the console's settings page. API keys and service keys do not count here.";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid-token", detail)
}
