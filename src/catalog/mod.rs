//! DOMAIN: the deployment's product rules, read once at start: brand, environments, tiers and their limits, scopes, which
//! headers count, and the routes a proxy asks about. A key holds names; what a name means is looked up here each time, so
//! that changing a tier changes the keys of that tier.

mod parse;
pub mod routes;
mod summary;

use std::{path::Path, time::Duration};

use crate::orgs::Role;
pub use parse::CatalogError;
use routes::Route;

#[derive(Clone, Debug)]
pub struct Catalog {
    pub brand: String,
    pub service_prefix: String,
    pub headers: Headers,
    /// Whether a key without namespaces may enter none of them; otherwise it may enter all.
    pub namespaces_required: bool,
    /// Whether a key's scope may end in `*` and stand for every scope that begins with what is before it.
    pub wildcards: bool,
    /// Whether a key does no more than who made it may today, and stops when they are disabled or no longer a member.
    /// Otherwise it belongs to the organization alone.
    pub bound_to_creator: bool,
    /// The scope with which a key reads its organization's audit log on the key plane; `None`: no key does.
    pub audit_scope: Option<String>,
    pub snippets: Snippets,
    /// The scopes that members of a role may use, for the roles that do not follow the rule of [`Catalog::role_allows`].
    roles: Vec<(Role, Vec<String>)>,
    pub environments: Vec<Environment>,
    pub tiers: Vec<Tier>,
    pub scopes: Vec<Scope>,
    pub routes: Vec<Route>,
}

/// Where a key counts, and what happens when two are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Whether `Authorization: Bearer` counts besides `x-api-key`.
    pub bearer: bool,
    /// Whether `x-api-key` wins over a different Bearer; otherwise two that differ are refused with 400.
    pub api_key_wins: bool,
    /// Whether a key of another organization than the route's is 403 instead of 401.
    pub wrong_org_is_403: bool,
}

/// What the examples beside a new key say of the provider's API. Each is checked to need no quoting in any language.
#[derive(Clone, Debug)]
pub struct Snippets {
    /// Begins the variables that hold a key or a webhook secret: `HX` for `HX_API_KEY`.
    pub env_prefix: String,
    /// `x-api-key`, as the provider's documentation spells it.
    pub header: String,
    /// `None`: the examples ask the key plane.
    pub api: Option<Api>,
}

/// The provider's API in an example.
#[derive(Clone, Debug)]
pub struct Api {
    /// Without a slash at its end.
    pub base_url: String,
    /// The variable that points a program at another host.
    pub base_url_env: Option<String>,
    pub path: String,
}

#[derive(Clone, Debug)]
pub struct Environment {
    pub name: String,
    pub label: String,
    pub note: String,
    /// `None` where tiers have the prefixes.
    prefix: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Tier {
    pub name: String,
    pub label: String,
    pub note: String,
    prefix: Option<String>,
    /// `None`: unlimited.
    pub limit: Option<Limit>,
    /// Calls in a calendar month (UTC); `None`: unlimited.
    pub monthly: Option<u64>,
    /// `None`: all.
    scopes: Option<Vec<String>>,
    /// Whether calls pass when the limiter cannot be asked. Refused otherwise.
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

/// The catalogs that are shipped, by name.
pub const PRESETS: [(&str, &str); 6] = [
    ("default", include_str!("presets/default.toml")),
    ("heso", include_str!("presets/heso.toml")),
    ("heir", include_str!("presets/heir.toml")),
    ("holonomix", include_str!("presets/holonomix.toml")),
    ("helios", include_str!("presets/helios.toml")),
    ("heffl", include_str!("presets/heffl.toml")),
];

impl Catalog {
    /// A preset by name, or a file by its path (which has a `.` or a `/` in it).
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

    /// The environment and the tier of a key where nobody says which.
    pub fn defaults(&self) -> (String, String) {
        let environment = self.environments.first().map(|environment| environment.name.clone());
        let tier = self.tiers.first().map(|tier| tier.name.clone());
        (environment.unwrap_or_default(), tier.unwrap_or_default())
    }

    /// Whether members of a role may use a scope: those listed for the role; where none are, viewers none, others all.
    pub fn role_allows(&self, role: Role, scope: &str) -> bool {
        match self.roles.iter().find(|(listed, _)| *listed == role) {
            Some((_, scopes)) => scopes.iter().any(|known| known == scope),
            None => matches!(role, Role::Owner | Role::Admin | Role::Developer),
        }
    }

    /// What a key of an environment and a tier begins with.
    pub fn prefix<'a>(&'a self, environment: &'a Environment, tier: &'a Tier) -> &'a str {
        tier.prefix.as_deref().or(environment.prefix.as_deref()).unwrap_or(&self.service_prefix)
    }

    /// Whether a scope that a key has covers one that is asked for.
    pub fn covers(&self, has: &str, asked: &str) -> bool {
        has == asked || (self.wildcards && has.strip_suffix('*').is_some_and(|begin| asked.starts_with(begin)))
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
