//! Key planes as they run: processes on one Postgres, each behind a line that can fail.

use std::{
    path::{Path, PathBuf},
    process::Child,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use keydesk::{
    actor::Actor,
    catalog::Catalog,
    clock::{self, Clock},
    database::{self, RlsScope, embedded::Embedded},
    ids::{KeyId, OrgId},
    keys::{
        lifecycle::{self, CreateKeyInput, NewKey},
        model::KeyName,
    },
    mutation::Mutation,
    orgs::{self, OrgName, Slug},
    server_keys::ServerKeys,
};
use nix::{sys::signal::Signal, unistd::Pid};
use sqlx::{ConnectOptions, Connection, PgPool, postgres::PgConnectOptions};
use tokio::{sync::watch, task::spawn_blocking};

use super::line::Line;
use crate::process::{Folder, serving, signal};

pub const NODES: usize = 3;
/// How long each may answer without Postgres.
pub const LEASES: [Duration; NODES] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(4)];
/// The scope that is taken from keys and given back.
pub const SCOPE: &str = "write";

pub struct Key {
    pub id: KeyId,
    pub org: usize,
    pub secret: String,
}

pub struct Org {
    pub id: OrgId,
    pub slug: String,
    pub keys: std::ops::Range<usize>,
}

pub struct Fleet {
    pub folder: Folder,
    postgres: tokio::sync::Mutex<Option<Embedded>>,
    owner: PgConnectOptions,
    pub server_keys: ServerKeys,
    pub catalog: Catalog,
    pub lines: Vec<Line>,
    leases: [Duration; NODES],
    nodes: Vec<Mutex<Option<Child>>>,
    /// Where each node answers; it changes when the node is started anew.
    pub addresses: Vec<watch::Sender<String>>,
    /// The console's pools: a direct one, and one by each node's line.
    pub consoles: Vec<PgPool>,
    pub orgs: Vec<Org>,
    pub keys: Vec<Key>,
    /// May verify.
    pub service: String,
}

impl Fleet {
    /// Organizations with so many keys each, and all nodes.
    pub async fn start(sizes: &[usize]) -> Arc<Self> {
        Self::start_with(sizes, LEASES).await
    }

    pub async fn start_with(sizes: &[usize], leases: [Duration; NODES]) -> Arc<Self> {
        let folder = Folder::new();
        let embedded = Embedded::join(&folder.0).await.unwrap();
        let owner = embedded.options("keydesk");
        let planes = database::prepare(
            owner.clone(),
            &folder.0,
            database::PlaneOverrides::default(),
            database::Opening::Prepare,
        )
        .await
        .unwrap();
        let mut consoles = vec![database::pool(planes.console, 8)];
        let socket = owner.get_socket().unwrap().join(".s.PGSQL.5432");
        let mut lines = Vec::new();
        for _ in 0..NODES {
            let line = Line::to(socket.clone()).await;
            consoles.push(database::pool(url(&folder.0, "keydesk_console", &line).parse().unwrap(), 8));
            lines.push(line);
        }
        let mut fleet = Self {
            postgres: tokio::sync::Mutex::new(Some(embedded)),
            owner,
            server_keys: ServerKeys::load(&folder.0).unwrap(),
            catalog: Catalog::load("default").unwrap(),
            lines,
            leases,
            nodes: (0..NODES).map(|_| Mutex::default()).collect(),
            addresses: (0..NODES).map(|_| watch::Sender::default()).collect(),
            consoles,
            orgs: Vec::new(),
            keys: Vec::new(),
            service: String::new(),
            folder,
        };
        fleet.fill(sizes).await;
        join_all((0..NODES).map(|node| fleet.run_node(node))).await;
        Arc::new(fleet)
    }

