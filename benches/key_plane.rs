//! The key plane beside a bare axum handler that answers fixed JSON: the same build, the same load generator, in
//! alternating rounds of one run. `cargo bench --bench key_plane`, or `make bench`.
//!
//! Servers and load generator share this process and its cores, all alike, so compare the ratios.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::get};
use keydesk::{
    catalog::Catalog,
    client::TrustedProxies,
    clock::{self, Clock},
    database::{self, Database, Reach},
    key_plane::{self, KeyPlane, limiter::Limiter},
    keys::lifecycle::{self, NewKey, Wish},
    orgs::{self, Actor, OrgId, OrgName, Permit, Slug},
    revocation::{memory::Memory, node::Node},
    server,
    server_keys::ServerKeys,
    usage::{Recorder, refusals::Refusals},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const KEYS: usize = 1_000;

const CATALOG: &str = r#"
brand = "Bench"
service_prefix = "b_service_"
[[environments]]
name = "live"
label = "Live"
prefix = "b_live_"
[[tiers]]
name = "wide"
label = "Wide"
limit = 100000000
window = "15m"
[[tiers]]
name = "narrow"
label = "Narrow"
limit = 100
window = "1m"
[[scopes]]
name = "read"
[[routes]]
methods = ["GET"]
path = "/v1/get/{namespace}/{key}"
scopes = ["read"]
namespace = "namespace"
"#;

/// What one round of calls came to.
#[derive(Default)]
struct Round {
    /// Of each call.
    latencies: Vec<Duration>,
    took: Duration,
    refused: usize,
}

impl Round {
    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    fn p99(&self) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted[sorted.len() * 99 / 100]
    }
}

/// One connection that calls again and again until `until`; the requests are sent in turn.
async fn connection(address: SocketAddr, requests: Arc<Vec<String>>, offset: usize, until: Instant) -> Round {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut round, mut buffer) = (Round::default(), vec![0; 8192]);
    for n in offset.. {
        let begun = Instant::now();
        if begun >= until {
            break;
        }
        stream.write_all(requests[n % requests.len()].as_bytes()).await.unwrap();
        let mut filled = 0;
        loop {
            filled += stream.read(&mut buffer[filled..]).await.unwrap();
            let text = std::str::from_utf8(&buffer[..filled]).unwrap();
            let Some(end) = text.find("\r\n\r\n") else { continue };
            let length = text[..end]
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if filled >= end + 4 + length {
                round.refused += usize::from(!text.starts_with("HTTP/1.1 200"));
                break;
            }
        }
        round.latencies.push(begun.elapsed());
    }
    round
}

async fn load(address: SocketAddr, requests: &Arc<Vec<String>>, connections: usize) -> Round {
    let begun = Instant::now();
    let until = begun + ROUND;
    let callers: Vec<_> =
        (0..connections).map(|n| tokio::spawn(connection(address, Arc::clone(requests), n * 37, until))).collect();
    let mut all = Round::default();
    for caller in callers {
        let round = caller.await.unwrap();
        all.latencies.extend(round.latencies);
        all.refused += round.refused;
    }
    all.took = begun.elapsed();
    all
}

async fn serve(router: Router, stop: &watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::answer(listener, router, stop.clone()));
    address
}

struct Bench {
    plane: KeyPlane,
    wide: Vec<String>,
    narrow: String,
}

async fn prepare(database: &Database, data: &std::path::Path) -> Bench {
    let catalog = Arc::new(Catalog::parse(CATALOG).unwrap());
    let (clock, server_keys) = (Clock::System, ServerKeys::load(data).unwrap());
    let org = OrgId(clock::id(clock.now()));
    let mut tx = database::begin(&database.console, Reach::Org(org)).await.unwrap();
    let (operator, now) = (Actor::operator(), clock.now());
    let permit = Permit::grant(&operator, org).unwrap();
    let (slug, name) = (Slug::parse("bench").unwrap(), OrgName::parse("Bench").unwrap());
    orgs::lifecycle::create_org(&mut tx, &server_keys.audit, &permit, &slug, &name, now).await.unwrap();
    let mut keys = Vec::new();
    for n in 0..=KEYS {
        let wish = Wish {
            name: "bench".to_owned(),
            environment: "live".to_owned(),
            tier: if n == KEYS { "narrow" } else { "wide" }.to_owned(),
            scopes: vec!["read".to_owned()],
            namespaces: vec!["default".to_owned()],
            addresses: vec!["127.0.0.0/8".to_owned()],
            expires: "30d".to_owned(),
            form_id: None,
        };
        let new = NewKey::parse(wish, &catalog).unwrap();
        let permit = Permit::grant(&operator, org).unwrap();
        let issued = lifecycle::issue(&mut tx, &server_keys.audit, &permit, &new, now).await.unwrap();
        keys.push(issued.secret.reveal().to_owned());
    }
    tx.commit().await.unwrap();
    let plane = KeyPlane {
        keys: database.keys.clone(),
        memory: Arc::new(Memory::new(clock.clone())),
        clock,
        catalog,
        limiter: Arc::new(Limiter::memory()),
        proxies: Arc::new(TrustedProxies::default()),
        usage: Arc::new(Recorder::default()),
        refusals: Arc::new(Refusals::default()),
    };
    let narrow = keys.pop().unwrap();
    Bench { plane, wide: keys, narrow }
}

