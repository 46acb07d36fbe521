//! What a server function answers when it does not do what it was asked: one closed list, each with its status.
//! Everything here is shown to a person, and nothing here is internal.

use leptos::{
    prelude::{FromServerFnError, ServerFnErrorErr},
    server_fn::codec::JsonEncoding,
};
use serde::{Deserialize, Serialize};

/// A message that belongs beside one field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's `name` in the form.
    pub field: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleError {
    /// 422: what was typed needs mending, field by field.
    Fields { fields: Vec<FieldError> },
    /// 401: no session, or it has ended.
    SignedOut,
    /// 401: a sign-in that did not match.
    Refused { message: String },
    /// 403: signed in, but the role does not allow this.
    Forbidden { message: String },
    /// 404: not there, or not theirs, which is the same answer.
    NotFound { message: String },
    /// 409: already done, by the same form or by somebody else.
    Conflict { message: String },
    /// 503: Keydesk could not find out; nothing was changed.
    Unavailable,
    /// 503: it may have been changed, or not.
    UnknownOutcome { message: String },
}

impl ConsoleError {
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Fields { fields: vec![FieldError { field: field.to_owned(), message: message.into() }] }
    }

    /// The message for one field of a form, if there is one.
    pub fn for_field(&self, name: &str) -> Option<String> {
        match self {
            Self::Fields { fields } => fields.iter().find(|f| f.field == name).map(|f| f.message.clone()),
            _ => None,
        }
    }

    /// The message for the form as a whole, if it is not about single fields.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Fields { .. } => None,
            Self::SignedOut => {
                Some("Your session has ended. Sign in again in another tab, then submit this once more.".to_owned())
            }
            Self::Refused { message }
            | Self::Forbidden { message }
            | Self::NotFound { message }
            | Self::Conflict { message }
            | Self::UnknownOutcome { message } => Some(message.clone()),
            Self::Unavailable => Some(
                "The server could not reach its database, or the answer got lost. Try again: what was done already is not \
                 done twice."
                    .to_owned(),
            ),
        }
    }
}

impl std::fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fields { fields } => {
                for field in fields {
                    writeln!(f, "{}: {}", field.field, field.message)?;
                }
                Ok(())
            }
            other => f.write_str(&other.message().unwrap_or_default()),
        }
    }
}

impl std::error::Error for ConsoleError {}

impl FromServerFnError for ConsoleError {
    type Encoder = JsonEncoding;

    /// What goes wrong in between: a body that does not fit the form, or no answer at all.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_) => {
                Self::Fields {
                    fields: vec![FieldError {
                        field: String::new(),
                        message: "This form is not complete. Reload the page and fill it in again.".to_owned(),
                    }],
                }
            }
            _ => Self::Unavailable,
        }
    }
}
