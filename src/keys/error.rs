//! Why a key could not be made or changed.

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The same form made a key before.
    #[error("this form has already created the key “{name}” ({hint})")]
    AlreadyIssued { name: String, hint: String },
    /// Absent, or another organization's: one answer.
    #[error("there is no such key")]
    NotFound,
    #[error(transparent)]
    Randomness(#[from] crate::secrets::NoRandomness),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