    async fn fill(&mut self, sizes: &[usize]) {
        let (now, audit) = (Clock::System.now(), &self.server_keys.audit);
        let console = &self.consoles[0];
        let begin = async |rls| Mutation::begin(console, audit, rls, Actor::operator(), now).await.unwrap();
        for (number, size) in sizes.iter().enumerate() {
            let (id, slug) = (OrgId(clock::id(now)), format!("org-{number}"));
            let mut m = begin(RlsScope::Org(id)).await;
            let (permit, parsed) = (m.permit().unwrap(), Slug::parse(&slug).unwrap());
            let name = OrgName::parse(&slug).unwrap();
            orgs::lifecycle::create_org(&mut m, &permit, &parsed, &name).await.unwrap();
            let first = self.keys.len();
            for _ in 0..*size {
                let wish = CreateKeyInput {
                    name: "Test".to_owned(),
                    environment: "live".to_owned(),
                    tier: "unlimited".to_owned(),
                    scopes: vec!["read".to_owned(), SCOPE.to_owned()],
                    expires: "never".to_owned(),
                    allow_duplicate_name: true,
                    ..CreateKeyInput::default()
                };
                let new = NewKey::parse(wish, &self.catalog).unwrap();
                let permit = m.permit().unwrap();
                let issued = lifecycle::issue(&mut m, &permit, &new).await.unwrap();
                self.keys.push(Key { id: issued.id, org: number, secret: issued.secret.reveal().to_owned() });
            }
            m.commit().await.unwrap();
            self.orgs.push(Org { id, slug, keys: first..self.keys.len() });
        }
        let mut m = begin(RlsScope::Nothing).await;
        let (permit, name) = (m.permit().unwrap(), KeyName::parse("gateway").unwrap());
        let (prefix, may) = (&self.catalog.service_prefix, ["verify".to_owned()]);
        let secret = lifecycle::issue_service_key(&mut m, &permit, prefix, &name, &may).await.unwrap();
        m.commit().await.unwrap();
        secret.unwrap().reveal().clone_into(&mut self.service);
    }

    /// How the owner reaches Postgres by a node's line.
    pub fn url(&self, node: usize) -> String {
        url(&self.folder.0, "keydesk_owner", &self.lines[node])
    }

    /// Starts a node, as often as it takes: without Postgres it does not start.
    pub async fn run_node(&self, node: usize) {
        loop {
            let mut command = self.folder.command(&["serve", "--plane", "keys"]);
            command.env("DATABASE_URL", self.url(node)).env("RUST_LOG", "error");
            command.env("KEYDESK_LEASE", format!("{}s", self.leases[node].as_secs()));
            let started = spawn_blocking(move || serving(&mut command, &["Key plane"])).await.unwrap();
            let Some((child, at)) = started else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            *self.nodes[node].lock().unwrap() = Some(child);
            self.addresses[node].send_replace(at[0].trim_start_matches("http://").to_owned());
            return;
        }
    }

    pub fn signal(&self, node: usize, what: Signal) {
        signal(self.nodes[node].lock().unwrap().as_ref().unwrap(), what);
    }

    /// Without a word.
    pub async fn kill(&self, node: usize) {
        let mut child = self.nodes[node].lock().unwrap().take().unwrap();
        child.kill().unwrap();
        spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    }

    /// Ends the sessions in which nodes listen for changes. Answers how many.
    pub async fn deafen(&self) -> i64 {
        let mut db = self.owner.connect().await.unwrap();
        let ended = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where application_name = 'keydesk node' and query ilike 'listen%'",
        );
        let ended = ended.fetch_one(&mut db).await.unwrap();
        db.close().await.unwrap();
        ended
    }

    /// Returns when Postgres is down: in order, or crashed.
    pub async fn stop_postgres(&self, crash: bool) {
        let embedded = self.postgres.lock().await.take().unwrap();
        if !crash {
            embedded.leave().await.unwrap();
            return;
        }
        let mut db = self.owner.connect().await.unwrap();
        let folder: String = sqlx::query_scalar("show data_directory").fetch_one(&mut db).await.unwrap();
        let file = std::fs::read_to_string(PathBuf::from(folder).join("postmaster.pid")).unwrap();
        let pid = file.lines().next().unwrap().to_owned();
        nix::sys::signal::kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGQUIT).unwrap();
        // What is dead and not buried has no command line.
        while std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(embedded);
    }

    pub async fn start_postgres(&self) {
        *self.postgres.lock().await = Some(Embedded::join(&self.folder.0).await.unwrap());
    }

    /// Ends everything, so that nothing is left whatever the verdict.
    pub async fn stop(&self) {
        for node in &self.nodes {
            let child = node.lock().unwrap().take();
            if let Some(mut child) = child {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        for pool in &self.consoles {
            pool.close().await;
        }
        if let Some(embedded) = self.postgres.lock().await.take() {
            embedded.leave().await.unwrap();
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.nodes.iter().filter_map(|node| node.lock().ok()?.take()) {
            let mut child = child;
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn url(folder: &Path, role: &str, line: &Line) -> String {
    let password = std::fs::read_to_string(folder.join(format!("{role}.password"))).unwrap();
    format!("postgres://{role}:{password}@127.0.0.1:{}/keydesk?sslmode=disable", line.port)
}
