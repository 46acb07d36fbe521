//! The headers of every answer on the console's listener: pages, forms and the management API.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use uuid::Uuid;

use crate::config::Origin;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sets the headers. A page sets its own content security policy, which holds its nonce, and a file with a hash in its
/// name may be cached, so these two headers are set only if they are missing.
pub fn set(headers: &mut HeaderMap, id: Uuid, origin: &Origin) {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(X_REQUEST_ID, value);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if origin.is_https() {
        let one_year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, one_year);
    }
}
