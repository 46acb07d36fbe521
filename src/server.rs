//! Builds both planes, binds, serves, and shuts down in order.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::ServiceExt;

use crate::{
    accounts::{
        self,
        password::{Hasher, HashingFailed},
        session::Sessions,
    },
    catalog::Catalog,
    client::TrustedProxies,
    clock::Clock,
    config::{Config, Origin},
    console_plane::{
        self,
        assets::{Site, SiteError},
        state::Console,
    },
    database::{self, Database, DatabaseError, RlsScope},
    key_plane::{
        self, KeyPlane,
        limiter::{Limiter, LimiterError},
        metrics, ready,
    },
    management_api::{self, Management},
    operator_api::{self, Operator},
    revocation::{memory::Memory, node::Node},
    secrets::{self, Digest, NoRandomness},
    server_keys::ServerKeys,
    usage::{self, Recorder, refusals::Refusals},
};

/// Whoever connects has this long to send a request's head; an idle connection is closed after as long.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Of a request's head, no more than this is read.
const MAX_HEAD: usize = 16 * 1024;
/// More connections than this wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// What is being answered at shutdown may take this long to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// A set-up link that nobody uses dies after this long.
const SETUP_LINK: time::Duration = time::Duration::hours(24);
/// How often the chores are done.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(120);
const CHORES_BEGIN: Duration = Duration::from_secs(4);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
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

/// What the planes are built from.
pub struct Parts {
    pub console: PgPool,
    pub keys: PgPool,
    pub operator: PgPool,
    pub memory: Arc<Memory>,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub origin: Origin,
    pub keys_url: String,
    pub site: Site,
    pub limiter: Arc<Limiter>,
    pub proxies: Arc<TrustedProxies>,
    pub usage: Arc<Recorder>,
    pub refusals: Arc<Refusals>,
}

/// What each listener serves.
pub struct Planes {
    /// The console and the management API.
    pub console: Router,
    pub keys: KeyPlane,
    /// Beside the key plane.
    pub operator: Operator,
}

impl Planes {
    /// The routes of the key plane's listener.
    pub fn for_programs(&self) -> Router {
        key_plane::router::router_beside(self.keys.clone(), operator_api::router::router(self.operator.clone()))
    }
}

pub fn planes(parts: Parts) -> Result<Planes, HashingFailed> {
    let management = Management {
        db: parts.console.clone(),
        clock: parts.clock.clone(),
        catalog: Arc::clone(&parts.catalog),
        server_keys: Arc::clone(&parts.server_keys),
        origin: parts.origin.clone(),
        proxies: Arc::clone(&parts.proxies),
    };
    let operator = Operator {
        db: parts.operator,
        memory: Arc::clone(&parts.memory),
        clock: parts.clock.clone(),
        catalog: Arc::clone(&parts.catalog),
        server_keys: Arc::clone(&parts.server_keys),
        proxies: Arc::clone(&parts.proxies),
    };
    let console = Console {
        db: parts.console,
        clock: parts.clock.clone(),
        catalog: Arc::clone(&parts.catalog),
        server_keys: parts.server_keys,
        hasher: Hasher::new()?,
        origin: parts.origin,
        keys_url: parts.keys_url,
        proxies: Arc::clone(&parts.proxies),
        site: parts.site,
    };
    let keys = KeyPlane {
        keys: parts.keys,
        memory: parts.memory,
        clock: parts.clock,
        catalog: parts.catalog,
        limiter: parts.limiter,
        proxies: parts.proxies,
        usage: parts.usage,
        refusals: parts.refusals,
    };
    let console = console_plane::router::router(Arc::new(console));
    let console = management_api::router::router(Arc::new(management)).fallback_service(console);
    Ok(Planes { console, keys, operator })
}

/// Which planes a process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    All,
    Console,
    Keys,
}

impl Serves {
    fn console(self) -> bool {
        self != Self::Keys
    }

    fn keys(self) -> bool {
        self != Self::Console
    }
}

/// Serves until told to stop.
pub async fn serve(
    config: &Config,
    serves: Serves,
    catalog: Catalog,
    server_keys: ServerKeys,
) -> Result<(), ServeError> {
    // Before anything that takes long: a signal sent meanwhile must not be lost.
    let stop = stop_signal().map_err(ServeError::Signals)?;
    let site = Site::find()?;
    let database = Database::open(config).await?;
    let served = serve_from(config, serves, catalog, server_keys, site, &database, stop).await;
    let closed = database.close().await;
    served?;
    Ok(closed?)
}

