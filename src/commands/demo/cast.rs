//! The keys of the demo that have a story: what they are, what becomes of them, and who calls with them.

use crate::keys::model::{OverlapWindow, Reason};

/// A key, and everything that happens to it. Days are counted back from now; what has to come after something else is at
/// least three days from it, as nothing happens at weekends.
pub struct Part {
    pub name: &'static str,
    /// Of the environment for real traffic; otherwise of another, if the catalog has one.
    pub live: bool,
    /// Which tier of the catalog, or its first.
    pub tier: usize,
    /// So many of the catalog's scopes.
    pub scopes: usize,
    pub expires: &'static str,
    /// Who made it: which of the people.
    pub by: usize,
    pub made: i64,
    pub fate: &'static [(i64, Fate)],
    pub traffic: &'static [Stream],
}

#[derive(Clone, Copy)]
pub enum Fate {
    Revoke(Reason),
    Disable,
    /// Its first scope is left to it.
    Narrow,
    /// It may be used from these addresses only.
    Bind(&'static str),
    Rotate(OverlapWindow),
    /// The old key of a rotation ends.
    Finish,
}

impl Part {
    /// How many keys it is: one that is replaced is two.
    pub fn keys(&self) -> u32 {
        1 + u32::from(self.fate.iter().any(|(_, fate)| matches!(fate, Fate::Rotate(_))))
    }
}

/// Calls of one caller with a key.
#[derive(Clone, Copy)]
pub struct Stream {
    pub address: &'static str,
    pub agent: &'static str,
    /// The service that asks for it.
    pub via: &'static str,
    pub rhythm: Rhythm,
    /// Calls in its busiest hour, today.
    pub peak: f64,
    /// From so many days ago…
    pub from: f64,
    /// …to so many.
    pub until: f64,
    pub asks: Asks,
    /// With the key that replaced it.
    pub successor: bool,
}

/// When somebody calls, in UTC.
#[derive(Clone, Copy, PartialEq)]
pub enum Rhythm {
    /// Most in the evening, and at weekends.
    People,
    /// In working hours.
    Office,
    Steady,
    /// Once a day, at this hour.
    Daily(i64),
    /// On some days for some minutes more than the tier admits.
    Burst,
}

/// What for.
#[derive(Clone, Copy, PartialEq)]
pub enum Asks {
    What,
    /// Something that the key has no scope for.
    MoreScopes,
    /// A namespace that the key may not enter, where the catalog has any.
    OtherNamespace,
}

const fn calls(address: &'static str, agent: &'static str, rhythm: Rhythm, peak: f64) -> Stream {
    let (from, until) = (1_000., 0.);
    Stream { address, agent, via: "", rhythm, peak, from, until, asks: Asks::What, successor: false }
}

impl Stream {
    const fn via(self, via: &'static str) -> Self {
        Self { via, ..self }
    }

    const fn from(self, from: f64) -> Self {
        Self { from, ..self }
    }

    const fn until(self, until: f64) -> Self {
        Self { until, ..self }
    }

    const fn asks(self, asks: Asks) -> Self {
        Self { asks, ..self }
    }

