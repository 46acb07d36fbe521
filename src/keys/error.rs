//! Why a key could not be made or changed.

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The same form made a key before.
    #[error("this form has already created the key “{name}” ({hint})")]
    AlreadyIssued { name: String, hint: String },
    /// Absent, or another organization's: one answer.
    #[error("there is no such key")]
    NotFound,
    /// Which field, and what to do.
    #[error("{}", .0.iter().map(|(field, message)| format!("{field}: {message}")).collect::<Vec<_>>().join(" "))]
    Fields(Vec<(&'static str, String)>),
    #[error("the key is revoked, which is for good: create a new one")]
    Revoked,
    #[error("the key has been replaced by another, and its time is over")]
    Replaced,
    #[error(transparent)]
    Randomness(#[from] crate::secrets::NoRandomness),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
