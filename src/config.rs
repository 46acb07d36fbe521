//! The environment variables, parsed once at start. A variable that this version does not know is refused rather than
//! ignored, so that a misspelt setting is noticed.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

use crate::{
    client::TrustedProxies,
    revocation::{HistoryBack, LeaseLength},
};

/// Everything a command needs to know before it starts.
#[derive(Debug)]
pub struct Config {
    pub data_dir: PathBuf,
    /// The connection of the database's owner. `None`: the embedded Postgres.
    pub database_url: Option<SecretString>,
    pub console_database_url: Option<SecretString>,
    pub keys_database_url: Option<SecretString>,
    pub operator_database_url: Option<SecretString>,
    pub console_addr: SocketAddr,
    pub keys_addr: SocketAddr,
    /// The public origin of the console. `None`: `http://localhost` with the console's port.
    pub console_origin: Option<Origin>,
    /// The name of a preset, or the path of a file.
    pub catalog: String,
    /// The URL of the Redis in which all nodes count calls. `None`: each process counts in its own memory.
    pub limiter: Option<SecretString>,
    pub trusted_proxies: TrustedProxies,
    /// How long this node may answer without the database.
    pub lease: LeaseLength,
    /// What a node answers when the database went back.
    pub history_back: HistoryBack,
    /// How long a process goes on accepting after SIGTERM, while `/readyz` sends new calls elsewhere.
    pub drain: Duration,
    /// The listener for readiness and metrics. `None`: they are not served.
    pub admin_addr: Option<SocketAddr>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is not known to this version of Keydesk. Unset it, or check its spelling.")]
    Unknown { name: String },
    #[error("{name} is not built yet in this version of Keydesk. Unset it.")]
    NotBuilt { name: &'static str },
    #[error("{name}: {problem}")]
    Invalid { name: &'static str, problem: String },
}

const MAX_DRAIN: Duration = Duration::from_mins(5);
/// Variables that are planned. Setting one is refused with a message of its own.
const UNSUPPORTED: [&str; 1] = ["KEYDESK_SMTP_URL"];
/// Variables that other programs read: the build and test scripts, and the examples that call an API with a key.
const IGNORED: [&str; 4] = ["KEYDESK_TOOLS", "KEYDESK_CHROMIUM", "KEYDESK_API_KEY", "KEYDESK_WEBHOOK_SECRET"];

impl Config {
    /// Parses environment variables. They are a parameter because tests must not change those of the process.
    pub fn from_env(mut env: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        // An empty variable counts as unset, because shells and compose files unset a variable by emptying it.
        env.retain(|name, value| !value.is_empty() && (name == "DATABASE_URL" || name.starts_with("KEYDESK_")));
        env.retain(|name, value| !is_service_link(name, value));
        let config = Self {
            data_dir: env.remove("KEYDESK_DATA_DIR").unwrap_or_else(|| ".keydesk".to_owned()).into(),
            database_url: env.remove("DATABASE_URL").map(Into::into),
            console_database_url: env.remove("KEYDESK_CONSOLE_DATABASE_URL").map(Into::into),
            keys_database_url: env.remove("KEYDESK_KEYS_DATABASE_URL").map(Into::into),
            operator_database_url: env.remove("KEYDESK_OPERATOR_DATABASE_URL").map(Into::into),
            console_addr: address(&mut env, "KEYDESK_CONSOLE_ADDR", "127.0.0.1:3000")?,
            keys_addr: address(&mut env, "KEYDESK_KEYS_ADDR", "127.0.0.1:3001")?,
            console_origin: env
                .remove("KEYDESK_CONSOLE_ORIGIN")
                .map(|text| Origin::parse(&text))
                .transpose()
                .map_err(|problem| ConfigError::Invalid { name: "KEYDESK_CONSOLE_ORIGIN", problem })?,
            catalog: env.remove("KEYDESK_CATALOG").unwrap_or_else(|| "default".to_owned()),
            limiter: limiter(env.remove("KEYDESK_LIMITER"))?,
            trusted_proxies: TrustedProxies::parse(&env.remove("KEYDESK_TRUSTED_PROXIES").unwrap_or_default())
                .map_err(|problem| ConfigError::Invalid { name: "KEYDESK_TRUSTED_PROXIES", problem })?,
            lease: lease(env.remove("KEYDESK_LEASE"))?,
            history_back: history_back(env.remove("KEYDESK_HISTORY_BACK").as_deref())?,
            drain: drain(env.remove("KEYDESK_DRAIN"))?,
            admin_addr: if env.contains_key("KEYDESK_ADMIN_ADDR") {
                Some(address(&mut env, "KEYDESK_ADMIN_ADDR", "127.0.0.1:3002")?)
            } else {
                None
            },
        };
        if let Some(name) = env.into_keys().find(|name| !IGNORED.contains(&name.as_str())) {
            return Err(match UNSUPPORTED.into_iter().find(|known| *known == name) {
                Some(name) => ConfigError::NotBuilt { name },
                None => ConfigError::Unknown { name },
            });
        }
        let planes = [&config.console_database_url, &config.keys_database_url, &config.operator_database_url];
        if config.database_url.is_none() && planes.into_iter().any(Option::is_some) {
            return Err(ConfigError::Invalid {
                name: "DATABASE_URL",
                problem: "must be set too when a plane has a database URL of its own".to_owned(),
            });
        }
        Ok(config)
    }
}

/// Whether a variable is one of those that Kubernetes puts into every pod beside a Service whose name begins with `keydesk`,
/// such as `KEYDESK_SERVICE_HOST` and `KEYDESK_PORT_3001_TCP`
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
fn is_service_link(name: &str, value: &str) -> bool {
    let is_port = |rest: &str| match rest {
        "" => value.contains("://"),
        rest => ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| rest.contains(protocol)),
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT").is_some_and(|(_, rest)| is_port(rest))
}

/// `redis` or `valkey`, with an `s` for TLS, and `+sentinel`.
fn is_redis(url: &str) -> bool {
    let Some((scheme, _)) = url.split_once("://") else { return false };
    ["redis", "rediss", "valkey", "valkeys"].contains(&scheme.strip_suffix("+sentinel").unwrap_or(scheme))
}

fn limiter(text: Option<String>) -> Result<Option<SecretString>, ConfigError> {
    match text {
        None => Ok(None),
        Some(text) if text == "memory" => Ok(None),
        Some(url) if is_redis(&url) => Ok(Some(url.into())),
        // The URL may hold a password, so the error does not quote it.
        Some(_) => Err(ConfigError::Invalid {
            name: "KEYDESK_LIMITER",
            problem: "must be memory, or redis://host:port, rediss://host:port for TLS, or redis+sentinel://sentinel:port,sentinel:port/name".to_owned(),
        }),
    }
}

/// `45s`, `2m`.
fn duration(text: &str) -> Option<Duration> {
    let seconds = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(seconds), _) => seconds.parse().ok(),
        (_, Some(minutes)) => minutes.parse().ok().and_then(|minutes: u64| minutes.checked_mul(60)),
        _ => None,
    };
    seconds.map(Duration::from_secs)
}

