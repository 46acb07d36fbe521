//! How many calls a key or an address may make in a window that slides.
//!
//! Calls are counted in sub-buckets of a sixtieth of the window. A sub-bucket counts in full until its last call is a
//! whole window old, so that no span of a window ever holds more calls than the limit, at the price of at most one
//! sub-bucket's delay. (GCRA would be smaller, but after a full burst it admits up to twice the limit in one window.)
//!
//! Counted in this process for one node, in Redis or Valkey for several; limiter.lua has the same arithmetic.

use std::{
    collections::HashMap,
    future::Future,
    hash::{BuildHasher, RandomState},
    io,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, RedisError, RedisResult, Script, ScriptInvocation, aio::MultiplexedConnection,
};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;

use crate::ids::KeyId;

/// Sub-buckets in a window. One more can count at a time, since the window's ends cut two of them.
const BUCKETS: i64 = 60;
const SECOND: i64 = 1_000_000;
/// One flooded key holds up only the keys that share its lock.
const SHARDS: usize = 64;
/// Anybody can call from ever new addresses, so no more than 200,000 are told apart at a time.
const ADDRESSES_PER_SHARD: usize = 200_000 / SHARDS;
/// Redis gets this long to answer, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Key(KeyId),
    Address(IpAddr),
}

impl Subject {
    /// As it is counted: whoever has IPv6 has a whole /64 to call from, so that counts as one address.
    fn counted(self) -> Self {
        match self {
            Self::Key(_) => self,
            Self::Address(address) => Self::Address(match address.to_canonical() {
                IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
                v4 => v4,
            }),
        }
    }

    fn redis_key(self) -> String {
        match self {
            Self::Key(key) => format!("keydesk:rate:key:{key}"),
            Self::Address(address) => format!("keydesk:rate:address:{address}"),
        }
    }
}

/// So many calls in any span of so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    limit: u32,
    window: Duration,
}

impl Allowance {
    /// Errors: a sentence that says what to do.
    pub fn new(limit: u32, window: Duration) -> Result<Self, &'static str> {
        if limit == 0 {
            Err("Allow at least one call.")
        } else if window.subsec_nanos() != 0 || !(1..=86_400).contains(&window.as_secs()) {
            Err("Give a window of whole seconds, from 1 second to 1 day.")
        } else {
            Ok(Self { limit, window })
        }
    }

    pub fn limit(self) -> u32 {
        self.limit
    }

    pub fn window(self) -> Duration {
        self.window
    }

    /// The window in microseconds.
    fn span(self) -> i64 {
        i64::try_from(self.window.as_micros()).unwrap_or(i64::MAX)
    }

    /// A sub-bucket in microseconds, rounded up so that 60 of them are no shorter than the window.
    fn width(self) -> i64 {
        (self.span() + BUCKETS - 1) / BUCKETS
    }
}

/// What the `RateLimit` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub limit: u32,
    /// Calls that would be admitted at once from now on.
    pub remaining: u32,
    /// Seconds until `remaining` grows if nothing else is called; of a refused call, until one is admitted.
    pub reset: u64,
}

/// Proof of a call that was counted, for giving it back.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    at: i64,
    width: i64,
}

/// Whether a call fits.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T = Ticket> {
    Taken {
        rate: Rate,
        ticket: T,
    },
    /// Nothing was spent.
    Refused {
        rate: Rate,
        /// After so many seconds one call is admitted, if nobody else calls. At least 1.
        retry_after: u64,
    },
}

impl Outcome {
    fn of(count: Count, allowance: Allowance) -> Self {
        let reset = u64::try_from((count.wait + SECOND - 1) / SECOND).unwrap_or(0);
        let rate = Rate { limit: allowance.limit, remaining: allowance.limit.saturating_sub(count.used), reset };
        if count.taken {
            Self::Taken { rate, ticket: Ticket { at: count.at, width: allowance.width() } }
        } else {
            Self::Refused { rate, retry_after: reset }
        }
    }

    /// Without the ticket: what was not taken must not be given back.
    fn forecast(self) -> Outcome<()> {
        match self {
            Self::Taken { rate, .. } => Outcome::Taken { rate, ticket: () },
            Self::Refused { rate, retry_after } => Outcome::Refused { rate, retry_after },
        }
    }
}

/// Why nobody knows whether a call fits. Neither text quotes the address: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum LimiterError {
    #[error("the limiter's address cannot be used: give redis://host:port or valkey://host:port, without TLS")]
    Address,
    #[error("the limiter gives no answer")]
    Unavailable(#[source] RedisError),
}

/// Counts calls.
pub enum Limiter {
    Memory(Memory),
    Redis(Box<Redis>),
}

impl Limiter {
    /// For one node: counts are in this process and end with it.
    pub fn memory() -> Self {
        Self::Memory(Memory::default())
    }

    /// For several nodes: counts are in Redis or Valkey, by its clock. Fails if it cannot be used now; later it may go
    /// and come back.
    pub async fn redis(url: &SecretString) -> Result<Self, LimiterError> {
        Redis::connect(url).await.map(|redis| Self::Redis(Box::new(redis)))
    }

    /// Whether other nodes count with this one.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// Counts a call at `now` if it fits. A subject has one allowance at a time; when that is changed, what was spent
    /// before keeps counting as far as the shorter of the two windows reaches back.
    ///
    /// On an error the call may have been counted.
    pub async fn take(
        &self,
        subject: Subject,
        allowance: Allowance,
        now: OffsetDateTime,
    ) -> Result<Outcome, LimiterError> {
        let count = match self {
            Self::Memory(memory) => memory.take(subject.counted(), allowance, micros(now)),
            Self::Redis(redis) => Box::pin(redis.count("take", subject.counted(), allowance)).await?,
        };
        Ok(Outcome::of(count, allowance))
    }

