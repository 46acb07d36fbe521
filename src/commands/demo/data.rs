//! The main keys of the demo, with their changes and callers.

use crate::keys::model::{OverlapWindow, Reason};

/// A key and everything that happens to it. Days are counted back from now. An event is moved from a weekend to the
/// Friday before, so events that depend on each other are at least three days apart.
pub struct DemoKey {
    pub name: &'static str,
    /// Whether it belongs to the environment for real traffic. If not, it belongs to another one, if the catalog has
    /// any.
    pub live: bool,
    /// The index of its tier in the catalog. The first tier replaces one that the catalog does not have.
    pub tier: usize,
    /// The number of its scopes, which are the first of the catalog's.
    pub scopes: usize,
    pub expires: &'static str,
    /// The index of the person who creates it.
    pub creator: usize,
    pub age_days: i64,
    /// Its changes, each with the number of days ago.
    pub changes: &'static [(i64, KeyChange)],
    pub traffic: &'static [CallPattern],
}

#[derive(Clone, Copy)]
pub enum KeyChange {
    Revoke(Reason),
    Disable,
    /// All scopes but the first are removed.
    RemoveScopes,
    /// The key can be used only from these addresses, one a line.
    LimitAddresses(&'static str),
    Rotate(OverlapWindow),
    /// The old key of a rotation ends.
    FinishRotation,
}

impl DemoKey {
    /// The number of keys that it adds: a rotation adds a second one.
    pub fn key_count(&self) -> u32 {
        1 + u32::from(self.changes.iter().any(|(_, change)| matches!(change, KeyChange::Rotate(_))))
    }
}

/// The calls of one caller with a key.
#[derive(Clone, Copy)]
pub struct CallPattern {
    pub address: &'static str,
    pub agent: &'static str,
    /// The service that asks for the caller. Empty: the caller sends the key itself.
    pub via: &'static str,
    pub rhythm: Rhythm,
    /// The calls of the busiest hour, as of now.
    pub peak: f64,
    /// The number of days ago at which the calls begin.
    pub from: f64,
    /// The number of days ago at which the calls end.
    pub until: f64,
    pub purpose: Purpose,
    /// Whether the caller uses the key that replaced this one.
    pub successor: bool,
}

/// The times of a caller's calls, in UTC.
#[derive(Clone, Copy, PartialEq)]
pub enum Rhythm {
    /// Most calls come in the evening and at weekends.
    People,
    /// Most calls come in working hours.
    Office,
    Steady,
    /// All calls come once a day, at this hour.
    Daily(i64),
    /// On some days, some minutes have more calls than the tier allows.
    Burst,
}

/// The kind of request that a caller makes.
#[derive(Clone, Copy, PartialEq)]
pub enum Purpose {
    /// A request that the key is allowed to make.
    Ordinary,
    /// A request that needs a scope that the key lacks.
    MissingScope,
    /// A request in a namespace that the key may not enter, if the catalog has namespaces.
    OtherNamespace,
}

const fn calls(address: &'static str, agent: &'static str, rhythm: Rhythm, peak: f64) -> CallPattern {
    let (from, until) = (1_000., 0.);
    CallPattern { address, agent, via: "", rhythm, peak, from, until, purpose: Purpose::Ordinary, successor: false }
}

impl CallPattern {
    const fn via(self, via: &'static str) -> Self {
        Self { via, ..self }
    }

    const fn from(self, from: f64) -> Self {
        Self { from, ..self }
    }

    const fn until(self, until: f64) -> Self {
        Self { until, ..self }
    }

    const fn purpose(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
    }

