//! Parses and checks a catalog's text before the server starts. Every error names the line and the field.

use std::{collections::HashSet, ops::Range, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{
    Api, Catalog, Environment, Headers, Limit, PRESETS, Scope, Snippets, Tier,
    routes::{Pattern, Route},
};
use crate::actor::Role;

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(
        "there is no catalog {0:?}. Name one of {presets}, or the path of a TOML file, with a / or a . in it.",
        presets = PRESETS.map(|(name, _)| name).join(", ")
    )]
    NoSuchPreset(String),
    #[error("the catalog {path} could not be read: {error}")]
    File { path: String, error: std::io::Error },
    #[error("the catalog, line {line}, {field}: {problem}")]
    Wrong { line: usize, field: String, problem: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalog {
    brand: Spanned<String>,
    service_prefix: Spanned<String>,
    #[serde(default)]
    headers: RawHeaders,
    #[serde(default)]
    snippets: RawSnippets,
    #[serde(default)]
    namespaces: RawNamespaces,
    #[serde(default)]
    wildcards: bool,
    #[serde(default)]
    bound_to_creator: bool,
    audit_scope: Option<Spanned<String>>,
    roles: Option<Spanned<RawRoles>>,
    environments: Spanned<Vec<RawEnvironment>>,
    tiers: Spanned<Vec<RawTier>>,
    #[serde(default)]
    scopes: Vec<RawScope>,
    #[serde(default)]
    routes: Vec<RawRoute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHeaders {
    accept: Vec<RawHeader>,
    when_both_differ: WhenBothDiffer,
    wrong_org: Option<Spanned<u16>>,
}

impl Default for RawHeaders {
    fn default() -> Self {
        Self {
            accept: vec![RawHeader::XApiKey, RawHeader::Bearer],
            when_both_differ: WhenBothDiffer::Refuse,
            wrong_org: None,
        }
    }
}

#[derive(Deserialize, PartialEq, Eq)]
enum RawHeader {
    #[serde(rename = "x-api-key")]
    XApiKey,
    #[serde(rename = "bearer")]
    Bearer,
}

#[derive(Deserialize, PartialEq, Eq)]
enum WhenBothDiffer {
    #[serde(rename = "refuse")]
    Refuse,
    #[serde(rename = "x-api-key")]
    XApiKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoles {
    owner: Option<Vec<Spanned<String>>>,
    admin: Option<Vec<Spanned<String>>>,
    developer: Option<Vec<Spanned<String>>>,
    viewer: Option<Vec<Spanned<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSnippets {
    env_prefix: Option<Spanned<String>>,
    header: Option<Spanned<String>>,
    base_url: Option<Spanned<String>>,
    base_url_env: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawNamespaces {
    required: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEnvironment {
    name: Spanned<String>,
    label: String,
    #[serde(default)]
    note: String,
    prefix: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    name: Spanned<String>,
    label: String,
    #[serde(default)]
    note: String,
    prefix: Option<Spanned<String>>,
    limit: Option<Spanned<u32>>,
    window: Option<Spanned<String>>,
    monthly: Option<Spanned<u64>>,
    scopes: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    without_limiter: WithoutLimiter,
}

#[derive(Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum WithoutLimiter {
    #[default]
    Refuse,
    Allow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScope {
    name: Spanned<String>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    methods: Vec<Spanned<String>>,
    path: Spanned<String>,
    #[serde(default)]
    scopes: Vec<Spanned<String>>,
    namespace: Option<Spanned<String>>,
    org: Option<Spanned<String>>,
}

/// The catalog's text, from which an error's line is counted.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn wrong<T>(&self, span: Range<usize>, field: &str, problem: impl Into<String>) -> Result<T, CatalogError> {
        let before = self.0.get(..span.start).unwrap_or(self.0);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Err(CatalogError::Wrong { line, field: field.to_owned(), problem: problem.into() })
    }
}

pub fn parse(text: &str) -> Result<Catalog, CatalogError> {
    let at = Text(text);
    let raw: RawCatalog = match toml::from_str(text) {
        Ok(raw) => raw,
        // Only the message is kept: its field is in it, and the rest of the error draws the line for a terminal.
        Err(error) => return at.wrong(error.span().unwrap_or(0..0), "syntax", error.message().replace('\n', ", ")),
    };
    let scopes = scopes(&at, raw.scopes)?;
    let environments = environments(&at, raw.environments)?;
    let tiers = tiers(&at, raw.tiers, &scopes)?;
    let routes = raw.routes.into_iter().map(|route| self::route(&at, route, &scopes)).collect::<Result<_, _>>()?;
    let brand = brand(&at, raw.brand)?;
    let roles = match raw.roles {
        None => Vec::new(),
        Some(roles) if !raw.bound_to_creator => {
            return at.wrong(roles.span(), "roles", "count only with bound_to_creator = true");
        }
        Some(roles) => self::roles(&at, roles.into_inner(), &scopes)?,
    };
    let audit_scope = raw.audit_scope.map(|scope| known_scope(&at, "audit_scope", scope, &scopes)).transpose()?;
    let catalog = Catalog {
        snippets: snippets(&at, raw.snippets, &brand)?,
        brand,
        headers: headers(&at, &raw.headers)?,
        namespaces_required: raw.namespaces.required,
        wildcards: raw.wildcards,
        bound_to_creator: raw.bound_to_creator,
        audit_scope,
        roles,
        service_prefix: raw.service_prefix.get_ref().clone(),
        environments,
        tiers,
        scopes,
        routes,
    };
    check_prefixes(&at, &catalog, raw.service_prefix.span())?;
    Ok(catalog)
}

fn brand(at: &Text<'_>, brand: Spanned<String>) -> Result<String, CatalogError> {
    // The brand stands in quotes in headers, and is the default beginning of a variable's name.
    let fits = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ' || b == b'-')
            && text.len() <= 40
    };
    if fits(brand.get_ref()) {
        Ok(brand.into_inner())
    } else {
        at.wrong(brand.span(), "brand", "must be up to 40 letters, digits, spaces and hyphens, beginning with a letter")
    }
}

fn headers(at: &Text<'_>, raw: &RawHeaders) -> Result<Headers, CatalogError> {
    if !raw.accept.contains(&RawHeader::XApiKey) {
        return at.wrong(0..0, "headers.accept", "must hold \"x-api-key\"");
    }
    let wrong_org_is_403 = match &raw.wrong_org {
        None => false,
        Some(status) => match status.get_ref() {
            401 => false,
            403 => true,
            _ => return at.wrong(status.span(), "headers.wrong_org", "must be 401 or 403"),
        },
    };
    Ok(Headers {
        bearer: raw.accept.contains(&RawHeader::Bearer),
        api_key_wins: raw.when_both_differ == WhenBothDiffer::XApiKey,
        wrong_org_is_403,
    })
}

fn snippets(at: &Text<'_>, raw: RawSnippets, brand: &str) -> Result<Snippets, CatalogError> {
    let variable = |field: &str, name: Spanned<String>| {
        let text = name.get_ref();
        let fits = text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if fits { Ok(name.into_inner()) } else { at.wrong(name.span(), field, "must be of A-Z, 0-9 and _") }
    };
    // The example programs hold these values without quoting.
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/:".contains(&b));
    let header = match raw.header {
        Some(header) if !header.get_ref().eq_ignore_ascii_case("x-api-key") => {
            return at.wrong(header.span(), "snippets.header", "must be x-api-key, in any case");
        }
        header => header.map_or_else(|| "x-api-key".to_owned(), Spanned::into_inner),
    };
    let api = match (raw.base_url, raw.path) {
        (None, None) => match raw.base_url_env {
            Some(name) => return at.wrong(name.span(), "snippets.base_url_env", "needs a base_url"),
            None => None,
        },
        (Some(url), None) => return at.wrong(url.span(), "snippets.base_url", "needs a path, as in path = \"/v1/me\""),
        (None, Some(path)) => return at.wrong(path.span(), "snippets.path", "needs a base_url"),
        (Some(url), Some(path)) => {
            let scheme = ["https://", "http://"].into_iter().find(|scheme| url.get_ref().starts_with(scheme));
            if !plain(url.get_ref()) || url.get_ref().ends_with('/') || scheme.is_none() {
                let problem = "must be as in https://api.example.com, without a slash at its end";
                return at.wrong(url.span(), "snippets.base_url", problem);
            }
            if !plain(path.get_ref()) || !path.get_ref().starts_with('/') {
                return at.wrong(
                    path.span(),
                    "snippets.path",
                    "must begin with / and hold letters, digits and - . _ ~",
                );
            }
            let base_url_env = raw.base_url_env.map(|name| variable("snippets.base_url_env", name)).transpose()?;
            Some(Api { base_url: url.into_inner(), base_url_env, path: path.into_inner() })
        }
    };
    let env_prefix = match raw.env_prefix {
        Some(prefix) => variable("snippets.env_prefix", prefix)?,
        None => brand.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect(),
    };
    Ok(Snippets { env_prefix, header, api })
}

/// A name that is stored with keys, such as `live` or `receipts:write`.
fn name(at: &Text<'_>, field: &str, text: Spanned<String>, seen: &mut HashSet<String>) -> Result<String, CatalogError> {
    let fits = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-:.".contains(&b))
    };
    if !fits(text.get_ref()) {
        return at.wrong(text.span(), field, "must be 1 to 64 of a-z, 0-9, _ - : and .");
    }
    if !seen.insert(text.get_ref().clone()) {
        return at.wrong(text.span(), field, format!("{:?} is there twice", text.get_ref()));
    }
    Ok(text.into_inner())
}

fn scopes(at: &Text<'_>, raw: Vec<RawScope>) -> Result<Vec<Scope>, CatalogError> {
    let mut seen = HashSet::new();
    raw.into_iter()
        .map(|scope| Ok(Scope { name: name(at, "scopes.name", scope.name, &mut seen)?, note: scope.note }))
        .collect()
}

fn roles(at: &Text<'_>, raw: RawRoles, scopes: &[Scope]) -> Result<Vec<(Role, Vec<String>)>, CatalogError> {
    [
        (Role::Owner, "roles.owner", raw.owner),
        (Role::Admin, "roles.admin", raw.admin),
        (Role::Developer, "roles.developer", raw.developer),
        (Role::Viewer, "roles.viewer", raw.viewer),
    ]
    .into_iter()
    .filter_map(|(role, field, listed)| Some((role, field, listed?)))
    .map(|(role, field, listed)| {
        let known = listed.into_iter().map(|scope| known_scope(at, field, scope, scopes)).collect::<Result<_, _>>()?;
        Ok((role, known))
    })
    .collect()
}

fn environments(at: &Text<'_>, raw: Spanned<Vec<RawEnvironment>>) -> Result<Vec<Environment>, CatalogError> {
    if raw.get_ref().is_empty() {
        return at.wrong(raw.span(), "environments", "must not be empty");
    }
    let mut seen = HashSet::new();
    raw.into_inner()
        .into_iter()
        .map(|environment| {
            Ok(Environment {
                name: name(at, "environments.name", environment.name, &mut seen)?,
                label: environment.label,
                note: environment.note,
                prefix: environment.prefix.map(|text| prefix(at, "environments.prefix", text)).transpose()?,
            })
        })
        .collect()
}

fn tiers(at: &Text<'_>, raw: Spanned<Vec<RawTier>>, scopes: &[Scope]) -> Result<Vec<Tier>, CatalogError> {
    if raw.get_ref().is_empty() {
        return at.wrong(raw.span(), "tiers", "must not be empty");
    }
    let mut seen = HashSet::new();
    raw.into_inner().into_iter().map(|tier| self::tier(at, tier, scopes, &mut seen)).collect()
}

fn tier(at: &Text<'_>, raw: RawTier, scopes: &[Scope], seen: &mut HashSet<String>) -> Result<Tier, CatalogError> {
    let limit = match (&raw.limit, &raw.window) {
        (None, None) => None,
        (Some(limit), Some(window)) => {
            if *limit.get_ref() == 0 {
                return at.wrong(
                    limit.span(),
                    "tiers.limit",
                    "must be at least 1; leave limit and window out for none",
                );
            }
            let length = window_of(window.get_ref());
            let Some(limit) = length.and_then(|length| Limit::new(*limit.get_ref(), length)) else {
                return at.wrong(window.span(), "tiers.window", "must be 1s to 1d, as in 30s, 15m or 1h");
            };
            Some(limit)
        }
        (Some(limit), None) => return at.wrong(limit.span(), "tiers.limit", "needs a window, as in window = \"15m\""),
        (None, Some(window)) => return at.wrong(window.span(), "tiers.window", "needs a limit, as in limit = 1000"),
    };
    if let Some(monthly) = raw.monthly.as_ref().filter(|monthly| *monthly.get_ref() == 0) {
        return at.wrong(monthly.span(), "tiers.monthly", "must be at least 1; leave it out for no quota");
    }
    let allowed = match raw.scopes {
        None => None,
        Some(names) => Some(
            names.into_iter().map(|name| known_scope(at, "tiers.scopes", name, scopes)).collect::<Result<_, _>>()?,
        ),
    };
    Ok(Tier {
        name: name(at, "tiers.name", raw.name, seen)?,
        label: raw.label,
        note: raw.note,
        prefix: raw.prefix.map(|text| prefix(at, "tiers.prefix", text)).transpose()?,
        limit,
        monthly: raw.monthly.map(Spanned::into_inner),
        scopes: allowed,
        open_without_limiter: raw.without_limiter == WithoutLimiter::Allow,
    })
}

/// `30s`, `15m`, `1h`
fn window_of(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let seconds: u64 = number.parse().ok().filter(|_| digits)?;
    seconds.checked_mul(unit).map(Duration::from_secs)
}

fn known_scope(at: &Text<'_>, field: &str, scope: Spanned<String>, scopes: &[Scope]) -> Result<String, CatalogError> {
    if scopes.iter().any(|known| known.name == *scope.get_ref()) {
        Ok(scope.into_inner())
    } else {
        at.wrong(scope.span(), field, format!("there is no scope {:?}", scope.get_ref()))
    }
}

fn prefix(at: &Text<'_>, field: &str, text: Spanned<String>) -> Result<String, CatalogError> {
    if well_formed(text.get_ref()) {
        Ok(text.into_inner())
    } else {
        at.wrong(text.span(), field, "must be 2 to 32 of a-z, 0-9 and _, and end in _")
    }
}

fn well_formed(prefix: &str) -> bool {
    prefix.ends_with('_')
        && (2..=32).contains(&prefix.len())
        && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Checks that every key has a prefix and that no prefix begins another, since a secret scanner tells keys apart by it.
fn check_prefixes(at: &Text<'_>, catalog: &Catalog, service: Range<usize>) -> Result<(), CatalogError> {
    let field = "service_prefix";
    if !well_formed(&catalog.service_prefix) {
        return at.wrong(service, field, "must be 2 to 32 of a-z, 0-9 and _, and end in _");
    }
    let mut all: HashSet<&str> = HashSet::from([catalog.service_prefix.as_str()]);
    for environment in &catalog.environments {
        for tier in &catalog.tiers {
            if environment.prefix.is_none() && tier.prefix.is_none() {
                let problem = format!("{} keys of the tier {} have no prefix", environment.name, tier.name);
                return at.wrong(0..0, "environments.prefix", problem);
            }
            let prefix = catalog.prefix(environment, tier);
            if prefix == catalog.service_prefix {
                return at.wrong(service, field, "must not be the prefix of API keys");
            }
            all.insert(prefix);
        }
    }
    for prefix in &all {
        if let Some(longer) = all.iter().find(|other| *other != prefix && other.starts_with(prefix)) {
            return at.wrong(
                0..0,
                "prefix",
                format!("{prefix:?} begins {longer:?}, so that the two cannot be told apart"),
            );
        }
    }
    Ok(())
}

fn route(at: &Text<'_>, raw: RawRoute, scopes: &[Scope]) -> Result<Route, CatalogError> {
    let pattern = match Pattern::parse(raw.path.get_ref()) {
        Ok(pattern) => pattern,
        Err(problem) => return at.wrong(raw.path.span(), "routes.path", problem),
    };
    if raw.methods.is_empty() {
        return at.wrong(raw.path.span(), "routes.methods", "must not be empty; [\"*\"] is every method");
    }
    for method in &raw.methods {
        if method.get_ref() != "*" && !method.get_ref().bytes().all(|b| b.is_ascii_uppercase()) {
            return at.wrong(method.span(), "routes.methods", "methods are upper-case, as in GET, or \"*\"");
        }
    }
    let parameter = |field: &str, name: Option<Spanned<String>>| match name {
        Some(name) if !pattern.has(name.get_ref()) => {
            at.wrong(name.span(), field, format!("the path has no {{{}}}", name.get_ref()))
        }
        name => Ok(name.map(Spanned::into_inner)),
    };
    let (namespace, org) = (parameter("routes.namespace", raw.namespace)?, parameter("routes.org", raw.org)?);
    Ok(Route {
        methods: raw.methods.into_iter().map(Spanned::into_inner).collect(),
        pattern,
        scopes: raw
            .scopes
            .into_iter()
            .map(|scope| known_scope(at, "routes.scopes", scope, scopes))
            .collect::<Result<_, _>>()?,
        namespace,
        org,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEFAULT: &str = include_str!("presets/default.toml");

    fn with(from: &str, to: &str) -> String {
        assert!(DEFAULT.contains(from), "{from}");
        parse(&DEFAULT.replacen(from, to, 1)).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn whatever_is_wrong_is_named_by_line_and_field() {
        let line = |text: &str| DEFAULT.lines().position(|line| line.starts_with(text)).unwrap() + 1;
        for (from, to, said) in [
            ("brand = \"Keydesk\"", "brand = \"\"", "brand: must be"),
            ("brand = \"Keydesk\"", "brand = \"Key\\\"desk\"", "brand: must be"),
            ("brand = \"Keydesk\"", "brnd = \"Keydesk\"", "syntax: unknown field `brnd`"),
            ("brand = \"Keydesk\"", "brand = 7", "syntax: invalid type: integer `7`"),
            ("brand = \"Keydesk\"", "brand = \"Keydesk", "syntax: "),
            ("name = \"live\"", "name = \"Live\"", "environments.name: must be"),
            ("name = \"test\"", "name = \"live\"", "environments.name: \"live\" is there twice"),
            ("prefix = \"kd_live_\"", "prefix = \"kd-live-\"", "environments.prefix: must be"),
            ("prefix = \"kd_live_\"", "", "have no prefix"),
            ("prefix = \"kd_test_\"", "prefix = \"kd_live_x_\"", "prefix: \"kd_live_\" begins \"kd_live_x_\""),
            ("service_prefix = \"kd_service_\"", "service_prefix = \"kd_live_\"", "service_prefix: must not"),
            ("limit = 1000", "limit = 0", "tiers.limit: must be at least 1"),
            ("limit = 1000", "limit = -1", "syntax: "),
            ("window = \"15m\"", "window = \"15\"", "tiers.window: must be"),
            ("window = \"15m\"", "window = \"2d\"", "tiers.window: must be"),
            ("window = \"15m\"", "window = \"+5m\"", "tiers.window: must be"),
            ("window = \"15m\"", "", "tiers.limit: needs a window"),
            ("limit = 1000\n", "", "tiers.window: needs a limit"),
            ("limit = 1000", "limit = 1000\nmonthly = 0", "tiers.monthly: must be"),
            ("limit = 1000", "limit = 1000\nscopes = [\"root\"]", "tiers.scopes: there is no scope \"root\""),
            ("[headers]", "[roles]\n[headers]", "roles: count only with bound_to_creator = true"),
            (
                "bound_to_creator = false",
                "bound_to_creator = true\nroles.viewer = [\"root\"]",
                "roles.viewer: there is no scope",
            ),
            (
                "bound_to_creator = false",
                "bound_to_creator = true\nroles.support = []",
                "syntax: unknown field `support`",
            ),
            ("path = \"/{rest...}\"", "path = \"v1\"", "routes.path: must begin"),
            ("methods = [\"GET\", \"HEAD\"]", "methods = []", "routes.methods: must not be empty"),
            ("methods = [\"GET\", \"HEAD\"]", "methods = [\"get\"]", "routes.methods: methods are upper-case"),
            ("scopes = [\"read\"]", "scopes = [\"reed\"]", "routes.scopes: there is no scope \"reed\""),
            ("scopes = [\"read\"]", "namespace = \"ns\"", "routes.namespace: the path has no {ns}"),
            ("wrong_org = 401", "wrong_org = 404", "headers.wrong_org: must be 401 or 403"),
            ("accept = [\"x-api-key\", \"bearer\"]", "accept = [\"bearer\"]", "headers.accept: must hold"),
            ("env_prefix = \"KEYDESK\"", "env_prefix = \"keydesk\"", "snippets.env_prefix: must be of A-Z"),
            ("header = \"x-api-key\"", "header = \"api-key\"", "snippets.header: must be x-api-key"),
            ("header = \"x-api-key\"", "path = \"/v1/me\"", "snippets.path: needs a base_url"),
            ("header = \"x-api-key\"", "base_url = \"https://a.b\"", "snippets.base_url: needs a path"),
            ("header = \"x-api-key\"", "base_url_env = \"A\"", "snippets.base_url_env: needs a base_url"),
            ("header = \"x-api-key\"", "base_url = \"a.b\"\npath = \"/\"", "snippets.base_url: must be as in"),
            ("header = \"x-api-key\"", "base_url = \"https://a.b/\"\npath = \"/\"", "snippets.base_url: must be as in"),
            (
                "header = \"x-api-key\"",
                "base_url = \"https://a.b$x\"\npath = \"/\"",
                "snippets.base_url: must be as in",
            ),
            ("header = \"x-api-key\"", "base_url = \"https://a.b\"\npath = \"v1\"", "snippets.path: must begin"),
            ("header = \"x-api-key\"", "base_url = \"https://a.b\"\npath = \"/'\"", "snippets.path: must begin"),
            ("accept = [\"x-api-key\", \"bearer\"]", "accept = [\"cookie\"]", "syntax: unknown variant `cookie`"),
        ] {
            let error = with(from, to);
            assert!(error.starts_with("the catalog, line ") && error.contains(said), "{to}: {error:?}");
        }
        assert!(with("limit = 1000", "limit = 0").contains(&format!("line {},", line("limit = 1000"))));
        assert!(with("path = \"/{rest...}\"", "path = \"v1\"").contains(&format!("line {},", line("path = \"/{rest"))));
    }

    #[test]
    fn windows() {
        let window = |text| window_of(text).and_then(|window| Limit::new(1, window)).map(Limit::window);
        for (text, seconds) in [("1s", Some(1)), ("15m", Some(900)), ("1h", Some(3600)), ("1d", Some(86_400))] {
            assert_eq!(window(text), seconds.map(Duration::from_secs), "{text}");
        }
        for bad in ["", "s", "0s", "-1s", "25h", "1w", "1.5h", " 1s", "99999999999999999999s", "1日"] {
            assert_eq!(window(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_changed_byte_is_read_or_refused(at in 0..DEFAULT.len(), with in 32u8..127) {
            let mut bytes = DEFAULT.as_bytes().to_vec();
            bytes[at] = with;
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = parse(&text);
            }
        }
    }
}
