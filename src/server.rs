//! Builds the planes, binds their listeners, serves them, and shuts them down in order.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{HeaderValue, header};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tower::ServiceExt;

use crate::{
    accounts::{
        self,
        password::{Hasher, HashingFailed},
        session,
    },
    catalog::Catalog,
    client::TrustedProxies,
    clock::{Clock, ClockWatch},
    config::{Config, Origin},
    console_plane::{
        self,
        assets::{Site, SiteError},
        state::Console,
    },
    database::{self, Database, DatabaseError, Opening, RlsScope},
    key_plane::{
        self, KeyPlane,
        limiter::{Limiter, LimiterError},
        metrics, ready,
    },
    management_api::{self, Management},
    node::{Node, memory::Memory},
    operator_api::{self, Operator},
    secrets::{self, Digest, NoRandomness},
    server_keys::{ServerKeys, ServerKeysError},
    usage::{self, UsageRecorder, refusals::RefusalRecorder},
};

/// The longest a connection may take to send a request's head. It also closes a connection that stays idle between
/// requests.
const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest request head that is read. A larger one is answered 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most connections one listener holds open. Further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// The longest a shutdown waits for requests that are being answered.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Connections that wait in the kernel's queue to be accepted.
const BACKLOG: u32 = 1024;
/// The longest a start waits for the node's first lease before it listens all the same.
const FIRST_LEASE_PATIENCE: Duration = Duration::from_secs(10);
/// The pause after a failed accept.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The lifetime of a set-up link.
const SETUP_LINK_LIFETIME: time::Duration = time::Duration::hours(24);
/// The pause between two rounds of maintenance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(120);
/// The time a starting node gives other nodes to appear before it warns that several count calls separately.
const NODE_DISCOVERY_DELAY: Duration = Duration::from_secs(4);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    ServerKeys(#[from] ServerKeysError),
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error("{name}: cannot listen on {address}: {error}")]
    Listen { name: &'static str, address: SocketAddr, error: io::Error },
    #[error("the database could not be asked: {0}")]
    Sql(#[from] sqlx::Error),
    #[error(transparent)]
    Hashing(#[from] HashingFailed),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error("KEYDESK_LIMITER: {0}")]
    Limiter(#[from] LimiterError),
    #[error("signals cannot be waited for: {0}")]
    Signals(io::Error),
}

/// Everything that [`build_planes`] needs.
pub struct Dependencies {
    pub console_db: PgPool,
    pub keys_db: PgPool,
    pub operator_db: PgPool,
    pub memory: Arc<Memory>,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub origin: Origin,
    pub keys_url: String,
    pub site: Site,
    pub limiter: Arc<Limiter>,
    pub proxies: Arc<TrustedProxies>,
    pub usage: Arc<UsageRecorder>,
    pub refusals: Arc<RefusalRecorder>,
    /// Becomes true when the process is about to stop.
    pub draining: watch::Receiver<bool>,
}

/// The planes, ready to be served by two listeners: the console's and the key plane's.
pub struct Planes {
    /// The routes of the console's listener: the console and the management API.
    pub console: Router,
    pub keys: KeyPlane,
    pub operator: Operator,
}

impl Planes {
    /// The routes of the key plane's listener: the key plane and the operator API.
    pub fn key_plane_router(&self) -> Router {
        key_plane::router::router_beside(self.keys.clone(), operator_api::router::router(self.operator.clone()))
    }
}

pub fn build_planes(deps: Dependencies) -> Result<Planes, HashingFailed> {
    let management = Management {
        db: deps.console_db.clone(),
        clock: deps.clock.clone(),
        catalog: Arc::clone(&deps.catalog),
        server_keys: Arc::clone(&deps.server_keys),
        origin: deps.origin.clone(),
        proxies: Arc::clone(&deps.proxies),
    };
    let operator = Operator {
        db: deps.operator_db,
        memory: Arc::clone(&deps.memory),
        clock: deps.clock.clone(),
        catalog: Arc::clone(&deps.catalog),
        server_keys: Arc::clone(&deps.server_keys),
        proxies: Arc::clone(&deps.proxies),
    };
    let console = Console {
        db: deps.console_db,
        clock: deps.clock.clone(),
        catalog: Arc::clone(&deps.catalog),
        server_keys: deps.server_keys,
        hasher: Hasher::new()?,
        origin: deps.origin,
        keys_url: deps.keys_url,
        proxies: Arc::clone(&deps.proxies),
        site: deps.site,
    };
    let keys = KeyPlane {
        db: deps.keys_db,
        memory: deps.memory,
        clock: deps.clock,
        catalog: deps.catalog,
        limiter: deps.limiter,
        proxies: deps.proxies,
        usage: deps.usage,
        refusals: deps.refusals,
        draining: deps.draining,
    };
    let console = console_plane::router::router(Arc::new(console));
    let console = management_api::router::router(Arc::new(management)).fallback_service(console);
    Ok(Planes { console, keys, operator })
}

/// Which listeners a process opens. The operator API comes with the key plane, the management API with the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedPlanes {
    All,
    Console,
    Keys,
}

impl ServedPlanes {
    fn console(self) -> bool {
        self != Self::Keys
    }

    fn keys(self) -> bool {
        self != Self::Console
    }
}

/// Serves until SIGTERM or SIGINT, then closes the database.
pub async fn serve(config: &Config, served: ServedPlanes, catalog: Catalog) -> Result<(), ServeError> {
    // This comes before anything slow, so that no signal sent during the start is lost.
    let stopping = stop_signal(config.drain).map_err(ServeError::Signals)?;
    let site = Site::find()?;
    let database = Database::open(config, Opening::Prepare).await?;
    let result = tokio::select! {
        served = serve_with(config, served, catalog, site, &database, stopping) => served,
        never = database.supervise() => match never {},
    };
    let closed = database.close().await;
    result?;
    Ok(closed?)
}

async fn serve_with(
    config: &Config,
    served: ServedPlanes,
    catalog: Catalog,
    site: Site,
    database: &Database,
    stopping: Stopping,
) -> Result<(), ServeError> {
    let server_keys = ServerKeys::open(&config.data_dir, &database.console).await?;
    let clock = Clock::System;
    let console_socket = Bound::if_wanted(served.console(), "KEYDESK_CONSOLE_ADDR", Some(config.console_addr))?;
    let keys_socket = Bound::if_wanted(served.keys(), "KEYDESK_KEYS_ADDR", Some(config.keys_addr))?;
    let admin_socket = Bound::if_wanted(served.keys(), "KEYDESK_ADMIN_ADDR", config.admin_addr)?;
    let bound_or = |bound: &Option<Bound>, configured| bound.as_ref().map_or(configured, |bound| bound.address);
    let keys_addr = bound_or(&keys_socket, config.keys_addr);
    let origin = config
        .console_origin
        .clone()
        .unwrap_or_else(|| Origin::local(bound_or(&console_socket, config.console_addr).port()));
    let (usage, refusals) = (Arc::new(UsageRecorder::default()), Arc::new(RefusalRecorder::default()));
    let limiter = match &config.limiter {
        Some(url) => Limiter::redis(url).await?,
        None => Limiter::memory(),
    };
    let planes = build_planes(Dependencies {
        console_db: database.console.clone(),
        keys_db: database.keys.clone(),
        operator_db: database.operator.clone(),
        memory: Arc::new(Memory::new(clock.clone(), config.lease)),
        clock: clock.clone(),
        catalog: Arc::new(catalog),
        server_keys: Arc::new(server_keys),
        origin: origin.clone(),
        keys_url: reachable_url(keys_addr, &origin),
        site,
        limiter: Arc::new(limiter),
        proxies: Arc::new(config.trusted_proxies.clone()),
        usage: Arc::clone(&usage),
        refusals: Arc::clone(&refusals),
        draining: stopping.draining.clone(),
    })?;
    let handle = metrics::start();
    let addresses = Addresses {
        console: console_socket.as_ref().map(|_| origin),
        keys: keys_socket.as_ref().map(|_| keys_addr),
        admin: admin_socket.as_ref().map(|bound| bound.address),
    };
    let node = keys_socket.as_ref().map(|bound| follow(bound.address, &planes.keys, config));
    if node.is_some() {
        first_lease(&planes.keys.memory).await;
    }
    let [console_listener, keys_listener, admin_listener] =
        [console_socket, keys_socket, admin_socket].map(|bound| bound.map(Bound::listen).transpose());
    let (console_listener, keys_listener, admin_listener) = (console_listener?, keys_listener?, admin_listener?);
    announce(database, &clock, &addresses).await?;
    let maintenance = tokio::spawn(maintain(database.console.clone(), planes.keys.clone()));
    let metrics_upkeep = tokio::spawn(metrics::keep_up(handle.clone()));
    let admin = ready::admin_router(planes.keys.clone(), handle);
    tokio::join!(
        serve_if_bound(console_listener, planes.console.clone(), stopping.clone()),
        serve_key_plane(keys_listener, planes.key_plane_router(), node, stopping.clone()),
        serve_if_bound(admin_listener, admin, stopping.clone()),
        usage.run(&refusals, &database.keys, stopping.stop.clone()),
    );
    maintenance.abort();
    metrics_upkeep.abort();
    // Calls that were being answered at shutdown may have been recorded after the last regular flush.
    usage.flush_all(&refusals, &database.keys).await;
    tracing::info!("stopped");
    Ok(())
}

/// A node that follows every change, and what keeps it following.
type Following = (Arc<Node>, tokio::task::JoinHandle<()>);

fn follow(address: SocketAddr, keys: &KeyPlane, config: &Config) -> Following {
    let limiter = if keys.limiter.is_shared() { "redis" } else { "memory" };
    let node = Node::new(node_name(address), limiter, Arc::clone(&keys.memory), keys.clock.clone(), &keys.db);
    let node = Arc::new(node.in_folder(&config.data_dir, config.history_back));
    let running = Arc::clone(&node);
    (node, tokio::spawn(async move { running.run().await }))
}

/// Waits until this node may answer: a load balancer that finds its port open sends it calls at once.
async fn first_lease(memory: &Memory) {
    let held = async {
        while memory.lease.left().is_zero() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(FIRST_LEASE_PATIENCE, held).await.is_err() {
        tracing::warn!("this node has no lease yet, and answers 503 until it does");
    }
}

/// Serves the key plane. The node leaves only after it has stopped answering, so that no change counts as confirmed while
/// an old verdict can still be given.
async fn serve_key_plane(listener: Option<TcpListener>, router: Router, node: Option<Following>, stopping: Stopping) {
    let (Some(listener), Some((node, running))) = (listener, node) else { return };
    serve_connections(listener, router, stopping).await;
    running.abort();
    node.leave().await;
}

/// The name that operators see: the machine's, with the port, since several nodes may run on one machine.
fn node_name(address: SocketAddr) -> String {
    let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("{}:{}", machine.as_deref().unwrap_or("unnamed"), address.port())
}

/// Where the examples beside a new key call the key plane. Nobody can call `0.0.0.0`, so the console's own host stands for it.
fn reachable_url(keys_addr: SocketAddr, console: &Origin) -> String {
    if keys_addr.ip().is_unspecified() {
        format!("http://{}:{}", console.host(), keys_addr.port())
    } else {
        format!("http://{keys_addr}")
    }
}

/// A socket that has its address and does not listen yet.
struct Bound {
    /// The variable that holds its address, for the error.
    name: &'static str,
    socket: TcpSocket,
    /// With the port that the kernel chose, if port 0 is configured.
    address: SocketAddr,
}

impl Bound {
    fn if_wanted(wanted: bool, name: &'static str, address: Option<SocketAddr>) -> Result<Option<Self>, ServeError> {
        let Some(address) = address.filter(|_| wanted) else { return Ok(None) };
        let bound = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(Self { name, address: socket.local_addr()?, socket })
        };
        bound().map(Some).map_err(|error| ServeError::Listen { name, address, error })
    }

    fn listen(self) -> Result<TcpListener, ServeError> {
        let Self { name, socket, address } = self;
        socket.listen(BACKLOG).map_err(|error| ServeError::Listen { name, address, error })
    }
}

async fn serve_if_bound(listener: Option<TcpListener>, router: Router, stopping: Stopping) {
    if let Some(listener) = listener {
        serve_connections(listener, router, stopping).await;
    }
}

/// The addresses to announce; `None` for a listener that is not open.
struct Addresses {
    console: Option<Origin>,
    keys: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

/// Prints the addresses and, until the first account exists, a link that creates it.
async fn announce(database: &Database, clock: &Clock, addresses: &Addresses) -> Result<(), ServeError> {
    use std::io::Write;
    let mut lines = "Keydesk is ready.\n".to_owned();
    if let Some(origin) = &addresses.console {
        lines += &format!("  Console    {origin}\n");
    }
    if let Some(keys) = addresses.keys {
        lines += &format!("  Key plane  http://{keys}\n");
    }
    if let Some(admin) = addresses.admin {
        lines += &format!("  Metrics    http://{admin}/metrics\n");
    }
    if let Some(origin) = &addresses.console
        && let Some(link) = setup_link(database, clock.now(), origin).await?
    {
        lines += &format!(
            "\nNobody has an account yet. Open this link once, within 24 hours, to create the first:\n  {link}\n"
        );
    }
    // This is the command's output, not a log line. If standard output is closed, it is not wanted.
    let _ = io::stdout().write_all(lines.as_bytes()).and_then(|()| io::stdout().flush());
    Ok(())
}

/// Makes a one-time link for the first account. It replaces an earlier link. `None`: an account exists.
async fn setup_link(database: &Database, now: OffsetDateTime, origin: &Origin) -> Result<Option<String>, ServeError> {
    let mut db = database.console.acquire().await?;
    if accounts::store::anyone(&mut db).await? {
        return Ok(None);
    }
    let token = secrets::random_token()?;
    accounts::store::put_setup_link(&mut db, Digest::of_text(&token), now + SETUP_LINK_LIFETIME).await?;
    // The one address that holds a secret, since it has to be opened from a terminal.
    Ok(Some(format!("{origin}/setup?token={}", secrets::reveal(&token))))
}

/// Again and again deletes what is past its retention, frees idle limiter state, and warns of a wrong set-up.
async fn maintain(console: PgPool, keys: KeyPlane) {
    let mut watch = ClockWatch::default();
    loop {
        let pruned = async {
            // By the database's clock, and only while ours says the same: a clock that is wrong must not delete anything.
            let now = database::store::clock(&console).await?;
            if !watch.is_steady(keys.clock.now(), now, keys.clock.since_boot()) {
                return Ok(());
            }
            let (idle_since, begun_since) = session::bounds(now);
            let mut db = console.acquire().await?;
            accounts::store::forget_ended_sessions(&mut db, idle_since, begun_since).await?;
            drop(db);
            let mut tx = database::begin(&console, RlsScope::Operator).await?;
            management_api::store::forget(&mut tx, now - management_api::repeat::REMEMBERED).await?;
            tx.commit().await?;
            usage::store::prune(&keys.db, now - usage::RETENTION).await?;
            usage::store::prune_refusals(&keys.db, now - usage::refusals::RETENTION).await.map(drop)
        };
        if let Err(error) = pruned.await {
            tracing::warn!(%error, "expired rows could not be deleted; trying again later");
        }
        keys.limiter.prune(keys.clock.steady());
        tokio::time::sleep(NODE_DISCOVERY_DELAY).await;
        if let Some(warning) = keys.unshared_limiters_warning().await {
            tracing::warn!("{warning}");
        }
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
    }
}

/// How far a shutdown has come.
#[derive(Clone)]
pub struct Stopping {
    /// True from SIGTERM on: new calls should go elsewhere, and are answered all the same.
    pub draining: watch::Receiver<bool>,
    /// True when nothing more is accepted.
    pub stop: watch::Receiver<bool>,
}

/// SIGTERM drains first, for as long as is configured. SIGINT, and a second SIGTERM, stop at once.
fn stop_signal(drain: Duration) -> io::Result<Stopping> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let ((drainer, draining), (stopper, stop)) = (watch::channel(false), watch::channel(false));
    tokio::spawn(async move {
        let drains = tokio::select! {
            _ = terminate.recv() => true,
            _ = interrupt.recv() => false,
        };
        let _ = drainer.send(true);
        if drains && !drain.is_zero() {
            tracing::info!(seconds = drain.as_secs(), "draining");
            tokio::select! {
                () = tokio::time::sleep(drain) => {}
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        tracing::info!("stopping");
        let _ = stopper.send(true);
    });
    Ok(Stopping { draining, stop })
}

/// Serves until `stop` is true; while it drains, each answer asks the client to connect anew, which a load balancer does
/// elsewhere. Then idle connections close at once, and busy ones have [`SHUTDOWN_GRACE`] to end.
///
/// This drives hyper itself, because `axum::serve` builds its connections without a timer and with hyper's default
/// buffer, and lets neither be set: a request's head could take any time to arrive, and could be 400 kB long.
pub async fn serve_connections(listener: TcpListener, router: Router, stopping: Stopping) {
    let Stopping { draining, mut stop } = stopping;
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        let (router, draining) = (router.clone(), draining.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let response = router.clone().oneshot(request.map(Body::new));
            let draining = draining.clone();
            async move {
                let mut response = response.await.unwrap_or_else(|never| match never {});
                if *draining.borrow() {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_READ_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // The error is dropped: clients that disconnect in the middle of a request are normal.
            let _ = connection.await;
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections were cut off");
    }
}

/// Waits for a free slot, then for a connection.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, peer, slot))
        }
        Err(error) => {
            // The usual cause is a lack of file descriptors, which other connections free when they close.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            None
        }
    }
}