    /// What [`Self::take`] would say, without counting the call.
    pub async fn peek(
        &self,
        subject: Subject,
        allowance: Allowance,
        now: OffsetDateTime,
    ) -> Result<Outcome<()>, LimiterError> {
        let count = match self {
            Self::Memory(memory) => memory.peek(subject.counted(), allowance, micros(now)),
            Self::Redis(redis) => Box::pin(redis.count("peek", subject.counted(), allowance)).await?,
        };
        Ok(Outcome::of(count, allowance).forecast())
    }

    /// Uncounts a call that was refused later for another reason. If that cannot be done, the call stays counted.
    pub async fn give_back(&self, subject: Subject, ticket: Ticket) {
        match self {
            Self::Memory(memory) => memory.give_back(subject.counted(), &ticket),
            Self::Redis(redis) => {
                if let Err(error) = Box::pin(redis.give_back(subject.counted(), &ticket)).await {
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
    at.unix_timestamp() * SECOND + i64::from(at.microsecond())
}

/// The arithmetic's answer, the same from memory and from Redis. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    taken: bool,
    /// With this call, if it was taken.
    used: u32,
    /// See [`Rate::reset`].
    wait: i64,
    /// When this call counts as made.
    at: i64,
}

/// The calls of one sub-bucket.
#[derive(Clone, Copy)]
struct Bucket {
    calls: u32,
    last: i64,
}

/// What a subject spent: its sub-buckets that still count, oldest first.
#[derive(Clone, Default)]
struct Spent {
    buckets: Vec<Bucket>,
    /// From then on none of it counts.
    until: i64,
}

impl Spent {
    fn take(&mut self, allowance: Allowance, asked: i64) -> Count {
        let (window, width) = (allowance.span(), allowance.width());
        // For a clock that was put back, time stands still until it has caught up.
        let now = self.buckets.last().map_or(asked, |latest| latest.last.max(asked));
        let live = |bucket: &&Bucket| now - bucket.last < window;
        let used = self.buckets.iter().filter(live).fold(0u32, |sum, bucket| sum.saturating_add(bucket.calls));
        let taken = used < allowance.limit;
        if taken {
            self.buckets.retain(|bucket| live(&bucket));
            self.record(now, width);
            self.until = now + window;
        }
        let needed = if taken { 1 } else { used - allowance.limit + 1 };
        let wait = oldest(self.buckets.iter().filter(live), needed).map_or(0, |last| last + window - asked);
        Count { taken, used: used + u32::from(taken), wait, at: now }
    }

    fn record(&mut self, now: i64, width: i64) {
        match self.buckets.last_mut() {
            Some(bucket) if bucket.last.div_euclid(width) == now.div_euclid(width) => {
                *bucket = Bucket { calls: bucket.calls.saturating_add(1), last: now };
            }
            _ => self.buckets.push(Bucket { calls: 1, last: now }),
        }
    }

    /// A sub-bucket of no calls stays: it knows how late it was, should the clock be put back.
    fn give_back(&mut self, ticket: &Ticket) {
        let number = |time: i64| time.div_euclid(ticket.width);
        let taken_in = |bucket: &&mut Bucket| bucket.calls > 0 && number(bucket.last) == number(ticket.at);
        if let Some(bucket) = self.buckets.iter_mut().find(taken_in) {
            bucket.calls -= 1;
        }
    }
}

/// When the last call was in the sub-bucket with which the `needed` oldest calls are gone.
fn oldest<'a>(mut buckets: impl Iterator<Item = &'a Bucket>, needed: u32) -> Option<i64> {
    let mut gone = 0u32;
    let bucket = buckets.find(|bucket| {
        gone = gone.saturating_add(bucket.calls);
        gone >= needed
    });
    bucket.map(|bucket| bucket.last)
}

/// Counts in this process. A subject takes about 150 bytes while it calls seldom and 1.2 kB at most.
pub struct Memory {
    shards: Box<[Mutex<Shard>; SHARDS]>,
    hasher: RandomState,
}

impl Default for Memory {
    fn default() -> Self {
        Self { shards: Box::new(std::array::from_fn(|_| Mutex::default())), hasher: RandomState::new() }
    }
}

impl Memory {
    fn take(&self, subject: Subject, allowance: Allowance, now: i64) -> Count {
        let mut shard = self.shard(subject);
        let now = shard.not_before_pruning(now);
        shard.open(subject, now).take(allowance, now)
    }

    fn peek(&self, subject: Subject, allowance: Allowance, now: i64) -> Count {
        let shard = self.shard(subject);
        shard.look(subject).take(allowance, shard.not_before_pruning(now))
    }

    fn give_back(&self, subject: Subject, ticket: &Ticket) {
        let mut shard = self.shard(subject);
        shard.open(subject, ticket.at).give_back(ticket);
    }

    fn prune(&self, now: i64) {
        self.shards.iter().for_each(|shard| lock(shard).prune(now));
    }

    fn shard(&self, subject: Subject) -> MutexGuard<'_, Shard> {
        let [first, ..] = &*self.shards;
        let number = self.hasher.hash_one(subject) % SHARDS as u64;
        lock(usize::try_from(number).ok().and_then(|number| self.shards.get(number)).unwrap_or(first))
    }
}

/// Nothing in here can panic half way through a change.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Shard {
    keys: HashMap<KeyId, Spent>,
    addresses: HashMap<IpAddr, Spent>,
    /// Shared by the addresses for which there is no room.
    others: Spent,
    pruned: Option<i64>,
}