fn requests(keys: &[String], path: &str, headers: &str) -> Arc<Vec<String>> {
    let one = |key: &String| format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n{headers}\r\n");
    Arc::new(keys.iter().map(one).collect())
}

fn median<T: Copy + PartialOrd>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

fn main() {
    let data: PathBuf = std::env::temp_dir().join(format!("keydesk-bench-{}", uuid::Uuid::new_v4().simple()));
    database::create_data_dir(&data).unwrap();
    let env = [("KEYDESK_DATA_DIR".to_owned(), data.display().to_string())].into();
    let config = keydesk::config::Config::from_env(env).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::open(&config).await.unwrap();
        run(&database, &data).await;
        database.close().await.unwrap();
    });
    std::fs::remove_dir_all(&data).unwrap();
}

async fn run(database: &Database, data: &std::path::Path) {
    let bench = prepare(database, data).await;
    let (tell, stop) = watch::channel(false);
    let fixed = || async { Json(serde_json::json!({ "valid": true, "code": "VALID" })) };
    let bare = serve(Router::new().route("/", get(fixed)), &stop).await;
    let plane = serve(key_plane::router::router(bench.plane.clone()), &stop).await;
    let node = {
        let plane = &bench.plane;
        let node = Node::new("bench".to_owned(), "memory", Arc::clone(&plane.memory), plane.clock.clone(), &plane.keys);
        tokio::spawn(async move { node.run().await })
    };
    let writing = {
        let (plane, stop) = (bench.plane.clone(), stop.clone());
        tokio::spawn(async move { plane.usage.run(&plane.refusals, &plane.keys, stop).await })
    };
    let described = "x-forwarded-method: GET\r\nx-forwarded-uri: /v1/get/default/a\r\n";
    let cases = [
        ("bare axum handler, fixed JSON", bare, requests(&bench.wide, "/", "")),
        ("whoami, all gates", plane, requests(&bench.wide, "/v1/whoami", "")),
        ("forward-auth, all gates", plane, requests(&bench.wide, "/v1/forward-auth", described)),
    ];
    let mut rounds: Vec<Vec<Round>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (case, rounds) in cases.iter().zip(&mut rounds) {
            let round = load(case.1, &case.2, CONNECTIONS).await;
            assert_eq!(round.refused, 0, "{}", case.0);
            rounds.push(round);
        }
    }
    println!("{CONNECTIONS} connections, {KEYS} keys in rotation, medians of {ROUNDS} alternating rounds\n");
    println!("| what | calls a second | of bare | p99 | of bare |\n|---|---|---|---|---|");
    let (mut base, mut base_p99) = (0.0, Duration::ZERO);
    for ((name, ..), rounds) in cases.iter().zip(&rounds) {
        let (rate, p99) = (median(rounds.iter().map(Round::per_second)), median(rounds.iter().map(Round::p99)));
        if base == 0.0 {
            (base, base_p99) = (rate, p99);
        }
        let (share, times) = (rate / base, p99.as_secs_f64() / base_p99.as_secs_f64());
        println!("| {name} | {rate:.0} | {share:.2} | {:.2} ms | {times:.1} × |", p99.as_secs_f64() * 1e3);
    }
    beside_a_flood(&bench, plane).await;
    let _ = tell.send(true);
    writing.await.unwrap();
    node.abort();
}

/// What one key's flood does to another: a quiet caller alone, and beside a key that gets far more than its limit.
async fn beside_a_flood(bench: &Bench, plane: SocketAddr) {
    let quiet = requests(&bench.wide[..1], "/v1/whoami", "");
    let flood = requests(std::slice::from_ref(&bench.narrow), "/v1/whoami", "");
    let (mut alone, mut beside, mut flooded) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        alone.push(load(plane, &quiet, 1).await.p99());
        let (caller, flooding) = tokio::join!(load(plane, &quiet, 1), load(plane, &flood, 1));
        beside.push(caller.p99());
        flooded += flooding.refused;
    }
    let (alone, beside) = (median(alone.into_iter()), median(beside.into_iter()));
    println!(
        "\nA quiet key's p99: {:.2} ms alone, {:.2} ms ({:.1} ×) beside a key of 100 calls a minute whose flood was refused \
         {flooded} times.",
        alone.as_secs_f64() * 1e3,
        beside.as_secs_f64() * 1e3,
        beside.as_secs_f64() / alone.as_secs_f64()
    );
}
