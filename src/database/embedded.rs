//! The embedded Postgres: a cluster in the data folder. The first Keydesk process that needs it starts it, and the last
//! one stops it. It listens on a unix socket only, in a folder that only its own user and root can enter.
//!
//! Each process that uses it holds a shared lock on a file, which the kernel releases even after kill -9. A second lock
//! lets processes join and leave one at a time. Postgres itself holds neither, and keeps running if a process is
//! killed.

use std::{
    convert::Infallible,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown},
    },
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use nix::unistd::{Gid, Uid, User, getegid, geteuid};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::{process::Command, task::spawn_blocking, time::Instant};

use super::DATABASE;
use crate::{data_dir, secrets::Digest};

/// The role that owns the cluster and everything in it.
const OWNER: &str = "keydesk_owner";
pub const PASSWORD_FILE: &str = "keydesk_owner.password";
/// The cluster's folder in its home.
const CLUSTER: &str = "postgres";
/// The beginning of the names of unfinished clusters.
const DRAFT_PREFIX: &str = "postgres.new.";
const LOG: &str = "postgres.log";
/// The file on which every process that uses the cluster holds a shared lock.
const USERS_LOCK: &str = "postgres.users";
/// The file on which a process holds an exclusive lock while it joins or leaves.
const TURN_LOCK: &str = "postgres.turn";
/// The folder of the homes of clusters whose system user cannot enter the data folder.
const FALLBACK_HOMES: &str = "/var/lib/keydesk";
/// The number in the socket's name. Postgres listens on no TCP port.
const PORT: u16 = 5432;
/// The longest path of a unix socket on Linux, without its final zero.
const MAX_SOCKET_PATH_BYTES: usize = 107;
/// The longest that a start or a stop may take. A start can include a crash recovery.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// [`START_TIMEOUT`] for pg_ctl.
const START_TIMEOUT_SECONDS: &str = "60";
/// The longest that the sessions of a killed Postgres may hold its shared memory while they end their statements.
const ORPHANS_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two looks at a Postgres that is starting or stopping.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The pause between two looks at whether Postgres lives.
const SUPERVISE_INTERVAL: Duration = Duration::from_secs(1);
/// The pause between two attempts to start while orphaned sessions remain.
const START_RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// The settings given at every start, which take precedence over postgresql.conf. They pass through a shell, so no
/// value may need quotes.
const SETTINGS: [&str; 18] = [
    "listen_addresses=",
    // These three make an acknowledged commit durable.
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_connections=200",
    "shared_buffers=64MB",
    "password_encryption=scram-sha-256",
    "timezone=UTC",
    "log_timezone=UTC",
    // The log goes to standard error, which pg_ctl writes to the file that the errors here quote.
    "log_destination=stderr",
    "logging_collector=off",
    "log_checkpoints=off",
    // These keep statements, bound values and rows out of the log. Terse errors leave out the rows.
    "log_statement=none",
    "log_min_duration_statement=-1",
    "log_min_error_statement=panic",
    "log_parameter_max_length=0",
    "log_parameter_max_length_on_error=0",
    "log_error_verbosity=terse",
];

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error("{path} could not be used: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} could not be locked: {source}. Run Keydesk as the user whom the data folder belongs to.")]
    Lock { path: PathBuf, source: io::Error },
    #[error(
        "no Postgres was found. Install it (apt-get install postgresql), or set PG_BIN_DIR to the folder of its initdb, \
         postgres and pg_ctl, or set DATABASE_URL to a server you run."
    )]
    NoPrograms,
    #[error(
        "the Postgres in {folder} cannot be run by the user {user}: {problem}. Install it where {user} may run it, or \
         set PG_BIN_DIR to one."
    )]
    NotRunnable { folder: PathBuf, user: String, problem: String },
    #[error(
        "{cluster} was made by Postgres {wanted}, but this machine has Postgres {found}. Install Postgres {wanted}, or \
         set PG_BIN_DIR to its folder of programs."
    )]
    Version { cluster: PathBuf, wanted: String, found: String },
    #[error(
        "Postgres does not run as root, and there is neither a user postgres nor a user nobody to run it. Add one, or \
         run Keydesk as another user."
    )]
    NoUser,
    #[error(
        "{cluster} belongs to root, but Postgres does not run as root. Give it (chown -R) to the user who made it."
    )]
    OfRoot { cluster: PathBuf },
    #[error(
        "{cluster} belongs to the user {owner}. Run Keydesk as {owner} or as root, or give it another KEYDESK_DATA_DIR."
    )]
    Foreign { cluster: PathBuf, owner: String },
    #[error(
        "the user {user}, who runs Postgres, cannot pass through to {path}. Let it: chmod o+x on the folders above."
    )]
    Unreachable { user: String, path: PathBuf },
    #[error("{file} is missing, but {cluster} needs it. Restore it from a backup or, to begin anew, delete {cluster}.")]
    PasswordMissing { file: PathBuf, cluster: PathBuf },
    #[error("the password in {file} is not the one of {cluster}. Restore the two from the same backup.")]
    PasswordWrong { file: PathBuf, cluster: PathBuf },
    #[error("initdb could not make a cluster in {home}: {output}")]
    Init { home: PathBuf, output: String },
    #[error("no folder for Postgres's socket could be had: {0}")]
    Socket(String),
    #[error("Postgres did not start: {output} (more in {log})")]
    Start { log: PathBuf, output: String },
    #[error(
        "Postgres (process {pid}) does not answer. If it does not soon, stop that process and try again; see {log}."
    )]
    Silent { pid: i32, log: PathBuf },
    #[error("Postgres did not stop: {output} (more in {log})")]
    Stop { log: PathBuf, output: String },
    #[error("the embedded Postgres could not be asked: {0}")]
    Sql(#[from] sqlx::Error),
}

