//! The one door: every request of the operator API comes through it, and every refusal leaves by it.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Extension, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Operator, error::OperatorError};
use crate::{
    actor::{Actor, Principal},
    client,
    ids::OrgId,
    machine_http::{RequestId, credential, service},
    orgs::{Permit, permit::Act},
};

/// Who was let in.
#[derive(Clone)]
pub struct Caller(Actor);

impl Caller {
    /// The permit for what the caller is about to do.
    pub fn permit<A: Act>(&self, org: OrgId) -> Result<Permit<A>, OperatorError> {
        Ok(Permit::grant(&self.0, org)?)
    }
}

/// Lets in whoever shows a service key that may operate. What a handler could not do is told here, where the request's id
/// is known.
pub async fn door(
    State(operator): State<Operator>,
    Extension(id): Extension<RequestId>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let presented = credential::bearer(headers);
    let entered = service::enter(presented, "operate", &operator.memory, &operator.db, &operator.catalog, id.0).await;
    let service = match entered {
        Ok(service) => service,
        Err(problem) => return problem.into_response(),
    };
    let actor = Actor {
        principal: Principal::Service { name: service.name.clone() },
        address: operator.proxies.resolve(peer, headers).nearest().to_string(),
        agent: client::clean_agent(client::agent(headers)),
        request_id: id.0,
    };
    request.extensions_mut().insert(Caller(actor));
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Arc<OperatorError>>() {
        Some(error) => error.problem(id.0).into_response(),
        None => response,
    }
}
