//! Compares the key plane with a bare axum handler that answers fixed JSON, in the same build, with the same load
//! generator, and in alternating rounds of one run. It also measures the cost of the promise of revocation.
//!
//! `make bench` or `cargo bench --bench key_plane` runs it. `KEYDESK_BENCH_KEYS` (1,000,000) is the number of keys in
//! the database. Arguments select parts, as in `cargo bench --bench key_plane -- receipts nodes`.
//!
//! Servers and load generator share one process and its cores, so only the ratios are meaningful.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement stops where something is wrong"
)]

mod bench;
mod load;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, body::Bytes, routing::get};
use bench::{Bench, Key, Running};
use http::{HeaderMap, header};
use keydesk::{
    actor::Actor,
    database::embedded::Embedded,
    ids::{KeyId, OrgId},
    key_plane::metrics,
    keys::{
        lifecycle,
        model::Reason,
        verdict::{self, KeyRecord},
    },
    node::look_up::LookUp,
    revocation::{self, Revision},
    secrets::Digest,
};
use load::{ROUND, Round, load, median, ms, quantile};
use tokio::sync::watch;

/// The allocator is that of the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 9;
/// The number of keys that the calls of a case use in turn.
const KEYS_IN_TURN: usize = 100_000;
const PARTS: [&str; 6] = ["bare", "cold", "flood", "receipts", "changes", "nodes"];

fn requests(keys: &[Key], path: &str, headers: &str) -> Arc<Vec<String>> {
    let one = |key: &Key| format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n{headers}\r\n", key.secret);
    Arc::new(keys.iter().map(one).collect())
}

/// The parts that the arguments name, or all.
fn parts() -> Result<Vec<String>, String> {
    // Cargo adds --bench.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let Some(unknown) = named.iter().find(|part| !PARTS.contains(&part.as_str())) {
        return Err(format!("there is no part {unknown}; name some of {}", PARTS.join(", ")));
    }
    Ok(if named.is_empty() { PARTS.map(str::to_owned).to_vec() } else { named })
}

fn main() -> ExitCode {
    let parts = match parts() {
        Ok(parts) => parts,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let data: PathBuf = std::env::temp_dir().join(format!("keydesk-bench-{}", uuid::Uuid::new_v4().simple()));
    keydesk::data_dir::create(&data).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let embedded = Embedded::join(&data).await.unwrap();
        run(&embedded, &data, &parts).await;
        embedded.leave().await.unwrap();
    });
    std::fs::remove_dir_all(&data).unwrap();
    ExitCode::SUCCESS
}

