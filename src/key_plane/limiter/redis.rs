//! Counts in Redis or Valkey, for several nodes.

use std::{io, time::Duration};

use redis::{AsyncConnectionConfig, Client, RedisResult, Script, ScriptInvocation, aio::MultiplexedConnection};
use secrecy::{ExposeSecret, SecretString};

use super::{LimiterError, Subject, window::Count};
use crate::catalog::Limit;

/// Redis gets this long to answer, connecting included.
const REDIS_TIMEOUT: Duration = Duration::from_millis(250);

/// Where Redis keeps a subject's count.
pub(super) fn redis_key(subject: Subject) -> String {
    match subject {
        Subject::Key(key) => format!("keydesk:rate:key:{key}"),
        Subject::Address(address) => format!("keydesk:rate:address:{address}"),
    }
}

/// Counts in Redis or Valkey. The server must not evict keys (`maxmemory-policy noeviction`): an evicted count is
/// forgotten, as are all counts when it restarts without persistence.
///
/// This does not use redis' `ConnectionManager`, which gives up for good when a login fails once, and keeps a connection
/// whose other end has vanished until the kernel gives up, a quarter of an hour later.
pub struct RedisCounters {
    client: Client,
    script: Script,
    link: tokio::sync::Mutex<Link>,
}

/// The connection that all calls share, and its number.
#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    number: u64,
}

impl RedisCounters {
    pub async fn connect(url: &SecretString) -> Result<Self, LimiterError> {
        let client = Client::open(url.expose_secret()).map_err(|_| LimiterError::Address)?;
        let redis = Self { client, script: Script::new(include_str!("redis.lua")), link: Default::default() };
        in_time(async {
            let (_, mut connection) = redis.link().await?;
            redis.script.load_async(&mut connection).await
        })
        .await?;
        Ok(redis)
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

    async fn ask(&self, call: &ScriptInvocation<'_>) -> Result<(bool, u32, i64, i64), LimiterError> {
        let mut over = None;
        let answer = in_time(async {
            let (number, mut connection) = self.link().await?;
            over = Some(number);
            call.invoke_async(&mut connection).await
        })
        .await;
        if let (Err(_), Some(number)) = (&answer, over) {
            self.unlink(number).await;
        }
        answer
    }

    /// The connection, made anew if there is none.
    async fn link(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection {
            return Ok((link.number, connection.clone()));
        }
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&timeouts).await?;
        *link = Link { connection: Some(connection.clone()), number: link.number + 1 };
        Ok((link.number, connection))
    }

    /// After any error the next call connects again, unless another already did: the server may have been replaced.
    async fn unlink(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.number == number {
            link.connection = None;
        }
    }
}

async fn in_time<T>(work: impl Future<Output = RedisResult<T>>) -> Result<T, LimiterError> {
    match tokio::time::timeout(REDIS_TIMEOUT, work).await {
        Ok(done) => done.map_err(LimiterError::Unavailable),
        Err(_) => Err(LimiterError::Unavailable(io::Error::from(io::ErrorKind::TimedOut).into())),
    }
}
