//! How an error of the domain is told to a person, by its kind and in its own words, and with which status.

use http::StatusCode;

use super::error::{ConsoleError, FieldError};
use crate::{
    error_kind::{DomainError, ErrorKind},
    mutation::CommitError,
    revocation::Receipt,
};

impl<E: DomainError> From<E> for ConsoleError {
    fn from(error: E) -> Self {
        let message = error.sentence();
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound { message },
            ErrorKind::Conflict => Self::Conflict { message },
            ErrorKind::Forbidden => Self::Forbidden { message },
            ErrorKind::Invalid(fields) => Self::Fields {
                fields: fields
                    .iter()
                    .map(|(field, message)| FieldError { field: (*field).to_owned(), message: message.clone() })
                    .collect(),
            },
            ErrorKind::Unknown => {
                tracing::error!(%error, "a change may have been made, or not");
                Self::UnknownOutcome { message }
            }
            ErrorKind::Unavailable | ErrorKind::Unconfirmed => {
                tracing::error!(%error, "a request of the console failed");
                Self::Unavailable
            }
        }
    }
}

/// What is said of a change that was committed: where it holds, if it was waited for. Where that could not be seen, the
/// change is made all the same, and that is said rather than that it failed.
pub fn receipt(committed: Result<Option<Receipt>, CommitError>) -> Result<Option<String>, ConsoleError> {
    match committed {
        Ok(receipt) => Ok(receipt.map(|receipt| receipt.to_string())),
        Err(CommitError::Unconfirmed(error)) => {
            tracing::error!(%error, "a change could not be seen to hold everywhere");
            let text = "It is recorded, but the server could not see whether every node knows yet. Do it once more to be sure.";
            Ok(Some(text.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

impl ConsoleError {
    pub fn status_code(&self) -> StatusCode {
        match self {
            Self::Fields { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::SignedOut | Self::Refused { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Unavailable | Self::UnknownOutcome { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