/// Adds the path to an I/O error.
fn about(path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    move |source| EmbeddedError::File { path: path.to_owned(), source }
}

/// The use of a running Postgres by this process. If it is dropped without [`Embedded::leave`], Postgres runs until
/// another process leaves as the last.
pub struct Embedded {
    server: Server,
    socket: PathBuf,
    /// The file of [`USERS_LOCK`], locked.
    users: File,
}

impl Embedded {
    /// Begins to use the cluster of a data folder. If need be, it makes the cluster and its database and starts
    /// Postgres.
    pub async fn join(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let data_dir = fs::canonicalize(data_dir).map_err(about(data_dir))?;
        let turn = lock(data_dir.join(TURN_LOCK), File::lock).await?;
        let server = Server::prepare(data_dir).await?;
        let socket = match server.running_socket().await? {
            Some(socket) => socket,
            None => server.start().await?,
        };
        // This does not wait, because an exclusive lock on this file is taken only by a process that has the turn.
        let users = lock(server.data_dir.join(USERS_LOCK), File::lock_shared).await?;
        let embedded = Self { server, socket, users };
        if let Err(error) = embedded.server.make_database(&embedded.socket).await {
            if let Err(error) = embedded.leave_in_turn().await {
                tracing::warn!(%error, "the embedded Postgres was not left in order");
            }
            return Err(error);
        }
        drop(turn);
        Ok(embedded)
    }