fn lease(text: Option<String>) -> Result<LeaseLength, ConfigError> {
    let Some(text) = text else { return Ok(LeaseLength::default()) };
    duration(&text).and_then(LeaseLength::new).ok_or_else(|| ConfigError::Invalid {
        name: "KEYDESK_LEASE",
        problem: format!("{text:?} is not a time from 2s to 5m, as in 45s"),
    })
}

fn history_back(text: Option<&str>) -> Result<HistoryBack, ConfigError> {
    match text {
        None => Ok(HistoryBack::default()),
        Some("answer") => Ok(HistoryBack::Answer),
        Some("refuse") => Ok(HistoryBack::Refuse),
        Some(text) => Err(ConfigError::Invalid {
            name: "KEYDESK_HISTORY_BACK",
            problem: format!("{text:?} is neither answer nor refuse"),
        }),
    }
}

fn drain(text: Option<String>) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    duration(&text).filter(|drain| *drain <= MAX_DRAIN).ok_or_else(|| ConfigError::Invalid {
        name: "KEYDESK_DRAIN",
        problem: format!("{text:?} is not a time from 0s to 5m, as in 15s"),
    })
}

fn address(env: &mut BTreeMap<String, String>, name: &'static str, default: &str) -> Result<SocketAddr, ConfigError> {
    let text = env.remove(name).unwrap_or_else(|| default.to_owned());
    text.parse().map_err(|_| ConfigError::Invalid {
        name,
        problem: format!("{text:?} is not an address and port, as in {default}"),
    })
}

