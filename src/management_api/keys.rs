//! API keys: the same life of a key as in the console, as JSON.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Management,
    body::{KeyPath, Listed, Nothing, Page},
    door::{Authorized, Change},
    receipts::{Confirmed, confirmed},
    refusals::Refusals,
    repeat,
};
use crate::{
    catalog::Catalog,
    error_kind::DomainError,
    ids::{KeyId, OrgId},
    keys::{
        error::KeyError,
        lifecycle::{self, CreateKeyInput, Edit, NewKey, Rotation},
        model::{KeyState, OverlapWindow, Reason},
        store,
    },
    machine_http::Problem,
    mutation::{CommitError, Mutation},
    permissions::permit::{EditKey, IssueKey, RevokeAllKeys, RevokeKey, RotateKey, ViewKeys},
    revocation::Receipt,
};

/// An API key. Its secret is told once, when it is made.
#[derive(Serialize, ToSchema)]
pub struct ApiKey {
    id: Uuid,
    name: String,
    /// All of the secret that may be shown again.
    #[schema(example = "kd_live_AbCd…WxYz")]
    hint: String,
    environment: String,
    tier: String,
    scopes: Vec<String>,
    namespaces: Vec<String>,
    /// Addresses and blocks it may be used from. Empty: from anywhere.
    ip_allowlist: Vec<String>,
    #[schema(value_type = String, example = "active")]
    status: KeyState,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Null: the operator.
    created_by: Option<String>,
    /// Null: it does not expire.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    disabled_at: Option<OffsetDateTime>,
    revoked: Option<Revoked>,
    /// The key that it replaced.
    predecessor: Option<Uuid>,
    /// The key that replaced it.
    successor: Option<Uuid>,
    /// When it ends, if it was replaced.
    #[serde(with = "time::serde::rfc3339::option")]
    overlap_ends_at: Option<OffsetDateTime>,
    /// Null: never.
    last_used: Option<LastUsed>,
}

#[derive(Serialize, ToSchema)]
pub struct Revoked {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    by: String,
    reason: String,
}

#[derive(Serialize, ToSchema)]
pub struct LastUsed {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// Null: not known.
    address: Option<String>,
    agent: String,
    /// The service that asked on the client's behalf, if one did.
    via: Option<String>,
}

impl ApiKey {
    fn of(key: store::KeyDetails, now: OffsetDateTime) -> Self {
        Self {
            status: key.state(now),
            id: key.id.0,
            name: key.name,
            hint: key.hint,
            environment: key.environment,
            tier: key.tier,
            scopes: key.scopes,
            namespaces: key.namespaces,
            ip_allowlist: key.ip_allowlist.iter().map(ToString::to_string).collect(),
            created_at: key.created_at,
            created_by: key.created_by,
            expires_at: key.expires_at,
            disabled_at: key.disabled_at,
            revoked: key.revoked.map(|revoked| Revoked { at: revoked.at, by: revoked.by, reason: revoked.reason }),
            predecessor: key.predecessor.map(|key| key.0),
            successor: key.successor.map(|key| key.0),
            overlap_ends_at: key.overlap_ends_at,
            last_used: key.last_used.map(|last| LastUsed {
                at: last.at,
                address: last.address.map(|address| address.to_string()),
                agent: last.agent,
                via: last.via,
            }),
        }
    }
}

/// A key just made. SECRET: in the answer that made it, and nowhere else.
#[derive(Serialize, ToSchema)]
pub struct NewApiKey {
    #[serde(flatten)]
    made: ApiKey,
    /// The key itself.
    key: String,
}

/// A key after a change.
#[derive(Serialize, ToSchema)]
pub struct ChangedApiKey {
    #[serde(flatten)]
    key: ApiKey,
    /// Where the change holds, how soon it did, and for whom is waited. Null for changes that take nothing away: they may take a moment.
    receipt: Option<Receipt>,
}

/// What a key is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKeyRequest {
    /// 1 to 80 visible characters.
    #[schema(min_length = 1, max_length = 80)]
    name: String,
    /// Left out: the catalog's first.
    environment: Option<String>,
    /// Left out: the catalog's first.
    tier: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    namespaces: Vec<String>,
    /// Addresses or CIDR blocks. Empty: from anywhere. It may be sent as `ip_whitelist` too.
    #[serde(default, alias = "ip_whitelist")]
    ip_allowlist: Vec<String>,
    /// Days, as in `30d`, or `never`.
    #[serde(default = "never")]
    #[schema(default = "never", pattern = "^(never|[1-9][0-9]{0,2}d|[12][0-9]{3}d)$")]
    expires: String,
    /// Otherwise a name that another key has, which is not over, is refused.
    #[serde(default)]
    allow_duplicate_name: bool,
}

