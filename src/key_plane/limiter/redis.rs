//! Counts in Redis or Valkey, for several nodes.

use std::{io, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisResult, Script, ScriptInvocation, TlsMode,
    aio::MultiplexedConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::{LimiterError, Subject, window::Count};
use crate::catalog::Limit;

/// Redis gets this long to answer, connecting included.
const REDIS_TIMEOUT: Duration = Duration::from_millis(250);
/// How long connecting may go on behind the calls that have given up on it: a TLS handshake after asking sentinels takes a while.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What begins an address of sentinels, and the scheme of the servers that they know.
const SENTINEL_SCHEMES: [(&str, &str); 4] = [
    ("redis+sentinel://", "redis://"),
    ("rediss+sentinel://", "rediss://"),
    ("valkey+sentinel://", "valkey://"),
    ("valkeys+sentinel://", "valkeys://"),
];

/// Where Redis keeps a subject's count.
pub(super) fn redis_key(subject: Subject) -> String {
    match subject {
        Subject::Key(key) => format!("keydesk:rate:key:{key}"),
        Subject::Address(address) => format!("keydesk:rate:address:{address}"),
    }
}

/// The server that counts.
enum Server {
    Fixed(Box<Client>),
    /// Sentinels say at each new connection which one it is.
    Elected(Box<SentinelClient>),
}

impl Server {
    /// `redis://[user:password@]host:port`, or `redis+sentinel://[user:password@]sentinel:port[,sentinel:port]…/name`, where user
    /// and password are those of the server; with `rediss` by TLS.
    fn parse(url: &str) -> RedisResult<Self> {
        let sentinels = SENTINEL_SCHEMES.iter().find_map(|(begins, scheme)| Some((url.strip_prefix(begins)?, scheme)));
        let Some((rest, scheme)) = sentinels else {
            return Client::open(url).map(|client| Self::Fixed(Box::new(client)));
        };
        let Some((authority, name)) = rest.split_once('/').filter(|(_, name)| !name.is_empty()) else {
            return Err(io::Error::other("the name of the server that sentinels watch is missing").into());
        };
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let infos = hosts.split(',').map(|host| format!("{scheme}{login}@{host}").into_connection_info());
        let infos: Vec<_> = infos.collect::<RedisResult<_>>()?;
        let addresses = infos.iter().map(|info| info.addr().clone());
        let mut builder = SentinelClientBuilder::new(addresses, name, SentinelServerType::Master)?;
        if let Some(info) = infos.first() {
            if let Some(user) = info.redis_settings().username() {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = info.redis_settings().password() {
                builder = builder.set_client_to_redis_password(password);
            }
            if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
                builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            }
        }
        builder.build().map(|client| Self::Elected(Box::new(client)))
    }

    async fn connect(&mut self) -> RedisResult<MultiplexedConnection> {
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT));
        match self {
            Self::Fixed(client) => client.get_multiplexed_async_connection_with_config(&timeouts).await,
            Self::Elected(sentinels) => sentinels.get_async_connection_with_config(&timeouts).await,
        }
    }
}

/// Counts in Redis or Valkey. An evicted count is forgotten, and so are all counts when a server restarts that does not keep
/// them: [`Self::warnings`] says so.
///
/// This does not use redis' `ConnectionManager`, which gives up for good when a login fails once, and keeps a connection
/// whose other end has vanished until the kernel gives up, a quarter of an hour later.
pub struct RedisCounters {
    script: Script,
    link: Arc<Mutex<Link>>,
}

/// The connection that all calls share, and its number.
struct Link {
    server: Server,
    connection: Option<MultiplexedConnection>,
    number: u64,
    /// What is wrong with how the server is set up.
    warnings: Vec<String>,
}

/// A connection, for one call.
struct Linked {
    number: u64,
    connection: MultiplexedConnection,
    /// Made for this call.
    fresh: bool,
}

impl RedisCounters {
    pub async fn connect(url: &SecretString) -> Result<Self, LimiterError> {
        let server = Server::parse(url.expose_secret()).map_err(|_| LimiterError::Address)?;
        let link = Link { server, connection: None, number: 0, warnings: Vec::new() };
        let redis = Self { script: Script::new(include_str!("redis.lua")), link: Arc::new(Mutex::new(link)) };
        within(CONNECT_TIMEOUT + REDIS_TIMEOUT, async {
            let mut linked = redis.link().await?;
            redis.script.load_async(&mut linked.connection).await
        })
        .await?;
        Ok(redis)
    }

