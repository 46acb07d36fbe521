//! How many calls a key or an address may make in a window that slides.
//!
//! [`window`] has the arithmetic, [`memory`] counts in this process for one node, and [`redis`] counts in Redis or Valkey
//! for several; redis.lua has the same arithmetic as [`window`].

mod memory;
mod redis;
#[cfg(test)]
mod tests;
mod window;

use crate::ids::KeyId;
use std::net::{IpAddr, Ipv6Addr};

use ::redis::RedisError;
use secrecy::SecretString;
use time::OffsetDateTime;

use crate::catalog::Limit;
use memory::MemoryCounters;
use redis::RedisCounters;
pub use window::Count;
use window::MICROS_PER_SECOND;

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Key(KeyId),
    Address(IpAddr),
}

impl Subject {
    /// The subject as it is counted. A client with IPv6 has a whole /64 to call from, so a /64 counts as one address.
    fn counted(self) -> Self {
        match self {
            Self::Key(_) => self,
            Self::Address(address) => Self::Address(match address.to_canonical() {
                IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
                v4 => v4,
            }),
        }
    }
}

/// Why nobody knows whether a call fits. Neither text quotes the address, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum LimiterError {
    #[error(
        "the limiter's address cannot be used: give redis://host:port, rediss://host:port for TLS, or redis+sentinel://sentinel:port,sentinel:port/name"
    )]
    Address,
    #[error("the limiter gives no answer")]
    Unavailable(#[source] RedisError),
}

/// Counts calls.
pub enum Limiter {
    Memory(MemoryCounters),
    Redis(Box<RedisCounters>),
}

impl Limiter {
    /// For one node: the counts are in this process and end with it.
    pub fn memory() -> Self {
        Self::Memory(MemoryCounters::default())
    }

    /// For several nodes: the counts are in Redis or Valkey, by its clock. Fails if it cannot be used now; later it may go
    /// and come back.
    pub async fn redis(url: &SecretString) -> Result<Self, LimiterError> {
        RedisCounters::connect(url).await.map(|redis| Self::Redis(Box::new(redis)))
    }

    /// Whether other nodes count with this one.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// What an operator should change about where the counts are.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Memory(_) => Vec::new(),
            Self::Redis(redis) => redis.warnings(),
        }
    }

    /// Counts a call at `now` if it fits. A subject has one limit at a time; when that is changed, what was spent before
    /// keeps counting as far as the shorter of the two windows reaches back.
    ///
    /// # Errors
    /// The limiter could not be asked. The call may have been counted.
    pub async fn take(&self, subject: Subject, limit: Limit, now: OffsetDateTime) -> Result<Count, LimiterError> {
        match self {
            Self::Memory(memory) => Ok(memory.take(subject.counted(), limit, micros(now))),
            Self::Redis(redis) => Box::pin(redis.count("take", subject.counted(), limit)).await,
        }
    }

    /// Answers what [`Self::take`] would, without counting the call: there is nothing to give back.
    pub async fn peek(&self, subject: Subject, limit: Limit, now: OffsetDateTime) -> Result<Count, LimiterError> {
        match self {
            Self::Memory(memory) => Ok(memory.peek(subject.counted(), limit, micros(now))),
            Self::Redis(redis) => Box::pin(redis.count("peek", subject.counted(), limit)).await,
        }
    }

    /// Uncounts a call that was taken and then refused for another reason. If that cannot be done, the call stays counted.
    pub async fn give_back(&self, subject: Subject, taken: Count) {
        match self {
            Self::Memory(memory) => memory.give_back(subject.counted(), taken),
            Self::Redis(redis) => {
                if let Err(error) = Box::pin(redis.give_back(subject.counted(), taken)).await {
                    tracing::warn!(?error, "a refused call could not be given back; it stays counted");
                }
            }
        }
    }

    /// Frees the memory of subjects that have been idle for their whole window. Redis does so by itself.
    pub fn prune(&self, now: OffsetDateTime) {
        if let Self::Memory(memory) = self {
            memory.prune(micros(now));
        }
    }
}

fn micros(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() * MICROS_PER_SECOND + i64::from(at.microsecond())
}
