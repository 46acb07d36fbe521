//! The one place that takes a credential out of a request's headers. Headers only: never a query, a cookie or a body.

use http::{HeaderMap, HeaderName, header};

pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What the headers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    None,
    One(&'a [u8]),
    /// One header twice, or both with different values: whoever sent this does not know which key they use.
    Ambiguous(&'static str),
}

/// From `x-api-key` and `Authorization: Bearer`, which count the same. Bytes are as sent; nothing is trimmed beyond what
/// HTTP itself strips around a header's value.
pub fn from_headers(headers: &HeaderMap) -> Credential<'_> {
    let api_key = match single(headers, &X_API_KEY) {
        Ok(value) => value,
        Err(Twice) => return Credential::Ambiguous("The x-api-key header was sent more than once."),
    };
    let bearer = match single(headers, &header::AUTHORIZATION) {
        Ok(value) => value.and_then(bearer_token),
        Err(Twice) => return Credential::Ambiguous("The Authorization header was sent more than once."),
    };
    match (api_key, bearer) {
        (None, None) => Credential::None,
        (Some(one), None) | (None, Some(one)) => Credential::One(one),
        (Some(a), Some(b)) if a == b => Credential::One(a),
        (Some(_), Some(_)) => {
            Credential::Ambiguous("x-api-key and Authorization hold different credentials. Send one of them.")
        }
    }
}

struct Twice;

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Twice> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(Twice) } else { Ok(first.map(|value| value.as_bytes())) }
}

/// The token after `Bearer` (in any case, RFC 9110 §11.1) and one space. Another scheme is no credential here.
fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn appended(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn either_header_counts_the_same() {
        for map in [
            headers(&[("x-api-key", "k")]),
            headers(&[("authorization", "Bearer k")]),
            headers(&[("authorization", "bEARER k")]),
            headers(&[("x-api-key", "k"), ("authorization", "Bearer k")]),
            headers(&[("x-api-key", "k"), ("authorization", "Basic dTpw")]),
        ] {
            assert_eq!(from_headers(&map), Credential::One(b"k"), "{map:?}");
        }
    }

    #[test]
    fn nothing_else_does() {
        for map in [
            headers(&[]),
            headers(&[("authorization", "k")]),
            headers(&[("authorization", "Basic k")]),
            headers(&[("authorization", "Bearer")]),
            headers(&[("authorization", "Bearerk")]),
            headers(&[("cookie", "x-api-key=k")]),
            headers(&[("api-key", "k")]),
        ] {
            assert_eq!(from_headers(&map), Credential::None, "{map:?}");
        }
    }

    #[test]
    fn two_that_differ_are_refused_in_any_order() {
        for pairs in [
            [("x-api-key", "a"), ("authorization", "Bearer b")],
            [("authorization", "Bearer a"), ("x-api-key", "b")],
            [("x-api-key", "a"), ("x-api-key", "a")],
            [("authorization", "Bearer a"), ("authorization", "Bearer a")],
            [("authorization", "Bearer a"), ("authorization", "Basic b")],
        ] {
            assert!(matches!(from_headers(&appended(&pairs)), Credential::Ambiguous(_)), "{pairs:?}");
        }
    }
}