    const fn successor(self) -> Self {
        Self { successor: true, ..self }
    }
}

const PLAIN: Part =
    Part { name: "", live: true, tier: 0, scopes: 2, expires: "never", by: 0, made: 0, fate: &[], traffic: &[] };

use Rhythm::{Burst, Daily, Office, People, Steady};

pub const CAST: [Part; 22] = [
    Part {
        name: "Checkout service",
        tier: 1,
        made: 187,
        traffic: &[
            calls("10.20.4.11", "undici/7.16.0", People, 980.),
            calls("10.20.4.12", "undici/7.16.0", People, 940.),
            calls("10.20.4.13", "undici/7.16.0", People, 890.).from(41.),
            calls("2001:db8:20:4::a1", "Go-http-client/2.0", Steady, 60.),
            calls("198.51.100.9", "curl/8.5.0", Office, 3.),
        ],
        ..PLAIN
    },
    Part {
        name: "Mobile app",
        scopes: 1,
        made: 181,
        by: 1,
        traffic: &[
            calls("203.0.113.81", "okhttp/5.1.0", People, 420.).via("edge-gateway"),
            calls("203.0.113.82", "okhttp/5.1.0", People, 390.).via("edge-gateway"),
            calls("203.0.113.81", "Keydemo/412 CFNetwork/3826", People, 510.).via("edge-gateway"),
            calls("203.0.113.82", "Keydemo/412 CFNetwork/3826", People, 470.).via("edge-gateway"),
            calls("203.0.113.82", "okhttp/5.1.0", Burst, 26.).via("edge-gateway"),
            // A version that wants to do more than look.
            calls("203.0.113.81", "okhttp/5.1.0", People, 1.4).via("edge-gateway").from(2.6).asks(Asks::MoreScopes),
        ],
        ..PLAIN
    },
    // A rotation in progress: two have changed over, one has not, and one comes only once a week.
    Part {
        name: "Partner portal",
        made: 156,
        by: 2,
        fate: &[(2, Fate::Rotate(OverlapWindow::Week))],
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
        ..PLAIN
    },
    Part {
        name: "CI deploys",
        scopes: 1,
        expires: "365d",
        made: 149,
        by: 2,
        traffic: &[
            calls("192.0.2.110", "curl/8.14.1", Office, 44.),
            calls("192.0.2.111", "curl/8.14.1", Office, 38.),
            calls("192.0.2.112", "Terraform/1.13.4", Office, 12.).from(64.),
            calls("192.0.2.112", "Terraform/1.13.4", Office, 2.).from(5.5).asks(Asks::MoreScopes),
        ],
        ..PLAIN
    },
    Part {
        name: "Warehouse sync",
        made: 163,
        by: 1,
        fate: &[(58, Fate::Bind("198.51.100.16/28\n2001:db8:77::/64"))],
        traffic: &[
            calls("198.51.100.18", "python-httpx/0.28.1", Steady, 210.),
            calls("198.51.100.19", "python-httpx/0.28.1", Steady, 190.).from(75.),
            calls("2001:db8:77::1f", "python-httpx/0.28.1", Steady, 80.),
            // The office has a new line.
            calls("203.0.113.77", "python-httpx/0.28.1", Office, 7.).from(4.2),
        ],
        ..PLAIN
    },
    Part {
        name: "Nightly export",
        scopes: 1,
        made: 170,
        traffic: &[calls("10.20.8.5", "python-requests/2.32.5", Daily(2), 340.)],
        ..PLAIN
    },
    // A finished rotation, which one caller has slept through.
    Part {
        name: "Invoice worker",
        made: 134,
        by: 1,
        fate: &[(46, Fate::Rotate(OverlapWindow::Week)), (41, Fate::Finish)],
        traffic: &[
            calls("10.20.6.31", "Go-http-client/2.0", Office, 130.).until(45.8),
            calls("10.20.6.31", "Go-http-client/2.0", Office, 150.).from(45.8).successor(),
            calls("10.20.6.32", "Go-http-client/2.0", Office, 120.).from(40.).successor(),
            calls("10.20.6.9", "Ruby", Daily(4), 6.),
        ],
        ..PLAIN
    },
    Part {
        name: "Fraud scoring",
        tier: 1,
        scopes: 1,
        made: 122,
        fate: &[(20, Fate::Bind("10.20.9.0/24"))],
        traffic: &[
            calls("10.20.9.2", "Java-http-client/21.0.5", People, 1_450.),
            calls("10.20.9.3", "Java-http-client/21.0.5", People, 1_380.),
            calls("10.20.9.4", "Java-http-client/21.0.5", People, 1_200.).from(19.),
        ],
        ..PLAIN
    },
    Part {
        name: "Status page",
        scopes: 1,
        made: 176,
        by: 1,
        traffic: &[
            calls("192.0.2.201", "StatusProbe/2.4", Steady, 60.),
            calls("198.51.100.201", "StatusProbe/2.4", Steady, 60.),
            calls("2001:db8:feed::201", "StatusProbe/2.4", Steady, 60.).from(88.),
        ],
        ..PLAIN
    },
    Part {
        name: "Data science notebook",
        scopes: 3,
        expires: "365d",
        made: 97,
        by: 2,
        fate: &[(30, Fate::Narrow)],
        traffic: &[
            calls("10.20.30.14", "python-httpx/0.28.1", Office, 85.),
            calls("10.20.30.14", "python-httpx/0.28.1", Office, 1.5).from(6.).asks(Asks::MoreScopes),
            calls("10.20.30.22", "R", Office, 14.).from(52.),
        ],
        ..PLAIN
    },
    Part {
        name: "Email digest",
        scopes: 1,
        made: 111,
        traffic: &[calls("10.20.8.6", "Go-http-client/2.0", Daily(6), 780.)],
        ..PLAIN
    },
    Part {
        name: "Load test",
        live: false,
        scopes: 2,
        made: 71,
        by: 2,
        fate: &[(5, Fate::Disable)],
        traffic: &[
            calls("192.0.2.66", "k6/1.3.0", Burst, 34.).until(5.),
            calls("192.0.2.66", "k6/1.3.0", Daily(13), 9.).from(5.),
        ],
        ..PLAIN
    },
    Part {
        name: "Old mobile app",
        made: 188,
        fate: &[(33, Fate::Revoke(Reason::Superseded))],
        traffic: &[
            calls("203.0.113.81", "okhttp/4.12.0", People, 180.).via("edge-gateway").until(33.),
            calls("203.0.113.82", "okhttp/4.12.0", People, 4.).via("edge-gateway"),
        ],
        ..PLAIN
    },
    Part {
        name: "Zapier bridge",
        expires: "90d",
        made: 96,
        by: 1,
        traffic: &[calls("192.0.2.150", "Zapier", Steady, 5.), calls("192.0.2.151", "Zapier", Steady, 4.)],
        ..PLAIN
    },
    Part { name: "Onboarding sandbox", live: false, scopes: 1, made: 21, by: 2, ..PLAIN },
    Part {
        name: "Legacy reports",
        scopes: 3,
        made: 185,
        fate: &[(9, Fate::Revoke(Reason::KeyCompromise))],
        traffic: &[
            calls("10.20.8.9", "PHP/8.1", Daily(7), 90.).until(9.),
            // Whoever found it where it was pasted.
            calls("203.0.113.231", "python-requests/2.31.0", Steady, 3.).from(9.6),
            calls("198.51.100.247", "curl/7.88.1", Steady, 1.5).from(7.1),
        ],
        ..PLAIN
    },
    Part {
        name: "Search indexer",
        scopes: 1,
        made: 84,
        traffic: &[
            calls("10.20.7.20", "Rust-reqwest/0.12", Steady, 170.),
            calls("10.20.7.21", "Rust-reqwest/0.12", Steady, 160.),
        ],
        ..PLAIN
    },
    Part {
        name: "Revenue dashboard",
        scopes: 1,
        expires: "365d",
        made: 118,
        by: 1,
        traffic: &[calls("10.20.30.40", "Grafana/12.2.1", Office, 120.)],
        ..PLAIN
    },
    Part {
        name: "Customer imports",
        expires: "90d",
        made: 83,
        by: 2,
        traffic: &[
            calls("10.20.8.12", "python-httpx/0.28.1", Daily(21), 260.),
            calls("10.20.8.12", "python-httpx/0.28.1", Daily(22), 11.).from(6.5).asks(Asks::OtherNamespace),
        ],
        ..PLAIN
    },
    Part {
        name: "Webhook relay",
        made: 12,
        by: 2,
        traffic: &[
            calls("10.20.5.8", "undici/7.16.0", People, 240.),
            calls("10.20.5.9", "undici/7.16.0", People, 210.).from(3.),
        ],
        ..PLAIN
    },
    Part {
        name: "Spring backfill",
        made: 79,
        by: 1,
        fate: &[(61, Fate::Revoke(Reason::NoLongerNeeded))],
        traffic: &[calls("10.20.8.14", "python-httpx/0.27.2", Steady, 460.).until(66.)],
        ..PLAIN
    },
    Part {
        name: "Staging smoke tests",
        live: false,
        made: 60,
        by: 2,
        traffic: &[calls("192.0.2.110", "Playwright/1.56", Office, 18.)],
        ..PLAIN
    },
];