    const fn successor(self) -> Self {
        Self { successor: true, ..self }
    }
}

const DEFAULTS: DemoKey = DemoKey {
    name: "",
    live: true,
    tier: 0,
    scopes: 2,
    expires: "never",
    creator: 0,
    age_days: 0,
    changes: &[],
    traffic: &[],
};

use Rhythm::{Burst, Daily, Office, People, Steady};

pub const DEMO_KEYS: [DemoKey; 22] = [
    DemoKey {
        name: "Checkout service",
        tier: 1,
        age_days: 187,
        traffic: &[
            calls("10.20.4.11", "undici/7.16.0", People, 980.),
            calls("10.20.4.12", "undici/7.16.0", People, 940.),
            calls("10.20.4.13", "undici/7.16.0", People, 890.).from(41.),
            calls("2001:db8:20:4::a1", "Go-http-client/2.0", Steady, 60.),
            calls("198.51.100.9", "curl/8.5.0", Office, 3.),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Mobile app",
        scopes: 1,
        age_days: 181,
        creator: 1,
        traffic: &[
            calls("203.0.113.81", "okhttp/5.1.0", People, 420.).via("edge-gateway"),
            calls("203.0.113.82", "okhttp/5.1.0", People, 390.).via("edge-gateway"),
            calls("203.0.113.81", "Keydemo/412 CFNetwork/3826", People, 510.).via("edge-gateway"),
            calls("203.0.113.82", "Keydemo/412 CFNetwork/3826", People, 470.).via("edge-gateway"),
            calls("203.0.113.82", "okhttp/5.1.0", Burst, 26.).via("edge-gateway"),
            // A new version of the app makes requests for which the key has no scope.
            calls("203.0.113.81", "okhttp/5.1.0", People, 1.4)
                .via("edge-gateway")
                .from(2.6)
                .purpose(Purpose::MissingScope),
        ],
        ..DEFAULTS
    },
    // Its rotation is in progress: some callers use the new key, one the old key, and one has not called since.
    DemoKey {
        name: "Partner portal",
        age_days: 156,
        creator: 2,
        changes: &[(2, KeyChange::Rotate(OverlapWindow::Week))],
        traffic: &[
            calls("192.0.2.41", "axios/1.12.2", Office, 160.).until(1.3),
            calls("192.0.2.41", "axios/1.12.2", Office, 160.).from(1.3).successor(),
            calls("192.0.2.42", "axios/1.12.2", Office, 140.).until(0.9),
            calls("192.0.2.42", "axios/1.12.2", Office, 140.).from(0.9).successor(),
            calls("198.51.100.130", "Java-http-client/21.0.5", Steady, 35.),
            calls("198.51.100.131", "Java-http-client/21.0.5", Steady, 30.).until(0.4),
            calls("198.51.100.131", "Java-http-client/21.0.5", Steady, 30.).from(1.1).successor(),
            calls("203.0.113.200", "Wget/1.24.5", Daily(5), 12.).until(3.5),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "CI deploys",
        scopes: 1,
        expires: "365d",
        age_days: 149,
        creator: 2,
        traffic: &[
            calls("192.0.2.110", "curl/8.14.1", Office, 44.),
            calls("192.0.2.111", "curl/8.14.1", Office, 38.),
            calls("192.0.2.112", "Terraform/1.13.4", Office, 12.).from(64.),
            calls("192.0.2.112", "Terraform/1.13.4", Office, 2.).from(5.5).purpose(Purpose::MissingScope),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Warehouse sync",
        age_days: 163,
        creator: 1,
        changes: &[(58, KeyChange::LimitAddresses("198.51.100.16/28\n2001:db8:77::/64"))],
        traffic: &[
            calls("198.51.100.18", "python-httpx/0.28.1", Steady, 210.),
            calls("198.51.100.19", "python-httpx/0.28.1", Steady, 190.).from(75.),
            calls("2001:db8:77::1f", "python-httpx/0.28.1", Steady, 80.),
            // The office has a new internet connection, whose address is not on the list.
            calls("203.0.113.77", "python-httpx/0.28.1", Office, 7.).from(4.2),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Nightly export",
        scopes: 1,
        age_days: 170,
        traffic: &[calls("10.20.8.5", "python-requests/2.32.5", Daily(2), 340.)],
        ..DEFAULTS
    },
    // Its rotation is finished, and one caller still uses the old key.
    DemoKey {
        name: "Invoice worker",
        age_days: 134,
        creator: 1,
        changes: &[(46, KeyChange::Rotate(OverlapWindow::Week)), (41, KeyChange::FinishRotation)],
        traffic: &[
            calls("10.20.6.31", "Go-http-client/2.0", Office, 130.).until(45.8),
            calls("10.20.6.31", "Go-http-client/2.0", Office, 150.).from(45.8).successor(),
            calls("10.20.6.32", "Go-http-client/2.0", Office, 120.).from(40.).successor(),
            calls("10.20.6.9", "Ruby", Daily(4), 6.),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Fraud scoring",
        tier: 1,
        scopes: 1,
        age_days: 122,
        changes: &[(20, KeyChange::LimitAddresses("10.20.9.0/24"))],
        traffic: &[
            calls("10.20.9.2", "Java-http-client/21.0.5", People, 1_450.),
            calls("10.20.9.3", "Java-http-client/21.0.5", People, 1_380.),
            calls("10.20.9.4", "Java-http-client/21.0.5", People, 1_200.).from(19.),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Status page",
        scopes: 1,
        age_days: 176,
        creator: 1,
        traffic: &[
            calls("192.0.2.201", "StatusProbe/2.4", Steady, 60.),
            calls("198.51.100.201", "StatusProbe/2.4", Steady, 60.),
            calls("2001:db8:feed::201", "StatusProbe/2.4", Steady, 60.).from(88.),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Data science notebook",
        scopes: 3,
        expires: "365d",
        age_days: 97,
        creator: 2,
        changes: &[(30, KeyChange::RemoveScopes)],
        traffic: &[
            calls("10.20.30.14", "python-httpx/0.28.1", Office, 85.),
            calls("10.20.30.14", "python-httpx/0.28.1", Office, 1.5).from(6.).purpose(Purpose::MissingScope),
            calls("10.20.30.22", "R", Office, 14.).from(52.),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Email digest",
        scopes: 1,
        age_days: 111,
        traffic: &[calls("10.20.8.6", "Go-http-client/2.0", Daily(6), 780.)],
        ..DEFAULTS
    },
    DemoKey {
        name: "Load test",
        live: false,
        scopes: 2,
        age_days: 71,
        creator: 2,
        changes: &[(5, KeyChange::Disable)],
        traffic: &[
            calls("192.0.2.66", "k6/1.3.0", Burst, 34.).until(5.),
            calls("192.0.2.66", "k6/1.3.0", Daily(13), 9.).from(5.),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Old mobile app",
        age_days: 188,
        changes: &[(33, KeyChange::Revoke(Reason::Superseded))],
        traffic: &[
            calls("203.0.113.81", "okhttp/4.12.0", People, 180.).via("edge-gateway").until(33.),
            calls("203.0.113.82", "okhttp/4.12.0", People, 4.).via("edge-gateway"),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Zapier bridge",
        expires: "90d",
        age_days: 96,
        creator: 1,
        traffic: &[calls("192.0.2.150", "Zapier", Steady, 5.), calls("192.0.2.151", "Zapier", Steady, 4.)],
        ..DEFAULTS
    },
    DemoKey { name: "Onboarding sandbox", live: false, scopes: 1, age_days: 21, creator: 2, ..DEFAULTS },
    DemoKey {
        name: "Legacy reports",
        scopes: 3,
        age_days: 185,
        changes: &[(9, KeyChange::Revoke(Reason::KeyCompromise))],
        traffic: &[
            calls("10.20.8.9", "PHP/8.1", Daily(7), 90.).until(9.),
            // Others found the key where it was published.
            calls("203.0.113.231", "python-requests/2.31.0", Steady, 3.).from(9.6),
            calls("198.51.100.247", "curl/7.88.1", Steady, 1.5).from(7.1),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Search indexer",
        scopes: 1,
        age_days: 84,
        traffic: &[
            calls("10.20.7.20", "Rust-reqwest/0.12", Steady, 170.),
            calls("10.20.7.21", "Rust-reqwest/0.12", Steady, 160.),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Revenue dashboard",
        scopes: 1,
        expires: "365d",
        age_days: 118,
        creator: 1,
        traffic: &[calls("10.20.30.40", "Grafana/12.2.1", Office, 120.)],
        ..DEFAULTS
    },
    DemoKey {
        name: "Customer imports",
        expires: "90d",
        age_days: 83,
        creator: 2,
        traffic: &[
            calls("10.20.8.12", "python-httpx/0.28.1", Daily(21), 260.),
            calls("10.20.8.12", "python-httpx/0.28.1", Daily(22), 11.).from(6.5).purpose(Purpose::OtherNamespace),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Webhook relay",
        age_days: 12,
        creator: 2,
        traffic: &[
            calls("10.20.5.8", "undici/7.16.0", People, 240.),
            calls("10.20.5.9", "undici/7.16.0", People, 210.).from(3.),
        ],
        ..DEFAULTS
    },
    DemoKey {
        name: "Spring backfill",
        age_days: 79,
        creator: 1,
        changes: &[(61, KeyChange::Revoke(Reason::NoLongerNeeded))],
        traffic: &[calls("10.20.8.14", "python-httpx/0.27.2", Steady, 460.).until(66.)],
        ..DEFAULTS
    },
    DemoKey {
        name: "Staging smoke tests",
        live: false,
        age_days: 60,
        creator: 2,
        traffic: &[calls("192.0.2.110", "Playwright/1.56", Office, 18.)],
        ..DEFAULTS
    },
];
