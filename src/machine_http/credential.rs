//! The one place that takes a credential out of a request's headers. Headers only: never a query, a cookie or a body.

use http::{HeaderMap, HeaderName, header};

use crate::catalog::Headers;

pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What a request presents as its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentedCredential<'a> {
    Key(&'a [u8]),
    /// Nothing that counts. The sentence says where a key belongs.
    Missing(&'static str),
}

/// One header was sent twice, or both with different values, so that the client itself does not know which key it uses.
/// The sentence says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous(pub &'static str);

/// How services authenticate, whatever the catalog says of customers' keys.
pub const SERVICES: Headers = Headers { bearer: true, api_key_wins: false, wrong_org_is_403: false };

/// Reads `x-api-key` and `Authorization: Bearer`, as the catalog lets them count. The bytes are as sent; nothing is
/// trimmed beyond what HTTP itself strips around a header's value.
pub fn from_headers(headers: &HeaderMap, rules: Headers) -> Result<PresentedCredential<'_>, Ambiguous> {
    let api_key = single(headers, &X_API_KEY, "The x-api-key header was sent more than once.")?;
    let bearer = match bearer_header(headers) {
        Ok(bearer) => bearer,
        Err(twice) if rules.bearer => return Err(twice),
        // Where a Bearer does not count, it does not matter how often it was sent.
        Err(_) => None,
    };
    Ok(match (api_key, bearer) {
        (None, None) => PresentedCredential::Missing(where_keys_belong(rules)),
        (None, Some(_)) if !rules.bearer => PresentedCredential::Missing(
            "Send your API key in the x-api-key header: Authorization: Bearer does not count here.",
        ),
        (Some(one), None) | (None, Some(one)) => PresentedCredential::Key(one),
        (Some(one), Some(_)) if !rules.bearer || rules.api_key_wins => PresentedCredential::Key(one),
        (Some(a), Some(b)) if a == b => PresentedCredential::Key(a),
        (Some(_), Some(_)) => {
            return Err(Ambiguous("x-api-key and Authorization hold different credentials. Send one of them."));
        }
    })
}

/// Reads `Authorization: Bearer` alone, as service keys are sent to the operator API.
pub fn bearer(headers: &HeaderMap) -> Result<PresentedCredential<'_>, Ambiguous> {
    let missing = PresentedCredential::Missing(WHERE_SERVICE_KEYS_BELONG);
    Ok(bearer_header(headers)?.map_or(missing, PresentedCredential::Key))
}

pub const WHERE_SERVICE_KEYS_BELONG: &str = "Send your service key as Authorization: Bearer.";

pub fn where_keys_belong(rules: Headers) -> &'static str {
    if rules.bearer {
        "Send your API key in the x-api-key header, or as Authorization: Bearer."
    } else {
        "Send your API key in the x-api-key header."
    }
}

/// A header's one value.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName, twice: &'static str) -> Result<Option<&'a [u8]>, Ambiguous> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(Ambiguous(twice)) } else { Ok(first.map(|value| value.as_bytes())) }
}

fn bearer_header(headers: &HeaderMap) -> Result<Option<&[u8]>, Ambiguous> {
    let value = single(headers, &header::AUTHORIZATION, "The Authorization header was sent more than once.")?;
    Ok(value.and_then(bearer_token))
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

    const NONE: Result<PresentedCredential<'_>, Ambiguous> =
        Ok(PresentedCredential::Missing("Send your API key in the x-api-key header, or as Authorization: Bearer."));

    fn key(one: &[u8]) -> Result<PresentedCredential<'_>, Ambiguous> {
        Ok(PresentedCredential::Key(one))
    }

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
            assert_eq!(from_headers(&map, SERVICES), key(b"k"), "{map:?}");
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
            assert_eq!(from_headers(&map, SERVICES), NONE, "{map:?}");
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
            assert!(from_headers(&appended(&pairs), SERVICES).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn the_catalog_decides_which_counts_and_who_wins() {
        let both = [("x-api-key", "a"), ("authorization", "Bearer b")];
        let swapped = [("authorization", "Bearer b"), ("x-api-key", "a")];
        let wins = Headers { api_key_wins: true, ..SERVICES };
        let only = Headers { bearer: false, ..SERVICES };
        for pairs in [both, swapped] {
            assert!(from_headers(&appended(&pairs), SERVICES).is_err());
            assert_eq!(from_headers(&appended(&pairs), wins), key(b"a"));
            assert_eq!(from_headers(&appended(&pairs), only), key(b"a"));
        }
        let bearer = headers(&[("authorization", "Bearer b")]);
        assert_eq!(from_headers(&bearer, wins), key(b"b"));
        let told = "Send your API key in the x-api-key header: Authorization: Bearer does not count here.";
        assert_eq!(from_headers(&bearer, only), Ok(PresentedCredential::Missing(told)));
        let told = "Send your API key in the x-api-key header.";
        let basic = headers(&[("authorization", "Basic dTpw")]);
        assert_eq!(from_headers(&basic, only), Ok(PresentedCredential::Missing(told)));
        // Twice is twice, whoever wins.
        let twice = appended(&[("x-api-key", "a"), ("x-api-key", "a"), ("authorization", "Bearer b")]);
        assert!(from_headers(&twice, wins).is_err());
        let bearers = appended(&[("authorization", "Bearer a"), ("authorization", "Bearer b"), ("x-api-key", "a")]);
        assert!(from_headers(&bearers, wins).is_err());
        assert_eq!(from_headers(&bearers, only), key(b"a"));
    }

    #[test]
    fn where_bearer_alone_counts_nothing_else_does() {
        let one = [("authorization", "Bearer a"), ("x-api-key", "b"), ("x-api-key", "c"), ("cookie", "keydesk=d")];
        assert_eq!(bearer(&appended(&one)), key(b"a"));
        for none in [("x-api-key", "b"), ("authorization", "Basic b"), ("cookie", "Bearer b")] {
            assert!(matches!(bearer(&headers(&[none])), Ok(PresentedCredential::Missing(_))));
        }
        let twice = appended(&[("authorization", "Bearer a"), ("authorization", "Bearer a")]);
        assert!(bearer(&twice).is_err());
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
            if let Ok(PresentedCredential::Key(one)) = from_headers(&map, rules) {
                prop_assert!(keys.len() <= 1);
                let by_key = keys.first().is_some_and(|key| key.as_bytes() == one);
                let by_bearer = authorizations.first().is_some_and(|text| text.as_bytes().get(7..) == Some(one));
                prop_assert!(by_key || (by_bearer && bearer && keys.is_empty()));
            }
        }
    }
}
