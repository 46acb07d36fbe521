//! `/gate/onboard`: a tenant's first key, its replacement, and where its keys may go.

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
    ids::KeyId,
    keys::{
        error::KeyError,
        lifecycle::{self, CreateKeyInput, NewKey, Rotation},
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
    let (mut m, org) = operator.begin_in(caller, &first.tenant_id).await?;
    let (environment, tier) = catalog.defaults();
    let input = CreateKeyInput {
        name: first.name.unwrap_or_else(|| "First key".to_owned()),
        environment: first.environment.unwrap_or(environment),
        tier: first.tier.unwrap_or(tier),
        scopes: first.scopes,
        namespaces: first.namespaces.clone(),
        expires: "never".to_owned(),
        // No key of the tenant's works, so a namesake that is disabled is no reason against it.
        allow_duplicate_name: true,
        ..CreateKeyInput::default()
    };
    let new = NewKey::parse(input, catalog).map_err(KeyError::Fields)?;
    let now = m.now();
    // Of two who ask at once, one is first.
    orgs::store::lock(&mut m, org.id).await?;
    if !store::list_active(&mut m, org.id, now).await?.is_empty() {
        return Err(OperatorError::HasKeys);
    }
    let (may_add, may_issue) = (m.permit()?, m.permit()?);
    for namespace in &first.namespaces {
        lifecycle::add_namespace(&mut m, &may_add, namespace, catalog).await?;
    }
    let issued = lifecycle::issue(&mut m, &may_issue, &new).await?;
    m.commit().await?;
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
    let (mut m, org) = operator.begin_in(caller, &asked.tenant_id).await?;
    let (permit, now) = (m.permit()?, m.now());
    let id = match asked.key_id {
        Some(id) => id,
        None => only(store::list_active(&mut m, org.id, now).await?)?,
    };
    let rotation = Rotation { overlap: OverlapWindow::Now, reason: Reason::Superseded, idempotency_key: None };
    let rotated = lifecycle::rotate(&mut m, &permit, id, &rotation, &operator.catalog).await?;
    m.commit_everywhere().await?;
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
    let (mut m, org) = operator.begin_in(caller, &new.tenant_id).await?;
    let permit = m.permit()?;
    let namespaces = lifecycle::add_namespace(&mut m, &permit, &new.namespace, &operator.catalog).await?;
    m.commit_everywhere().await?;
    Ok(Json(Namespaces { tenant_id: org.slug, namespaces }))
}
