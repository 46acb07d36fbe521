//! DOMAIN: the deployment's product rules, read once at start: brand, environments, tiers and their limits, scopes, the
//! headers that may hold a key, and the routes that a proxy asks about. A key stores names only. Their meaning is
//! looked up here at each call, so that a change of a tier holds for all keys of that tier.

mod parse;
pub mod routes;
mod summary;

use std::{path::Path, time::Duration};

use crate::actor::Role;
pub use parse::CatalogError;
use routes::Route;

#[derive(Clone, Debug)]
pub struct Catalog {
    pub brand: String,
    pub service_prefix: String,
    pub headers: Headers,
    /// Whether a key without namespaces may enter none of them. If not, it may enter all.
    pub namespaces_required: bool,
    /// Whether a key's scope may end in `*`. Then it covers every scope that begins with the text before the `*`.
    pub wildcards: bool,
    /// Whether a key is limited to what its creator may do at the time of a call, and stops when the creator is
    /// disabled or leaves the organization. If not, it belongs to the organization alone.
    pub bound_to_creator: bool,
    /// The scope with which a key can read its organization's audit log on the key plane. `None`: no key can.
    pub audit_scope: Option<String>,
    pub snippets: Snippets,
    /// The scopes that members of a role may use, for each role that the catalog lists. [`Catalog::role_allows`] has
    /// the rule for the others.
    roles: Vec<(Role, Vec<String>)>,
    pub environments: Vec<Environment>,
    pub tiers: Vec<Tier>,
    pub scopes: Vec<Scope>,
    pub routes: Vec<Route>,
}

/// The headers that may hold a key, and the answers that differ between providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Whether a key may come in `Authorization: Bearer` as well as in `x-api-key`.
    pub bearer: bool,
    /// Whether `x-api-key` wins if a different key comes as Bearer. If not, the request is refused with 400.
    pub api_key_wins: bool,
    /// Whether a key of another organization than the route's is refused with 403 instead of 401.
    pub wrong_org_is_403: bool,
}

/// The values in the example programs that the console shows beside a new key. The parser accepts only values that need
/// no quoting in any of the languages.
#[derive(Clone, Debug)]
pub struct Snippets {
    /// The beginning of the variables that hold a key or a webhook secret: `HX` for `HX_API_KEY`.
    pub env_prefix: String,
    /// `x-api-key`, spelt as in the provider's documentation.
    pub header: String,
    /// The API that the examples call. `None`: they call the key plane.
    pub api: Option<Api>,
}

/// A call of the provider's API, for an example.
#[derive(Clone, Debug)]
pub struct Api {
    /// It ends without a slash.
    pub base_url: String,
    /// The environment variable with which the provider's own clients choose another host.
    pub base_url_env: Option<String>,
    pub path: String,
}

#[derive(Clone, Debug)]
pub struct Environment {
    pub name: String,
    pub label: String,
    pub note: String,
    /// The beginning of this environment's keys. `None`: every tier has a prefix of its own.
    prefix: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Tier {
    pub name: String,
    pub label: String,
    pub note: String,
    /// The beginning of this tier's keys. It takes precedence over the environment's.
    prefix: Option<String>,
    /// `None`: the rate is not limited.
    pub limit: Option<Limit>,
    /// The most calls in a calendar month (UTC). `None`: not limited.
    pub monthly: Option<u64>,
    /// The scopes that keys of this tier may have. `None`: all.
    scopes: Option<Vec<String>>,
    /// Whether calls are let in when the limiter cannot be reached. If not, they are refused.
    pub open_without_limiter: bool,
}

/// A number of calls that any span of a window's length may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    calls: u32,
    window: Duration,
}

impl Limit {
    /// `None` if no call is allowed, or the window is not whole seconds from one second to one day.
    pub fn new(calls: u32, window: Duration) -> Option<Self> {
        let fits = calls > 0 && window.subsec_nanos() == 0 && (1..=86_400).contains(&window.as_secs());
        fits.then_some(Self { calls, window })
    }

    /// A limit that no catalog has to give.
    pub const fn per_minute(calls: u32) -> Self {
        Self { calls, window: Duration::from_secs(60) }
    }

    pub fn calls(self) -> u32 {
        self.calls
    }

    pub fn window(self) -> Duration {
        self.window
    }

    /// `1,000 per 15 min`
    pub fn words(&self) -> String {
        let seconds = self.window.as_secs();
        let window = match seconds {
            s if s % 3600 == 0 => format!("{} h", s / 3600),
            s if s % 60 == 0 => format!("{} min", s / 60),
            s => format!("{s} s"),
        };
        format!("{} per {window}", grouped(u64::from(self.calls)))
    }
}

/// `1,000`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[derive(Clone, Debug)]
pub struct Scope {
    pub name: String,
    pub note: String,
}

impl Tier {
    /// Whether keys of this tier may have a scope.
    pub fn allows(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|allowed| allowed.iter().any(|known| known == scope))
    }
}

/// The catalogs that are compiled in, by name.
pub const PRESETS: [(&str, &str); 6] = [
    ("default", include_str!("presets/default.toml")),
    ("heso", include_str!("presets/heso.toml")),
    ("heir", include_str!("presets/heir.toml")),
    ("holonomix", include_str!("presets/holonomix.toml")),
    ("helios", include_str!("presets/helios.toml")),
    ("heffl", include_str!("presets/heffl.toml")),
];