async fn run(embedded: &Embedded, data: &std::path::Path, parts: &[String]) {
    let (stop_sender, stop) = watch::channel(false);
    // The metrics are on, as in a server, because counting takes time too.
    tokio::spawn(metrics::keep_up(metrics::start()));
    let bench = Bench::new(embedded, data, stop).await;
    let org = bench.org("bench").await;
    let many = std::env::var("KEYDESK_BENCH_KEYS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let keys = bench.keys(org, "wide", many).await;
    println!("{many} keys in the database.\n");
    for part in parts {
        match part.as_str() {
            "bare" => beside_bare(&bench, &keys).await,
            "cold" => cold(&bench, &keys).await,
            "flood" => beside_a_flood(&bench, org, &keys).await,
            "receipts" => receipts(&bench).await,
            "changes" => steady_changes(&bench, &keys).await,
            "nodes" => several_nodes(&bench, &keys).await,
            _ => unreachable!("parts are checked at the start"),
        }
    }
    let _ = stop_sender.send(true);
}

async fn beside_bare(bench: &Bench, keys: &[Key]) {
    let fixed = || async { Json(serde_json::json!({ "valid": true, "code": "VALID" })) };
    let bare = bench.serve(Router::new().route("/", get(fixed))).await;
    let before = resident();
    let node = bench.node("bench").await;
    let described = "x-forwarded-method: GET\r\nx-forwarded-uri: /v1/get/default/a\r\n";
    let in_turn = &keys[..KEYS_IN_TURN.min(keys.len())];
    // The bare handler also answers whoami's own answer, fixed, to show the share of the difference that its size
    // makes.
    let answer = answer_of(node.address, &keys[0]).await;
    let same = bench.serve(Router::new().route("/", get(move || std::future::ready(answer)))).await;
    let nothing = requests(&keys[..1], "/", "");
    let cases = [
        ("bare axum handler, whoami's answer as fixed", same, requests(&keys[..1], "/", "")),
        ("whoami, 100,000 keys", node.address, requests(in_turn, "/v1/whoami", "")),
        ("forward-auth, 100,000 keys", node.address, requests(in_turn, "/v1/forward-auth", described)),
        ("whoami, 1,000 keys", node.address, requests(&keys[..1_000], "/v1/whoami", "")),
        ("whoami, all keys", node.address, requests(keys, "/v1/whoami", "")),
    ];
    let with_requests = resident();
    // Eight callers fill the memory at once, since each look-up waits for the database.
    let fill = keys.chunks(keys.len().div_ceil(8)).map(async |part| {
        for key in part {
            let digest = key.digest();
            node.plane.memory.find::<KeyRecord>(&bench.keys, digest).await.unwrap();
        }
    });
    futures::future::join_all(fill).await;
    let remembered = node.plane.memory.counts().0;
    let per_key = (resident() - with_requests) / remembered as f64;
    // The machine's speed varies, so each round is compared with a round of the bare handler just before it.
    let mut rounds: Vec<Vec<(Round, Round)>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((name, address, requests), rounds) in cases.iter().zip(&mut rounds) {
            let base = load(bare, &nothing, CONNECTIONS).await;
            let ours = load(*address, requests, CONNECTIONS).await;
            assert_eq!(ours.refused, 0, "{name}");
            rounds.push((base, ours));
        }
    }
    println!("{CONNECTIONS} connections, all gates, usage written; medians of {ROUNDS} pairs of rounds\n");
    println!("| what | calls a second | of bare | p99 | of bare |\n|---|---|---|---|---|");
    let all = || rounds.iter().flatten();
    let (rate, p99) = (median(all().map(|(base, _)| base.per_second())), median(all().map(|(base, _)| base.p99())));
    println!("| bare axum handler, fixed JSON | {rate:.0} | 1.00 | {:.2} ms | 1.0 × |", ms(p99));
    for ((name, ..), rounds) in cases.iter().zip(&rounds) {
        let rate = median(rounds.iter().map(|(_, ours)| ours.per_second()));
        let p99 = median(rounds.iter().map(|(_, ours)| ours.p99()));
        let share = median(rounds.iter().map(|(base, ours)| ours.per_second() / base.per_second()));
        let times = median(rounds.iter().map(|(base, ours)| ours.p99().as_secs_f64() / base.p99().as_secs_f64()));
        println!("| {name} | {rate:.0} | {share:.2} | {:.2} ms | {times:.1} × |", ms(p99));
    }
    println!("\n{remembered} keys remembered, {per_key:.0} bytes each.");
    // These keys are well formed and unknown.
    let full = resident();
    for n in 0..1_000_000_u32 {
        let nobody = Digest::of(&n.to_be_bytes());
        node.plane.memory.get::<KeyRecord, _>(nobody, |_| async { Ok(LookUp::Current(None)) }).await.unwrap();
    }
    println!(
        "After 1,000,000 different keys that are nobody's: {} remembered as such, {} known ones, {:+.1} MB.",
        node.plane.memory.unknown(),
        node.plane.memory.counts().0,
        (resident() - full) / 1e6
    );
    println!("Resident: {:.0} MB before the node, {:.0} MB now, requests included.", before / 1e6, resident() / 1e6);
    node.stop().await;
}

/// The headers and the body of a whoami, without what hyper adds itself.
async fn answer_of(address: SocketAddr, key: &Key) -> (HeaderMap, Bytes) {
    let call = reqwest::Client::new().get(format!("http://{address}/v1/whoami")).header("x-api-key", &key.secret);
    let answer = call.send().await.unwrap();
    let mut headers = answer.headers().clone();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::DATE);
    (headers, answer.bytes().await.unwrap())
}

