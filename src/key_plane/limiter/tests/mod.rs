//! Properties of the arithmetic, and of counting in memory.

mod redis;

use std::{sync::MutexGuard, time::Duration};

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    memory::*,
    redis::redis_key,
    window::{SlidingWindow, SubBucket},
    *,
};

fn limit_of(calls: u32, seconds: u64) -> Limit {
    Limit::new(calls, Duration::from_secs(seconds)).unwrap()
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

const LIMITS: [(u32, u64); 9] =
    [(1, 1), (2, 1), (7, 7), (10, 60), (61, 60), (100, 900), (500, 86_400), (1_000, 900), (10_000, 900)];

pub(super) fn limits() -> impl Strategy<Value = Limit> {
    // The largest seldom: it takes a while.
    let limit = |i: usize| limit_of(LIMITS[i].0, LIMITS[i].1);
    prop_oneof![30 => (0..LIMITS.len() - 1).prop_map(limit), 1 => Just(limit(8))]
}

/// What happens next, in shares of the limit that is tried.
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
pub(super) fn play(limit: Limit, steps: &[Step], mut act: impl FnMut(Step, i64) -> bool) -> i64 {
    let (calls, window, width) = (limit.calls(), limit.window_micros(), limit.sub_bucket_micros());
    let mut now = START;
    for step in steps.iter().copied() {
        match step {
            Step::Burst(share) => {
                let calls = u64::from(calls) * u64::from(share) / 1_000 + 1;
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
            Step::Steady(times) => {
                for _ in 0..times {
                    act(step, now);
                    now += window / i64::from(calls);
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
fn check_spans(admitted: &[i64], limit: Limit) {
    let calls = limit.calls() as usize;
    assert!(admitted.is_sorted());
    for (first, beyond) in admitted.iter().zip(admitted.iter().skip(calls)) {
        assert!(beyond - first >= limit.window_micros(), "{} calls within {} us", calls + 1, beyond - first);
    }
}

#[test]
fn a_burst_on_a_fresh_subject_admits_exactly_the_limit() {
    for (calls, seconds) in LIMITS {
        let (memory, limit) = (MemoryCounters::default(), limit_of(calls, seconds));
        let taken = (0..u64::from(calls) * 2 + 5).filter(|_| memory.take(key(1), limit, START).taken).count();
        assert_eq!(taken, calls as usize, "{calls} in {seconds} s");
    }
}

#[test]
fn a_steady_caller_gets_at_least_95_percent() {
    let more = [(3, 1), (59, 60), (60, 60), (62, 60), (119, 60), (120, 60), (121, 60), (1_000, 1), (6_001, 60)];
    for (calls, seconds) in LIMITS.into_iter().chain(more) {
        for phase in [0, 1, 7_777, 499_999] {
            let (mut spent, limit) = (SlidingWindow::default(), limit_of(calls, seconds));
            let times = i64::from(calls) * 5;
            let due = |n: i64| START + phase + (n * limit.window_micros()).div_euclid(i64::from(calls));
            let taken = (0..times).filter(|n| spent.take(limit, due(*n)).taken).count() as f64;
            assert!(taken >= times as f64 * 0.95, "{calls} in {seconds} s: {taken} of {times}");
        }
    }
}

#[tokio::test]
async fn the_headers_are_right_to_the_second() {
    let (limiter, limit, subject) = (Limiter::memory(), limit_of(3, 60), key(1));
    let start = at(1_793_000_000_400_000);
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
        let foreseen = limiter.peek(subject, limit, now).await.unwrap();
        let count = limiter.take(subject, limit, now).await.unwrap();
        assert_eq!((count.taken, count.remaining(), count.reset_seconds()), (admitted, remaining, reset), "{after}");
        assert_eq!(foreseen, count, "{after}");
    }
}

#[tokio::test]
async fn a_call_given_back_was_not_spent() {
    let (limiter, limit) = (Limiter::memory(), limit_of(2, 60));
    for round in 0..10 {
        let now = at(START + round * 100_000);
        let count = limiter.take(key(1), limit, now).await.unwrap();
        assert!(count.taken, "round {round}");
        assert_eq!(count.remaining(), 1);
        limiter.give_back(key(1), count).await;
    }
    let early = limiter.take(key(1), limit, at(START + 2_000_000)).await.unwrap();
    assert!(early.taken);
    // Long after, when other calls were made: it gives back none of those.
    let later = at(START + 100_000_000);
    for _ in 0..2 {
        assert!(limiter.take(key(1), limit, later).await.unwrap().taken);
    }
    limiter.give_back(key(1), early).await;
    assert!(!limiter.take(key(1), limit, later).await.unwrap().taken);
}

#[test]
fn subjects_do_not_share() {
    let (memory, limit) = (MemoryCounters::default(), limit_of(1, 60));
    for subject in [key(1), key(2), address(1), address(2)] {
        assert!(memory.take(subject, limit, START).taken);
        assert!(!memory.take(subject, limit, START).taken);
    }
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let counted = |text: &str| Subject::Address(text.parse().unwrap()).counted();
    assert_eq!(counted("2001:db8:1:2:3:4:5:6"), counted("2001:db8:1:2::1"));
    assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
    assert_eq!(counted("::ffff:192.0.2.7"), counted("192.0.2.7"));
    assert_ne!(counted("192.0.2.8"), counted("192.0.2.7"));
    assert_eq!(redis_key(counted("2001:db8:1:2::1")), "keydesk:rate:address:2001:db8:1:2::");
}

#[test]
fn a_clock_put_back_admits_no_more() {
    let (mut spent, limit) = (SlidingWindow::default(), limit_of(5, 60));
    assert!((0..5).all(|_| spent.take(limit, START).taken));
    for back in [
        1,
        MICROS_PER_SECOND,
        59 * MICROS_PER_SECOND,
        60 * MICROS_PER_SECOND,
        61 * MICROS_PER_SECOND,
        3_600 * MICROS_PER_SECOND,
    ] {
        let count = spent.take(limit, START - back);
        assert!(!count.taken);
        assert_eq!(count.wait, back + 60 * MICROS_PER_SECOND, "by the clock that was put back");
    }
    assert!(!spent.take(limit, START + 60 * MICROS_PER_SECOND - 1).taken);
    assert!(spent.take(limit, START + 60 * MICROS_PER_SECOND).taken);
}

#[test]
fn a_changed_tier_keeps_what_was_spent() {
    let mut spent = SlidingWindow::default();
    assert!((0..10).all(|_| spent.take(limit_of(10, 900), START).taken));
    // A lower limit: all ten must age, for the limit is five.
    let lower = spent.take(limit_of(5, 900), START + MICROS_PER_SECOND);
    assert_eq!((lower.taken, lower.used, lower.wait), (false, 10, 899 * MICROS_PER_SECOND));
    // A higher one: five more.
    assert_eq!((0..9).filter(|_| spent.take(limit_of(15, 900), START + 20 * MICROS_PER_SECOND).taken).count(), 5);
    // A shorter window sees the same calls.
    assert!(!spent.take(limit_of(15, 60), START + 21 * MICROS_PER_SECOND).taken);
    assert_eq!((0..99).filter(|_| spent.take(limit_of(15, 60), START + 60 * MICROS_PER_SECOND).taken).count(), 10);
    // A longer window sees what the shorter one did.
    assert!(!spent.take(limit_of(15, 900), START + 60 * MICROS_PER_SECOND).taken);
}

#[test]
fn pruning_forgets_only_what_no_longer_counts() {
    let (memory, limit) = (MemoryCounters::default(), limit_of(1, 60));
    let known = |shard: MutexGuard<'_, Shard>| shard.keys.len() + shard.addresses.len();
    let known = |memory: &MemoryCounters| memory.shards.iter().map(|shard| known(lock(shard))).sum::<usize>();
    (0..1_000).for_each(|n| assert!(memory.take(key(n), limit, START).taken));
    (0..1_000).for_each(|n| assert!(memory.take(address(n), limit, START).taken));
    memory.prune(START + 60 * MICROS_PER_SECOND - 1);
    assert_eq!(known(&memory), 2_000);
    assert!(!memory.take(key(7), limit, START + 60 * MICROS_PER_SECOND - 1).taken);
    memory.prune(START + 60 * MICROS_PER_SECOND);
    assert_eq!(known(&memory), 0);
    // After a forgotten count, an earlier time is not believed.
    assert_eq!(memory.take(key(7), limit, START).at, START + 60 * MICROS_PER_SECOND);
}

#[test]
fn addresses_without_room_share_what_is_left() {
    let (memory, limit) = (MemoryCounters::default(), limit_of(3, 60));
    let fill = (0u32..).map(address).take_while(|subject| {
        memory.take(*subject, limit, START);
        !memory.shards.iter().all(|shard| lock(shard).addresses.len() >= MAX_ADDRESSES_PER_SHARD)
    });
    assert!(fill.count() >= 199_000);
    let strangers = || (0u32..10_000).map(|n| address(n | 0xf000_0000));
    let admitted = strangers().filter(|subject| memory.take(*subject, limit, START).taken).count();
    assert!(admitted <= 3 * SHARDS, "{admitted}");
    assert!(memory.take(address(1), limit, START).taken, "an address that is known is not concerned");
    assert!(memory.take(key(1), limit, START).taken, "nor are keys");
    // Room again while what they shared still counts: none of them gets a fresh start.
    let stranger = strangers().find(|subject| !memory.take(*subject, limit, START).taken).unwrap();
    memory.shard(stranger).addresses.clear();
    let before = memory.peek(stranger, limit, START + MICROS_PER_SECOND);
    assert!(!before.taken);
    assert_eq!(memory.take(stranger, limit, START + MICROS_PER_SECOND), before);
    // And full of what no longer counts, it makes room by itself.
    let later = START + 61 * MICROS_PER_SECOND;
    assert!(strangers().all(|subject| memory.take(subject, limit, later).taken));
}

#[test]
fn a_subject_takes_little_memory() {
    let (mut spent, limit) = (SlidingWindow::default(), limit_of(10_000, 900));
    let taken = (0..50_000).filter(|n| spent.take(limit, START + n * 50_000).taken).count();
    assert!(taken >= 10_000);
    let most = spent.sub_buckets.capacity() * size_of::<SubBucket>() + size_of::<(Subject, SlidingWindow)>();
    assert!(spent.sub_buckets.len() <= 61 && most <= 1_100, "{most}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_span_of_a_window_admits_more_than_the_limit(limit in limits(), steps in steps()) {
        let mut spent = SlidingWindow::default();
        let mut admitted = Vec::new();
        play(limit, &steps, |step, now| {
            match step {
                Step::GiveBack => {
                    if let Some(last) = admitted.pop() {
                        spent.give_back(last, limit);
                    }
                    false
                }
                Step::Peek => spent.clone().take(limit, now).taken,
                _ => note(&mut admitted, spent.take(limit, now)),
            }
        });
        check_spans(&admitted, limit);
    }

    #[test]
    fn a_refused_call_spends_nothing_and_waiting_helps_to_the_microsecond(
        limit in limits(),
        steps in steps(),
    ) {
        let mut spent = SlidingWindow::default();
        let mut admitted = Vec::new();
        let now = play(limit, &steps, |_, now| note(&mut admitted, spent.take(limit, now)));
        // At least the latest time seen: steps to a sub-bucket's edge may go back by a little.
        let now = admitted.last().map_or(now, |last| now.max(*last));
        while note(&mut admitted, spent.take(limit, now)) {}
        let refused = spent.take(limit, now);
        prop_assert!(!refused.taken);
        prop_assert_eq!(refused, spent.take(limit, now));
        prop_assert!(!spent.clone().take(limit, now + refused.wait - 1).taken);
        prop_assert!(spent.clone().take(limit, now + refused.wait).taken);
        // The exact moment, from a list of all calls: never before it, at most a sub-bucket after it.
        let exact = admitted[admitted.len() - limit.calls() as usize] + limit.window_micros() - now;
        prop_assert!((exact..exact + limit.sub_bucket_micros()).contains(&refused.wait), "{} {exact}", refused.wait);
    }

    #[test]
    fn a_clock_that_wanders_admits_no_more(
        limit in limits(),
        steps in steps(),
        drifts in proptest::collection::vec(-2_000i64..500, 40),
    ) {
        let mut spent = SlidingWindow::default();
        let mut admitted = Vec::new();
        let mut drifts = drifts.iter().cycle();
        play(limit, &steps, |_, now| {
            let drift = drifts.next().unwrap() * limit.window_micros() / 1_000;
            note(&mut admitted, spent.take(limit, now + drift))
        });
        check_spans(&admitted, limit);
    }
}