    /// The options with which the owner connects to one of the cluster's databases.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        self.server.options(&self.socket, database)
    }

    /// Starts Postgres again whenever it is found dead.
    pub async fn supervise(&self) -> Infallible {
        loop {
            tokio::time::sleep(SUPERVISE_INTERVAL).await;
            if self.server.pid_file().is_ok_and(|file| file.is_some_and(|file| is_postgres(file.pid))) {
                continue;
            }
            tracing::error!("the embedded Postgres is gone; starting it again");
            if let Err(error) = self.start_again().await {
                tracing::error!(%error, "the embedded Postgres could not be started");
            }
        }
    }

    async fn start_again(&self) -> Result<(), EmbeddedError> {
        let _turn = lock(self.server.data_dir.join(TURN_LOCK), File::lock).await?;
        // Another process may have come first.
        if self.server.running_socket().await?.is_none() {
            self.server.start().await?;
        }
        Ok(())
    }

    /// Ends the use. The last process stops Postgres and waits until it is down.
    pub async fn leave(self) -> Result<(), EmbeddedError> {
        let _turn = lock(self.server.data_dir.join(TURN_LOCK), File::lock).await?;
        self.leave_in_turn().await
    }

    async fn leave_in_turn(&self) -> Result<(), EmbeddedError> {
        let failed = |source| EmbeddedError::Lock { path: self.server.data_dir.join(USERS_LOCK), source };
        self.users.unlock().map_err(failed)?;
        match self.users.try_lock() {
            Ok(()) => self.server.stop().await,
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Opens or makes a file of the data folder and locks it. The wait for the lock blocks a thread of its own.
async fn lock(path: PathBuf, acquire: fn(&File) -> io::Result<()>) -> Result<File, EmbeddedError> {
    let file_path = path.clone();
    let locked = spawn_blocking(move || {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(file_path)?;
        acquire(&file)?;
        Ok(file)
    });
    locked
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|source| EmbeddedError::Lock { path, source })
}

/// A cluster with the programs and the system user that run it.
struct Server {
    data_dir: PathBuf,
    /// The folder of the cluster, its log and, unless the path is too long, its socket.
    home: PathBuf,
    user: SystemUser,
    /// The folder of Postgres's programs.
    programs: PathBuf,
    password: SecretString,
}

impl Server {
    /// Finds or makes the cluster of a data folder.
    async fn prepare(data_dir: PathBuf) -> Result<Self, EmbeddedError> {
        let homes = [data_dir.clone(), fallback_home(&data_dir)];
        let existing = homes.into_iter().find(|home| home.join(CLUSTER).exists());
        let cluster = existing.as_ref().map(|home| home.join(CLUSTER));
        let user = SystemUser::choose(cluster.as_deref())?;
        let programs = user.find_programs(cluster.as_deref()).await?;
        let home = match existing {
            Some(home) => home,
            None => user.choose_home(&programs, &data_dir).await?,
        };
        let file = data_dir.join(PASSWORD_FILE);
        if let Some(cluster) = cluster.clone()
            && !file.exists()
        {
            return Err(EmbeddedError::PasswordMissing { file, cluster });
        }
        let password = data_dir::secret(&data_dir, PASSWORD_FILE).map_err(about(&file))?;
        let server = Self { data_dir, home, user, programs, password };
        if cluster.is_none() {
            server.init().await?;
        }
        Ok(server)
    }

    /// Makes the cluster under another name and renames it when it is whole.
    async fn init(&self) -> Result<(), EmbeddedError> {
        self.remove_drafts();
        let mut problem = String::new();
        // Some systems lack C.UTF-8. C sorts in the same order, but knows letters only in ASCII.
        for locale in ["C.UTF-8", "C"] {
            // The name is unique, because an initdb that a killed process left running removes its own folder by name.
            let name = format!("{DRAFT_PREFIX}{}", uuid::Uuid::new_v4());
            let made = self.draft(&name, locale).await;
            if made.as_ref().is_ok_and(|output| output.status.success()) {
                let cluster = self.home.join(CLUSTER);
                fs::rename(self.home.join(&name), &cluster).map_err(about(&cluster))?;
                File::open(&self.home).and_then(|home| home.sync_all()).map_err(about(&self.home))?;
                tracing::info!(cluster = %cluster.display(), "made the embedded Postgres's cluster");
            }
            self.remove_drafts();
            let output = made?;
            if output.status.success() {
                return Ok(());
            }
            let text = output_text(&output);
            problem = last_lines(&text);
            if !text.contains("locale name") {
                break;
            }
        }
        Err(EmbeddedError::Init { home: self.home.clone(), output: problem })
    }

    async fn draft(&self, name: &str, locale: &str) -> Result<Output, EmbeddedError> {
        let folder = self.home.join(name);
        self.user.make_folder(&folder).map_err(about(&folder))?;
        // The password is passed in a file, because every user can read command lines and initdb's user cannot read a
        // pipe that root opened.
        let password = self.home.join(format!("{name}.password"));
        let mut file = self.user.make_file(&password).map_err(about(&password))?;
        file.write_all(self.password.expose_secret().as_bytes()).map_err(about(&password))?;
        let (locale, pwfile) = (format!("--locale={locale}"), format!("--pwfile={name}.password"));
        let args = ["-D", name, "-U", OWNER, "-E", "UTF8", &locale, "-A", "scram-sha-256", &pwfile, "--data-checksums"];
        self.run("initdb", &args).await
    }

    /// Removes what killed or failed attempts left behind. A failure is only logged, since the rest does no harm.
    fn remove_drafts(&self) {
        for entry in fs::read_dir(&self.home).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(DRAFT_PREFIX.as_bytes()) {
                let path = entry.path();
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                if let Err(error) = removed {
                    tracing::warn!(path = %path.display(), %error, "an unfinished cluster was not removed");
                }
            }
        }
    }

    /// The folder of the socket, if Postgres runs. Postgres counts as running if it answers, because its files can
    /// outlive it.
    async fn running_socket(&self) -> Result<Option<PathBuf>, EmbeddedError> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let Some(PidFile { pid, socket, ready }) = self.pid_file()? else { return Ok(None) };
            // A socket in another user's folder could be made to collect the password.
            let socket = socket.filter(|folder| self.user.check_folder(folder).is_ok() && socket_file(folder).exists());
            if let Some(folder) = &socket
                && self.answers(folder).await
            {
                return Ok(socket);
            }
            if !is_postgres(pid) {
                return Ok(None);
            }
            if ready && socket.is_none() {
                // A program that tidies /tmp has removed the socket. Postgres makes it only when it starts.
                self.stop().await?;
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Err(EmbeddedError::Silent { pid, log: self.home.join(LOG) });
            }
            // Postgres is starting, recovering or stopping.
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn answers(&self, socket: &Path) -> bool {
        match self.connect(socket).await {
            Ok(db) => {
                // Postgres has answered, so an error while closing does not matter.
                db.close().await.ok();
                true
            }
            // Every error of Postgres is an answer too, except 57P03, "cannot connect now".
            Err(sqlx::Error::Database(error)) => error.code().is_none_or(|code| code != "57P03"),
            Err(_) => false,
        }
    }

    async fn start(&self) -> Result<PathBuf, EmbeddedError> {
        let socket = self.make_socket_folder()?;
        remove_stale(&self.pid_file_path())?;
        remove_stale(&socket.join(format!(".s.PGSQL.{PORT}.lock")))?;
        let log = self.home.join(LOG);
        match self.user.make_file(&log) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(about(&log)(error)),
            _ => {}
        }
        let settings = settings(&socket);
        // pg_ctl gives Postgres a session of its own, so that Ctrl-C in the terminal does not reach it, and none of our
        // descriptors, so that a program that reads our output does not wait for Postgres to end. It passes names
        // through a shell, so ours are relative and need no quotes.
        let args = ["-D", CLUSTER, "-l", LOG, "-w", "-t", START_TIMEOUT_SECONDS, "-s", "-o", &settings, "start"];
        let deadline = Instant::now() + ORPHANS_TIMEOUT;
        loop {
            let before = fs::metadata(&log).map_err(about(&log))?.len();
            let output = self.run("pg_ctl", &args).await?;
            if output.status.success() {
                tracing::info!(log = %log.display(), "started the embedded Postgres");
                return Ok(socket);
            }
            let logged = read_from(&log, before).map_err(about(&log))?;
            // A Postgres that a killed process was starting may have come first.
            if logged.contains("postmaster.pid\" already exists")
                && let Some(socket) = self.running_socket().await?
            {
                return Ok(socket);
            }
            if !logged.contains("shared memory block") || Instant::now() > deadline {
                let text = if logged.trim().is_empty() { output_text(&output) } else { logged };
                return Err(EmbeddedError::Start { log, output: last_lines(&text) });
            }
            tokio::time::sleep(START_RETRY_INTERVAL).await;
        }
    }

    /// Stops Postgres, if it runs, and waits until it is down.
    async fn stop(&self) -> Result<(), EmbeddedError> {
        let Some(PidFile { pid, socket, .. }) = self.pid_file()? else { return Ok(()) };
        // The number may now belong to another process, which pg_ctl would interrupt.
        if !is_postgres(pid) {
            return Ok(());
        }
        let args = ["-D", CLUSTER, "-m", "fast", "-w", "-t", START_TIMEOUT_SECONDS, "-s", "stop"];
        let output = self.run("pg_ctl", &args).await?;
        if !output.status.success() && is_postgres(pid) {
            return Err(EmbeddedError::Stop { log: self.home.join(LOG), output: last_lines(&output_text(&output)) });
        }
        if let Some(folder) = socket {
            // The folder may be in /tmp. The next start makes it again.
            fs::remove_dir(folder).ok();
        }
        Ok(())
    }

    fn pid_file(&self) -> Result<Option<PidFile>, EmbeddedError> {
        PidFile::read(&self.pid_file_path())
    }

    fn pid_file_path(&self) -> PathBuf {
        self.home.join(CLUSTER).join("postmaster.pid")
    }

    fn make_socket_folder(&self) -> Result<PathBuf, EmbeddedError> {
        let mut problem = "no path is short and plain enough".to_owned();
        for folder in socket_folders(&self.home, self.user.drops_root) {
            match self.user.make_folder(&folder).and_then(|()| self.user.check_folder(&folder)) {
                Ok(()) => return Ok(folder),
                Err(error) => problem = format!("{}: {error}", folder.display()),
            }
        }
        Err(EmbeddedError::Socket(problem))
    }

    async fn make_database(&self, socket: &Path) -> Result<(), EmbeddedError> {
        let mut db = self.connect(socket).await.map_err(|error| match error {
            sqlx::Error::Database(error) if error.code().is_some_and(|code| code == "28P01") => {
                EmbeddedError::PasswordWrong {
                    file: self.data_dir.join(PASSWORD_FILE),
                    cluster: self.home.join(CLUSTER),
                }
            }
            other => other.into(),
        })?;
        super::store::create_database_if_missing(&mut db, DATABASE).await?;
        Ok(db.close().await?)
    }

    async fn connect(&self, socket: &Path) -> sqlx::Result<PgConnection> {
        // Every cluster has the database postgres.
        let options = self.options(socket, "postgres").disable_statement_logging();
        match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    fn options(&self, socket: &Path, database: &str) -> PgConnectOptions {
        // Every option is set that a variable such as PGHOST could set otherwise.
        PgConnectOptions::new_without_pgpass()
            .socket(socket)
            .port(PORT)
            .ssl_mode(PgSslMode::Disable)
            .username(OWNER)
            .password(self.password.expose_secret())
            .database(database)
    }

    /// Runs one of Postgres's programs in the home.
    async fn run(&self, program: &str, args: &[&str]) -> Result<Output, EmbeddedError> {
        let program = self.programs.join(program);
        self.user.run(&program, args, &self.home).await.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                EmbeddedError::Unreachable { user: self.user.name.clone(), path: self.home.clone() }
            }
            _ => about(&program)(error),
        })
    }
}

