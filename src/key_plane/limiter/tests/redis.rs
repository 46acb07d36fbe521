//! The same on Debian's Redis: the script's arithmetic, and what happens to the connection.

use crate::ids::KeyId;
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use redis::{Client, RedisResult, Script, aio::MultiplexedConnection};
use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    super::{
        Limiter, LimiterError, Subject,
        redis::redis_key,
        window::{Count, MICROS_PER_SECOND, SlidingWindow},
    },
    Step, limit_of, limits, play, steps,
};
use crate::catalog::Limit;

const SUBJECT: Subject = Subject::Key(KeyId(Uuid::from_u128(1)));
/// Nothing takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(120);
/// Redis asks its own clock.
const UNUSED: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// A Redis that keeps nothing, for one test.
struct Server {
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Child,
}

impl Server {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The arguments come after those of every test, and count more.
    async fn with(arguments: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("keydesk-limiter-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let child = Self::spawn(&folder, port, &arguments);
        let server = Self { folder, port, arguments, child };
        server.wait().await;
        server
    }

    /// A sentinel that watches the server under the name `main`, and alone decides that it is gone.
    async fn sentinel(of: &Server) -> Self {
        let file = of.folder.join("sentinel.conf");
        let port = of.port;
        let watch = format!(
            "sentinel monitor main 127.0.0.1 {port} 1\nsentinel down-after-milliseconds main 300\n\
             sentinel failover-timeout main 2000\n"
        );
        std::fs::write(&file, watch).unwrap();
        // It writes what it finds into its file, which is named first.
        Self::with(&[file.to_str().unwrap(), "--sentinel"]).await
    }

    fn spawn(folder: &PathBuf, port: u16, arguments: &[String]) -> Child {
        let (file, arguments) =
            arguments.split_at(usize::from(arguments.first().is_some_and(|one| one.starts_with('/'))));
        let mut command = Command::new("redis-server");
        command.args(file).args(["--bind", "127.0.0.1", "--loglevel", "warning"]);
        if file.is_empty() {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        command
            .arg("--port")
            .arg(port.to_string())
            .arg("--dir")
            .arg(folder)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need redis-server: apt-get install --no-install-recommends redis-server")
    }

    async fn wait(&self) {
        let begun = Instant::now();
        while self.try_command(&redis::cmd("PING")).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server does not come up");
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
        let answer = self.try_command(redis::cmd("PTTL").arg(redis_key(SUBJECT))).await.unwrap();
        redis::from_redis_value(answer).unwrap()
    }

    fn url(&self) -> SecretString {
        format!("redis://127.0.0.1:{}", self.port).into()
    }

    async fn limiter(&self) -> Limiter {
        Limiter::redis(&self.url()).await.unwrap()
    }

    fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn start_again(&mut self) {
        self.child = Self::spawn(&self.folder, self.port, &self.arguments);
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

async fn take(limiter: &Limiter, limit: Limit) -> Count {
    limiter.take(SUBJECT, limit, UNUSED).await.unwrap()
}

/// Until an answer comes.
async fn heals(limiter: &Limiter) {
    let begun = Instant::now();
    while let Err(error) = limiter.take(SUBJECT, limit_of(1_000, 60), UNUSED).await {
        assert!(begun.elapsed() < PATIENCE, "{error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// MemoryCounters's arithmetic, and the script told the time: they must say the same.
struct Both {
    spent: SlidingWindow,
    script: Script,
    connection: MultiplexedConnection,
}

impl Both {
    async fn new(server: &Server) -> Self {
        let client = Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
        let told = include_str!("../redis.lua").replace("redis.call('TIME')", "{ ARGV[5], ARGV[6] }");
        assert!(told.contains("ARGV[5]"));
        Self {
            spent: SlidingWindow::default(),
            script: Script::new(&told),
            connection: client.get_multiplexed_async_connection().await.unwrap(),
        }
    }

    async fn forget(&mut self) {
        self.spent = SlidingWindow::default();
        let _: () = redis::cmd("FLUSHALL").query_async(&mut self.connection).await.unwrap();
    }

    async fn count(&mut self, step: &str, limit: Limit, now: i64) -> Count {
        let mut call = self.script.key("subject");
        call.arg(step).arg(limit.calls()).arg(limit.window_micros()).arg(limit.sub_bucket_micros());
        call.arg(now.div_euclid(MICROS_PER_SECOND)).arg(now.rem_euclid(MICROS_PER_SECOND));
        let (taken, used, wait, at) = call.invoke_async(&mut self.connection).await.unwrap();
        let count = match step {
            "peek" => self.spent.clone().take(limit, now),
            _ => self.spent.take(limit, now),
        };
        assert_eq!(Count { limit, taken, used, wait, at }, count, "{step} {limit:?}");
        count
    }

    async fn give_back(&mut self, at: i64, limit: Limit) {
        self.spent.give_back(at, limit);
        let mut call = self.script.key("subject");
        call.arg("give_back").arg(at).arg(limit.sub_bucket_micros());
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
        let limit = limits().new_tree(&mut runner).unwrap().current();
        let other = limits().new_tree(&mut runner).unwrap().current();
        let mut calls = Vec::new();
        play(limit, &steps().new_tree(&mut runner).unwrap().current(), |step, now| {
            calls.push((step, now));
            calls.len() % 97 > 0
        });
        both.forget().await;
        let mut taken = Vec::new();
        for (number, (step, now)) in calls.into_iter().take(400).enumerate() {
            // Now and then the tier is another one, and the clock is put back.
            let limit = if number % 50 > 45 { other } else { limit };
            let now = if number % 40 > 37 { now - limit.window_micros() / 3 } else { now };
            compared += 1;
            if matches!(step, Step::Peek) {
                both.count("peek", limit, now).await;
            } else if let (Step::GiveBack, Some((at, limit))) = (step, taken.pop()) {
                both.give_back(at, limit).await;
            } else if let Count { taken: true, at, .. } = both.count("take", limit, now).await {
                taken.push((at, limit));
            }
        }
    }
    assert!(compared > 5_000, "{compared}");
}

#[tokio::test]
async fn calls_of_two_tiers_are_given_back_once_each() {
    let server = Server::start().await;
    let mut both = Both::new(&server).await;
    let start = 1_793_000_010 * MICROS_PER_SECOND;
    let (coarse, fine) = (limit_of(9, 900), limit_of(9, 60));
    let first = both.count("take", coarse, start).await.at;
    both.count("take", fine, start + 2 * MICROS_PER_SECOND).await;
    let third = both.count("take", coarse, start + 3 * MICROS_PER_SECOND).await.at;
    // Both are of one coarse sub-bucket, which the fine tier's call has cut in two.
    for at in [first, third] {
        both.give_back(at, coarse).await;
    }
    assert_eq!(both.count("peek", coarse, start + 3 * MICROS_PER_SECOND).await.used, 1 + 1);
    both.give_back(first, coarse).await;
    both.give_back(first, coarse).await;
    assert_eq!(both.count("peek", coarse, start + 3 * MICROS_PER_SECOND).await.used, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_are_exact_together() {
    let server = Server::start().await;
    let nodes = [Arc::new(server.limiter().await), Arc::new(server.limiter().await)];
    assert!(nodes.iter().all(|node| node.is_shared()));
    let limit = limit_of(300, 60);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let node = Arc::clone(&nodes[n % 2]);
            tokio::spawn(async move {
                let mut taken = 0;
                for _ in 0..50 {
                    taken += u32::from(take(&node, limit).await.taken);
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
    let limit = limit_of(2, 2);
    let count = take(&limiter, limit).await;
    assert_eq!((count.taken, count.remaining(), count.reset_seconds()), (true, 1, 2));
    limiter.give_back(SUBJECT, count).await;
    assert!((1_100..=2_034).contains(&server.kept().await));
    for _ in 0..3 {
        let foreseen = limiter.peek(SUBJECT, limit, UNUSED).await.unwrap();
        assert_eq!((foreseen.taken, foreseen.remaining(), foreseen.reset_seconds()), (true, 1, 2));
    }
    let begun = Instant::now();
    assert!(take(&limiter, limit).await.taken);
    assert!(take(&limiter, limit).await.taken);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let refused = take(&limiter, limit).await;
    assert_eq!((refused.taken, refused.remaining(), refused.reset_seconds()), (false, 0, 1));
    tokio::time::sleep(Duration::from_secs(refused.reset_seconds())).await;
    assert!(take(&limiter, limit).await.taken);
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn killed_it_gives_no_answer_and_back_again_it_works_by_itself() {
    let mut server = Server::start().await;
    let limiter = server.limiter().await;
    take(&limiter, limit_of(1_000, 60)).await;
    server.stop();
    for _ in 0..5 {
        let answer = limiter.take(SUBJECT, limit_of(1_000, 60), UNUSED).await;
        assert!(matches!(answer, Err(LimiterError::Unavailable(_))), "{answer:?}");
    }
    assert!(Limiter::redis(&server.url()).await.is_err());
    // Without its scripts, as after any restart.
    server.start_again().await;
    heals(&limiter).await;
}

#[tokio::test]
async fn hanging_it_fails_without_waiting_for_it_and_works_again_afterwards() {
    let server = Server::start().await;
    let limiter = server.limiter().await;
    // As a machine that is gone: it accepts connections and says nothing.
    server.signal(Signal::SIGSTOP);
    for _ in 0..2 {
        assert!(limiter.take(SUBJECT, limit_of(1_000, 60), UNUSED).await.is_err());
    }
    server.signal(Signal::SIGCONT);
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
    assert!(limiter.take(SUBJECT, limit_of(1_000, 60), UNUSED).await.is_err());
    server.start_again().await;
    assert!(limiter.take(SUBJECT, limit_of(1_000, 60), UNUSED).await.is_err());
    server.command(&set("s3cret")).await;
    heals(&limiter).await;
}

#[tokio::test]
async fn a_connection_that_went_stale_costs_no_call() {
    let server = Server::start().await;
    let limiter = server.limiter().await;
    let limit = limit_of(1_000, 60);
    assert_eq!(take(&limiter, limit).await.used, 1);
    // As a server behind a balancer that is replaced, or closes what is idle.
    server.command(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal")).await;
    assert_eq!(take(&limiter, limit).await.used, 2);
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_left() {
    let (server, other) = (Server::start().await, Server::start().await);
    let limiter = server.limiter().await;
    take(&limiter, limit_of(1_000, 60)).await;
    server.command(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(other.port)).await;
    assert!(limiter.take(SUBJECT, limit_of(1_000, 60), UNUSED).await.is_err());
    server.command(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await;
    take(&limiter, limit_of(1_000, 60)).await;
}

/// What docs/operating.md says that the user of an access control list may do.
const ACL: &str = "~keydesk:* +evalsha +script|load +get +set +time +info +config|get";

#[tokio::test]
async fn a_user_who_may_do_no_more_than_the_documents_say_is_enough() {
    let documented = include_str!("../../../../docs/operating.md");
    assert!(documented.contains(&format!("ACL SETUSER keydesk on >PASSWORD {ACL}")));
    let server = Server::start().await;
    server
        .command(
            redis::cmd("ACL")
                .arg("SETUSER")
                .arg("keydesk")
                .arg("on")
                .arg(">s3cret")
                .arg(ACL.split(' ').collect::<Vec<_>>()),
        )
        .await;
    let limiter = Limiter::redis(&format!("redis://keydesk:s3cret@127.0.0.1:{}", server.port).into()).await.unwrap();
    let count = take(&limiter, limit_of(2, 60)).await;
    limiter.give_back(SUBJECT, count).await;
    assert_eq!(take(&limiter, limit_of(2, 60)).await.used, 1);
    assert_eq!(limiter.warnings().len(), 1);
}

#[tokio::test]
async fn a_server_that_may_forget_counts_is_warned_of() {
    async fn warnings(arguments: &[&str]) -> Vec<String> {
        Server::with(arguments).await.limiter().await.warnings()
    }
    let kept = ["--appendonly", "yes"];
    assert!(warnings(&kept).await.is_empty());
    assert!(warnings(&["--save", "60 1"]).await.is_empty());
    let none = warnings(&[]).await;
    assert!(none.len() == 1 && none[0].contains("keeps nothing on disk"), "{none:?}");
    let full = |policy| [&kept[..], &["--maxmemory", "100mb", "--maxmemory-policy", policy]].concat();
    assert!(warnings(&full("noeviction")).await.is_empty());
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let evicts = warnings(&full(policy)).await;
        assert!(evicts.len() == 1 && evicts[0].contains(policy) && evicts[0].contains("noeviction"), "{evicts:?}");
    }
}

#[tokio::test]
async fn sentinels_say_which_server_counts_also_after_a_failover() {
    let mut server = Server::start().await;
    let replica = Server::with(&["--replicaof", "127.0.0.1", &server.port.to_string()]).await;
    let sentinel = Server::sentinel(&server).await;
    let replicates = || async {
        let info: String = redis::from_redis_value(sentinel.try_command(&redis::cmd("INFO")).await.unwrap()).unwrap();
        info.contains("slaves=1")
    };
    let begun = Instant::now();
    while !replicates().await {
        assert!(begun.elapsed() < PATIENCE, "the sentinel does not find the replica");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The first of the sentinels is gone.
    let url = |name: &str| format!("redis+sentinel://127.0.0.1:1,127.0.0.1:{}/{name}", sentinel.port).into();
    let limiter = Limiter::redis(&url("main")).await.unwrap();
    take(&limiter, limit_of(1_000, 60)).await;
    assert!(Limiter::redis(&url("other")).await.is_err());
    assert!(matches!(Limiter::redis(&url("")).await, Err(LimiterError::Address)));
    server.stop();
    let begun = Instant::now();
    while limiter.take(SUBJECT, limit_of(1_000, 60), UNUSED).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "no other server counts");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(replica.try_command(redis::cmd("EXISTS").arg(redis_key(SUBJECT))).await.unwrap() == redis::Value::Int(1));
}