impl Shard {
    /// What was forgotten was forgotten as of then: an earlier time would make it count again.
    fn not_before_pruning(&self, now: i64) -> i64 {
        self.pruned.map_or(now, |pruned| pruned.max(now))
    }

    fn open(&mut self, subject: Subject, now: i64) -> &mut Spent {
        match subject {
            Subject::Key(key) => self.keys.entry(key).or_default(),
            Subject::Address(address) => self.open_address(address, now),
        }
    }

    fn open_address(&mut self, address: IpAddr, now: i64) -> &mut Spent {
        if self.addresses.len() >= ADDRESSES_PER_SHARD && !self.addresses.contains_key(&address) {
            // Not at every call: it looks at all of them.
            if self.pruned.is_none_or(|pruned| now - pruned >= SECOND) {
                self.prune(now);
            }
            if self.addresses.len() >= ADDRESSES_PER_SHARD {
                return &mut self.others;
            }
        }
        // Some of what the others spent may have been this address.
        self.addresses.entry(address).or_insert_with(|| self.others.clone())
    }

    /// What [`Self::open`] would give, as a copy.
    fn look(&self, subject: Subject) -> Spent {
        match subject {
            Subject::Key(key) => self.keys.get(&key).cloned().unwrap_or_default(),
            Subject::Address(address) => self.addresses.get(&address).unwrap_or(&self.others).clone(),
        }
    }

    fn prune(&mut self, now: i64) {
        let now = self.not_before_pruning(now);
        self.pruned = Some(now);
        self.keys.retain(|_, spent| now < spent.until);
        self.addresses.retain(|_, spent| now < spent.until);
        if self.others.until <= now {
            self.others = Spent::default();
        }
    }
}

/// Counts in Redis or Valkey. It must not evict keys (`maxmemory-policy noeviction`): an evicted count is forgotten, as
/// are all when it restarts without persistence.
///
/// Not with redis' `ConnectionManager`: that one gives up for good when a login fails once, and keeps a connection
/// whose other end has vanished until the kernel gives up, a quarter of an hour later.
pub struct Redis {
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

impl Redis {
    async fn connect(url: &SecretString) -> Result<Self, LimiterError> {
        let client = Client::open(url.expose_secret()).map_err(|_| LimiterError::Address)?;
        let redis = Self { client, script: Script::new(include_str!("limiter.lua")), link: Default::default() };
        in_time(async {
            let (_, mut connection) = redis.link().await?;
            redis.script.load_async(&mut connection).await
        })
        .await?;
        Ok(redis)
    }

    async fn count(&self, step: &str, subject: Subject, allowance: Allowance) -> Result<Count, LimiterError> {
        let mut call = self.script.key(subject.redis_key());
        call.arg(step).arg(allowance.limit).arg(allowance.span()).arg(allowance.width());
        self.ask(&call).await
    }

    async fn give_back(&self, subject: Subject, ticket: &Ticket) -> Result<(), LimiterError> {
        let mut call = self.script.key(subject.redis_key());
        call.arg("give_back").arg(ticket.at).arg(ticket.width);
        self.ask(&call).await.map(drop)
    }

    async fn ask(&self, call: &ScriptInvocation<'_>) -> Result<Count, LimiterError> {
        let mut over = None;
        let answer = in_time(async {
            let (number, mut connection) = self.link().await?;
            over = Some(number);
            call.invoke_async::<(bool, u32, i64, i64)>(&mut connection).await
        })
        .await;
        if let (Err(_), Some(number)) = (&answer, over) {
            self.unlink(number).await;
        }
        answer.map(|(taken, used, wait, at)| Count { taken, used, wait, at })
    }

    /// The connection, made anew if there is none.
    async fn link(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection {
            return Ok((link.number, connection.clone()));
        }
        let patience = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let connection = self.client.get_multiplexed_async_connection_with_config(&patience).await?;
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
    match tokio::time::timeout(ANSWER_WITHIN, work).await {
        Ok(done) => done.map_err(LimiterError::Unavailable),
        Err(_) => Err(LimiterError::Unavailable(io::Error::from(io::ErrorKind::TimedOut).into())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn allow(limit: u32, seconds: u64) -> Allowance {
        Allowance::new(limit, Duration::from_secs(seconds)).unwrap()
    }

    fn at(micros: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap()
    }

    fn key(number: u128) -> Subject {
        Subject::Key(KeyId(Uuid::from_u128(number)))
    }

    fn address(number: u32) -> Subject {
        Subject::Address(IpAddr::from(number.to_be_bytes()))
    }

    /// Somewhere inside a sub-bucket of any width.
    const START: i64 = 1_793_000_000_123_457;

    const ALLOWANCES: [(u32, u64); 9] =
        [(1, 1), (2, 1), (7, 7), (10, 60), (61, 60), (100, 900), (500, 86_400), (1_000, 900), (10_000, 900)];

    pub(super) fn allowances() -> impl Strategy<Value = Allowance> {
        // The largest seldom: it takes a while.
        let allowance = |i: usize| allow(ALLOWANCES[i].0, ALLOWANCES[i].1);
        prop_oneof![30 => (0..ALLOWANCES.len() - 1).prop_map(allowance), 1 => Just(allowance(8))]
    }

    /// What happens next, in shares of the allowance that is tried.
    #[derive(Clone, Copy, Debug)]
    pub(super) enum Step {
        /// That many thousandths of the limit, and one call.
        Burst(u32),
        /// Until so many microseconds before or after that many sub-buckets have passed.
        Buckets(i64, i64),
        /// Until so many microseconds before or after a window has passed.
        Window(i64),
        /// Any thousandths of a window.
        Wait(i64),
        /// The pace of the limit for that many calls.
        Steady(u32),
        GiveBack,
        Peek,
    }

    pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0u32..1_500).prop_map(Step::Burst),
            1 => (0u32..30).prop_map(Step::Burst),
            2 => (0i64..3, -1i64..=1).prop_map(|(n, off)| Step::Buckets(n, off)),
            1 => (58i64..=62, -1i64..=1).prop_map(|(n, off)| Step::Buckets(n, off)),
            1 => (-1i64..=1).prop_map(Step::Window),
            2 => (0i64..1_100).prop_map(Step::Wait),
            1 => (1u32..70).prop_map(Step::Steady),
            1 => Just(Step::GiveBack),
            1 => Just(Step::Peek),
        ];
        proptest::collection::vec(step, 1..60)
    }