/// The system user that runs Postgres.
struct SystemUser {
    uid: u32,
    gid: u32,
    name: String,
    /// Whether Keydesk runs as root and becomes this user to run Postgres.
    drops_root: bool,
}

impl SystemUser {
    /// The owner of the cluster, since Postgres runs only as its owner. Without a cluster it is the user of this
    /// process, or an unprivileged one instead of root, because Postgres refuses to run as root.
    fn choose(cluster: Option<&Path>) -> Result<Self, EmbeddedError> {
        let drops_root = geteuid().is_root();
        let Some(cluster) = cluster else {
            return if drops_root { Self::unprivileged() } else { Ok(Self::new(geteuid(), getegid(), false)) };
        };
        let folder = fs::metadata(cluster).map_err(about(cluster))?;
        let user = Self::new(folder.uid().into(), folder.gid().into(), drops_root);
        if user.uid == 0 {
            return Err(EmbeddedError::OfRoot { cluster: cluster.to_owned() });
        }
        if !drops_root && user.uid != geteuid().as_raw() {
            return Err(EmbeddedError::Foreign { cluster: cluster.to_owned(), owner: user.name });
        }
        Ok(user)
    }

    /// A user that is not root. It must have a name, which initdb looks up.
    fn unprivileged() -> Result<Self, EmbeddedError> {
        let mut users = ["postgres", "nobody"].into_iter().filter_map(|name| User::from_name(name).ok().flatten());
        let user = users.find(|user| !user.uid.is_root()).ok_or(EmbeddedError::NoUser)?;
        Ok(Self::new(user.uid, user.gid, true))
    }

