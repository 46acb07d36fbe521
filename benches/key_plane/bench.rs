//! A deployment with many keys, and the nodes that answer for them.

use std::{net::SocketAddr, path::Path, sync::Arc};

use axum::Router;
use keydesk::{
    actor::Actor,
    catalog::Catalog,
    client::TrustedProxies,
    clock::{self, Clock},
    database::{self, RlsScope, embedded::Embedded},
    ids::{KeyId, OrgId},
    key_plane::{self, KeyPlane, limiter::Limiter},
    keys::secret::NewSecret,
    mutation::Mutation,
    node::{Node, memory::Memory},
    orgs::{self, OrgName, Slug},
    revocation::LeaseLength,
    secrets::Digest,
    server,
    server_keys::ServerKeys,
    usage::{UsageRecorder, refusals::RefusalRecorder},
};
use sqlx::PgPool;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

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

pub struct Key {
    pub id: KeyId,
    pub secret: String,
}

impl Key {
    pub fn digest(&self) -> Digest {
        Digest::of(self.secret.as_bytes())
    }
}

pub struct Bench {
    pub owner: PgPool,
    pub console: PgPool,
    pub keys: PgPool,
    pub catalog: Arc<Catalog>,
    pub server_keys: ServerKeys,
    pub stop: watch::Receiver<bool>,
}

/// A running node.
pub struct Running {
    pub plane: KeyPlane,
    pub address: SocketAddr,
    node: Arc<Node>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    pub async fn stop(self) {
        self.tasks.into_iter().for_each(|task| task.abort());
        self.node.leave().await;
    }
}

impl Bench {
    pub async fn new(embedded: &Embedded, data: &Path, stop: watch::Receiver<bool>) -> Self {
        let owner = embedded.options("keydesk");
        let planes =
            database::prepare(owner.clone(), data, database::PlaneOverrides::default(), database::Opening::Prepare)
                .await
                .unwrap();
        Self {
            owner: database::pool(owner, 4),
            console: database::pool(planes.console, 10),
            keys: database::pool(planes.keys, 10),
            catalog: Arc::new(Catalog::parse(CATALOG).unwrap()),
            server_keys: ServerKeys::load(data).unwrap(),
            stop,
        }
    }

    pub async fn org(&self, slug: &str) -> OrgId {
        let now = Clock::System.now();
        let org = OrgId(clock::id(now));
        let mut m = self.begin(org, Actor::operator()).await;
        let permit = m.permit().unwrap();
        let (slug, name) = (Slug::parse(slug).unwrap(), OrgName::parse(slug).unwrap());
        orgs::lifecycle::create_org(&mut m, &permit, &slug, &name).await.unwrap();
        m.commit().await.unwrap();
        org
    }

    pub async fn begin(&self, org: OrgId, actor: Actor) -> Mutation {
        let (pool, audit_key, now) = (&self.console, &self.server_keys.audit, Clock::System.now());
        Mutation::begin(pool, audit_key, RlsScope::Org(org), actor, now).await.unwrap()
    }

    /// Inserts keys directly into the table, ten thousand at a time. They are neither audited nor logged as changes,
    /// since no node has them in memory yet.
    pub async fn keys(&self, org: OrgId, tier: &str, count: usize) -> Vec<Key> {
        let now = Clock::System.now();
        let mut made = Vec::with_capacity(count);
        let mut db = self.owner.acquire().await.unwrap();
        sqlx::raw_sql("set session_replication_role = replica").execute(&mut *db).await.unwrap();
        while made.len() < count {
            let batch: Vec<(KeyId, NewSecret)> = (0..10_000.min(count - made.len()))
                .map(|_| (KeyId(clock::id(now)), NewSecret::generate("b_live_").unwrap()))
                .collect();
            let ids: Vec<_> = batch.iter().map(|(id, _)| id.0).collect();
            let digests: Vec<_> = batch.iter().map(|(_, secret)| secret.digest.as_bytes().to_vec()).collect();
            sqlx::query(
                "insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, namespaces, ip_allowlist,
                                       created_at, expires_at)
                 select id, $2, 'live', $3, 'bench', digest, 'hint', '{read}', '{default}', '{127.0.0.0/8}', now(),
                        now() + interval '30 days' from unnest($1::uuid[], $4::bytea[]) as new (id, digest)",
            )
            .bind(ids)
            .bind(org.0)
            .bind(tier)
            .bind(digests)
            .execute(&mut *db)
            .await
            .unwrap();
            made.extend(batch.into_iter().map(|(id, secret)| Key { id, secret: secret.reveal().to_owned() }));
        }
        sqlx::raw_sql("set session_replication_role = origin; analyze api_keys").execute(&mut *db).await.unwrap();
        made
    }

    /// Starts a node that checks every gate, holds a lease and writes usage.
    pub async fn node(&self, name: &str) -> Running {
        let clock = Clock::System;
        let plane = KeyPlane {
            db: self.keys.clone(),
            memory: Arc::new(Memory::new(clock.clone(), LeaseLength::default())),
            clock: clock.clone(),
            catalog: Arc::clone(&self.catalog),
            limiter: Arc::new(Limiter::memory()),
            proxies: Arc::new(TrustedProxies::default()),
            usage: Arc::new(UsageRecorder::default()),
            draining: self.stop.clone(),
            refusals: Arc::new(RefusalRecorder::default()),
        };
        let node = Arc::new(Node::new(name.to_owned(), "memory", Arc::clone(&plane.memory), clock, &self.keys));
        let (writing, stop) = (plane.clone(), self.stop.clone());
        let tasks = vec![
            tokio::spawn({
                let node = Arc::clone(&node);
                async move { node.run().await }
            }),
            tokio::spawn(async move { writing.usage.run(&writing.refusals, &writing.db, stop).await }),
        ];
        let address = self.serve(key_plane::router::router(plane.clone())).await;
        while plane.memory.lease.left().is_zero() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Running { plane, address, node, tasks }
    }

    pub async fn serve(&self, router: Router) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server::serve_connections(
            listener,
            router,
            server::Stopping { draining: self.stop.clone(), stop: self.stop.clone() },
        ));
        address
    }
}
