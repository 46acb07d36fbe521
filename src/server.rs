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
    clock::Clock,
    config::{Config, Origin},
    console_plane::{
        self,
        assets::{Site, SiteError},
        door::Console,
    },
    database::{Database, DatabaseError},
    key_plane::{self, KeyPlane},
    secrets::{self, Digest, NoRandomness},
    server_keys::ServerKeys,
    usage::Recorder,
};

/// Whoever connects has this long to send a request's head; an idle connection is closed after as long.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Of a request's head, no more than this is read.
const MAX_HEAD: usize = 16 * 1024;
/// More connections than this wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// What is being answered at shutdown may take this long to end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// A set-up link that nobody uses dies after this long.
const SETUP_LINK: time::Duration = time::Duration::hours(24);
/// How often sessions that are over are forgotten.
const FORGET_SESSIONS: Duration = Duration::from_secs(600);

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
    #[error("signals cannot be waited for: {0}")]
    Signals(io::Error),
}

/// What both planes are built from.
pub struct Parts {
    pub console: PgPool,
    pub keys: PgPool,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub origin: Origin,
    pub keys_url: String,
    pub site: Site,
    pub usage: Arc<Recorder>,
}

/// The console's and the key plane's routes.
pub fn planes(parts: Parts) -> Result<(Router, Router), HashingFailed> {
    let console = Console {
        db: parts.console,
        clock: parts.clock.clone(),
        catalog: Arc::clone(&parts.catalog),
        server_keys: parts.server_keys,
        hasher: Hasher::new()?,
        origin: parts.origin,
        keys_url: parts.keys_url,
        site: parts.site,
    };
    let keys = KeyPlane { keys: parts.keys, clock: parts.clock, catalog: parts.catalog, usage: parts.usage };
    Ok((console_plane::router::router(Arc::new(console)), key_plane::router::router(keys)))
}

/// Serves both planes until told to stop.
pub async fn serve(config: &Config, catalog: Catalog, server_keys: ServerKeys) -> Result<(), ServeError> {
    // Before anything that takes long: a signal sent meanwhile must not be lost.
    let stop = stop_signal().map_err(ServeError::Signals)?;
    let site = Site::find()?;
    let database = Database::open(config).await?;
    let served = serve_from(config, catalog, server_keys, site, &database, stop).await;
    let closed = database.close().await;
    served?;
    Ok(closed?)
}

async fn serve_from(
    config: &Config,
    catalog: Catalog,
    server_keys: ServerKeys,
    site: Site,
    database: &Database,
    stop: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let clock = Clock::System;
    let console_listener = listen("KEYDESK_CONSOLE_ADDR", config.console_addr).await?;
    let keys_listener = listen("KEYDESK_KEYS_ADDR", config.keys_addr).await?;
    let console_at = console_listener.local_addr().unwrap_or(config.console_addr);
    let keys_at = keys_listener.local_addr().unwrap_or(config.keys_addr);
    let origin = config.console_origin.clone().unwrap_or_else(|| Origin::local(console_at.port()));
    let usage = Arc::new(Recorder::default());
    let (console, keys) = planes(Parts {
        console: database.console.clone(),
        keys: database.keys.clone(),
        clock: clock.clone(),
        catalog: Arc::new(catalog),
        server_keys: Arc::new(server_keys),
        origin: origin.clone(),
        keys_url: format!("http://{keys_at}"),
        site,
        usage: Arc::clone(&usage),
    })?;
    announce(database, &clock, &origin, keys_at).await?;
    let forgetting = tokio::spawn(forget_sessions(database.console.clone(), clock));
    tokio::join!(answer(console_listener, console, stop.clone()), answer(keys_listener, keys, stop.clone()), async {
        usage.run(&database.keys, stop.clone()).await;
    });
    // Calls that were still being answered may have noted a use after the last regular flush.
    if let Err(error) = usage.flush(&database.keys).await {
        tracing::warn!(%error, "the last uses of keys could not be written");
    }
    forgetting.abort();
    tracing::info!("stopped");
    Ok(())
}

async fn listen(name: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Listen { name, address, error })
}

/// Says where to go and, while nobody has an account, how to begin.
async fn announce(database: &Database, clock: &Clock, origin: &Origin, keys_at: SocketAddr) -> Result<(), ServeError> {
    use std::io::Write;
    let link = setup_link(database, clock.now(), origin).await?;
    let mut lines = format!("Keydesk is ready.\n  Console    {origin}\n  Key plane  http://{keys_at}\n");
    if let Some(link) = link {
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

async fn forget_sessions(console: PgPool, clock: Clock) {
    loop {
        let (idle_since, begun_since) = Sessions::bounds(clock.now());
        let forgotten = async {
            let mut db = console.acquire().await?;
            accounts::store::forget_ended_sessions(&mut db, idle_since, begun_since).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "ended sessions could not be forgotten; tried again later");
        }
        tokio::time::sleep(FORGET_SESSIONS).await;
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
    if tokio::time::timeout(LAST_WORDS, graceful.shutdown()).await.is_err() {
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
