//! Revoked means revoked, seen from outside: real nodes that are paused, killed and cut off while keys are changed and
//! verified, and a judge of what they answered. `make prove-revocation` runs this at length; docs/revocation-proof.md
//! tells of it.

mod cache;
mod changers;
mod faults;
mod fleet;
mod history;
pub mod line;
mod outage;
mod run;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use tokio::{sync::Semaphore, task::JoinSet};

use changers::{SMALL, Wish, attempt, changer};
use faults::{Fault, Faults};
use fleet::{Fleet, LEASES, NODES};
use history::{Answer, Gate, History, Wrong};
use run::{Dice, Run};

const VERIFIERS: usize = 16;
const CHANGERS: usize = 5;
/// How long Postgres may be back before every node answers again, on a busy machine.
const BACK: Duration = Duration::from_secs(60);
/// How long a run that has not seen enough goes on beyond its length.
const OVERTIME: Duration = Duration::from_secs(300);
/// How many changes of the steady ones are on their way at once, at most.
const CHANGES_IN_FLIGHT: usize = 16;

/// Organizations of so many keys each; the first is left alone by the changers.
fn sizes(large: usize) -> Vec<usize> {
    [[10].as_slice(), &[large; 10], &[SMALL; 10]].concat()
}

/// Whose organizations are whose: the last changer works by commands.
fn change(run: &Arc<Run>, tasks: &mut JoinSet<()>) {
    for number in 0..CHANGERS {
        let mine = (1..run.fleet.orgs.len()).filter(|org| org % CHANGERS == number).collect();
        tasks.spawn(changer(Arc::clone(run), mine, number == CHANGERS - 1));
    }
}