    /// `gid` counts only if the user has no entry in passwd.
    fn new(uid: Uid, gid: Gid, drops_root: bool) -> Self {
        let user = User::from_uid(uid).ok().flatten();
        Self {
            uid: uid.as_raw(),
            gid: user.as_ref().map_or(gid, |user| user.gid).as_raw(),
            name: user.map_or_else(|| uid.to_string(), |user| user.name),
            drops_root,
        }
    }

    /// Runs a program as this user. It gets neither our environment, which holds secrets and variables that change what
    /// Postgres does, nor the terminal and its signals.
    async fn run(&self, program: &Path, args: &[&str], folder: &Path) -> io::Result<Output> {
        let mut command = Command::new(program);
        command.args(args).current_dir(folder).stdin(Stdio::null()).process_group(0);
        command.env_clear().env("HOME", "/");
        for name in ["PATH", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if self.drops_root {
            // This also clears root's supplementary groups.
            command.uid(self.uid).gid(self.gid);
        }
        keep_descriptors_from(&mut command);
        command.output().await
    }

    /// Makes a folder that only this user can enter, unless something of that name is there.
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // The folder also belongs to root if an earlier run was killed before this line.
        if self.drops_root && fs::symlink_metadata(path)?.uid() == 0 {
            lchown(path, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }

    /// Whether a path is a folder that only this user can enter.
    fn check_folder(&self, path: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(path)?;
        if found.is_dir() && found.uid() == self.uid && found.mode() & 0o077 == 0 {
            return Ok(());
        }
        Err(io::Error::other(format!("it is not a folder of {} alone (mode 0700); remove it", self.name)))
    }

    /// Makes a file that only this user can read.
    fn make_file(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if self.drops_root {
            std::os::unix::fs::fchown(&file, Some(self.uid), Some(self.gid))?;
        }
        Ok(file)
    }

    /// The folder of a complete set of programs that this user can run. They must have the version of the cluster, if
    /// there is one.
    async fn find_programs(&self, cluster: Option<&Path>) -> Result<PathBuf, EmbeddedError> {
        let wanted = cluster.map(|cluster| cluster.join("PG_VERSION"));
        let wanted = wanted.map(|path| fs::read_to_string(&path).map_err(about(&path))).transpose()?;
        let wanted = wanted.as_deref().map(str::trim);
        let (mut versions, mut not_runnable) = (Vec::new(), None);
        for folder in program_folders() {
            match self.version(&folder).await {
                Ok(major) if wanted.is_none_or(|wanted| wanted == major) => return Ok(folder),
                Ok(major) => versions.push(major),
                Err(problem) => not_runnable = Some((folder, problem)),
            }
        }
        Err(match (cluster, wanted, not_runnable) {
            (Some(cluster), Some(wanted), _) if !versions.is_empty() => EmbeddedError::Version {
                cluster: cluster.to_owned(),
                wanted: wanted.to_owned(),
                found: versions.join(", "),
            },
            (_, _, Some((folder, problem))) => EmbeddedError::NotRunnable { folder, user: self.name.clone(), problem },
            _ => EmbeddedError::NoPrograms,
        })
    }

    /// The major version of the programs in a folder, or why they cannot be run.
    async fn version(&self, programs: &Path) -> Result<String, String> {
        let output = self.run(&programs.join("postgres"), &["--version"], Path::new("/")).await;
        let output = output.map_err(|error| error.to_string())?;
        major_version(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| last_lines(&output_text(&output)))
    }

    /// The home of a new cluster: the data folder, or the fallback if this user cannot enter the data folder.
    async fn choose_home(&self, programs: &Path, data_dir: &Path) -> Result<PathBuf, EmbeddedError> {
        if self.can_enter(programs, data_dir).await {
            return Ok(data_dir.to_owned());
        }
        let fallback = fallback_home(data_dir);
        if self.drops_root {
            make_passable(Path::new(FALLBACK_HOMES))?;
            make_passable(&fallback)?;
            if self.can_enter(programs, &fallback).await {
                return Ok(fallback);
            }
        }
        Err(EmbeddedError::Unreachable { user: self.name.clone(), path: data_dir.to_owned() })
    }

    /// Whether this user can enter a folder. It tries, because modes do not show access lists and mount options.
    async fn can_enter(&self, programs: &Path, folder: &Path) -> bool {
        self.run(&programs.join("postgres"), &["--version"], folder).await.is_ok()
    }
}

/// Keeps inherited file descriptors from a command. Rust opens its own as close-on-exec, but Keydesk may have been
/// started with others, such as a script's lock or a pipe, and a program that waits for them would wait for Postgres to
/// end. Where the kernel lacks `close_range`, they stay open.
fn keep_descriptors_from(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use nix::libc::{CLOSE_RANGE_CLOEXEC, SYS_close_range, syscall};
        let close = || {
            // SAFETY: the system call has only numbers as arguments and touches no memory.
            unsafe { syscall(SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC) };
            Ok(())
        };
        // SAFETY: between fork and exec the closure only makes that system call. It takes no lock and allocates
        // nothing.
        unsafe { command.pre_exec(close) };
    }
}

/// Makes a folder that every user can pass through, also under a strict umask.
fn make_passable(path: &Path) -> Result<(), EmbeddedError> {
    match DirBuilder::new().create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(about(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(about(path)(error)),
    }
}

fn fallback_home(data_dir: &Path) -> PathBuf {
    Path::new(FALLBACK_HOMES).join(short_hash(data_dir))
}

fn short_hash(path: &Path) -> String {
    format!("{:.16}", Digest::of(path.as_os_str().as_bytes()).to_hex())
}

/// The folders in which the socket may be, in the order in which they are tried.
fn socket_folders(home: &Path, root: bool) -> Vec<PathBuf> {
    let name = format!("keydesk-{}", short_hash(home));
    let mut folders = vec![home.join("socket")];
    if root {
        folders.push(Path::new("/run").join(&name));
    }
    folders.push(Path::new("/tmp").join(name));
    folders.retain(|folder| fits_a_socket(folder));
    folders
}

/// Whether a folder's path is short enough for the kernel, and free of characters that would need quotes in a shell or
/// in Postgres's list of socket folders.
fn fits_a_socket(folder: &Path) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    folder.as_os_str().as_bytes().iter().all(plain) && socket_file(folder).as_os_str().len() <= MAX_SOCKET_PATH_BYTES
}

fn socket_file(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

fn settings(socket: &Path) -> String {
    let settings = SETTINGS.map(|setting| format!("-c {setting}")).join(" ");
    format!("{settings} -c port={PORT} -c unix_socket_directories={}", socket.display())
}

/// Folders with a complete set of programs, in the order in which they are tried.
fn program_folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = std::env::var_os("PG_BIN_DIR").map(PathBuf::from).into_iter().collect();
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        // A link is followed, because the programs look for their files beside their real place.
        let initdb = fs::canonicalize(folder.join("initdb"));
        folders.extend(initdb.ok().as_deref().and_then(Path::parent).map(Path::to_owned));
    }
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(newest_first(debian.map(|entry| entry.path()).collect()).iter().map(|path| path.join("bin")));
    let mut found = Vec::new();
    for folder in folders.iter().filter_map(|folder| fs::canonicalize(folder).ok()) {
        let complete = ["initdb", "postgres", "pg_ctl"].iter().all(|program| folder.join(program).is_file());
        if complete && !found.contains(&folder) {
            found.push(folder);
        }
    }
    found
}

