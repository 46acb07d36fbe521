//! How requests are refused, as the document tells it.

use utoipa::IntoResponses;

use crate::machine_http::ProblemDocument;

/// How any request may be refused.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "read by the document's generator alone")]
pub enum Refusals {
    /// The request cannot be read: its body, a field, a cursor or a header is not what is described here.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(ProblemDocument<'static>),
    /// No access token, or none that is valid and whose session lives.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemDocument<'static>),
    /// The person's role does not allow this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(ProblemDocument<'static>),
    /// Not there, or not theirs, which is the same answer.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemDocument<'static>),
    /// It is so already, or cannot be any more.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemDocument<'static>),
    /// More than 64 KiB.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemDocument<'static>),
    /// The body is not sent as JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(ProblemDocument<'static>),
    /// Read, but a value is not one that can be taken, or an Idempotency-Key was used for another request.
    #[response(status = 422, content_type = "application/problem+json")]
    Unprocessable(ProblemDocument<'static>),
    /// Keydesk could not find out. Try again.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(ProblemDocument<'static>),
}