async fn ended(mut tasks: JoinSet<()>) {
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// What a run has to have seen, lest it prove nothing.
struct Wanted {
    sizes: Vec<usize>,
    length: Duration,
    calls: usize,
    receipts: usize,
    /// Between two calls of a verifier.
    rest: Duration,
}

async fn prove(wanted: Wanted) {
    let fleet = Fleet::start(&wanted.sizes).await;
    let run = Run::new(&fleet, fleet.keys.len());
    let (mut tasks, faults) = (JoinSet::new(), Faults::default());
    let at: Vec<_> = run.fleet.addresses.iter().map(|at| at.subscribe()).collect();
    run.verify(&mut tasks, VERIFIERS, &at, wanted.rest);
    change(&run, &mut tasks);
    let (mut rounds, mut back) = (0, Duration::ZERO);
    // Longer if need be, but not for ever.
    let enough = || {
        let receipts = run.receipts.lock().unwrap();
        run.answered.load(Ordering::Relaxed) >= wanted.calls
            && receipts.len() >= wanted.receipts
            && receipts.iter().any(|receipt| !receipt.cut_off.is_empty())
    };
    let until = wanted.length * 10 + OVERTIME;
    while rounds == 0 || run.now() < wanted.length || (!enough() && run.now() < until) {
        tokio::join!(faults.of_processes(&run), faults.of_connections(&run));
        change_while_paused(&run).await;
        back = back.max(postgres_away(&run, &faults).await);
        rounds += 1;
    }
    run.end();
    ended(tasks).await;
    let took = run.now();
    run.fleet.stop().await;

    let history = run.take();
    let wrongs = history.judge();
    let (accepted, refused) =
        (history.count(|a| a == Answer::Accepted), history.count(|a| matches!(a, Answer::Refused(_))));
    let (unavailable, lost) = (history.count(|a| a == Answer::Unavailable), history.count(|a| a == Answer::Lost));
    let acknowledged = history.changes.iter().filter(|change| change.ended.is_some()).count();
    let receipts = run.receipts.lock().unwrap();
    let cut_off = receipts.iter().filter(|receipt| !receipt.cut_off.is_empty()).count();
    println!(
        "{} calls in {:.0} s and {rounds} rounds of faults: {accepted} accepted, {refused} refused, {unavailable} unavailable, {lost} without answer\n\
         {} changes, {acknowledged} acknowledged; {} receipts, {cut_off} of them with a node cut off\n\
         {faults}; every node answered at most {} ms after Postgres was back\n\
         {} wrong",
        history.calls.len(),
        took.as_secs_f64(),
        history.changes.len(),
        receipts.len(),
        back.as_millis(),
        wrongs.len(),
    );
    let first: Vec<String> = wrongs.iter().take(10).map(ToString::to_string).collect();
    assert!(wrongs.is_empty(), "{}", first.join("\n"));
    assert!(back < BACK, "{back:?}");
    assert!(
        accepted + refused + unavailable >= wanted.calls && accepted * 4 > wanted.calls && refused * 20 > wanted.calls
    );
    assert!(unavailable > 0 && lost > 0 && cut_off > 0, "nothing was cut off");
    assert!(receipts.len() >= wanted.receipts && acknowledged < history.changes.len());
}

/// A change is acknowledged though a node stands still, and a receipt names that node.
async fn change_while_paused(run: &Run) {
    all_accept(run).await;
    let closes = |closes| Wish { gate: Gate::Disabled, closes, org: 0, key: Some(1) };
    run.fleet.signal(0, SIGSTOP);
    let acknowledged = attempt(run, &closes(true), 0, false).await;
    run.fleet.signal(0, SIGCONT);
    assert!(acknowledged && attempt(run, &closes(false), 0, false).await);
}

/// Stops Postgres for longer than any lease, and answers how long after it is back every node accepts keys again.
async fn postgres_away(run: &Run, faults: &Faults) -> Duration {
    // Each node starts well.
    all_accept(run).await;
    faults.commit(run, Fault::Stopped, &mut Dice::new()).await;
    all_accept(run).await
}

/// Waits until every node accepts a key that nobody changes.
async fn all_accept(run: &Run) -> Duration {
    let begun = Instant::now();
    for node in 0..NODES {
        while run.ask_once(node, 0).await != Answer::Accepted {
            assert!(begun.elapsed() < BACK * 2, "node {node} does not come back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_after_a_receipt_whatever_fails() {
    let rest = Duration::from_millis(4);
    prove(Wanted { sizes: sizes(9), length: Duration::ZERO, calls: 0, receipts: 10, rest }).await;
}

/// A million calls of 500 keys, and as long as `PROVE_SECONDS` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make prove-revocation"]
async fn nothing_is_accepted_after_a_receipt_for_a_million_calls() {
    let seconds = std::env::var("PROVE_SECONDS").map_or(180, |seconds| seconds.parse().unwrap());
    let length = Duration::from_secs(seconds);
    prove(Wanted { sizes: sizes(44), length, calls: 1_000_000, receipts: 1_000, rest: Duration::ZERO }).await;
}

/// The same calls and changes, without any fault, through caches as gateways have them: the judge must see what is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_cache_is_caught() {
    let fleet = Fleet::start(&sizes(9)).await;
    let run = Run::new(&fleet, fleet.keys.len());
    let (mut tasks, mut at) = (JoinSet::new(), Vec::new());
    for node in &run.fleet.addresses {
        at.push(cache::before(node.subscribe(), Duration::from_secs(5)).await);
    }
    run.verify(&mut tasks, VERIFIERS, &at, Duration::from_millis(4));
    change(&run, &mut tasks);
    // As long as it takes on a slow machine.
    while run.receipts.lock().unwrap().len() < 40 && run.now() < OVERTIME {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    run.end();
    ended(tasks).await;
    run.fleet.stop().await;
    let history = run.take();
    let caught = history.judge().iter().filter(|wrong| matches!(wrong, Wrong::Acknowledged(..))).count();
    println!("a cache of 5 s: {caught} of {} calls accepted after the receipt", history.calls.len());
    assert!(caught > 0, "{} changes, and nothing was caught", history.changes.len());
}

/// 99 of 100 calls took no longer.
fn p99(history: &History) -> Duration {
    let mut took: Vec<_> = history.calls.iter().map(|call| call.returned - call.invoked).collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenants_steady_changes_are_nothing_to_another() {
    const CALLED: usize = 20;
    const CHANGED: usize = 16;
    let fleet = Fleet::start(&[CALLED, CHANGED]).await;
    let phase = async |changes: bool| {
        let (mut tasks, run) = (JoinSet::new(), Run::new(&fleet, CALLED));
        all_accept(&run).await;
        let at: Vec<_> = run.fleet.addresses.iter().map(|at| at.subscribe()).collect();
        run.verify(&mut tasks, 6, &at, Duration::from_millis(4));
        // One after the other, a hundred a second where the machine can, each on its way as long as it takes.
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let places = Arc::new(Semaphore::new(CHANGES_IN_FLIGHT));
        for number in 0..500 {
            tick.tick().await;
            if changes {
                let place = Arc::clone(&places).acquire_owned().await.unwrap();
                let key = Some(CALLED + number % CHANGED);
                let closes = (number / CHANGED).is_multiple_of(2);
                let (wish, run) = (Wish { gate: Gate::Disabled, closes, org: 1, key }, Arc::clone(&run));
                tasks.spawn(async move {
                    assert!(attempt(&run, &wish, 0, false).await);
                    drop(place);
                });
            }
        }
        run.end();
        ended(tasks).await;
        run.take()
    };
    let (quiet, busy) = (phase(false).await, phase(true).await);
    fleet.stop().await;
    let (before, during) = (p99(&quiet), p99(&busy));
    println!(
        "{} changes in 5 s: another tenant's p99 {before:.1?} before, {during:.1?} meanwhile ({} calls)",
        busy.changes.len(),
        busy.calls.len()
    );
    assert_eq!(busy.count(|answer| answer != Answer::Accepted), 0);
    // Behind the other's changes a call would wait for all of them.
    assert!(during < before * 20 + LEASES[0], "{before:?}, then {during:?}");
}
