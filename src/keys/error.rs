//! Why a key could not be made or changed.

use crate::{
    error_kind::{DomainError, ErrorKind},
    keys::callers::KeyCaller,
};

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The same form made a key before.
    #[error(
        "this form has already created the key “{name}” ({hint}), whose secret is not shown again: if it is lost, revoke the \
         key and create another"
    )]
    AlreadyIssued { name: String, hint: String },
    #[error("there is a key of this name already, {hint}: choose another name, or set allow_duplicate_name")]
    DuplicateName { hint: String },
    #[error("{}", still_in_use(.callers.len()))]
    StillInUse { callers: Vec<KeyCaller> },
    /// Absent, or another organization's: one answer.
    #[error("there is no such key")]
    NotFound,
    /// Which field, and what to do.
    #[error("{}", .0.iter().map(|(field, message)| format!("{field}: {message}")).collect::<Vec<_>>().join(" "))]
    Fields(Vec<(&'static str, String)>),
    /// Since whoever asks for a change looked at it.
    #[error("somebody else has changed the key meanwhile: look at it as it is now, then change it")]
    ChangedMeanwhile,
    #[error("the key is revoked, which is for good: create a new one")]
    Revoked,
    #[error("the key has been replaced by another, and its time is over")]
    Replaced,
    #[error("the key has expired: create a new one")]
    Expired,
    #[error("the key is disabled: enable it first")]
    Disabled,
    #[error("the key has been rotated already: its successor is {hint}")]
    HasSuccessor { hint: String },
    #[error("the key that this one replaced still works: end it first, or wait until its time is over")]
    PredecessorLives,
    #[error("the key's environment or tier is not in the catalog any more: create a new key")]
    NotInCatalog,
    #[error("the key has not been replaced: rotate it first")]
    NotReplaced,
    #[error("the replaced key was given more time once already")]
    Extended,
    #[error("the replaced key ends with its own expiry, which more time does not move")]
    EndsByItself,
    #[error(transparent)]
    Randomness(#[from] crate::secrets::NoRandomness),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn still_in_use(callers: usize) -> String {
    let (callers, are) =
        if callers == 1 { ("1 caller".to_owned(), "is") } else { (format!("{callers} callers"), "are") };
    format!("{callers} {are} still on the old key: wait until they have changed over, or end it with force")
}

impl DomainError for KeyError {
    fn kind(&self) -> ErrorKind<'_> {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::Fields(fields) => ErrorKind::Invalid(fields),
            Self::AlreadyIssued { .. }
            | Self::DuplicateName { .. }
            | Self::StillInUse { .. }
            | Self::ChangedMeanwhile
            | Self::Revoked
            | Self::Replaced
            | Self::Expired
            | Self::Disabled
            | Self::HasSuccessor { .. }
            | Self::PredecessorLives
            | Self::NotInCatalog
            | Self::NotReplaced
            | Self::Extended
            | Self::EndsByItself => ErrorKind::Conflict,
            Self::Randomness(_) | Self::Database(_) => ErrorKind::Unavailable,
        }
    }
}
