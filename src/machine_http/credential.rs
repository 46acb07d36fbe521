//! The one place that takes a credential out of a request's headers. Headers only: never a query, a cookie or a body.

use http::{HeaderMap, HeaderName, header};

use crate::catalog::Headers;

pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What the headers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    None,
    One(&'a [u8]),
    /// A Bearer where only `x-api-key` counts.
    BearerDoesNotCount,
    /// One header twice, or both with different values: whoever sent this does not know which key they use.
    Ambiguous(&'static str),
}

/// How services authenticate, whatever the catalog says of customers' keys.
pub const SERVICES: Headers = Headers { bearer: true, api_key_wins: false, wrong_org_is_403: false };

/// From `x-api-key` and `Authorization: Bearer`, as the catalog lets them count. Bytes are as sent; nothing is trimmed
/// beyond what HTTP itself strips around a header's value.
pub fn from_headers(headers: &HeaderMap, rules: Headers) -> Credential<'_> {
    let api_key = match single(headers, &X_API_KEY) {
        Ok(value) => value,
        Err(Twice) => return Credential::Ambiguous("The x-api-key header was sent more than once."),
    };
    let bearer = match single(headers, &header::AUTHORIZATION) {
        Ok(value) => value.and_then(bearer_token),
        // Where it does not count, it is none of our business.
        Err(Twice) if rules.bearer => {
            return Credential::Ambiguous("The Authorization header was sent more than once.");
        }
        Err(Twice) => None,
    };
    match (api_key, bearer) {
        (None, None) => Credential::None,
        (None, Some(_)) if !rules.bearer => Credential::BearerDoesNotCount,
        (Some(one), None) | (None, Some(one)) => Credential::One(one),
        (Some(one), Some(_)) if !rules.bearer || rules.api_key_wins => Credential::One(one),
        (Some(a), Some(b)) if a == b => Credential::One(a),
        (Some(_), Some(_)) => {
            Credential::Ambiguous("x-api-key and Authorization hold different credentials. Send one of them.")
        }
    }
}

/// From `Authorization: Bearer` alone, whatever other headers say.
pub fn bearer(headers: &HeaderMap) -> Credential<'_> {
    match single(headers, &header::AUTHORIZATION) {
        Ok(value) => value.and_then(bearer_token).map_or(Credential::None, Credential::One),
        Err(Twice) => Credential::Ambiguous("The Authorization header was sent more than once."),
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
    use proptest::prelude::*;

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
            assert_eq!(from_headers(&map, SERVICES), Credential::One(b"k"), "{map:?}");
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
            assert_eq!(from_headers(&map, SERVICES), Credential::None, "{map:?}");
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
            assert!(matches!(from_headers(&appended(&pairs), SERVICES), Credential::Ambiguous(_)), "{pairs:?}");
        }
    }

    #[test]
    fn the_catalog_decides_which_counts_and_who_wins() {
        let both = [("x-api-key", "a"), ("authorization", "Bearer b")];
        let swapped = [("authorization", "Bearer b"), ("x-api-key", "a")];
        let wins = Headers { api_key_wins: true, ..SERVICES };
        let only = Headers { bearer: false, ..SERVICES };
        for pairs in [both, swapped] {
            assert!(matches!(from_headers(&appended(&pairs), SERVICES), Credential::Ambiguous(_)));
            assert_eq!(from_headers(&appended(&pairs), wins), Credential::One(b"a"));
            assert_eq!(from_headers(&appended(&pairs), only), Credential::One(b"a"));
        }
        let bearer = headers(&[("authorization", "Bearer b")]);
        assert_eq!(from_headers(&bearer, wins), Credential::One(b"b"));
        assert_eq!(from_headers(&bearer, only), Credential::BearerDoesNotCount);
        assert_eq!(from_headers(&headers(&[("authorization", "Basic dTpw")]), only), Credential::None);
        // Twice is twice, whoever wins.
        let twice = appended(&[("x-api-key", "a"), ("x-api-key", "a"), ("authorization", "Bearer b")]);
        assert!(matches!(from_headers(&twice, wins), Credential::Ambiguous(_)));
        let bearers = appended(&[("authorization", "Bearer a"), ("authorization", "Bearer b"), ("x-api-key", "a")]);
        assert!(matches!(from_headers(&bearers, wins), Credential::Ambiguous(_)));
        assert_eq!(from_headers(&bearers, only), Credential::One(b"a"));
    }

    #[test]
    fn where_bearer_alone_counts_nothing_else_does() {
        let one = [("authorization", "Bearer a"), ("x-api-key", "b"), ("x-api-key", "c"), ("cookie", "keydesk=d")];
        assert_eq!(bearer(&appended(&one)), Credential::One(b"a"));
        for none in [("x-api-key", "b"), ("authorization", "Basic b"), ("cookie", "Bearer b")] {
            assert_eq!(bearer(&headers(&[none])), Credential::None);
        }
        let twice = appended(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]);
        assert!(matches!(bearer(&twice), Credential::Ambiguous(_)));
    }

    proptest! {
        /// Whatever is sent, in whatever order, under whatever rules: one credential is one that was sent, whole, and two
        /// that differ are never taken for one unless the catalog says who wins.
        #[test]
        fn a_credential_is_one_that_was_sent(
            keys in proptest::collection::vec("[ -~]{0,12}", 0..3),
            authorizations in proptest::collection::vec("((B|b)earer )?[ -~]{0,12}", 0..3),
            bearer: bool,
            api_key_wins: bool,
        ) {
            let mut map = HeaderMap::new();
            keys.iter().for_each(|key| { map.append(X_API_KEY, HeaderValue::from_str(key).unwrap()); });
            authorizations.iter().for_each(|text| {
                map.append(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
            });
            let rules = Headers { bearer, api_key_wins, wrong_org_is_403: false };
            if let Credential::One(one) = from_headers(&map, rules) {
                prop_assert!(keys.len() <= 1);
                let by_key = keys.first().is_some_and(|key| key.as_bytes() == one);
                let by_bearer = authorizations.first().is_some_and(|text| text.as_bytes().get(7..) == Some(one));
                prop_assert!(by_key || (by_bearer && bearer && keys.is_empty()));
            }
        }
    }
}