/// The console's public origin. Links point to it, the same-origin check expects it, and cookies are `Secure` if it is
/// https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// Parses `https://host[:port]`; plain http is allowed for this machine only.
    ///
    /// # Errors
    /// A sentence that says what is wrong, for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(format!("{text:?} must start with https:// (or http:// on this machine)")),
        };
        let uri: http::uri::Authority =
            rest.parse().map_err(|_| format!("{text:?} must be an origin alone, as in https://keys.example.com"))?;
        if uri.as_str().contains('@') {
            return Err(format!("{text:?} must not hold a user name"));
        }
        let origin = Self {
            https,
            host: uri.host().to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(if https { 443 } else { 80 }),
        };
        if !https && !origin.is_loopback() {
            return Err(format!("{text:?} must be https, since sign-ins would travel readable otherwise"));
        }
        Ok(origin)
    }

    /// `http://localhost` with a port.
    pub fn local(port: u16) -> Self {
        Self { https: false, host: "localhost".to_owned(), port }
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn is_loopback(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "[::1]")
    }

    /// Whether an `Origin` header names this origin. `localhost`, `127.0.0.1` and `[::1]` name the same machine, so a
    /// browser that opened the console by one of them is at the origin that is configured by another.
    pub fn is_named_by(&self, header: &str) -> bool {
        Self::parse(header).is_ok_and(|other| {
            other == *self
                || (self.is_loopback() && other.is_loopback() && self.port == other.port && self.https == other.https)
        })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        let standard = if self.https { 443 } else { 80 };
        if self.port == standard {
            write!(f, "{scheme}://{}", self.host)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_env(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn nothing_set_means_the_documented_defaults() {
        let config = from(&[]).unwrap();
        assert_eq!(config.data_dir, PathBuf::from(".keydesk"));
        assert_eq!(config.console_addr.to_string(), "127.0.0.1:3000");
        assert_eq!(config.keys_addr.to_string(), "127.0.0.1:3001");
        assert!(config.console_origin.is_none());
        assert_eq!(Origin::local(3000).to_string(), "http://localhost:3000");
        assert!(config.database_url.is_none());
    }

    #[test]
    fn a_variable_that_is_unknown_or_not_built_is_refused() {
        assert!(matches!(from(&[("KEYDESK_SMTP_URL", "smtp://x")]), Err(ConfigError::NotBuilt { .. })));
        assert!(from(&[("KEYDESK_LIMITER", "memory")]).unwrap().limiter.is_none());
        for url in ["redis://x", "rediss://u:p@x:1", "valkey://x", "redis+sentinel://a:1,b:2/main"] {
            assert!(from(&[("KEYDESK_LIMITER", url)]).unwrap().limiter.is_some(), "{url}");
        }
        assert!(matches!(from(&[("KEYDESK_LIMITER", "memcached")]), Err(ConfigError::Invalid { .. })));
        assert!(matches!(from(&[("KEYDESK_TRUSTED_PROXIES", "proxy")]), Err(ConfigError::Invalid { .. })));
        for (text, seconds) in [("", 10), ("2s", 2), ("45s", 45), ("5m", 300)] {
            assert_eq!(from(&[("KEYDESK_LEASE", text)]).unwrap().lease.get(), Duration::from_secs(seconds));
        }
        for (text, seconds) in [("", 0), ("0s", 0), ("15s", 15), ("5m", 300)] {
            assert_eq!(from(&[("KEYDESK_DRAIN", text)]).unwrap().drain, Duration::from_secs(seconds));
        }
        for (text, answer) in
            [("", HistoryBack::Refuse), ("refuse", HistoryBack::Refuse), ("answer", HistoryBack::Answer)]
        {
            assert_eq!(from(&[("KEYDESK_HISTORY_BACK", text)]).unwrap().history_back, answer);
        }
        assert!(matches!(from(&[("KEYDESK_HISTORY_BACK", "allow")]), Err(ConfigError::Invalid { .. })));
        for text in ["301s", "15", "-1s"] {
            assert!(matches!(from(&[("KEYDESK_DRAIN", text)]), Err(ConfigError::Invalid { .. })), "{text}");
        }
        for text in ["1s", "301s", "6m", "10", "-3s", "ms", "99999999999999999999s", "4611686018427387904m"] {
            assert!(matches!(from(&[("KEYDESK_LEASE", text)]), Err(ConfigError::Invalid { .. })), "{text}");
        }
        assert!(matches!(from(&[("KEYDESK_CONSOLE_ADR", "x")]), Err(ConfigError::Unknown { .. })));
        for plane in ["KEYDESK_CONSOLE_DATABASE_URL", "KEYDESK_KEYS_DATABASE_URL", "KEYDESK_OPERATOR_DATABASE_URL"] {
            assert!(matches!(from(&[(plane, "postgres://x")]), Err(ConfigError::Invalid { name: "DATABASE_URL", .. })));
            assert!(from(&[(plane, "postgres://x"), ("DATABASE_URL", "postgres://x")]).is_ok());
        }
        assert!(from(&[("KEYDESK_SMTP_URL", ""), ("KEYDESK_TOOLS", "/x"), ("PATH", "/bin")]).is_ok());
    }

    #[test]
    fn what_kubernetes_adds_beside_a_service_is_not_ours() {
        for service in ["KEYDESK", "KEYDESK_CONSOLE", "KEYDESK_KEYS_ADDR"] {
            let names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_3001_TCP", "PORT_3001_TCP_ADDR"];
            let mut links: Vec<_> = names.iter().map(|name| (format!("{service}_{name}"), "10.96.0.7")).collect();
            links.push((format!("{service}_PORT"), "tcp://10.96.0.7:3001"));
            for (name, value) in &links {
                let config = from(&[(name, value)]).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(config.keys_addr.port(), 3001);
            }
        }
        // Somebody means something by these.
        for (name, value) in [("KEYDESK_PORT", "3000"), ("KEYDESK_CONSOLE_PORT", "3000"), ("KEYDESK_PORTS", "tcp://x")]
        {
            assert!(matches!(from(&[(name, value)]), Err(ConfigError::Unknown { .. })), "{name}");
        }
    }

    #[test]
    fn an_origin_is_https_unless_it_is_this_machine() {
        for good in [
            "https://keys.example.com",
            "https://keys.example.com:8443",
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://[::1]:3000",
        ] {
            assert_eq!(Origin::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "http://keys.example.com",
            "keys.example.com",
            "https://a/b",
            "https://u@h",
            "ftp://x",
            "https://",
            "http://localhost.evil.example",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_names_of_this_machine_are_one_origin_and_no_other_is() {
        let local = Origin::parse("http://localhost:3000").unwrap();
        assert!(local.is_named_by("http://127.0.0.1:3000") && local.is_named_by("http://[::1]:3000"));
        assert!(!local.is_named_by("http://localhost:3001") && !local.is_named_by("https://localhost:3000"));
        assert!(!local.is_named_by("null") && !local.is_named_by("http://localhost:3000.evil.example"));
        let public = Origin::parse("https://keys.example.com").unwrap();
        assert!(public.is_named_by("https://keys.example.com") && public.is_named_by("https://keys.example.com:443"));
        assert!(!public.is_named_by("https://example.com") && !public.is_named_by("http://localhost:443"));
    }
}