/// The resident memory of this process in bytes.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

/// Compares a key's first call with one indexed SELECT over the same pool.
async fn cold(bench: &Bench, keys: &[Key]) {
    let node = bench.node("cold").await;
    let (mut selects, mut calls) = (Vec::new(), Vec::new());
    for (n, key) in keys.iter().rev().take(4_000).enumerate() {
        let digest = key.digest();
        let begun = Instant::now();
        if n % 2 == 0 {
            let mut db = bench.keys.acquire().await.unwrap();
            verdict::store::find_by_digest(&mut db, digest, Revision(0)).await.unwrap();
            drop(db);
            selects.push(begun.elapsed());
        } else {
            node.plane.memory.find::<KeyRecord>(&bench.keys, digest).await.unwrap();
            calls.push(begun.elapsed());
        }
    }
    let (select, call) = (quantile(selects, 99), quantile(calls, 99));
    println!(
        "\nA key's first look-up: p99 {:.2} ms, {:.2} × one indexed SELECT ({:.2} ms).",
        ms(call),
        call.as_secs_f64() / select.as_secs_f64(),
        ms(select)
    );
    node.stop().await;
}

/// Measures a quiet caller alone, and beside a key that gets far more calls than its limit.
async fn beside_a_flood(bench: &Bench, org: OrgId, keys: &[Key]) {
    let node = bench.node("flood").await;
    let narrow = bench.keys(org, "narrow", 1).await;
    let (quiet, flood) = (requests(&keys[..1], "/v1/whoami", ""), requests(&narrow, "/v1/whoami", ""));
    let (mut alone, mut beside, mut flooded) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        alone.push(load(node.address, &quiet, 1).await.p99());
        let (caller, flooding) = tokio::join!(load(node.address, &quiet, 1), load(node.address, &flood, 1));
        beside.push(caller.p99());
        flooded += flooding.refused;
    }
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "\nA quiet key's p99: {:.2} ms alone, {:.2} ms ({:.1} ×) beside a key of 100 calls a minute whose flood was refused \
         {flooded} times.",
        ms(alone),
        ms(beside),
        beside.as_secs_f64() / alone.as_secs_f64()
    );
    node.stop().await;
}

async fn revoke(bench: &Bench, org: OrgId, key: KeyId) -> revocation::Receipt {
    let mut m = bench.begin(org, Actor::operator()).await;
    let permit = m.permit().unwrap();
    lifecycle::revoke_any(&mut m, &permit, key, Reason::Other, None).await.unwrap();
    m.commit().await.unwrap().unwrap()
}

/// Measures the time until a revocation is acknowledged, with three nodes that have many keys in memory.
async fn receipts(bench: &Bench) {
    let org = bench.org("receipts").await;
    let keys = bench.keys(org, "wide", 10_400).await;
    let nodes = [bench.node("one").await, bench.node("two").await, bench.node("three").await];
    for node in &nodes {
        load(node.address, &requests(&keys, "/v1/whoami", ""), 4).await;
    }
    let mut took = Vec::new();
    for key in &keys[..400] {
        let begun = Instant::now();
        let receipt = revoke(bench, org, key.id).await;
        took.push(begun.elapsed());
        assert_eq!((receipt.nodes, receipt.cut_off.len()), (3, 0));
        // The pause varies, so that revocations are not in step with the nodes' rounds.
        tokio::time::sleep(Duration::from_millis(u64::from(key.id.0.as_bytes()[15]) / 8)).await;
    }
    println!(
        "\nA revoke, acknowledged with three nodes: p50 {:.1} ms, p99 {:.1} ms.",
        ms(median(took.iter().copied())),
        ms(quantile(took, 99))
    );
    let begun = Instant::now();
    let mut m = bench.begin(org, owner_of(org)).await;
    let permit = m.permit().unwrap();
    let count = lifecycle::revoke_all(&mut m, &permit).await.unwrap();
    m.commit().await.unwrap();
    println!("Revoke all of {count} keys: {:.0} ms.", ms(begun.elapsed()));
    for node in nodes {
        node.stop().await;
    }
}

