//! The program as a process, on a data folder of its own.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};

/// Nothing takes longer, on a busy machine either: waited for so long is only what does not happen at all.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A server drops what is open five seconds after it was told to end. Left alone, a connection without a request would
/// hold it up for thirty.
pub const STOPS_WITHIN: Duration = Duration::from_secs(25);

/// A temporary folder, gone at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("keydesk-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        // The embedded Postgres may run as another user, who has to pass through.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711)).unwrap();
        Self(path)
    }

    /// `keydesk`, with no setting but the folder and free ports.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keydesk"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KEYDESK_") || name == "DATABASE_URL") {
            command.env_remove(name);
        }
        command
            .env("KEYDESK_DATA_DIR", &self.0)
            .env("KEYDESK_CONSOLE_ADDR", "127.0.0.1:0")
            .env("KEYDESK_KEYS_ADDR", "127.0.0.1:0")
            .args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str], input: &str) -> Ran {
        ran(&mut self.command(arguments), input)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.trim_end()
    }

    /// Failed with one clear line on standard error, and nothing on standard output.
    #[track_caller]
    pub fn fails(&self, words: &str) {
        assert_ne!(self.code, 0, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        let lines: Vec<&str> = self.err.lines().filter(|line| !line.contains(" INFO ")).collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: ") && lines[0].contains(words), "{self:?}");
    }
}

pub fn ran(command: &mut Command, input: &str) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Some commands fail before they read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts a server, and answers what its lines say after each of `words`; what it prints after the last is left unread.
/// `None`: it ended before.
pub fn serving(command: &mut Command, words: &[&str]) -> Option<(Child, Vec<String>)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let found: Option<Vec<String>> = words
        .iter()
        .map(|word| lines.find_map(|line| line.trim().strip_prefix(word).map(|rest| rest.trim().to_owned())))
        .collect();
    if found.is_none() {
        let _ = child.wait();
    }
    Some((child, found?))
}

pub fn signal(child: &Child, signal: Signal) {
    nix::sys::signal::kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

/// Sends a signal and waits for the end, which comes by force after a while.
pub fn end(child: &mut Child, signal: Signal) {
    let _ = nix::sys::signal::kill(Pid::from_raw(child.id() as i32), signal);
    let patience = Instant::now() + STOPS_WITHIN;
    while Instant::now() < patience {
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}
