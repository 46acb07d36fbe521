//! The routes of the provider's API, about which a proxy asks: the scopes that a route needs, and the parts of its path
//! that name the organization and the namespace.

use std::borrow::Cow;

/// One route. Of several that match a request, the first decides.
#[derive(Clone, Debug)]
pub struct Route {
    /// `*` stands for every method.
    pub(super) methods: Vec<String>,
    pub(super) pattern: Pattern,
    /// A key needs all of them.
    pub scopes: Vec<String>,
    /// The parameter of the path that names the namespace.
    pub(super) namespace: Option<String>,
    /// The parameter of the path that names the organization.
    pub(super) org: Option<String>,
}

/// A path with parameters: `/v1/get/{namespace}/{rest...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// One segment that is not empty.
    Parameter(String),
    /// All segments that are left, or none.
    Rest(String),
}

impl Pattern {
    /// Parses a path such as `/v1/get/{namespace}/{rest...}`.
    ///
    /// # Errors
    /// The end of a sentence about the path, for the catalog's author.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else { return Err("must begin with /".to_owned()) };
        let count = path.split('/').count();
        let mut names = Vec::new();
        let mut segments = Vec::new();
        for (index, part) in path.split('/').enumerate() {
            let segment = match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => {
                    let (name, rest) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
                    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                        return Err(format!("{{{name}}} must be named with a-z and _"));
                    }
                    if names.contains(&name) {
                        return Err(format!("has {{{name}}} twice"));
                    }
                    names.push(name);
                    match (rest, index + 1 == count) {
                        (true, false) => return Err("only the last segment can stand for the rest".to_owned()),
                        (true, true) => Segment::Rest(name.to_owned()),
                        (false, _) => Segment::Parameter(name.to_owned()),
                    }
                }
                None if part.is_empty() && count > 1 => return Err("has an empty segment".to_owned()),
                None if part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)) => {
                    Segment::Literal(part.to_owned())
                }
                None => return Err(format!("{part:?} must be letters, digits and - . _ ~, or {{parameter}}")),
            };
            segments.push(segment);
        }
        Ok(Self(segments))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|segment| matches!(segment, Segment::Parameter(n) | Segment::Rest(n) if n == name))
    }

    /// The values of the parameters in a path, if the path matches.
    fn bind<'a>(&'a self, path: &'a Path<'_>) -> Option<Vec<(&'a str, Cow<'a, str>)>> {
        let mut bound = Vec::new();
        let mut parts = path.0.iter();
        for segment in &self.0 {
            match segment {
                Segment::Rest(name) => {
                    let rest: Vec<&str> = parts.by_ref().map(|part| &**part).collect();
                    bound.push((name.as_str(), Cow::Owned(rest.join("/"))));
                }
                Segment::Literal(literal) if parts.next()? == literal => {}
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => {
                    let part = parts.next().filter(|part| !part.is_empty())?;
                    bound.push((name.as_str(), Cow::Borrowed(&**part)));
                }
            }
        }
        parts.next().is_none().then_some(bound)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Literal(literal) => write!(f, "/{literal}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
            Segment::Rest(name) => write!(f, "/{{{name}...}}"),
        })
    }
}

/// A request's path, in decoded segments. A path that two programs could read differently is refused, because the proxy
/// and the provider's API must see the same route. Refused are dot segments, empty segments in the middle, encoded
/// slashes and controls, backslashes, a `#` (some programs end the path there), and a semicolon (some cut a segment
/// there before they compare it, as in `/admin;x` and `/..;/`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a>(Vec<Cow<'a, str>>);

impl<'a> Path<'a> {
    /// Parses a request target, such as `/v1/get?x=1` or its absolute form (RFC 9112, section 3.2), without the query.
    /// `None`: the path is missing or ambiguous.
    pub fn parse(target: &'a str) -> Option<Self> {
        let target = match target.split_once("://") {
            // A query or fragment may follow the authority directly, and a slash in it begins no path.
            Some(("http" | "https", rest)) => rest
                .find(['/', '?', '#'])
                .and_then(|at| rest.get(at..))
                .filter(|rest| rest.starts_with('/'))
                .unwrap_or("/"),
            _ => target,
        };
        let path = target.split('?').next().unwrap_or(target).strip_prefix('/')?;
        let count = path.split('/').count();
        path.split('/')
            .enumerate()
            .map(|(index, part)| {
                // A slash at the end makes an empty last segment, which is allowed.
                let segment = decode(part)?;
                let ambiguous = segment == "."
                    || segment == ".."
                    || (segment.is_empty() && index + 1 != count)
                    || segment.contains(['/', '\\', ';'])
                    || part.contains('#')
                    || segment.contains(char::is_control);
                (!ambiguous).then_some(segment)
            })
            .collect::<Option<_>>()
            .map(Self)
    }
}

/// Percent-decodes a segment once. `None`: the encoding is broken, or the result is not UTF-8.
fn decode(part: &str) -> Option<Cow<'_, str>> {
    if part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%') {
        return Some(Cow::Borrowed(part));
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            // Browsers and proxies send paths in ASCII.
            byte if byte.is_ascii_graphic() => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The scopes, namespace and organization that a route needs a key to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs<'a> {
    pub scopes: &'a [String],
    pub namespace: Option<Cow<'a, str>>,
    pub org: Option<Cow<'a, str>>,
}

