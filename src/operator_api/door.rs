//! The one door: every request of the operator API comes through it.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Extension, Request, State},
    middleware::Next,
    response::Response,
};

use super::Operator;
use crate::{
    actor::{Actor, Principal},
    client,
    ids::Scope,
    machine_http::{Problem, credential, service},
    permissions::{Denied, Permit, permit::Act},
    response_headers::RequestId,
};

/// Who was let in.
#[derive(Clone)]
pub struct Caller(pub Actor);

impl Caller {
    /// The permit for what the caller is about to read.
    pub fn permit<A: Act>(&self, scope: impl Into<Scope>) -> Result<Permit<A>, Denied> {
        Permit::grant(&self.0, scope)
    }
}

/// Lets in whoever shows a service key that may operate.
pub async fn door(
    State(operator): State<Operator>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let headers = request.headers();
    let presented = credential::bearer(headers);
    let service = service::enter(presented, "operate", &operator.memory, &operator.db, &operator.catalog).await?;
    let actor = Actor {
        principal: Principal::Service { name: service.name.clone() },
        address: operator.proxies.resolve(peer, headers).nearest().to_string(),
        agent: client::clean_agent(client::agent(headers)),
        request_id: id.0,
    };
    request.extensions_mut().insert(Caller(actor));
    Ok(next.run(request).await)
}
