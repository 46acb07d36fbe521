//! What kind of error an error of the domain is, so that a plane can answer it without knowing which one it is.

use std::error::Error;

/// The ways in which something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind<'a> {
    /// It is absent, or another organization's: one answer.
    NotFound,
    /// Fields need mending: the name of each, and what to do.
    Invalid(&'a [(&'static str, String)]),
    /// It is done already, or it cannot be done any more.
    Conflict,
    /// The actor may not do this.
    Forbidden,
    /// A fault of ours, such as a database that does not answer.
    Unavailable,
    /// The change may have been made, or not.
    Unknown,
    /// The change is made, but whether it holds everywhere could not be seen.
    Unconfirmed,
}

/// An error that knows its kind, and words it for people.
pub trait DomainError: Error {
    fn kind(&self) -> ErrorKind<'_> {
        ErrorKind::Unavailable
    }

    /// The text with a capital letter and a full stop.
    fn sentence(&self) -> String {
        let text = self.to_string();
        let mut rest = text.chars();
        let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}.", rest.as_str())
    }
}

impl DomainError for sqlx::Error {}

/// An answer that could not be written.
impl DomainError for serde_json::Error {}