impl Catalog {
    /// Reads a preset by its name, or a file by its path, which has a `.` or a `/` in it.
    ///
    /// # Errors
    /// There is no such preset or file, or its text is not a valid catalog.
    pub fn load(name: &str) -> Result<Self, CatalogError> {
        if let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) {
            return Self::parse(text);
        }
        if !name.contains(['/', '.']) {
            return Err(CatalogError::NoSuchPreset(name.to_owned()));
        }
        let text = std::fs::read_to_string(Path::new(name))
            .map_err(|error| CatalogError::File { path: name.to_owned(), error })?;
        Self::parse(&text)
    }

    /// Parses and checks a catalog's text.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and field.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        parse::parse(text)
    }

    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments.iter().find(|e| e.name == name)
    }

    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|t| t.name == name)
    }

    pub fn scope(&self, name: &str) -> Option<&Scope> {
        self.scopes.iter().find(|s| s.name == name)
    }

    /// The names of the environment and the tier that a new key has by default: the first of each.
    pub fn defaults(&self) -> (String, String) {
        let environment = self.environments.first().map(|environment| environment.name.clone());
        let tier = self.tiers.first().map(|tier| tier.name.clone());
        (environment.unwrap_or_default(), tier.unwrap_or_default())
    }

    /// Whether members of a role may use a scope. If the catalog lists no scopes for the role, owners, admins and
    /// developers may use all and others none.
    pub fn role_allows(&self, role: Role, scope: &str) -> bool {
        match self.roles.iter().find(|(listed, _)| *listed == role) {
            Some((_, scopes)) => scopes.iter().any(|known| known == scope),
            None => matches!(role, Role::Owner | Role::Admin | Role::Developer),
        }
    }

    /// The beginning of the keys of an environment and a tier.
    pub fn prefix<'a>(&'a self, environment: &'a Environment, tier: &'a Tier) -> &'a str {
        tier.prefix.as_deref().or(environment.prefix.as_deref()).unwrap_or(&self.service_prefix)
    }

    /// Whether a scope that a key has covers one that a call requires.
    pub fn covers(&self, has: &str, required: &str) -> bool {
        has == required || (self.wildcards && has.strip_suffix('*').is_some_and(|start| required.starts_with(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_preset_is_what_the_contract_says() {
        let catalog = Catalog::load("default").unwrap();
        let names: Vec<_> = catalog.environments.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["live", "test"]);
        let tier = catalog.tier("standard").unwrap();
        let prefixes: Vec<_> = catalog.environments.iter().map(|e| catalog.prefix(e, tier)).collect();
        assert_eq!(prefixes, ["kd_live_", "kd_test_"]);
        let limits: Vec<_> = catalog.tiers.iter().map(|t| (t.name.as_str(), t.limit.map(|l| l.words()))).collect();
        assert_eq!(
            limits,
            [
                ("standard", Some("1,000 per 15 min".to_owned())),
                ("high", Some("10,000 per 15 min".to_owned())),
                ("unlimited", None)
            ]
        );
        assert_eq!(catalog.headers, Headers { bearer: true, api_key_wins: false, wrong_org_is_403: false });
    }

    #[test]
    fn a_limit_has_calls_and_a_window_of_whole_seconds() {
        assert!(Limit::new(1, Duration::from_secs(1)).is_some());
        assert!(Limit::new(u32::MAX, Duration::from_secs(86_400)).is_some());
        assert!(Limit::new(0, Duration::from_secs(1)).is_none());
        for window in [Duration::ZERO, Duration::from_millis(999), Duration::from_millis(1_500), Duration::MAX] {
            assert!(Limit::new(1, window).is_none());
        }
        assert!(Limit::new(1, Duration::from_secs(86_401)).is_none());
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let error = Catalog::load("hso").unwrap_err();
        assert!(matches!(error, CatalogError::NoSuchPreset(_)));
        for (preset, _) in PRESETS {
            assert!(error.to_string().contains(preset), "{error}");
        }
        assert!(matches!(Catalog::load("/no/such.toml"), Err(CatalogError::File { .. })));
    }

    #[test]
    fn what_each_preset_says() {
        let said: Vec<String> = PRESETS
            .iter()
            .map(|(name, _)| {
                let catalog = Catalog::load(name).unwrap_or_else(|error| panic!("{name}: {error}"));
                format!("{name}\n{}\n", catalog.summary_text())
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn a_wildcard_counts_only_where_the_catalog_says_so() {
        let mut catalog = Catalog::load("default").unwrap();
        assert!(!catalog.covers("receipts:*", "receipts:write") && !catalog.covers("*", "read"));
        catalog.wildcards = true;
        for (has, asked, covered) in [
            ("receipts:*", "receipts:write", true),
            ("receipts:*", "receipts:", true),
            ("receipts:*", "policy:read", false),
            ("*", "anything", true),
            ("read", "read", true),
            ("read", "reads", false),
            ("read*", "reads", true),
            ("re*d", "read", false),
            ("", "read", false),
        ] {
            assert_eq!(catalog.covers(has, asked), covered, "{has} {asked}");
        }
    }
}
