//! Pieces of page that more than one feature draws. Those that work in the browser compile for both halves; the rest is
//! the server's only, and costs the browser nothing.

pub mod dialog;
mod form;

#[cfg(feature = "ssr")]
mod facts;
#[cfg(feature = "ssr")]
mod field;
#[cfg(feature = "ssr")]
mod form_dialog;
#[cfg(feature = "ssr")]
pub mod issued;
#[cfg(feature = "ssr")]
mod message;
#[cfg(feature = "ssr")]
mod page_parts;
#[cfg(feature = "ssr")]
mod revoke;
#[cfg(feature = "ssr")]
mod snippets;

#[cfg(feature = "ssr")]
pub use facts::{EndNote, LastUsed, Moment, ScopeTags, StatusBadge, fact};
#[cfg(feature = "ssr")]
pub use field::{FieldNote, FormProblem, LinesField, SelectField, TextField};
#[cfg(feature = "ssr")]
pub use form_dialog::FormDialog;
#[cfg(feature = "ssr")]
pub use message::{MessagePage, ResendPage};
#[cfg(feature = "ssr")]
pub use page_parts::{Empty, NoticeLine, PageHead};
#[cfg(feature = "ssr")]
pub use revoke::{RevokeButton, RevokeForm, hidden, target_of};