/// The needs of the first route that matches. `None`: no route matches, so the request is refused.
pub fn needs<'a>(routes: &'a [Route], method: &str, path: &'a Path<'_>) -> Option<Needs<'a>> {
    routes.iter().find_map(|route| {
        if !route.methods.iter().any(|known| known == "*" || known == method) {
            return None;
        }
        let bound = route.pattern.bind(path)?;
        let value = |name: &Option<String>| {
            let name = name.as_ref()?;
            bound.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        Some(Needs { scopes: &route.scopes, namespace: value(&route.namespace), org: value(&route.org) })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(methods: &[&str], path: &str, scope: &str) -> Route {
        Route {
            methods: methods.iter().map(|m| (*m).to_owned()).collect(),
            pattern: Pattern::parse(path).unwrap(),
            scopes: vec![scope.to_owned()],
            namespace: path.contains("{ns}").then(|| "ns".to_owned()),
            org: path.contains("{tenant}").then(|| "tenant".to_owned()),
        }
    }

    #[test]
    fn the_first_route_that_matches_counts() {
        let routes = [
            route(&["POST"], "/v1/receipts", "receipts:write"),
            route(&["GET"], "/v1/get/{ns}/{key}", "get"),
            route(&["*"], "/v1/approvals/{rest...}", "approvals"),
            route(&["GET"], "/t/{tenant}/x", "tenant"),
            route(&["GET"], "/", "root"),
        ];
        let ask = |method: &str, target: &str| {
            let path = Path::parse(target)?;
            needs(&routes, method, &path)
                .map(|n| (n.scopes[0].clone(), n.namespace.map(Cow::into_owned), n.org.map(Cow::into_owned)))
        };
        let just = |scope: &str| Some((scope.to_owned(), None, None));
        assert_eq!(ask("POST", "/v1/receipts"), just("receipts:write"));
        assert_eq!(ask("POST", "/v1/receipts?x=/v1/approvals"), just("receipts:write"));
        assert_eq!(ask("POST", "https://api.example/v1/receipts"), just("receipts:write"));
        assert_eq!(ask("GET", "/v1/get/staging/a%20b"), Some(("get".into(), Some("staging".into()), None)));
        assert_eq!(ask("PATCH", "/v1/approvals"), just("approvals"));
        assert_eq!(ask("PATCH", "/v1/approvals/"), just("approvals"));
        assert_eq!(ask("PATCH", "/v1/approvals/7/votes"), just("approvals"));
        assert_eq!(ask("GET", "/t/acme/x"), Some(("tenant".into(), None, Some("acme".into()))));
        assert_eq!(ask("GET", "/"), just("root"));
        for (method, target) in [
            ("GET", "/v1/receipts"),
            ("post", "/v1/receipts"),
            ("POST", "/v1/receipts/"),
            ("POST", "/V1/receipts"),
            ("GET", "/v1/get/staging"),
            ("GET", "/v1/get//key"),
            ("GET", "/v1/get/a/b/c"),
            ("GET", "/v1/approvalsx"),
            ("GET", "/nothing"),
        ] {
            assert_eq!(ask(method, target), None, "{method} {target}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_two_ways_is_none() {
        for target in [
            "",
            "v1",
            "*",
            "/v1/../admin",
            "/v1/%2e%2e/admin",
            "/v1/./x",
            "/v1//x",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/v1/receipts#/../admin",
            "/a;x/b",
            "/..;/a",
            "/a%3bx",
            "/a%00b",
            "/a%0ab",
            "/a%zz",
            "/a%f",
            "/a%",
            "/a%ff",
            "/a b",
            "/ä",
            "ftp://x/y",
            "//evil/x",
        ] {
            assert_eq!(Path::parse(target), None, "{target}");
        }
        // The query is not part of the path, and an encoded # is an ordinary character.
        assert_eq!(Path::parse("/a?x=;#/../b"), Path::parse("/a"));
        assert_eq!(Path::parse("/a%23b"), Some(Path(vec!["a#b".into()])));
        // These have an empty path.
        assert_eq!(Path::parse("http://x?/v1/receipts"), Path::parse("/"));
        assert_eq!(Path::parse("http://x#/v1/receipts"), Path::parse("/"));
        // It is decoded once, not twice.
        assert_eq!(Path::parse("/a%252fb"), Some(Path(vec!["a%2fb".into()])));
    }

    #[test]
    fn patterns_that_make_no_sense_are_refused() {
        for bad in ["", "v1", "/a//b", "/{rest...}/x", "/{A}", "/{}", "/{a}/{a}", "/a{b}", "/a b", "/ä", "/a/"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        for good in ["/", "/{rest...}", "/v1/{a}/{b...}", "/a.b/c-d/~e_f"] {
            assert!(Pattern::parse(good).is_ok(), "{good}");
        }
    }

    proptest! {
        #[test]
        fn no_target_and_no_pattern_makes_it_panic(target in "\\PC{0,60}", pattern in "/\\PC{0,40}") {
            let path = Path::parse(&target);
            if let (Some(path), Ok(pattern)) = (path, Pattern::parse(&pattern)) {
                let _ = pattern.bind(&path);
            }
        }

        #[test]
        fn a_parameter_never_holds_a_slash_or_a_control(target in "/[a-z/.%0-9A-F]{0,40}") {
            let pattern = Pattern::parse("/{a}").unwrap();
            if let Some(path) = Path::parse(&target) {
                for (_, value) in pattern.bind(&path).unwrap_or_default() {
                    prop_assert!(!value.contains(['/', '\\']) && !value.contains(char::is_control));
                }
            }
        }
    }
}