    /// Plays `steps` on something that says whether it took the call at that time. Gives the time at the end.
    pub(super) fn play(allowance: Allowance, steps: &[Step], mut act: impl FnMut(Step, i64) -> bool) -> i64 {
        let (limit, window, width) = (allowance.limit(), allowance.span(), allowance.width());
        let mut now = START;
        for step in steps.iter().copied() {
            match step {
                Step::Burst(share) => {
                    let calls = u64::from(limit) * u64::from(share) / 1_000 + 1;
                    let mut refused = 0;
                    for _ in 0..calls {
                        refused += u32::from(!act(step, now));
                        if refused > 2 {
                            break;
                        }
                    }
                }
                Step::Buckets(n, off) => now = (now.div_euclid(width) + n) * width + off,
                Step::Window(off) => now += window + off,
                Step::Wait(share) => now += window * share / 1_000,
                Step::Steady(calls) => {
                    for _ in 0..calls {
                        act(step, now);
                        now += window / i64::from(limit);
                    }
                }
                Step::GiveBack | Step::Peek => {
                    act(step, now);
                }
            }
        }
        now
    }

    fn note(admitted: &mut Vec<i64>, count: Count) -> bool {
        if count.taken {
            admitted.push(count.at);
        }
        count.taken
    }

    /// The exact rule: no half-open span of a window holds more than the limit.
    fn check_spans(admitted: &[i64], allowance: Allowance) {
        let limit = allowance.limit() as usize;
        assert!(admitted.is_sorted());
        for (first, beyond) in admitted.iter().zip(admitted.iter().skip(limit)) {
            assert!(beyond - first >= allowance.span(), "{} calls within {} us", limit + 1, beyond - first);
        }
    }

    #[test]
    fn an_allowance_has_a_limit_and_a_window_of_whole_seconds() {
        assert!(Allowance::new(1, Duration::from_secs(1)).is_ok());
        assert!(Allowance::new(u32::MAX, Duration::from_secs(86_400)).is_ok());
        assert!(Allowance::new(0, Duration::from_secs(1)).is_err());
        for window in [Duration::ZERO, Duration::from_millis(999), Duration::from_millis(1_500), Duration::MAX] {
            assert!(Allowance::new(1, window).is_err());
        }
        assert!(Allowance::new(1, Duration::from_secs(86_401)).is_err());
    }

    #[test]
    fn a_burst_on_a_fresh_subject_admits_exactly_the_limit() {
        for (limit, seconds) in ALLOWANCES {
            let (memory, allowance) = (Memory::default(), allow(limit, seconds));
            let taken = (0..u64::from(limit) * 2 + 5).filter(|_| memory.take(key(1), allowance, START).taken).count();
            assert_eq!(taken, limit as usize, "{limit} in {seconds} s");
        }
    }

    #[test]
    fn a_steady_caller_gets_at_least_95_percent() {
        let more = [(3, 1), (59, 60), (60, 60), (62, 60), (119, 60), (120, 60), (121, 60), (1_000, 1), (6_001, 60)];
        for (limit, seconds) in ALLOWANCES.into_iter().chain(more) {
            for phase in [0, 1, 7_777, 499_999] {
                let (mut spent, allowance) = (Spent::default(), allow(limit, seconds));
                let calls = i64::from(limit) * 5;
                let due = |n: i64| START + phase + (n * allowance.span()).div_euclid(i64::from(limit));
                let taken = (0..calls).filter(|n| spent.take(allowance, due(*n)).taken).count() as f64;
                assert!(taken >= calls as f64 * 0.95, "{limit} in {seconds} s: {taken} of {calls}");
            }
        }
    }

