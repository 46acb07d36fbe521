//! What surrounds the handlers of every plane: a request gets its id and a deadline, and an answer its headers and its log
//! line. Problems are written here, as only here the id is known.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use metrics::Histogram;
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use uuid::Uuid;

use crate::{
    config::Origin,
    machine_http::{self, Problem},
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id that an answer carries and that the log knows it by. It is in the audit log too, so that a client cannot choose it.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

/// An id as a header's value.
pub fn id_value(id: Uuid) -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    // Hexadecimal digits and hyphens.
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer)).unwrap_or(HeaderValue::from_static(""))
}

/// What a plane's answers have in common.
pub struct Answers {
    pub plane: &'static str,
    /// No answer takes longer.
    pub timeout: Duration,
    /// What an answer carries that does not say otherwise: pages bring a policy of their own, and hashed files may be kept.
    pub headers: Headers,
    /// Words an error that no handler has worded: a time-out, a panic, or a path or a method that is not served.
    pub word_error: fn(&mut Response, Uuid),
    /// Where it is recorded how long answers at a path take.
    pub histogram: fn(&str) -> Option<&'static Histogram>,
    /// Whether each answer leaves a log line; otherwise at the level `debug` only. For the key plane a line for each call
    /// would cost more than the call: refusals are kept by request id, and all are counted.
    pub logged: bool,
}

pub type Headers = Arc<[(HeaderName, HeaderValue)]>;

const FOR_ALL: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// The headers of a listener that programs alone call.
pub fn for_programs() -> Headers {
    FOR_ALL.map(|(name, value)| (name, HeaderValue::from_static(value))).into()
}

/// The headers of the console's listener, whoever calls.
pub fn for_browsers(origin: &Origin) -> Headers {
    let same_origin = [
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let https = (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
    let headers = FOR_ALL.into_iter().chain(same_origin).chain(origin.is_https().then_some(https));
    headers.map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// Surrounds the routes that are there by now.
pub fn finish(router: Router, answers: Answers) -> Router {
    // As one: each layer of a router's own costs every call allocations.
    let layers = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, answers.timeout))
        .layer(CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        .layer(DefaultBodyLimit::max(machine_http::MAX_BODY as usize));
    router.layer(
        ServiceBuilder::new().layer(middleware::from_fn_with_state(Arc::new(answers), finish_response)).layer(layers),
    )
}

async fn finish_response(State(answers): State<Arc<Answers>>, mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    request.extensions_mut().insert(RequestId(id));
    let method = request.method().clone();
    // The path only: a query may hold a set-up link's token, or a key that somebody wrongly put there.
    let path = request.uri().path();
    let histogram = (answers.histogram)(path);
    let path = (answers.logged || tracing::enabled!(tracing::Level::DEBUG)).then(|| path.to_owned());
    let begun = Instant::now();
    let mut response = next.run(request).await;
    let status = response.status();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.write(&mut response, id);
    } else if (status.is_client_error() || status.is_server_error())
        && !response.headers().contains_key(header::CONTENT_TYPE)
    {
        (answers.word_error)(&mut response, id);
    }
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(X_REQUEST_ID, id_value(id));
    for (name, value) in answers.headers.iter() {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    let took = begun.elapsed();
    if let Some(histogram) = histogram {
        histogram.record(took);
    }
    let (plane, path, status, ms) = (answers.plane, path.as_deref(), status.as_u16(), took.as_secs_f64() * 1e3);
    if answers.logged {
        tracing::info!(plane, %id, %method, path, status, ms, "answered");
    } else {
        tracing::debug!(plane, %id, %method, path, status, ms, "answered");
    }
    response
}
