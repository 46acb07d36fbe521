//! What becomes of calls while Postgres is away. `make prove-outage` prints the table that docs/revocation.md has.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;

use super::{
    all_accept,
    fleet::{Fleet, NODES},
    history::Answer,
    run::Run,
};

const LEASES: [Duration; NODES] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(45)];
const AWAY: [u64; 4] = [1, 3, 10, 30];
/// Between two calls.
const REST: Duration = Duration::from_millis(5);

/// What one node answered about a key that it remembers.
#[derive(Default)]
struct Answered {
    calls: usize,
    refused: usize,
    /// From the first call that was refused to the first that was not any more.
    stopped: Duration,
}

async fn call(run: &Run, node: usize, over: &AtomicBool) -> Answered {
    let (mut answered, mut since) = (Answered::default(), None);
    while !over.load(Ordering::Relaxed) {
        answered.calls += 1;
        match run.ask_once(node, 0).await {
            Answer::Accepted => {
                answered.stopped += since.take().map(|since: Instant| since.elapsed()).unwrap_or_default()
            }
            Answer::Unavailable => {
                answered.refused += 1;
                since.get_or_insert_with(Instant::now);
            }
            other => panic!("node {node}: {other:?}"),
        }
        tokio::time::sleep(REST).await;
    }
    answered
}

/// Crashes Postgres, and starts it again after so long. Answers how long it really was away.
async fn outage(run: &Run, away: Duration) -> Duration {
    let begun = Instant::now();
    run.fleet.stop_postgres(true).await;
    tokio::time::sleep(away.saturating_sub(begun.elapsed())).await;
    run.fleet.start_postgres().await;
    let away = begun.elapsed();
    all_accept(run).await;
    away
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make prove-outage"]
async fn nobody_is_refused_while_postgres_is_away_for_less_than_a_lease() {
    let fleet = Fleet::start_with(&[1], LEASES).await;
    let run = Run::new(&fleet, 1);
    println!("| Postgres is away for | lease 2 s | 10 s (default) | 45 s |\n|---|---|---|---|");
    for seconds in AWAY {
        all_accept(&run).await;
        let over = AtomicBool::new(false);
        let lasted = async {
            let lasted = outage(&run, Duration::from_secs(seconds)).await;
            over.store(true, Ordering::Relaxed);
            lasted
        };
        let (lasted, nodes) = tokio::join!(lasted, join_all((0..NODES).map(|node| call(&run, node, &over))));
        let cells: Vec<String> = nodes
            .iter()
            .map(|node| match node.refused {
                0 => format!("0 of {} calls refused", node.calls),
                refused => format!("{:.1} s: {refused} of {} refused", node.stopped.as_secs_f64(), node.calls),
            })
            .collect();
        println!("| {:.1} s | {} |", lasted.as_secs_f64(), cells.join(" | "));
        for (node, lease) in nodes.iter().zip(LEASES) {
            // A round may be a quarter of a second old when Postgres goes, and the first one after it takes a moment.
            if lasted + Duration::from_secs(1) < lease {
                assert_eq!(node.refused, 0, "away for {lasted:?}, with a lease of {lease:?}");
            }
            if lasted > lease + Duration::from_secs(1) {
                assert!(node.refused > 0, "the test does not see an outage");
            }
        }
    }
    fleet.stop().await;
}