fn owner_of(org: OrgId) -> Actor {
    let principal = keydesk::actor::Principal::Member {
        user: keydesk::ids::UserId(uuid::Uuid::nil()),
        name: "Bench".to_owned(),
        org,
        role: keydesk::actor::Role::Owner,
    };
    Actor { principal, ..Actor::operator() }
}

/// Measures another tenant's calls while a tenant disables and enables a key a hundred times a second.
async fn steady_changes(bench: &Bench, keys: &[Key]) {
    let node = bench.node("steady").await;
    let noisy = bench.org("noisy").await;
    let theirs = bench.keys(noisy, "wide", 1).await;
    let quiet = requests(&keys[..100], "/v1/whoami", "");
    load(node.address, &quiet, 1).await;
    let (mut alone, mut beside, mut refused, mut changes) = (Vec::new(), Vec::new(), 0, 0_u32);
    for _ in 0..ROUNDS {
        alone.push(load(node.address, &quiet, 1).await.p99());
        let changing = async {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            loop {
                tick.tick().await;
                let mut m = bench.begin(noisy, Actor::operator()).await;
                let permit = m.permit().unwrap();
                let done = if changes % 2 == 0 {
                    lifecycle::disable(&mut m, &permit, theirs[0].id).await
                } else {
                    lifecycle::enable(&mut m, &permit, theirs[0].id).await
                };
                done.unwrap();
                m.commit().await.unwrap();
                changes += 1;
            }
        };
        let round = tokio::select! {
            round = load(node.address, &quiet, 1) => round,
            () = changing => unreachable!(),
        };
        beside.push(round.p99());
        refused += round.refused;
    }
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "\nBeside a tenant that makes {:.0} changes a second, another's p99 is {:.2} ms ({:.1} × its quiet {:.2} ms), {refused} \
         refused.",
        f64::from(changes) / (ROUNDS as f64 * ROUND.as_secs_f64()),
        ms(beside),
        beside.as_secs_f64() / alone.as_secs_f64(),
        ms(alone)
    );
    node.stop().await;
}

/// The transactions that the database has ended. Idle sessions report theirs up to a second late, so it waits first.
async fn transactions(bench: &Bench) -> i64 {
    tokio::time::sleep(Duration::from_secs(2)).await;
    sqlx::query_scalar("select xact_commit + xact_rollback from pg_stat_database where datname = current_database()")
        .fetch_one(&bench.owner)
        .await
        .unwrap()
}

async fn several_nodes(bench: &Bench, keys: &[Key]) {
    println!("\n| nodes | whoami a second, all together | statements a second, idle | busy |\n|---|---|---|---|");
    // These are so few that every node soon has all of them in memory, so that first look-ups are not counted.
    let in_turn = requests(&keys[..1_000], "/v1/whoami", "");
    let mut nodes: Vec<Running> = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(bench.node(name).await);
        let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
        let all = || async {
            let calls = addresses.iter().map(|address| load(*address, &in_turn, CONNECTIONS / addresses.len()));
            let rounds = futures::future::join_all(calls).await;
            rounds.iter().map(Round::per_second).sum::<f64>()
        };
        // The first round fills the memories.
        all().await;
        let quiet = rate(bench, tokio::time::sleep(Duration::from_secs(5))).await;
        let mut together = Vec::new();
        let busy = rate(bench, async {
            for _ in 0..ROUNDS {
                together.push(all().await);
            }
        })
        .await;
        println!("| {} | {:.0} | {quiet:.0} | {busy:.0} |", nodes.len(), median(together));
    }
    for node in nodes {
        node.stop().await;
    }
}

/// The statements a second while a future runs. Each statement outside of a transaction counts as a transaction.
async fn rate(bench: &Bench, meanwhile: impl Future<Output = ()>) -> f64 {
    let (begun, before) = (Instant::now(), transactions(bench).await);
    meanwhile.await;
    let after = transactions(bench).await;
    (after - before) as f64 / begun.elapsed().as_secs_f64()
}