/// Sorts folders whose names are versions, such as 9.6, 10 and 17.
fn newest_first(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version: Vec<u32> = name.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        std::cmp::Reverse(version)
    });
    folders
}

/// The major version in the output of `postgres --version`.
fn major_version(text: &str) -> Option<String> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    (!major.is_empty()).then_some(major)
}

/// The file that a running Postgres keeps in its folder, and with fewer lines beside its socket.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: i32,
    socket: Option<PathBuf>,
    ready: bool,
}

impl PidFile {
    fn read(path: &Path) -> Result<Option<Self>, EmbeddedError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(about(path)(error)),
        }
    }

    /// Parses what is there: Postgres adds the later lines while it starts.
    fn parse(text: &str) -> Option<Self> {
        let line = |number: usize| text.lines().nth(number - 1).map(str::trim).filter(|line| !line.is_empty());
        Some(Self {
            pid: line(1)?.parse().ok().filter(|pid| *pid > 0)?,
            socket: line(5).map(PathBuf::from),
            ready: line(8) == Some("ready"),
        })
    }
}

/// Removes the file of a dead Postgres if it would keep the next one from starting. It would if its process number now
/// belongs to another program or to a zombie, which the first process of many containers does not reap. Postgres itself
/// checks by shared memory that the dead one's sessions are gone.
fn remove_stale(path: &Path) -> Result<(), EmbeddedError> {
    match PidFile::read(path)? {
        Some(PidFile { pid, .. }) if Path::new(&format!("/proc/{pid}")).exists() && !is_postgres(pid) => {
            fs::remove_file(path).map_err(about(path))
        }
        _ => Ok(()),
    }
}

