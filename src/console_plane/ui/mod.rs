//! Pieces of page that more than one feature draws. Islands, and what is drawn in them, compile for both halves; the rest
//! is the server's only, and costs the browser nothing.

pub mod copy;
pub mod dialog;
pub mod issued;
pub mod live;
pub mod note;
pub mod revoke;

#[cfg(feature = "ssr")]
mod facts;
#[cfg(feature = "ssr")]
mod field;
#[cfg(feature = "ssr")]
mod message;
#[cfg(feature = "ssr")]
mod page_parts;
#[cfg(feature = "ssr")]
mod revoke_form;

#[cfg(feature = "ssr")]
pub use facts::{EndNote, LastUsed, Moment, ScopeTags, StatusBadge, fact};
#[cfg(feature = "ssr")]
pub use field::{Choice, LinesField, SelectField, TextField, field_note, form_problem};
#[cfg(feature = "ssr")]
pub use message::{MessagePage, ResendPage};
#[cfg(feature = "ssr")]
pub use page_parts::{Empty, Notice, NoticeLine, PageHead};
#[cfg(feature = "ssr")]
pub use revoke_form::{RevokeButton, RevokeDialog, hidden, target_of};
