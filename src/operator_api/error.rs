//! What the operator API could not do, and how it says so.

use std::sync::Arc;

use axum::{
    extract::rejection::JsonRejection,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::{
    keys::{error::KeyError, store::ActiveKey},
    machine_http::Problem,
    mutation::{CommitError, MAY_BE_RECORDED},
    orgs::{Denied, lifecycle::OrgError},
};

#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("{0}")]
    Body(JsonRejection, &'static str),
    #[error("the body is too large")]
    TooLarge,
    /// A query that is not understood: what to send instead.
    #[error("{0}")]
    Query(&'static str),
    #[error("There is no tenant {0:?}.")]
    NoTenant(String),
    /// `first-key`, but there are keys.
    #[error("The tenant has a live key already. Rotate it, or create another in the console.")]
    HasKeys,
    /// `rotate-key`, but there is none.
    #[error("The tenant has no live key. Create one with /gate/onboard/first-key.")]
    NoKeys,
    /// `rotate-key`, but which?
    #[error("The tenant has several live keys. Name one of them as \"key_id\".")]
    SeveralKeys(Vec<ActiveKey>),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Org(#[from] OrgError),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl OperatorError {
    pub fn problem(&self, id: Uuid) -> Problem {
        let problem = |status, kind| Problem::new(status, kind, sentence(&self.to_string()), id);
        match self {
            Self::Body(rejection, shape) => Problem::bad_body(rejection, shape, id),
            Self::TooLarge => Problem::too_large(id),
            Self::Query(_) => problem(StatusCode::BAD_REQUEST, "bad-request"),
            Self::NoTenant(_) | Self::Org(OrgError::NoOrg) => problem(StatusCode::NOT_FOUND, "no-such-tenant"),
            Self::Key(KeyError::NotFound) => problem(StatusCode::NOT_FOUND, "no-such-key"),
            Self::Key(KeyError::Fields(fields)) => {
                let fields = fields.iter().map(|(field, message)| json!({ "field": field, "message": message }));
                problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid").with("errors", fields.collect())
            }
            Self::SeveralKeys(keys) => {
                let keys = keys.iter().map(|key| json!({ "key_id": key.id, "name": key.name, "hint": key.hint }));
                problem(StatusCode::CONFLICT, "several-keys").with("keys", keys.collect())
            }
            Self::Denied(_) => problem(StatusCode::FORBIDDEN, "forbidden"),
            Self::Commit(CommitError::Unconfirmed(error)) => {
                tracing::error!(%error, "a change could not be confirmed");
                let detail = "It is recorded, but whether every node knows could not be seen. Ask for it again.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unconfirmed", detail, id)
            }
            Self::Commit(CommitError::Unknown(error)) => {
                tracing::error!(%error, "a change may have been made, or not");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unknown-outcome", MAY_BE_RECORDED, id)
            }
            Self::Commit(CommitError::NotDone(error))
            | Self::Database(error)
            | Self::Key(KeyError::Database(error))
            | Self::Org(OrgError::Database(error)) => {
                tracing::error!(%error, "the operator API could not ask the database");
                let detail = "Keydesk could not reach its database. Look before you try again.";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail, id)
            }
            Self::HasKeys | Self::NoKeys | Self::Key(_) | Self::Org(_) => problem(StatusCode::CONFLICT, "conflict"),
        }
    }
}

/// An error's words as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let begin = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{begin}{}{end}", letters.as_str())
}

impl IntoResponse for OperatorError {
    /// The door turns it into a problem document.
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