/// Whether a process lives and is a Postgres. The number in a file may have been given to another process, for instance
/// after a reboot.
fn is_postgres(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => is_living_postgres(&stat),
        Err(_) if Path::new("/proc/self/stat").exists() => false,
        // Systems other than Linux have no /proc.
        Err(_) => nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok(),
    }
}

/// Reads `/proc/<pid>/stat`, which holds the number, the name in parentheses, and the state.
fn is_living_postgres(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(name, state)| name.contains("postgres") && !state.starts_with(['Z', 'X']))
}

fn read_from(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn output_text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The last lines of a program's output, as one line for an error.
fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last: Vec<_> = lines.iter().skip(lines.len().saturating_sub(5)).copied().collect();
    if last.is_empty() { "it said nothing".to_owned() } else { last.join(" | ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/data/postgres\n1760000000\n5432\n/data/socket\n\n  123456    7\nready   \n";

    #[test]
    fn a_pid_file_is_read_however_far_postgres_has_written_it() {
        let socket = Some(PathBuf::from("/data/socket"));
        assert_eq!(PidFile::parse(READY), Some(PidFile { pid: 4711, socket: socket.clone(), ready: true }));
        let starting = READY.replace("ready   ", "starting");
        assert_eq!(PidFile::parse(&starting), Some(PidFile { pid: 4711, socket, ready: false }));
        assert_eq!(PidFile::parse("4711\n/data"), Some(PidFile { pid: 4711, socket: None, ready: false }));
        // A single-user backend writes a negative number, and a signal to it would reach a whole process group.
        for bad in ["", "\n", "x\n", "-4711\n/data\n"] {
            assert_eq!(PidFile::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_postgres_is_told_from_a_zombie_and_from_another_process_with_its_number() {
        assert!(is_living_postgres("4711 (postgres) S 1 4711 4711 0 -1"));
        assert!(!is_living_postgres("4711 (postgres) Z 1 4711 4711 0 -1"));
        assert!(!is_living_postgres("4711 (keydesk) S 1 4711 4711 0 -1"));
        assert!(!is_living_postgres("4711 (sh) S 1 4711 (postgres"));
    }

    #[test]
    fn the_major_version_is_found_in_what_postgres_prints() {
        for (text, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some("15")),
            ("postgres (PostgreSQL) 18beta1\n", Some("18")),
            ("postgres (PostgreSQL) \n", None),
            ("", None),
        ] {
            assert_eq!(major_version(text).as_deref(), major, "{text:?}");
        }
    }

    #[test]
    fn newer_programs_come_first_by_number_not_by_spelling() {
        let folders = ["/x/9.6", "/x/17", "/x/10", "/x/README"].map(PathBuf::from).to_vec();
        assert_eq!(newest_first(folders), ["/x/17", "/x/10", "/x/9.6", "/x/README"].map(PathBuf::from));
    }

    #[test]
    fn a_socket_goes_elsewhere_if_the_path_is_too_long_or_not_plain() {
        let in_home =
            |home: &str| socket_folders(Path::new(home), false).first() == Some(&Path::new(home).join("socket"));
        let path_of = |length: usize| format!("/{}", "x".repeat(length - 1));
        let rest = "/socket/.s.PGSQL.5432".len();
        assert!(in_home("/srv/keydesk") && in_home(&path_of(MAX_SOCKET_PATH_BYTES - rest)));
        assert!(!in_home(&path_of(MAX_SOCKET_PATH_BYTES - rest + 1)));
        for odd in ["/srv/my data", "/srv/a,b", "/srv/$(id)", "/srv/\"", "/srv/ä"] {
            assert!(!in_home(odd), "{odd}");
        }
        let elsewhere = socket_folders(Path::new("/srv/my data"), true);
        assert!(elsewhere.len() == 2 && elsewhere[0].starts_with("/run") && elsewhere[1].starts_with("/tmp"));
    }

    #[test]
    fn the_settings_need_no_quotes_in_a_shell() {
        let text = settings(Path::new("/data/socket"));
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || " -_=/.".contains(c)), "{text}");
        assert!(
            text.starts_with("-c listen_addresses= -c ") && text.ends_with("-c unix_socket_directories=/data/socket")
        );
    }

    #[test]
    fn an_error_quotes_the_last_lines_as_one() {
        assert_eq!(last_lines("1\n2\n\n3\n4\n5\n 6\n"), "2 | 3 | 4 | 5 | 6");
        assert_eq!(last_lines(" \n"), "it said nothing");
    }
}