async fn serve_from(
    config: &Config,
    serves: Serves,
    catalog: Catalog,
    server_keys: ServerKeys,
    site: Site,
    database: &Database,
    stop: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let clock = Clock::System;
    let console_listener = listen_if(serves.console(), "KEYDESK_CONSOLE_ADDR", Some(config.console_addr)).await?;
    let keys_listener = listen_if(serves.keys(), "KEYDESK_KEYS_ADDR", Some(config.keys_addr)).await?;
    let admin_listener = listen_if(serves.keys(), "KEYDESK_ADMIN_ADDR", config.admin_addr).await?;
    let at = |listener: &Option<TcpListener>, configured: SocketAddr| {
        listener.as_ref().and_then(|listener| listener.local_addr().ok()).unwrap_or(configured)
    };
    let keys_at = at(&keys_listener, config.keys_addr);
    let origin = config
        .console_origin
        .clone()
        .unwrap_or_else(|| Origin::local(at(&console_listener, config.console_addr).port()));
    let (usage, refusals) = (Arc::new(Recorder::default()), Arc::new(Refusals::default()));
    let limiter = match &config.limiter {
        Some(url) => Limiter::redis(url).await?,
        None => Limiter::memory(),
    };
    let planes = planes(Parts {
        console: database.console.clone(),
        keys: database.keys.clone(),
        operator: database.operator.clone(),
        memory: Arc::new(Memory::new(clock.clone())),
        clock: clock.clone(),
        catalog: Arc::new(catalog),
        server_keys: Arc::new(server_keys),
        origin: origin.clone(),
        keys_url: format!("http://{keys_at}"),
        site,
        limiter: Arc::new(limiter),
        proxies: Arc::new(config.trusted_proxies.clone()),
        usage: Arc::clone(&usage),
        refusals: Arc::clone(&refusals),
    })?;
    let handle = metrics::start();
    let addresses = Addresses {
        console: console_listener.as_ref().map(|_| origin),
        keys: keys_listener.as_ref().map(|_| keys_at),
        admin: admin_listener.as_ref().and_then(|listener| listener.local_addr().ok()),
    };
    announce(database, &clock, &addresses).await?;
    let chores = tokio::spawn(chores(database.console.clone(), planes.keys.clone()));
    let counting = tokio::spawn(metrics::keep_up(handle.clone()));
    let admin = ready::admin_router(planes.keys.clone(), handle);
    tokio::join!(
        answer_if(console_listener, planes.console.clone(), stop.clone()),
        answer_for_programs(keys_listener, &planes, stop.clone()),
        answer_if(admin_listener, admin, stop.clone()),
        usage.run(&refusals, &database.keys, stop.clone()),
    );
    chores.abort();
    counting.abort();
    // Calls that were still being answered may have noted something after the last regular flush.
    usage.flush_all(&refusals, &database.keys).await;
    tracing::info!("stopped");
    Ok(())
}

/// Answers programs, as a node that follows every change; when it has stopped answering, it leaves.
async fn answer_for_programs(listener: Option<TcpListener>, planes: &Planes, stop: watch::Receiver<bool>) {
    let Some(listener) = listener else { return };
    let keys = &planes.keys;
    let limiter = if keys.limiter.is_shared() { "redis" } else { "memory" };
    let name = node_name(listener.local_addr().ok());
    let node = Node::new(name, limiter, Arc::clone(&keys.memory), keys.clock.clone(), &keys.keys);
    tokio::select! {
        () = answer(listener, planes.for_programs(), stop) => {}
        () = node.run() => {}
    }
    node.leave().await;
}

/// What people know a node by: its machine and where it listens.
fn node_name(address: Option<SocketAddr>) -> String {
    let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let port = address.map(|address| format!(":{}", address.port())).unwrap_or_default();
    machine.unwrap_or_else(|| "unnamed".to_owned()) + &port
}

async fn listen_if(
    wanted: bool,
    name: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, ServeError> {
    match address.filter(|_| wanted) {
        Some(address) => listen(name, address).await.map(Some),
        None => Ok(None),
    }
}

async fn answer_if(listener: Option<TcpListener>, router: Router, stop: watch::Receiver<bool>) {
    if let Some(listener) = listener {
        answer(listener, router, stop).await;
    }
}

/// Where this process answers.
struct Addresses {
    console: Option<Origin>,
    keys: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

async fn listen(name: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Listen { name, address, error })
}

/// Says where to go and, while nobody has an account, how to begin.
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
    // It is the command's answer, not a log line. Whoever closed standard output does not want it.
    let _ = io::stdout().write_all(lines.as_bytes()).and_then(|()| io::stdout().flush());
    Ok(())
}

/// A fresh one-time link while there is no user; the one before is dead.
async fn setup_link(database: &Database, now: OffsetDateTime, origin: &Origin) -> Result<Option<String>, ServeError> {
    let mut db = database.console.acquire().await?;
    if accounts::store::anyone(&mut db).await? {
        return Ok(None);
    }
    let token = secrets::random_token()?;
    accounts::store::put_setup_link(&mut db, Digest::of_text(&token), now + SETUP_LINK).await?;
    Ok(Some(secrets::link(origin, &token)))
}

/// What has to be done now and then: forget what is over, free what is idle, warn of what is wrong.
async fn chores(console: PgPool, keys: KeyPlane) {
    loop {
        let now = keys.clock.now();
        let (idle_since, begun_since) = Sessions::bounds(now);
        let forgotten = async {
            let mut db = console.acquire().await?;
            accounts::store::forget_ended_sessions(&mut db, idle_since, begun_since).await?;
            drop(db);
            let mut tx = database::begin(&console, RlsScope::Operator).await?;
            management_api::store::forget(&mut tx, now - management_api::repeat::REMEMBERED).await?;
            tx.commit().await?;
            usage::store::prune(&keys.keys, now - usage::RETENTION).await?;
            usage::store::prune_refusals(&keys.keys, now - usage::refusals::RETENTION).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "what is over could not be forgotten; tried again later");
        }
        keys.limiter.prune(now);
        // Soon after the start the other nodes, if any, are known.
        tokio::time::sleep(CHORES_BEGIN).await;
        if let Some(warning) = keys.alone().await {
            tracing::warn!("{warning}");
        }
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
    }
}

/// Becomes true at SIGTERM or SIGINT.
fn stop_signal() -> io::Result<watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (tell, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        let _ = tell.send(true);
    });
    Ok(stop)
}

/// Accepts and answers until told to stop; then idle connections close at once, and others get a moment to end.
pub async fn answer(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let answered = router.clone().oneshot(request.map(Body::new));
            async move { Ok::<_, Infallible>(answered.await.unwrap_or_else(|never| match never {})) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away in the middle is no news.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections were cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, peer, place))
        }
        Err(error) => {
            // Out of file descriptors, most likely: others have to close theirs first.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