    #[tokio::test]
    async fn the_headers_are_right_to_the_second() {
        let (limiter, allowance, subject) = (Limiter::memory(), allow(3, 60), key(1));
        let start = at(1_793_000_000_400_000);
        let rate = |remaining, reset| Rate { limit: 3, remaining, reset };
        // (seconds after the start, admitted, remaining, reset)
        for (after, admitted, remaining, reset) in [
            (0.0, true, 2, 60),
            (0.5, true, 1, 60), // its own sub-bucket's last call is now
            (30.2, true, 0, 31),
            (30.2, false, 0, 31),
            (60.4, false, 0, 1),
            (60.499_999, false, 0, 1),
            (60.5, true, 1, 30),
            (60.5, true, 0, 30),
            (60.5, false, 0, 30),
            (500.0, true, 2, 60),
        ] {
            let now = start + time::Duration::seconds_f64(after);
            let foreseen = limiter.peek(subject, allowance, now).await.unwrap();
            let outcome = limiter.take(subject, allowance, now).await.unwrap();
            match &outcome {
                Outcome::Taken { rate: said, .. } => assert_eq!((true, *said), (admitted, rate(remaining, reset))),
                Outcome::Refused { rate: said, retry_after } => {
                    assert_eq!((false, *said, *retry_after), (admitted, rate(remaining, reset), reset), "{after}");
                }
            }
            assert_eq!(foreseen, outcome.forecast(), "{after}");
        }
    }

    #[tokio::test]
    async fn a_call_given_back_was_not_spent() {
        let (limiter, allowance) = (Limiter::memory(), allow(2, 60));
        for round in 0..10 {
            let now = at(START + round * 100_000);
            let Outcome::Taken { rate, ticket } = limiter.take(key(1), allowance, now).await.unwrap() else {
                panic!("round {round}")
            };
            assert_eq!(rate.remaining, 1);
            limiter.give_back(key(1), ticket).await;
        }
        let now = at(START + 2_000_000);
        let Outcome::Taken { ticket, .. } = limiter.take(key(1), allowance, now).await.unwrap() else { panic!() };
        // Long after, when other calls were made: it gives back none of those.
        let later = at(START + 100_000_000);
        for _ in 0..2 {
            assert!(matches!(limiter.take(key(1), allowance, later).await, Ok(Outcome::Taken { .. })));
        }
        limiter.give_back(key(1), ticket).await;
        assert!(matches!(limiter.take(key(1), allowance, later).await, Ok(Outcome::Refused { .. })));
    }

    #[test]
    fn subjects_do_not_share() {
        let (memory, allowance) = (Memory::default(), allow(1, 60));
        for subject in [key(1), key(2), address(1), address(2)] {
            assert!(memory.take(subject, allowance, START).taken);
            assert!(!memory.take(subject, allowance, START).taken);
        }
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let counted = |text: &str| Subject::Address(text.parse().unwrap()).counted();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), counted("2001:db8:1:2::1"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_eq!(counted("::ffff:192.0.2.7"), counted("192.0.2.7"));
        assert_ne!(counted("192.0.2.8"), counted("192.0.2.7"));
        assert_eq!(counted("2001:db8:1:2::1").redis_key(), "keydesk:rate:address:2001:db8:1:2::");
    }

    #[test]
    fn a_clock_put_back_admits_no_more() {
        let (mut spent, allowance) = (Spent::default(), allow(5, 60));
        assert!((0..5).all(|_| spent.take(allowance, START).taken));
        for back in [1, SECOND, 59 * SECOND, 60 * SECOND, 61 * SECOND, 3_600 * SECOND] {
            let count = spent.take(allowance, START - back);
            assert!(!count.taken);
            assert_eq!(count.wait, back + 60 * SECOND, "by the clock that was put back");
        }
        assert!(!spent.take(allowance, START + 60 * SECOND - 1).taken);
        assert!(spent.take(allowance, START + 60 * SECOND).taken);
    }

    #[test]
    fn a_changed_tier_keeps_what_was_spent() {
        let mut spent = Spent::default();
        assert!((0..10).all(|_| spent.take(allow(10, 900), START).taken));
        // A lower limit: all ten must age, for the limit is five.
        let lower = spent.take(allow(5, 900), START + SECOND);
        assert_eq!((lower.taken, lower.used, lower.wait), (false, 10, 899 * SECOND));
        // A higher one: five more.
        assert_eq!((0..9).filter(|_| spent.take(allow(15, 900), START + 20 * SECOND).taken).count(), 5);
        // A shorter window sees the same calls.
        assert!(!spent.take(allow(15, 60), START + 21 * SECOND).taken);
        assert_eq!((0..99).filter(|_| spent.take(allow(15, 60), START + 60 * SECOND).taken).count(), 10);
        // A longer window sees what the shorter one did.
        assert!(!spent.take(allow(15, 900), START + 60 * SECOND).taken);
    }

    #[test]
    fn pruning_forgets_only_what_no_longer_counts() {
        let (memory, allowance) = (Memory::default(), allow(1, 60));
        let known = |shard: MutexGuard<'_, Shard>| shard.keys.len() + shard.addresses.len();
        let known = |memory: &Memory| memory.shards.iter().map(|shard| known(lock(shard))).sum::<usize>();
        (0..1_000).for_each(|n| assert!(memory.take(key(n), allowance, START).taken));
        (0..1_000).for_each(|n| assert!(memory.take(address(n), allowance, START).taken));
        memory.prune(START + 60 * SECOND - 1);
        assert_eq!(known(&memory), 2_000);
        assert!(!memory.take(key(7), allowance, START + 60 * SECOND - 1).taken);
        memory.prune(START + 60 * SECOND);
        assert_eq!(known(&memory), 0);
        // After a forgotten count, an earlier time is not believed.
        assert_eq!(memory.take(key(7), allowance, START).at, START + 60 * SECOND);
    }

