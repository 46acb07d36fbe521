//! What the doors for programs share, whichever plane they lead to: the credential in a request's headers, the service key
//! that it is, and problem documents.

pub mod credential;
mod object;
pub mod openapi;
mod problem;
pub mod service;
mod verdict;

use http::{HeaderMap, header};

pub use object::Object;
pub use problem::{FieldProblem, Problem, ProblemDocument, retry_after};
pub use verdict::gates_json;

/// No question comes near it.
pub const MAX_BODY: u64 = 64 * 1024;

/// Whether a body announces itself as too large; then it is not waited for.
pub fn announces_too_much(headers: &HeaderMap) -> bool {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    announced.is_some_and(|length| length > MAX_BODY)
}

/// Part of a list, of rows that were asked for one beyond the limit: the rows, and where the next part begins, if one does.
pub fn part<T>(mut rows: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let limit = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(cursor).filter(|_| more);
    (rows, next)
}