fn never() -> String {
    "never".to_owned()
}

impl CreateKeyRequest {
    fn parse(&self, catalog: &Catalog) -> Result<NewKey, Problem> {
        let (environment, tier) = catalog.defaults();
        let input = CreateKeyInput {
            name: self.name.clone(),
            environment: self.environment.clone().unwrap_or(environment),
            tier: self.tier.clone().unwrap_or(tier),
            scopes: self.scopes.clone(),
            namespaces: self.namespaces.clone(),
            ip_allowlist: self.ip_allowlist.clone(),
            expires: self.expires.clone(),
            idempotency_key: None,
            allow_duplicate_name: self.allow_duplicate_name,
        };
        NewKey::parse(input, catalog).map_err(|fields| KeyError::Fields(fields).into())
    }
}

/// What is to change. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditKeyRequest {
    /// 1 to 80 visible characters.
    #[schema(min_length = 1, max_length = 80)]
    name: Option<String>,
    scopes: Option<Vec<String>>,
    namespaces: Option<Vec<String>>,
    /// It may be sent as `ip_whitelist` too.
    #[serde(alias = "ip_whitelist")]
    ip_allowlist: Option<Vec<String>>,
    /// Days from now, as in `30d`, or `never`.
    #[schema(pattern = "^(never|[1-9][0-9]{0,2}d|[12][0-9]{3}d)$")]
    expires: Option<String>,
}

/// How a key is to be replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKeyRequest {
    /// How long the old key goes on: `now` (not at all), `1h`, `24h` or `7d`.
    #[serde(default)]
    #[schema(value_type = String, default = "24h", pattern = "^(now|1h|24h|7d)$")]
    window: OverlapWindow,
    /// With `key_compromise` the old key ends at once, whatever the window.
    #[serde(default = "superseded")]
    #[schema(value_type = String, default = "superseded", pattern = "^(no_longer_needed|superseded|key_compromise|affiliation_changed|other)$")]
    reason: Reason,
}

fn superseded() -> Reason {
    Reason::Superseded
}

/// A key's successor. SECRET: in the answer that made it, and nowhere else.
#[derive(Serialize, ToSchema)]
pub struct RotatedApiKey {
    #[serde(flatten)]
    new: NewApiKey,
    /// When the old key ends.
    #[serde(with = "time::serde::rfc3339")]
    old_key_ends_at: OffsetDateTime,
    /// Where the end of the old key holds, if it has ended; null if it goes on.
    receipt: Option<Receipt>,
    /// There if the old key has ended, and Keydesk could not see whether every node knows yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// Why a key is revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeKeyRequest {
    #[serde(default)]
    #[schema(value_type = String, example = "key_compromise", default = "no_longer_needed", pattern = "^(no_longer_needed|superseded|key_compromise|affiliation_changed|other)$")]
    reason: Reason,
}

#[derive(Serialize, ToSchema)]
pub struct RevokedAll {
    /// How many that were.
    revoked: usize,
    receipt: Option<Receipt>,
}

/// List the keys, newest first
#[utoipa::path(
    get, path = "/api/v1/api-keys", tag = "API keys", operation_id = "listKeys", params(Page),
    responses((status = 200, description = "Part of the list.", body = Listed<ApiKey>), Refusals)
)]
pub async fn list(
    State(management): State<Arc<Management>>,
    Authorized { mut tx, permit }: Authorized<ViewKeys>,
    page: Page,
) -> Result<Json<Listed<ApiKey>>, Problem> {
    let before = page.after::<KeyId>()?;
    let now = management.clock.now();
    let keys = store::list_before(&mut tx, permit.org(), before, page.limit + 1).await?;
    let keys = keys.into_iter().map(|key| ApiKey::of(key, now)).collect();
    Ok(Json(Listed::page(keys, page.limit, |key| key.id.to_string())))
}

/// Create a key
#[utoipa::path(
    post, path = "/api/v1/api-keys", tag = "API keys", operation_id = "createKey",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat of this request harmless.", pattern = "^[!-~]{1,255}$")),
    request_body = CreateKeyRequest,
    responses(
        (status = 201, description = "The key, shown once.", body = NewApiKey),
        (status = 200, description = "A repeat: what was made, without its secret.", body = ApiKey),
        Refusals
    )
)]
pub async fn create(
    State(management): State<Arc<Management>>,
    Change { mut m, caller, permit, body, .. }: Change<IssueKey, CreateKeyRequest>,
) -> Result<Response, Problem> {
    let new = body.value.parse(&management.catalog)?;
    if let Some(answer) = repeat::of(&mut m, &caller, &body).await? {
        return Ok(answer);
    }
    let issued = lifecycle::issue(&mut m, &permit, &new).await?;
    let made = read(&mut m, permit.org(), issued.id).await?;
    repeat::keep(&mut m, &caller, &body, &made).await?;
    m.commit().await?;
    let place = format!("/api/v1/api-keys/{}", issued.id);
    let answer = NewApiKey { made, key: issued.secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(answer)).into_response())
}

