//! `/gate/onboard`: a tenant's first key, its replacement, and where its keys may go.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Operator,
    door::Caller,
    openapi::Refusals,
    wire::{Asked, Body},
};
use crate::{
    error_kind::DomainError,
    ids::KeyId,
    keys::{
        error::KeyError,
        lifecycle::{self, CreateKeyInput, NewKey, Rotation},
        model::{OverlapWindow, Reason},
        secret::NewSecret,
        store,
    },
    machine_http::Problem,
    orgs,
};

/// A key. SECRET: in the answer that made it, and nowhere else.
#[derive(Serialize, ToSchema)]
struct Shown<'a> {
    tenant_id: &'a str,
    api_key: &'a str,
}

impl<'a> Shown<'a> {
    fn new(tenant_id: &'a str, secret: &'a NewSecret) -> Json<Self> {
        Json(Self { tenant_id, api_key: secret.reveal() })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstKey {
    tenant_id: String,
    name: Option<String>,
    /// Left out: the catalog's first.
    environment: Option<String>,
    /// Left out: the catalog's first.
    tier: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    /// They are the tenant's from now on.
    #[serde(default)]
    namespaces: Vec<String>,
}

impl Asked for FirstKey {
    const SHAPE: &'static str = "Send an object with \"tenant_id\" and, if you like, \"name\", \"environment\", \"tier\", \"scopes\" and \
                                 \"namespaces\"; any other field is refused.";
}

/// Create the first key of a tenant that has none
#[utoipa::path(
    post, path = "/gate/onboard/first-key", tag = "Keys", operation_id = "createFirstKey", request_body = FirstKey,
    responses((status = 201, description = "The key, shown once.", body = Shown), Refusals)
)]
pub async fn first_key(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Body(first): Body<FirstKey>,
) -> Result<Response, Problem> {
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
        let detail = "The tenant has a live key already. Rotate it, or create another in the console.";
        return Err(Problem::conflict(detail));
    }
    let (may_add, may_issue) = (m.permit()?, m.permit()?);
    for namespace in &first.namespaces {
        lifecycle::add_namespace(&mut m, &may_add, namespace, catalog).await?;
    }
    let issued = lifecycle::issue(&mut m, &may_issue, &new).await?;
    m.commit().await?;
    Ok((StatusCode::CREATED, Shown::new(&org.slug, &issued.secret)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    tenant_id: String,
    /// Left out: the tenant's one live key.
    #[schema(value_type = Option<String>, format = Uuid)]
    key_id: Option<KeyId>,
}

impl Asked for RotateKey {
    const SHAPE: &'static str = "Send an object with \"tenant_id\" and, where the tenant has several live keys, \"key_id\"; any other field is \
                                 refused.";
}

/// Replace a key
///
/// The old key is dead everywhere when this is answered.
#[utoipa::path(
    post, path = "/gate/onboard/rotate-key", tag = "Keys", operation_id = "rotateKey", request_body = RotateKey,
    responses((status = 200, description = "The successor, shown once.", body = Shown), Refusals)
)]
pub async fn rotate_key(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Body(asked): Body<RotateKey>,
) -> Result<Response, Problem> {
    let (mut m, org) = operator.begin_in(caller, &asked.tenant_id).await?;
    let (permit, now) = (m.permit()?, m.now());
    let id = match asked.key_id {
        Some(id) => id,
        None => only(&store::list_active(&mut m, org.id, now).await?)?,
    };
    let rotation = Rotation { overlap: OverlapWindow::Now, reason: Reason::Superseded, idempotency_key: None };
    let rotated = lifecycle::rotate(&mut m, &permit, id, &rotation, &operator.catalog).await.map_err(no_such_key)?;
    m.commit_everywhere().await?;
    Ok(Shown::new(&org.slug, &rotated.issued.secret).into_response())
}

/// The key that is meant where none is named.
fn only(live: &[store::ActiveKey]) -> Result<KeyId, Problem> {
    match live {
        [one] => Ok(one.id),
        [] => Err(Problem::conflict("The tenant has no live key. Create one with /gate/onboard/first-key.")),
        several => {
            let keys = several.iter().map(|key| json!({ "key_id": key.id, "name": key.name, "hint": key.hint }));
            let detail = "The tenant has several live keys. Name one of them as \"key_id\".";
            Err(Problem::new(StatusCode::CONFLICT, "several-keys", detail).with("keys", keys.collect()))
        }
    }
}

fn no_such_key(error: KeyError) -> Problem {
    match error {
        KeyError::NotFound => Problem::new(StatusCode::NOT_FOUND, "no-such-key", error.sentence()),
        error => error.into(),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNamespace {
    tenant_id: String,
    namespace: String,
}

impl Asked for NewNamespace {
    const SHAPE: &'static str = "Send an object with \"tenant_id\" and \"namespace\"; any other field is refused.";
}

#[derive(Serialize, ToSchema)]
pub struct Namespaces {
    tenant_id: String,
    namespaces: Vec<String>,
}

/// Let every live key of a tenant enter a namespace, and those to come
#[utoipa::path(
    post, path = "/gate/onboard/add-namespace", tag = "Keys", operation_id = "addNamespace", request_body = NewNamespace,
    responses((status = 200, description = "The namespaces of the tenant.", body = Namespaces), Refusals)
)]
pub async fn add_namespace(
    State(operator): State<Operator>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<NewNamespace>,
) -> Result<Json<Namespaces>, Problem> {
    let (mut m, org) = operator.begin_in(caller, &new.tenant_id).await?;
    let permit = m.permit()?;
    let namespaces = lifecycle::add_namespace(&mut m, &permit, &new.namespace, &operator.catalog).await?;
    m.commit_everywhere().await?;
    Ok(Json(Namespaces { tenant_id: org.slug, namespaces }))
}