    #[test]
    fn addresses_without_room_share_what_is_left() {
        let (memory, allowance) = (Memory::default(), allow(3, 60));
        let fill = (0u32..).map(address).take_while(|subject| {
            memory.take(*subject, allowance, START);
            !memory.shards.iter().all(|shard| lock(shard).addresses.len() >= ADDRESSES_PER_SHARD)
        });
        assert!(fill.count() >= 199_000);
        let strangers = || (0u32..10_000).map(|n| address(n | 0xf000_0000));
        let admitted = strangers().filter(|subject| memory.take(*subject, allowance, START).taken).count();
        assert!(admitted <= 3 * SHARDS, "{admitted}");
        assert!(memory.take(address(1), allowance, START).taken, "an address that is known is not concerned");
        assert!(memory.take(key(1), allowance, START).taken, "nor are keys");
        // Room again while what they shared still counts: none of them gets a fresh start.
        let stranger = strangers().find(|subject| !memory.take(*subject, allowance, START).taken).unwrap();
        memory.shard(stranger).addresses.clear();
        let before = memory.peek(stranger, allowance, START + SECOND);
        assert!(!before.taken);
        assert_eq!(memory.take(stranger, allowance, START + SECOND), before);
        // And full of what no longer counts, it makes room by itself.
        let later = START + 61 * SECOND;
        assert!(strangers().all(|subject| memory.take(subject, allowance, later).taken));
    }

    #[test]
    fn a_subject_takes_little_memory() {
        let (mut spent, allowance) = (Spent::default(), allow(10_000, 900));
        let taken = (0..50_000).filter(|n| spent.take(allowance, START + n * 50_000).taken).count();
        assert!(taken >= 10_000);
        let most = spent.buckets.capacity() * size_of::<Bucket>() + size_of::<(Subject, Spent)>();
        assert!(spent.buckets.len() <= 61 && most <= 1_100, "{most}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_span_of_a_window_admits_more_than_the_limit(allowance in allowances(), steps in steps()) {
            let mut spent = Spent::default();
            let mut admitted = Vec::new();
            play(allowance, &steps, |step, now| {
                match step {
                    Step::GiveBack => {
                        if let Some(last) = admitted.pop() {
                            spent.give_back(&Ticket { at: last, width: allowance.width() });
                        }
                        false
                    }
                    Step::Peek => spent.clone().take(allowance, now).taken,
                    _ => note(&mut admitted, spent.take(allowance, now)),
                }
            });
            check_spans(&admitted, allowance);
        }

        #[test]
        fn a_refused_call_spends_nothing_and_waiting_helps_to_the_microsecond(
            allowance in allowances(),
            steps in steps(),
        ) {
            let mut spent = Spent::default();
            let mut admitted = Vec::new();
            let now = play(allowance, &steps, |_, now| note(&mut admitted, spent.take(allowance, now)));
            // At least the latest time seen: steps to a sub-bucket's edge may go back by a little.
            let now = admitted.last().map_or(now, |last| now.max(*last));
            while note(&mut admitted, spent.take(allowance, now)) {}
            let refused = spent.take(allowance, now);
            prop_assert!(!refused.taken);
            prop_assert_eq!(refused, spent.take(allowance, now));
            prop_assert!(!spent.clone().take(allowance, now + refused.wait - 1).taken);
            prop_assert!(spent.clone().take(allowance, now + refused.wait).taken);
            // The exact moment, from a list of all calls: never before it, at most a sub-bucket after it.
            let exact = admitted[admitted.len() - allowance.limit() as usize] + allowance.span() - now;
            prop_assert!((exact..exact + allowance.width()).contains(&refused.wait), "{} {exact}", refused.wait);
        }

        #[test]
        fn a_clock_that_wanders_admits_no_more(
            allowance in allowances(),
            steps in steps(),
            drifts in proptest::collection::vec(-2_000i64..500, 40),
        ) {
            let mut spent = Spent::default();
            let mut admitted = Vec::new();
            let mut drifts = drifts.iter().cycle();
            play(allowance, &steps, |_, now| {
                let drift = drifts.next().unwrap() * allowance.span() / 1_000;
                note(&mut admitted, spent.take(allowance, now + drift))
            });
            check_spans(&admitted, allowance);
        }
    }
}

/// The same again on Debian's Redis: the script's arithmetic, and what happens to the connection.
#[cfg(test)]
mod redis_tests {
    use std::{
        path::PathBuf,
        process::{Child, Command, Stdio},
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Instant,
    };

    use proptest::{
        strategy::{Strategy, ValueTree},
        test_runner::TestRunner,
    };
    use uuid::Uuid;

    use super::{
        tests::{Step, allowances, play, steps},
        *,
    };

    const SUBJECT: Subject = Subject::Key(KeyId(Uuid::from_u128(1)));
    /// Redis asks its own clock.
    const UNUSED: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    /// A Redis that keeps nothing, for one test.
    struct Server {
        folder: PathBuf,
        port: u16,
        child: Child,
    }