    /// What an operator should change about the server; nothing while somebody connects.
    pub fn warnings(&self) -> Vec<String> {
        self.link.try_lock().map(|link| link.warnings.clone()).unwrap_or_default()
    }

    pub async fn count(&self, step: &str, subject: Subject, limit: Limit) -> Result<Count, LimiterError> {
        let mut call = self.script.key(redis_key(subject));
        call.arg(step).arg(limit.calls()).arg(limit.window_micros()).arg(limit.sub_bucket_micros());
        let (taken, used, wait, at) = self.ask(&call).await?;
        Ok(Count { limit, taken, used, wait, at })
    }

    pub async fn give_back(&self, subject: Subject, taken: Count) -> Result<(), LimiterError> {
        let mut call = self.script.key(redis_key(subject));
        call.arg("give_back").arg(taken.at).arg(taken.limit.sub_bucket_micros());
        self.ask(&call).await.map(drop)
    }

    /// A connection that has stood for a while may have lost its other end, or lead to a server that is a replica now: a call
    /// that fails on one is made once more on a new one. At worst it is counted twice.
    async fn ask(&self, call: &ScriptInvocation<'_>) -> Result<(bool, u32, i64, i64), LimiterError> {
        let mut over = None;
        let answer = within(REDIS_TIMEOUT, async {
            let mut linked = self.link().await?;
            over = Some(linked.number);
            let answer = call.invoke_async(&mut linked.connection).await;
            if answer.is_ok() || linked.fresh {
                return answer;
            }
            self.unlink(linked.number).await;
            let mut linked = self.link().await?;
            over = Some(linked.number);
            call.invoke_async(&mut linked.connection).await
        })
        .await;
        if let (Err(_), Some(number)) = (&answer, over) {
            self.unlink(number).await;
        }
        answer
    }

    /// The connection, made anew if there is none. Whoever gives up on that leaves the connection to the next call.
    async fn link(&self) -> RedisResult<Linked> {
        let mut link = Arc::clone(&self.link).lock_owned().await;
        if let Some(connection) = link.connection.clone() {
            return Ok(Linked { number: link.number, connection, fresh: false });
        }
        let connecting = tokio::spawn(async move {
            let mut connection = tokio::time::timeout(CONNECT_TIMEOUT, link.server.connect()).await.map_err(late)??;
            let warnings = warnings(&mut connection).await;
            for warning in &warnings {
                if !link.warnings.contains(warning) {
                    tracing::warn!("{warning}");
                }
            }
            link.warnings = warnings;
            link.connection = Some(connection.clone());
            link.number += 1;
            Ok(Linked { number: link.number, connection, fresh: true })
        });
        connecting.await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
    }

    /// After any error the next call connects again, unless another already did: the server may have been replaced.
    async fn unlink(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.number == number {
            link.connection = None;
        }
    }
}

/// What is wrong with how a server is set up, as far as it says: a managed one may not answer about its configuration.
async fn warnings(connection: &mut MultiplexedConnection) -> Vec<String> {
    let mut warnings = Vec::new();
    let info: String = redis::cmd("INFO").query_async(connection).await.unwrap_or_default();
    let value = |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let (most, policy) = (value("maxmemory"), value("maxmemory_policy"));
    if let Some(policy) = policy.filter(|policy| *policy != "noeviction" && most != Some("0")) {
        warnings.push(format!(
            "the limiter's server evicts keys when its memory is full ({policy}), and forgets how often they were used: set \
             maxmemory-policy noeviction"
        ));
    }
    let saves: RedisResult<(String, String)> =
        redis::cmd("CONFIG").arg("GET").arg("save").query_async(connection).await;
    let saves_nothing = saves.is_ok_and(|(_, points)| points.is_empty());
    if saves_nothing && value("aof_enabled") == Some("0") && value("connected_slaves") == Some("0") {
        warnings.push(
            "the limiter's server keeps nothing on disk and has no replica: all counts begin anew when it restarts"
                .to_owned(),
        );
    }
    warnings
}

fn late(_: tokio::time::error::Elapsed) -> io::Error {
    io::ErrorKind::TimedOut.into()
}

async fn within<T>(time: Duration, work: impl Future<Output = RedisResult<T>>) -> Result<T, LimiterError> {
    let done = tokio::time::timeout(time, work).await;
    done.map_err(|elapsed| late(elapsed).into()).flatten().map_err(LimiterError::Unavailable)
}
