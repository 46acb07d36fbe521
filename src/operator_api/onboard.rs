//! `/gate/onboard`: a tenant's first key, its replacement, and where its keys may go.

use std::time::Instant;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{
    Operator,
    door::Caller,
    error::OperatorError,
    wire::{Asked, Body},
};
use crate::{
    database::{self, RlsScope},
    ids::KeyId,
    keys::{
        error::KeyError,
        lifecycle::{self, NewKey, Rotation, Wish},
        model::{OverlapWindow, Reason},
        secret::NewSecret,
        store,
    },
    orgs,
};

/// A key, this once.
#[derive(Serialize)]
struct Shown<'a> {
    tenant_id: &'a str,
    api_key: &'a str,
}

impl<'a> Shown<'a> {
    fn new(tenant_id: &'a str, secret: &'a NewSecret) -> Json<Self> {
        Json(Self { tenant_id, api_key: secret.reveal() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstKey {
    tenant_id: String,
    name: Option<String>,
    environment: Option<String>,
    tier: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    namespaces: Vec<String>,
}

impl Asked for FirstKey {
    const SHAPE: &'static str = "Send an object with \"tenant_id\" and, if you like, \"name\", \"environment\", \"tier\", \"scopes\" and \
                                 \"namespaces\"; any other field is refused.";
}

/// `POST /gate/onboard/first-key`: a key for a tenant that has none. Its namespaces are the tenant's from now on. The
/// catalog's first environment and tier, where none is named.
pub async fn first_key(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Body(first): Body<FirstKey>,
) -> Result<Response, OperatorError> {
    let catalog = &operator.catalog;
    let org = operator.tenant(&first.tenant_id).await?;
    let (environment, tier) = catalog.defaults();
    let wish = Wish {
        name: first.name.unwrap_or_else(|| "First key".to_owned()),
        environment: first.environment.unwrap_or(environment),
        tier: first.tier.unwrap_or(tier),
        scopes: first.scopes,
        namespaces: first.namespaces.clone(),
        expires: "never".to_owned(),
        ..Wish::default()
    };
    let new = NewKey::parse(wish, catalog).map_err(KeyError::Fields)?;
    let (audit_key, now) = (&operator.server_keys.audit, operator.clock.now());
    let mut tx = database::begin(&operator.db, RlsScope::Org(org.id)).await?;
    // Of two who ask at once, one is first.
    orgs::store::lock(&mut tx, org.id).await?;
    if !store::list_active(&mut tx, org.id, now).await?.is_empty() {
        return Err(OperatorError::HasKeys);
    }
    let may_add = caller.permit(org.id)?;
    for namespace in &first.namespaces {
        lifecycle::add_namespace(&mut tx, audit_key, &may_add, namespace, catalog, now).await?;
    }
    let issued = lifecycle::issue(&mut tx, audit_key, &caller.permit(org.id)?, &new, now).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Shown::new(&org.slug, &issued.secret)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    tenant_id: String,
    key_id: Option<KeyId>,
}

impl Asked for RotateKey {
    const SHAPE: &'static str = "Send an object with \"tenant_id\" and, where the tenant has several live keys, \"key_id\"; any other field is \
                                 refused.";
}

/// `POST /gate/onboard/rotate-key`: replaces the tenant's one live key, or the one that is named. The old key is dead
/// everywhere when this is answered.
pub async fn rotate_key(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<RotateKey>,
) -> Result<Response, OperatorError> {
    let begun = Instant::now();
    let org = operator.tenant(&asked.tenant_id).await?;
    let permit = caller.permit(org.id)?;
    let (audit_key, now) = (&operator.server_keys.audit, operator.clock.now());
    let mut tx = database::begin(&operator.db, RlsScope::Org(org.id)).await?;
    let id = match asked.key_id {
        Some(id) => id,
        None => only(store::list_active(&mut tx, org.id, now).await?)?,
    };
    let rotation = Rotation { window: OverlapWindow::Now, reason: Reason::Superseded, idempotency_key: None };
    let rotated = lifecycle::rotate(&mut tx, audit_key, &permit, id, &rotation, &operator.catalog, now).await?;
    operator.settle(tx, begun).await?;
    Ok(Shown::new(&org.slug, &rotated.issued.secret).into_response())
}

fn only(mut live: Vec<store::ActiveKey>) -> Result<KeyId, OperatorError> {
    match (live.pop(), live.is_empty()) {
        (None, _) => Err(OperatorError::NoKeys),
        (Some(one), true) => Ok(one.id),
        (Some(last), false) => {
            live.push(last);
            Err(OperatorError::SeveralKeys(live))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewNamespace {
    tenant_id: String,
    namespace: String,
}

impl Asked for NewNamespace {
    const SHAPE: &'static str = "Send an object with \"tenant_id\" and \"namespace\"; any other field is refused.";
}

#[derive(Serialize)]
pub struct Namespaces {
    tenant_id: String,
    namespaces: Vec<String>,
}

/// `POST /gate/onboard/add-namespace`: every live key of the tenant may enter it, and those to come.
pub async fn add_namespace(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<NewNamespace>,
) -> Result<Json<Namespaces>, OperatorError> {
    let begun = Instant::now();
    let org = operator.tenant(&new.tenant_id).await?;
    let permit = caller.permit(org.id)?;
    let (audit_key, now) = (&operator.server_keys.audit, operator.clock.now());
    let mut tx = database::begin(&operator.db, RlsScope::Org(org.id)).await?;
    let namespaces =
        lifecycle::add_namespace(&mut tx, audit_key, &permit, &new.namespace, &operator.catalog, now).await?;
    operator.settle(tx, begun).await?;
    Ok(Json(Namespaces { tenant_id: org.slug, namespaces }))
}