    impl Server {
        async fn start() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let folder = std::env::temp_dir().join(format!("keydesk-limiter-{}-{number}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let child = Self::spawn(&folder, port);
            let server = Self { folder, port, child };
            server.wait().await;
            server
        }

        fn spawn(folder: &PathBuf, port: u16) -> Child {
            Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"])
                .arg("--port")
                .arg(port.to_string())
                .arg("--dir")
                .arg(folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("these tests need redis-server: apt-get install --no-install-recommends redis-server")
        }

        async fn wait(&self) {
            let begun = Instant::now();
            while self.try_command(&redis::cmd("PING")).await.is_err() {
                assert!(begun.elapsed() < Duration::from_secs(5), "redis-server does not come up");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }

        async fn try_command(&self, command: &redis::Cmd) -> RedisResult<redis::Value> {
            let client = Client::open(format!("redis://127.0.0.1:{}", self.port))?;
            command.query_async(&mut client.get_multiplexed_async_connection().await?).await
        }

        async fn command(&self, command: &redis::Cmd) {
            self.try_command(command).await.unwrap();
        }

        /// For how many milliseconds the subject's count is kept.
        async fn kept(&self) -> i64 {
            let answer = self.try_command(redis::cmd("PTTL").arg(SUBJECT.redis_key())).await.unwrap();
            redis::from_redis_value(answer).unwrap()
        }

        fn url(&self) -> SecretString {
            format!("redis://127.0.0.1:{}", self.port).into()
        }

        async fn limiter(&self) -> Limiter {
            Limiter::redis(&self.url()).await.unwrap()
        }

        fn stop(&mut self) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }

        async fn start_again(&mut self) {
            self.child = Self::spawn(&self.folder, self.port);
            self.wait().await;
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    fn allow(limit: u32, seconds: u64) -> Allowance {
        Allowance::new(limit, Duration::from_secs(seconds)).unwrap()
    }

    async fn take(limiter: &Limiter, allowance: Allowance) -> Outcome {
        limiter.take(SUBJECT, allowance, UNUSED).await.unwrap()
    }

    /// Until an answer comes, for no more than three seconds.
    async fn heals(limiter: &Limiter) {
        let begun = Instant::now();
        while let Err(error) = limiter.take(SUBJECT, allow(1_000, 60), UNUSED).await {
            assert!(begun.elapsed() < Duration::from_secs(3), "{error:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Memory's arithmetic, and the script told the time: they must say the same.
    struct Both {
        spent: Spent,
        script: Script,
        connection: MultiplexedConnection,
    }

    impl Both {
        async fn new(server: &Server) -> Self {
            let client = Client::open(server.url().expose_secret()).unwrap();
            let told = include_str!("limiter.lua").replace("redis.call('TIME')", "{ ARGV[5], ARGV[6] }");
            assert!(told.contains("ARGV[5]"));
            Self {
                spent: Spent::default(),
                script: Script::new(&told),
                connection: client.get_multiplexed_async_connection().await.unwrap(),
            }
        }

        async fn forget(&mut self) {
            self.spent = Spent::default();
            let _: () = redis::cmd("FLUSHALL").query_async(&mut self.connection).await.unwrap();
        }

        async fn count(&mut self, step: &str, allowance: Allowance, now: i64) -> Count {
            let mut call = self.script.key("subject");
            call.arg(step).arg(allowance.limit()).arg(allowance.span()).arg(allowance.width());
            call.arg(now.div_euclid(SECOND)).arg(now.rem_euclid(SECOND));
            let (taken, used, wait, at) = call.invoke_async(&mut self.connection).await.unwrap();
            let count = match step {
                "peek" => self.spent.clone().take(allowance, now),
                _ => self.spent.take(allowance, now),
            };
            assert_eq!(Count { taken, used, wait, at }, count, "{step} {allowance:?}");
            count
        }

        async fn give_back(&mut self, ticket: Ticket) {
            self.spent.give_back(&ticket);
            let mut call = self.script.key("subject");
            call.arg("give_back").arg(ticket.at).arg(ticket.width);
            let _: redis::Value = call.invoke_async(&mut self.connection).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_script_counts_like_memory() {
        let server = Server::start().await;
        let mut both = Both::new(&server).await;
        let mut runner = TestRunner::deterministic();
        let mut compared = 0;
        for _ in 0..60 {
            let allowance = allowances().new_tree(&mut runner).unwrap().current();
            let other = allowances().new_tree(&mut runner).unwrap().current();
            let mut calls = Vec::new();
            play(allowance, &steps().new_tree(&mut runner).unwrap().current(), |step, now| {
                calls.push((step, now));
                calls.len() % 97 > 0
            });
            both.forget().await;
            let mut tickets = Vec::new();
            for (number, (step, now)) in calls.into_iter().take(400).enumerate() {
                // Now and then the tier is another one, and the clock is put back.
                let allowance = if number % 50 > 45 { other } else { allowance };
                let now = if number % 40 > 37 { now - allowance.span() / 3 } else { now };
                compared += 1;
                if matches!(step, Step::Peek) {
                    both.count("peek", allowance, now).await;
                } else if let (Step::GiveBack, Some(ticket)) = (step, tickets.pop()) {
                    both.give_back(ticket).await;
                } else if let Count { taken: true, at, .. } = both.count("take", allowance, now).await {
                    tickets.push(Ticket { at, width: allowance.width() });
                }
            }
        }
        assert!(compared > 5_000, "{compared}");
    }

    #[tokio::test]
    async fn calls_of_two_tiers_are_given_back_once_each() {
        let server = Server::start().await;
        let mut both = Both::new(&server).await;
        let start = 1_793_000_010 * SECOND;
        let (coarse, fine) = (allow(9, 900), allow(9, 60));
        let first = both.count("take", coarse, start).await.at;
        both.count("take", fine, start + 2 * SECOND).await;
        let third = both.count("take", coarse, start + 3 * SECOND).await.at;
        // Both are of one coarse sub-bucket, which the fine tier's call has cut in two.
        for at in [first, third] {
            both.give_back(Ticket { at, width: coarse.width() }).await;
        }
        assert_eq!(both.count("peek", coarse, start + 3 * SECOND).await.used, 1 + 1);
        both.give_back(Ticket { at: first, width: coarse.width() }).await;
        both.give_back(Ticket { at: first, width: coarse.width() }).await;
        assert_eq!(both.count("peek", coarse, start + 3 * SECOND).await.used, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_nodes_are_exact_together() {
        let server = Server::start().await;
        let nodes = [Arc::new(server.limiter().await), Arc::new(server.limiter().await)];
        assert!(nodes.iter().all(|node| node.is_shared()));
        let allowance = allow(300, 60);
        let tasks: Vec<_> = (0..16)
            .map(|n| {
                let node = Arc::clone(&nodes[n % 2]);
                tokio::spawn(async move {
                    let mut taken = 0;
                    for _ in 0..50 {
                        taken += u32::from(matches!(take(&node, allowance).await, Outcome::Taken { .. }));
                    }
                    taken
                })
            })
            .collect();
        let mut taken = 0;
        for task in tasks {
            taken += task.await.unwrap();
        }
        assert_eq!(taken, 300);
        // What both know is gone when the window is over.
        let ttl = server.kept().await;
        assert!((59_000..=61_001).contains(&ttl), "{ttl}");
    }

    #[tokio::test]
    async fn by_the_servers_clock_waiting_as_told_helps_and_peeking_and_giving_back_cost_nothing() {
        let server = Server::start().await;
        let limiter = server.limiter().await;
        let allowance = allow(2, 2);
        let Outcome::Taken { rate, ticket } = take(&limiter, allowance).await else { panic!() };
        assert_eq!(rate, Rate { limit: 2, remaining: 1, reset: 2 });
        limiter.give_back(SUBJECT, ticket).await;
        assert!((1_100..=2_034).contains(&server.kept().await));
        for _ in 0..3 {
            let foreseen = limiter.peek(SUBJECT, allowance, UNUSED).await.unwrap();
            assert_eq!(foreseen, Outcome::Taken { rate, ticket: () });
        }
        let begun = Instant::now();
        assert!(matches!(take(&limiter, allowance).await, Outcome::Taken { .. }));
        assert!(matches!(take(&limiter, allowance).await, Outcome::Taken { .. }));
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let Outcome::Refused { rate, retry_after } = take(&limiter, allowance).await else { panic!() };
        assert_eq!((rate.remaining, rate.reset, retry_after), (0, 1, 1));
        tokio::time::sleep(Duration::from_secs(retry_after)).await;
        assert!(matches!(take(&limiter, allowance).await, Outcome::Taken { .. }));
        assert!(begun.elapsed() >= Duration::from_secs(2));
    }

    #[tokio::test]
    async fn killed_it_gives_no_answer_and_back_again_it_works_by_itself() {
        let mut server = Server::start().await;
        let limiter = server.limiter().await;
        take(&limiter, allow(1_000, 60)).await;
        server.stop();
        for _ in 0..5 {
            let begun = Instant::now();
            let answer = limiter.take(SUBJECT, allow(1_000, 60), UNUSED).await;
            assert!(matches!(answer, Err(LimiterError::Unavailable(_))), "{answer:?}");
            assert!(begun.elapsed() < Duration::from_secs(1));
        }
        assert!(Limiter::redis(&server.url()).await.is_err());
        // Without its scripts, as after any restart.
        server.start_again().await;
        heals(&limiter).await;
    }

    #[tokio::test]
    async fn hanging_it_fails_soon_and_works_again_afterwards() {
        let server = Server::start().await;
        let limiter = server.limiter().await;
        server.command(redis::cmd("CLIENT").arg("PAUSE").arg(1_200).arg("ALL")).await;
        for _ in 0..2 {
            let begun = Instant::now();
            assert!(limiter.take(SUBJECT, allow(1_000, 60), UNUSED).await.is_err());
            assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
        }
        heals(&limiter).await;
    }

    #[tokio::test]
    async fn a_password_is_used_and_never_told_and_a_login_that_failed_is_tried_again() {
        let mut server = Server::start().await;
        let set = |password: &str| redis::cmd("CONFIG").arg("SET").arg("requirepass").arg(password).to_owned();
        server.command(&set("s3cret")).await;
        let url = |scheme: &str, password: &str| -> SecretString {
            format!("{scheme}://:{password}@127.0.0.1:{}", server.port).into()
        };
        let limiter = Limiter::redis(&url("valkey", "s3cret")).await.unwrap();
        let bad = [
            url("redis", "wr0ng"),
            url("rediss", "wr0ng"),
            url("http", "wr0ng"),
            "redis://:wr0ng@127.0.0.1:1".into(),
            "redis://:wr0ng@nowhere.invalid:1".into(),
            "redis://:wr0ng@127.0.0.1:x".into(),
            "redis://:wr0ng@127.0.0.1:1/?protocol=wr0ng".into(),
            "wr0ng".into(),
        ];
        for url in bad {
            let error = Limiter::redis(&url).await.err().unwrap();
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let all = format!("{error} {error:?} {source}");
            assert!(!all.contains("wr0ng") && !all.contains("s3cret"), "{all}");
        }
        // Back without its password, which the login then has none to match: refused, until it is set again.
        server.stop();
        assert!(limiter.take(SUBJECT, allow(1_000, 60), UNUSED).await.is_err());
        server.start_again().await;
        assert!(limiter.take(SUBJECT, allow(1_000, 60), UNUSED).await.is_err());
        server.command(&set("s3cret")).await;
        heals(&limiter).await;
    }
}