/// Read a key
#[utoipa::path(
    get, path = "/api/v1/api-keys/{id}", tag = "API keys", operation_id = "readKey",
    params(("id" = Uuid, Path, description = "The key's id.")),
    responses((status = 200, description = "The key.", body = ApiKey), Refusals)
)]
pub async fn one(
    State(management): State<Arc<Management>>,
    Authorized { mut tx, permit }: Authorized<ViewKeys>,
    KeyPath(id): KeyPath,
) -> Result<Json<ApiKey>, Problem> {
    let key = store::find(&mut tx, permit.org(), id).await?.ok_or(KeyError::NotFound)?;
    Ok(Json(ApiKey::of(key, management.clock.now())))
}

/// Change a key: its name, scopes, namespaces, addresses or expiry
#[utoipa::path(
    patch, path = "/api/v1/api-keys/{id}", tag = "API keys", operation_id = "editKey",
    params(("id" = Uuid, Path, description = "The key's id.")), request_body = EditKeyRequest,
    responses(
        (status = 200, description = "The key as it is now.", body = ChangedApiKey),
        (status = 202, description = "Done, but not everywhere yet: the receipt says for whom is waited.", body = ChangedApiKey),
        Refusals
    )
)]
pub async fn patch(
    state: State<Arc<Management>>,
    change: Change<EditKey, EditKeyRequest, KeyPath>,
) -> Result<Confirmed<ChangedApiKey>, Problem> {
    edit(state, change).await
}

/// Change a key, as PATCH does
#[utoipa::path(
    put, path = "/api/v1/api-keys/{id}", tag = "API keys", operation_id = "putKey",
    params(("id" = Uuid, Path, description = "The key's id.")), request_body = EditKeyRequest,
    responses(
        (status = 200, description = "The key as it is now.", body = ChangedApiKey),
        (status = 202, description = "Done, but not everywhere yet: the receipt says for whom is waited.", body = ChangedApiKey),
        Refusals
    )
)]
pub async fn put(
    state: State<Arc<Management>>,
    change: Change<EditKey, EditKeyRequest, KeyPath>,
) -> Result<Confirmed<ChangedApiKey>, Problem> {
    edit(state, change).await
}

async fn edit(
    State(management): State<Arc<Management>>,
    Change { mut m, permit, path: KeyPath(id), body, .. }: Change<EditKey, EditKeyRequest, KeyPath>,
) -> Result<Confirmed<ChangedApiKey>, Problem> {
    let EditKeyRequest { name, scopes, namespaces, ip_allowlist, expires } = body.value;
    let edit = Edit { name, scopes, namespaces, ip_allowlist, expires, version: None };
    lifecycle::edit(&mut m, &permit, id, &edit, &management.catalog).await?;
    commit(m, permit.org(), id).await
}

/// Disable a key, until it is enabled again
#[utoipa::path(
    post, path = "/api/v1/api-keys/{id}/disable", tag = "API keys", operation_id = "disableKey",
    params(("id" = Uuid, Path, description = "The key's id.")),
    request_body(content = Option<Nothing>, description = "Nothing, or an empty object."),
    responses(
        (status = 200, description = "The key as it is now.", body = ChangedApiKey),
        (status = 202, description = "Done, but not everywhere yet: the receipt says for whom is waited.", body = ChangedApiKey),
        Refusals
    )
)]
pub async fn disable(
    Change { mut m, permit, path: KeyPath(id), .. }: Change<EditKey, Option<Nothing>, KeyPath>,
) -> Result<Confirmed<ChangedApiKey>, Problem> {
    lifecycle::disable(&mut m, &permit, id).await?;
    commit(m, permit.org(), id).await
}

/// Enable a key that was disabled
#[utoipa::path(
    post, path = "/api/v1/api-keys/{id}/enable", tag = "API keys", operation_id = "enableKey",
    params(("id" = Uuid, Path, description = "The key's id.")),
    request_body(content = Option<Nothing>, description = "Nothing, or an empty object."),
    responses(
        (status = 200, description = "The key as it is now.", body = ChangedApiKey),
        (status = 202, description = "Done, but not everywhere yet: the receipt says for whom is waited.", body = ChangedApiKey),
        Refusals
    )
)]
pub async fn enable(
    Change { mut m, permit, path: KeyPath(id), .. }: Change<EditKey, Option<Nothing>, KeyPath>,
) -> Result<Confirmed<ChangedApiKey>, Problem> {
    lifecycle::enable(&mut m, &permit, id).await?;
    commit(m, permit.org(), id).await
}

/// Replace a key with a successor that inherits everything
///
/// The old key goes on for the window. Where it ends at once, no node accepts it any more when this answers.
#[utoipa::path(
    post, path = "/api/v1/api-keys/{id}/rotate", tag = "API keys", operation_id = "rotateKey",
    params(
        ("id" = Uuid, Path, description = "The key's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat of this request harmless.", pattern = "^[!-~]{1,255}$")
    ),
    request_body = Option<RotateKeyRequest>,
    responses(
        (status = 201, description = "The successor, shown once.", body = RotatedApiKey),
        (status = 200, description = "A repeat: what was made, without its secret.", body = ApiKey),
        Refusals
    )
)]
pub async fn rotate(
    State(management): State<Arc<Management>>,
    change: Change<RotateKey, Option<RotateKeyRequest>, KeyPath>,
) -> Result<Response, Problem> {
    let Change { mut m, caller, permit, path: KeyPath(id), body } = change;
    let (overlap, reason) = body
        .value
        .as_ref()
        .map_or_else(|| (OverlapWindow::default(), superseded()), |request| (request.window, request.reason));
    let rotation = Rotation { overlap, reason, idempotency_key: None };
    if let Some(answer) = repeat::of(&mut m, &caller, &body).await? {
        return Ok(answer);
    }
    let rotated = lifecycle::rotate(&mut m, &permit, id, &rotation, &management.catalog).await?;
    let made = read(&mut m, permit.org(), rotated.issued.id).await?;
    repeat::keep(&mut m, &caller, &body, &made).await?;
    let (receipt, warning) = match m.commit().await {
        Ok(receipt) => (receipt, None),
        // The successor's secret has to be told, whether or not the end of the old key could be seen to hold.
        Err(error @ CommitError::Unconfirmed(_)) => (None, Some(error.sentence())),
        Err(error) => return Err(error.into()),
    };
    let answer = RotatedApiKey {
        new: NewApiKey { made, key: rotated.issued.secret.reveal().to_owned() },
        old_key_ends_at: rotated.overlap_ends_at,
        receipt,
        warning,
    };
    let place = format!("/api/v1/api-keys/{}", rotated.issued.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], Json(answer)).into_response())
}

/// Revoke a key, for good
///
/// When this answers, no node accepts the key any more. Revoking what is revoked already is fine.
#[utoipa::path(
    post, path = "/api/v1/api-keys/{id}/revoke", tag = "API keys", operation_id = "revokeKey",
    params(("id" = Uuid, Path, description = "The key's id.")), request_body = Option<RevokeKeyRequest>,
    responses(
        (status = 200, description = "The key as it is now.", body = ChangedApiKey),
        (status = 202, description = "Done, but not everywhere yet: the receipt says for whom is waited.", body = ChangedApiKey),
        Refusals
    )
)]
pub async fn revoke(
    Change { mut m, permit, path: KeyPath(id), body, .. }: Change<RevokeKey, Option<RevokeKeyRequest>, KeyPath>,
) -> Result<Confirmed<ChangedApiKey>, Problem> {
    let reason = body.value.map(|request| request.reason).unwrap_or_default();
    lifecycle::revoke(&mut m, &permit, id, reason).await?;
    commit(m, permit.org(), id).await
}

/// Revoke every key of the organization
#[utoipa::path(
    post, path = "/api/v1/api-keys/revoke-all", tag = "API keys", operation_id = "revokeAllKeys",
    request_body(content = Option<Nothing>, description = "Nothing, or an empty object."),
    responses(
        (status = 200, description = "None is left.", body = RevokedAll),
        (status = 202, description = "Done, but not everywhere yet: the receipt says for whom is waited.", body = RevokedAll),
        Refusals
    )
)]
pub async fn revoke_all(
    Change { mut m, permit, .. }: Change<RevokeAllKeys, Option<Nothing>>,
) -> Result<Confirmed<RevokedAll>, Problem> {
    let revoked = lifecycle::revoke_all(&mut m, &permit).await?;
    Ok(confirmed(m.commit().await?, |receipt| RevokedAll { revoked, receipt }))
}

async fn read(m: &mut Mutation, org: OrgId, id: KeyId) -> Result<ApiKey, Problem> {
    let key = store::find(m, org, id).await?.ok_or(KeyError::NotFound)?;
    Ok(ApiKey::of(key, m.now()))
}

/// Commits a change of a key and answers the key as it is now.
async fn commit(mut m: Mutation, org: OrgId, id: KeyId) -> Result<Confirmed<ChangedApiKey>, Problem> {
    let key = read(&mut m, org, id).await?;
    Ok(confirmed(m.commit().await?, |receipt| ChangedApiKey { key, receipt }))
}
