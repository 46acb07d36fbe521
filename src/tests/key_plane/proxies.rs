//! Forward-auth behind the real reverse proxies of Debian, each with its file in docs/proxies, where only addresses and
//! paths are replaced. Between a client and an API: the proxy, and a Keydesk of its own.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use keydesk::secrets::Digest;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use serde_json::Value;

use crate::process::{Folder, PATIENCE, end, ran, serving};

const IDENTITY: [&str; 7] = [
    "x-keydesk-org",
    "x-keydesk-org-id",
    "x-keydesk-key-id",
    "x-keydesk-environment",
    "x-keydesk-tier",
    "x-keydesk-scopes",
    "x-keydesk-namespaces",
];

const CATALOG: &str = r#"
brand = "Keydesk"
service_prefix = "kd_service_"

[[environments]]
name = "live"
label = "Live"
prefix = "kd_live_"

[[tiers]]
name = "open"
label = "Open"

[[tiers]]
name = "small"
label = "Small"
limit = 5
window = "1h"

[[scopes]]
name = "receipts"

[[scopes]]
name = "get"

[[scopes]]
name = "admin"

[[routes]]
methods = ["POST"]
path = "/v1/receipts"
scopes = ["receipts"]

[[routes]]
methods = ["GET"]
path = "/v1/get/{namespace}/{key}"
scopes = ["get"]
namespace = "namespace"

[[routes]]
methods = ["GET"]
path = "/t/{tenant}/x"
scopes = ["get"]
org = "tenant"

[[routes]]
methods = ["GET", "DELETE"]
path = "/v1/admin"
scopes = ["admin"]
"#;

/// A data folder with an organization `acme`, and the program on it.
pub struct Desk(Folder);

impl Desk {
    pub fn new() -> Self {
        let desk = Self(Folder::new());
        std::fs::write(desk.0.0.join("catalog.toml"), CATALOG).unwrap();
        desk
    }

    pub fn folder(&self) -> &Path {
        &self.0.0
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.command(arguments);
        command.env("KEYDESK_CATALOG", self.0.0.join("catalog.toml"));
        command
    }

    fn run(&self, arguments: &[&str], input: &str) -> String {
        ran(&mut self.command(arguments), input).ok().to_owned()
    }

    pub fn add_org(&self, slug: &str) {
        let email = format!("ada@{slug}.example");
        let person = ["user", "create", "--email", &email, "--name", "Ada", "--org", slug, "--password-stdin"];
        self.run(&person, "correct horse battery staple\n");
    }

    /// A new key of `acme`.
    pub fn key(&self, more: &[&str]) -> String {
        self.run(&[&["key", "create", "--org", "acme", "--name", "Test", "--allow-duplicate-name"], more].concat(), "")
    }

    fn revoke(&self, key: &str) {
        let digest = Digest::of(key.as_bytes()).to_hex();
        self.run(&["key", "revoke", "--digest", &digest, "--reason", "key_compromise"], "");
    }
}

/// `keydesk serve`; stopped at the end, so that its Postgres stops as well.
struct Server {
    child: Child,
    keys: SocketAddr,
}

impl Server {
    fn start(desk: &Desk, trusted_proxies: &str) -> Self {
        let mut command = desk.command(&["serve"]);
        let (child, at) = serving(command.env("KEYDESK_TRUSTED_PROXIES", trusted_proxies), &["Key plane"]).unwrap();
        let keys = at[0].trim_start_matches("http://").parse().unwrap();
        Self { child, keys }
    }

    fn stop(&mut self) {
        end(&mut self.child, SIGTERM);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The head of a request or an answer, and what came behind it.
#[derive(Clone, Debug)]
pub struct Message {
    first: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    pub fn read(stream: &TcpStream) -> Option<Self> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).ok()?;
            Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
        };
        let first = line().filter(|first| !first.is_empty())?;
        let mut headers = Vec::new();
        while let Some((name, value)) = line()?.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut message = Self { first, headers, body: String::new() };
        let mut body = Vec::new();
        match (message.header("content-length").parse::<usize>(), message.header("transfer-encoding")) {
            (Ok(length), _) => {
                body.resize(length, 0);
                reader.read_exact(&mut body).ok()?;
            }
            // Its chunks' lengths stay in it, which nobody here minds.
            (_, "chunked") => {
                while !body.ends_with(b"0\r\n\r\n") {
                    reader.read_until(b'\n', &mut body).ok().filter(|read| *read > 0)?;
                }
            }
            _ => {}
        }
        message.body = String::from_utf8_lossy(&body).into_owned();
        Some(message)
    }

    /// The values of a header; several are joined, so that none hides.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// A refusal as the key plane makes it, and as it reached the client.
    #[track_caller]
    fn is_problem(&self, status: u16) -> Value {
        assert_eq!(self.status(), status, "{self:?}");
        assert_eq!(self.all("content-type"), ["application/problem+json"], "{self:?}");
        assert!(self.header("x-keydesk-problem").is_empty(), "{self:?}");
        let problem = self.body.find('{').zip(self.body.rfind('}')).map(|(from, to)| &self.body[from..=to]);
        let problem: Value = serde_json::from_str(problem.unwrap()).unwrap();
        assert_eq!(problem["status"], status, "{self:?}");
        problem
    }
}

/// An HTTP server that keeps what it was sent, and gives the same answer to all. Its thread ends with the tests.
pub struct Stub {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Stub {
    fn start(answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (answer, kept) = (answer.into(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, kept, answer) = (stream.unwrap(), Arc::clone(&kept), answer.clone());
                std::thread::spawn(move || {
                    if let Some(message) = Message::read(&stream) {
                        kept.lock().unwrap().push(message);
                        let _ = stream.write_all(answer.as_bytes());
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// An API that is glad about everything.
    pub fn api() -> Self {
        Self::start("HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nupstream")
    }

    /// What came since the last time it was asked.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
    HAProxy,
}

/// A real proxy with the documentation's configuration; killed at the end.
pub struct Proxy {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
    _folder: Folder,
}

/// Where each program is, since Debian keeps two of them out of a plain user's PATH.
fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()))
        .unwrap_or_else(|| panic!("{name} is not installed; run .ci/setup test"))
}

/// Replaces what must be there.
pub fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the documentation's file does not say {from:?}");
    text.replace(from, to)
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Nginx, Self::Caddy, Self::HAProxy];

    /// The documentation's file with those lines in it that let Keydesk answer for its audit chain.
    pub fn answering_the_audit_chain(text: &str) -> String {
        let mut inside = false;
        let mut lines = 0;
        let text: Vec<String> = text
            .lines()
            .map(|line| {
                let comment = line.trim_start().strip_prefix('#');
                inside = comment.is_some_and(|comment| inside || comment.contains("To let keys read the audit log"));
                match comment.filter(|comment| inside && !comment.contains("To let keys")) {
                    Some(comment) => {
                        lines += 1;
                        comment.strip_prefix(' ').unwrap_or(comment).to_owned()
                    }
                    None => line.to_owned(),
                }
            })
            .collect();
        assert!(lines > 0, "the documentation's file does not say how keys read the audit log");
        text.join("\n") + "\n"
    }

    /// From the documentation, with these addresses in it.
    fn configuration(
        self,
        listen: SocketAddr,
        keydesk: SocketAddr,
        api: SocketAddr,
        change: impl Fn(&str) -> String,
    ) -> String {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proxies");
        let (file, from, to) = match self {
            Self::Nginx => ("nginx.conf", "listen 8000;", format!("listen {listen};")),
            Self::Caddy => ("Caddyfile", "\n:8000 {", format!("\n:{} {{", listen.port())),
            Self::HAProxy => ("haproxy.cfg", "bind :8000", format!("bind {listen}")),
        };
        let text = change(&std::fs::read_to_string(docs.join(file)).unwrap());
        let text = replace(&text, from, &to);
        let text = replace(&text, "127.0.0.1:3001", &keydesk.to_string());
        let text = replace(&text, "127.0.0.1:8080", &api.to_string());
        match self {
            Self::HAProxy => replace(&text, "/etc/haproxy/keydesk.lua", docs.join("keydesk.lua").to_str().unwrap()),
            _ => text,
        }
    }

    /// The program in the foreground, with the configuration and whatever it writes in this folder.
    fn command(self, folder: &Path, configuration: &str) -> Command {
        let file = folder.join("configuration");
        match self {
            Self::Nginx => {
                std::fs::write(&file, configuration).unwrap();
                let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
                let temp: String = kinds.iter().map(|kind| format!("{kind}_temp_path {kind};\n")).collect();
                // One process, so that none is left behind when it is killed.
                let around = format!(
                    "daemon off;\nmaster_process off;\npid pid;\nerror_log stderr;\nevents {{}}\n\
                     http {{\naccess_log off;\n{temp}include {};\n}}\n",
                    file.display()
                );
                let main = folder.join("nginx.conf");
                std::fs::write(&main, around).unwrap();
                let mut command = Command::new(program("nginx"));
                command.arg("-p").arg(folder).arg("-c").arg(main).args(["-e", "stderr"]);
                command
            }
            Self::Caddy => {
                let global = "{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n";
                std::fs::write(&file, format!("{global}{configuration}")).unwrap();
                let mut command = Command::new(program("caddy"));
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
                for home in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
                    command.env(home, folder);
                }
                command
            }
            Self::HAProxy => {
                std::fs::write(&file, configuration).unwrap();
                let mut command = Command::new(program("haproxy"));
                command.args(["-db", "-f"]).arg(file);
                command
            }
        }
    }

    pub fn start(self, keydesk: SocketAddr, api: SocketAddr) -> Proxy {
        self.start_with(keydesk, api, str::to_owned)
    }

    /// With lines of the documentation's file changed as an operator would.
    pub fn start_with(self, keydesk: SocketAddr, api: SocketAddr, change: impl Fn(&str) -> String) -> Proxy {
        self.start_configured(|address| self.configuration(address, keydesk, api, &change))
    }

    /// With the configuration for the address that it is to listen on.
    fn start_configured(self, configuration: impl Fn(SocketAddr) -> String) -> Proxy {
        // Somebody else may take the port between its being found free and its being used.
        for _ in 0..3 {
            let folder = Folder::new();
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let log = folder.0.join("log");
            let file = std::fs::File::create(&log).unwrap();
            let mut child = self
                .command(&folder.0, &configuration(address))
                .stdin(Stdio::null())
                .stdout(file.try_clone().unwrap())
                .stderr(file)
                .spawn()
                .unwrap();
            let patience = Instant::now() + PATIENCE;
            while child.try_wait().unwrap().is_none() && Instant::now() < patience {
                if TcpStream::connect(address).is_ok() {
                    return Proxy { child, address, log, _folder: folder };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            eprintln!("{self:?} did not start:\n{}", std::fs::read_to_string(&log).unwrap());
        }
        panic!("{self:?} does not start");
    }
}

impl Proxy {
    /// HAProxy with the configuration for the address that it is to listen on.
    pub fn haproxy(configuration: impl Fn(SocketAddr) -> String) -> Self {
        Kind::HAProxy.start_configured(configuration)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.child, SIGKILL);
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// A request exactly as given, and what comes back. `None`: the connection was closed without an answer.
fn send(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Option<Message> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    Message::read(&stream)
}

/// A proxy between an API and a Keydesk.
struct Stage {
    kind: Kind,
    desk: Desk,
    keydesk: Server,
    api: Stub,
    proxy: Proxy,
}

impl Stage {
    fn new(kind: Kind) -> Self {
        let desk = Desk::new();
        let keydesk = Server::start(&desk, "127.0.0.1");
        desk.add_org("acme");
        let api = Stub::api();
        let proxy = kind.start(keydesk.keys, api.address);
        Self { kind, desk, keydesk, api, proxy }
    }

    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Message {
        send(self.proxy.address, method, target, headers, "").unwrap()
    }

    /// Lets the request through, and gives it as the API saw it.
    #[track_caller]
    fn passes(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Message {
        let answer = self.ask(method, target, headers);
        assert_eq!((answer.status(), answer.body.as_str()), (200, "upstream"), "{method} {target}: {answer:?}");
        let seen = self.api.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].first, format!("{method} {target} HTTP/1.1"));
        seen[0].clone()
    }

    /// Refuses the request with Keydesk's own words, and the API sees nothing of it.
    #[track_caller]
    fn refuses(&self, method: &str, target: &str, headers: &[(&str, &str)], status: u16) -> (Message, Value) {
        let answer = self.ask(method, target, headers);
        let problem = answer.is_problem(status);
        assert!(self.api.take().is_empty(), "{method} {target} reached the API");
        (answer, problem)
    }
}

/// All that a proxy has to do. One after the other, since starting the three processes takes longer than asking them.
fn a_proxy_obeys(kind: Kind) {
    let mut stage = Stage::new(kind);
    let key = stage.desk.key(&["--scope", "receipts", "--scope", "get"]);
    who_it_is_reaches_the_api_and_nobody_else_writes_it(&stage, &key);
    refusals_reach_the_client_as_they_are(&stage, &key);
    what_a_client_says_of_its_address_changes_nothing(&stage);
    what_a_client_says_of_another_request_changes_nothing(&stage, &key);
    no_path_is_judged_as_another(&stage, &key);
    only_keydesks_yes_is_one(kind);
    stage.keydesk.stop();
    let answer = stage.ask("POST", "/v1/receipts", &[("x-api-key", &key)]);
    assert!([502, 503].contains(&answer.status()), "{answer:?}");
    assert!(stage.api.take().is_empty(), "without a Keydesk, somebody passed");
}

fn who_it_is_reaches_the_api_and_nobody_else_writes_it(stage: &Stage, key: &str) {
    let narrow = stage.desk.key(&["--scope", "get", "--namespace", "prod", "--namespace", "eu"]);
    let bearer = format!("Bearer {key}");
    for (name, value) in [("x-api-key", key), ("X-API-KEY", key), ("authorization", &bearer)] {
        let seen = stage.passes("POST", "/v1/receipts?dry=1", &[(name, value)]);
        let said: Vec<Vec<&str>> = IDENTITY.iter().map(|name| seen.all(name)).collect();
        for id in [&said[1], &said[2]] {
            assert!(id.len() == 1 && uuid::Uuid::parse_str(id[0]).is_ok(), "{seen:?}");
        }
        let known = [&said[0], &said[3], &said[4], &said[5]];
        assert_eq!(known, [&["acme"], &["live"], &["open"], &["receipts get"]], "{seen:?}");
        assert!(said[6].iter().all(|value| value.is_empty()), "{seen:?}");
        // It is the API's to use, if it likes.
        assert_eq!(seen.header(&name.to_ascii_lowercase()), value);
    }
    let seen = stage.passes("GET", "/v1/get/prod/a", &[("x-api-key", &narrow)]);
    let mut namespaces: Vec<&str> = seen.header("x-keydesk-namespaces").split(' ').collect();
    namespaces.sort_unstable();
    assert_eq!(namespaces, ["eu", "prod"]);
    stage.passes("GET", "/t/acme/x", &[("x-api-key", key)]);

    // A client that writes them itself, in every spelling that an API might take for them; and one that asks for them to
    // be dropped on the way.
    let underscored: Vec<String> = IDENTITY.iter().map(|name| name.replace('-', "_")).collect();
    let mut forged: Vec<(&str, &str)> = vec![("x-api-key", key), ("x-keydesk-role", "root"), ("X-Keydesk-ORG", "evil")];
    forged.extend(IDENTITY.iter().map(|name| (*name, "evil")));
    forged.extend(underscored.iter().map(|name| (name.as_str(), "evil")));
    let dropping = format!("close, {}", IDENTITY.join(", "));
    for connection in ["close", &dropping] {
        let mut headers = forged.clone();
        headers.push(("connection", connection));
        let seen = stage.passes("POST", "/v1/receipts", &headers);
        for (name, expected) in [("x-keydesk-org", "acme"), ("x-keydesk-scopes", "receipts get")] {
            assert_eq!(seen.all(name), [expected], "{seen:?}");
        }
        assert!(seen.all("x-keydesk-namespaces").iter().all(|value| value.is_empty()), "{seen:?}");
        for (name, value) in &seen.headers {
            let ours = name.replace('_', "-").starts_with("x-keydesk-");
            assert!(!ours || name == "x-keydesk-role" || value != "evil", "{name}: {seen:?}");
        }
    }
    // Neither key is one that its sender knows to use.
    let (_, problem) = stage.refuses("POST", "/v1/receipts", &[("x-api-key", key), ("x-api-key", key)], 400);
    assert_eq!(problem["type"], "urn:keydesk:problem:ambiguous-credential");
}

fn refusals_reach_the_client_as_they_are(stage: &Stage, key: &str) {
    let (answer, problem) = stage.refuses("POST", "/v1/receipts", &[], 401);
    assert_eq!(answer.all("www-authenticate"), ["Bearer realm=\"Keydesk\""]);
    assert_eq!(problem["code"], "MISSING");
    assert_eq!(answer.header("x-request-id"), problem["request_id"]);
    let (answer, problem) = stage.refuses("POST", "/v1/receipts", &[("x-api-key", "nonsense")], 401);
    assert_eq!(answer.all("www-authenticate"), ["Bearer realm=\"Keydesk\", error=\"invalid_token\""]);
    assert_eq!(problem["code"], "MALFORMED");

    let (answer, problem) = stage.refuses("DELETE", "/v1/admin", &[("x-api-key", key)], 403);
    assert_eq!(problem["code"], "INSUFFICIENT_SCOPE");
    let challenge = "Bearer realm=\"Keydesk\", error=\"insufficient_scope\", scope=\"admin\"";
    assert_eq!(answer.all("www-authenticate"), [challenge]);
    let (_, problem) = stage.refuses("POST", "/v2/receipts", &[("x-api-key", key)], 403);
    assert_eq!(problem["type"], "urn:keydesk:problem:no-such-route");
    stage.refuses("GET", "/v1/receipts", &[("x-api-key", key)], 403);
    let prod = stage.desk.key(&["--scope", "get", "--namespace", "prod"]);
    stage.passes("GET", "/v1/get/prod/a", &[("x-api-key", &prod)]);
    let (_, problem) = stage.refuses("GET", "/v1/get/staging/a", &[("x-api-key", &prod)], 403);
    assert_eq!(problem["detail"], "Namespace 'staging' not permitted for tenant 'acme'");
    // A namespace longer than what a proxy keeps of an answer's head is refused all the same.
    let long = format!("/v1/get/{}/a", "n".repeat(6000));
    let answer = stage.ask("GET", &long, &[("x-api-key", &prod)]);
    assert!(answer.status() >= 400 && stage.api.take().is_empty(), "{answer:?}");
    let (_, problem) = stage.refuses("GET", "/t/globex/x", &[("x-api-key", key)], 401);
    assert_eq!(problem["code"], "NOT_FOUND");

    stage.desk.revoke(&prod);
    let (_, problem) = stage.refuses("GET", "/v1/get/prod/a", &[("x-api-key", &prod)], 401);
    assert_eq!(problem["code"], "REVOKED");

    let small = stage.desk.key(&["--scope", "receipts", "--tier", "small"]);
    for _ in 0..5 {
        stage.passes("POST", "/v1/receipts", &[("x-api-key", &small)]);
    }
    let (answer, problem) = stage.refuses("POST", "/v1/receipts", &[("x-api-key", &small)], 429);
    assert_eq!(problem["code"], "RATE_LIMITED");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=3_601).contains(&wait), "{answer:?}");
    assert_eq!(answer.all("ratelimit-policy"), ["\"small\";q=5;w=3600"]);
}

fn what_a_client_says_of_its_address_changes_nothing(stage: &Stage) {
    let here = stage.desk.key(&["--scope", "receipts", "--ip", "127.0.0.1/32"]);
    let elsewhere = stage.desk.key(&["--scope", "receipts", "--ip", "203.0.113.7/32"]);
    let forged = [
        ("x-forwarded-for", "203.0.113.7"),
        ("X-Forwarded-For", "203.0.113.7, 127.0.0.1"),
        ("X_Forwarded_For", "203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("x-client-ip", "203.0.113.7"),
        ("true-client-ip", "203.0.113.7"),
        ("cf-connecting-ip", "203.0.113.7"),
    ];
    let tries = (0..forged.len()).map(|at| &forged[at..=at]).chain([&forged[..0], &forged]);
    for headers in tries {
        let with = |key| [&[("x-api-key", key)], headers].concat();
        let seen = stage.passes("POST", "/v1/receipts", &with(here.as_str()));
        assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"], "{headers:?}");
        let (_, problem) = stage.refuses("POST", "/v1/receipts", &with(elsewhere.as_str()), 403);
        assert_eq!(problem["code"], "IP_NOT_ALLOWED", "{headers:?}");
    }
    // This is what a proxy that passed them on would make of them, and why it must not.
    let described =
        [("x-forwarded-method", "POST"), ("x-forwarded-uri", "/v1/receipts"), ("x-forwarded-for", "203.0.113.7")];
    let headers = [&[("x-api-key", elsewhere.as_str())], described.as_slice()].concat();
    assert_eq!(send(stage.keydesk.keys, "GET", "/v1/forward-auth", &headers, "").unwrap().status(), 200);
}

fn what_a_client_says_of_another_request_changes_nothing(stage: &Stage, key: &str) {
    let words = ["x-forwarded-uri", "x-original-uri", "x-original-url", "x-rewrite-url"];
    let methods = ["x-forwarded-method", "x-original-method", "x-http-method-override"];
    for connection in ["close", "close, x-forwarded-uri, x-forwarded-method, x-original-uri, x-original-method"] {
        let describe = |target: &'static str, method: &'static str| {
            let headers = [("x-api-key", key), ("connection", connection)];
            let targets = words.iter().map(move |name| (*name, target));
            headers
                .into_iter()
                .chain(targets)
                .chain(methods.iter().map(move |name| (*name, method)))
                .collect::<Vec<_>>()
        };
        // What is asked for is forbidden, and stays so whatever else the client describes.
        let (_, problem) = stage.refuses("DELETE", "/v1/admin", &describe("/v1/receipts", "POST"), 403);
        assert_eq!(problem["code"], "INSUFFICIENT_SCOPE");
        // And the API is not told of another request than the one that was judged.
        let seen = stage.passes("POST", "/v1/receipts", &describe("/v1/admin", "DELETE"));
        for name in words.iter().chain(&methods) {
            assert!(seen.all(name).is_empty(), "{name}: {seen:?}");
        }
    }
    // Nor can a client ask Keydesk through the proxy, where it has a path of its own for that.
    for target in ["/_keydesk", "/v1/forward-auth", "/_keydesk?x"] {
        let answer = stage.ask("GET", target, &[("x-api-key", key)]);
        assert!(answer.status() >= 400 && stage.api.take().is_empty(), "{target}: {answer:?}");
    }
}

/// Where an API could take a target to lead, in any mix of what servers are known to do with one.
fn readings(target: &str) -> BTreeSet<String> {
    fn decoded(path: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = path.as_bytes();
        while let [first, more @ ..] = rest {
            let hex = more.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
            match hex.filter(|_| *first == b'%') {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &more[2..];
                }
                None => {
                    bytes.push(*first);
                    rest = more;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
    fn resolved(path: &str) -> String {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                parts.pop();
            } else {
                parts.push(part);
            }
        }
        format!("/{}", parts.join("/"))
    }
    type Step = fn(&str) -> String;
    let steps: [Step; 6] = [
        |path| path.split(['?']).next().unwrap().to_owned(),
        |path| path.split(['#']).next().unwrap().to_owned(),
        |path| path.split('/').map(|part| part.split(';').next().unwrap()).collect::<Vec<_>>().join("/"),
        |path| path.replace('\\', "/"),
        decoded,
        resolved,
    ];
    let path = target.split_once("://").map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let mut all = BTreeSet::from([path.split('?').next().unwrap().to_owned()]);
    // Each step in each order, and twice.
    loop {
        let more: BTreeSet<String> = all.iter().flat_map(|path| steps.iter().map(|step| step(path))).collect();
        let before = all.len();
        all.extend(more);
        if all.len() == before {
            return all;
        }
    }
}

fn no_path_is_judged_as_another(stage: &Stage, key: &str) {
    // Nothing of these may reach the API: each could be read as the path of another route, or as none.
    for target in [
        "/v1/receipts/../admin",
        "/v1/receipts/..",
        "/v1/./receipts",
        "/v1/receipts/.",
        "/v1/receipts/%2e%2e/admin",
        "/v1/receipts/%2E./admin",
        "/v1/receipts/.%2e/admin",
        "/v1/receipts/..%2fadmin",
        "/v1/receipts%2f..%2fadmin",
        "/v1/receipts/..%5cadmin",
        "/v1/receipts/..\\admin",
        "/v1/receipts/..;/admin",
        "/v1/receipts;/../admin",
        "/v1/admin;/../receipts",
        "/v1/receipts#/../admin",
        "/v1/receipts%00",
        "/v1/receipts%0d%0ax-keydesk-org:%20evil",
        "/v1//receipts",
        "//v1/receipts",
        "/v1/receipts//",
        "/v1/receipts/",
        "/v1/receipts.",
        "/v1/receipts%20",
        "/v1/Receipts",
        "/v1%2freceipts",
        "/v1/receipts%3f",
        "/v1/receipts%23",
        "/v1/receipts%252f..%252fadmin",
        "/v1/receipts\u{e4}",
        "/v1/receipts%e4",
        "/v1/receipts%zz",
        "/v1/get/prod/../admin",
        "/v1/get/prod%2f..%2f/admin",
        "/v1/get/%2e%2e/admin",
        "http://elsewhere.example?/v1/receipts",
        "http://elsewhere.example/v1/receipts/../admin",
        "http://elsewhere.example#/v1/receipts",
        "v1/receipts",
        "*",
        "?/v1/receipts",
    ] {
        for method in ["POST", "GET"] {
            let answer = send(stage.proxy.address, method, target, &[("x-api-key", key)], "");
            let seen = stage.api.take();
            assert!(seen.is_empty(), "{:?} let {method} {target} through: {seen:?}, {answer:?}", stage.kind);
            assert!(answer.is_none_or(|answer| answer.status() >= 400), "{:?} {method} {target}", stage.kind);
        }
    }
    // What may pass reaches the API byte for byte, and cannot be read as a path of the one route that this key must not.
    for (method, target) in [
        ("POST", "/v1/receipts?"),
        ("POST", "/v1/receipts?x=/../admin"),
        ("POST", "/v1/receipts?/../../v1/admin"),
        ("POST", "/v1/receipts?a=%2e%2e%2f&b=%23"),
        ("POST", "/v1/%72eceipts"),
        ("GET", "/v1/get/prod/a%3Fb"),
        ("GET", "/v1/get/prod/a%23b"),
        ("GET", "/v1/get/prod/a.b."),
        ("GET", "/v1/get/prod/..."),
        ("GET", "/v1/get/prod/a%20b+c"),
        ("GET", "/v1/get/prod/%C3%A4"),
        ("GET", "/v1/get/prod/a:b@c,d=e"),
        ("GET", "/v1/get/%70rod/a"),
    ] {
        stage.passes(method, target, &[("x-api-key", key)]);
        assert!(!readings(target).contains("/v1/admin"), "{target}");
    }
    // A whole URL as the target: refused, or judged by its path and passed on as that path.
    let host = stage.proxy.address.to_string();
    for (method, path) in [("POST", "/v1/receipts"), ("DELETE", "/v1/admin")] {
        let answer = send(stage.proxy.address, method, &format!("http://{host}{path}"), &[("x-api-key", key)], "");
        let seen = stage.api.take();
        assert!(seen.iter().all(|seen| seen.first == "POST /v1/receipts HTTP/1.1"), "{seen:?}, {answer:?}");
    }
}

/// With something in Keydesk's place that answers otherwise, and keeps what it was asked.
fn only_keydesks_yes_is_one(kind: Kind) {
    let api = Stub::api();
    let whole = IDENTITY.map(|name| format!("{name}: {}\r\n", if name.ends_with("spaces") { "" } else { "known" }));
    let yes =
        Stub::start(format!("HTTP/1.1 200 OK\r\n{}connection: close\r\ncontent-length: 0\r\n\r\n", whole.concat()));
    let proxy = kind.start(yes.address, api.address);
    let headers =
        [("x-api-key", "k"), ("cookie", "session=1"), ("content-type", "text/plain"), ("x-keydesk-org", "evil")];
    let answer = send(proxy.address, "POST", "/v1/receipts", &headers, "what only the API may read").unwrap();
    assert_eq!(answer.status(), 200, "{answer:?}");
    let (asked, seen) = (yes.take(), api.take());
    assert_eq!((asked.len(), seen.len()), (1, 1), "{asked:?} {seen:?}");
    assert!(asked[0].first.starts_with("GET /v1/forward-auth"), "{asked:?}");
    assert_eq!(asked[0].body, "", "the body went to Keydesk");
    assert!(["", "0"].contains(&asked[0].header("content-length")), "{asked:?}");
    assert!(asked[0].all("transfer-encoding").is_empty() && asked[0].all("cookie").is_empty(), "{asked:?}");
    assert_eq!(asked[0].all("x-forwarded-for"), ["127.0.0.1"]);
    assert!(asked[0].headers.iter().all(|(_, value)| value != "evil") || kind == Kind::Nginx, "{asked:?}");
    assert_eq!(seen[0].body, "what only the API may read");
    assert_eq!(seen[0].all("x-keydesk-org"), ["known"]);

    // Keydesk's own 503 is told as it is.
    let document = r#"{"type":"urn:keydesk:problem:unavailable","status":503}"#;
    let cannot_know = Stub::start(format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
         {}content-length: {}\r\n\r\n{document}",
        // As asked for by nginx only.
        if kind == Kind::Nginx { format!("x-keydesk-problem: {document}\r\n") } else { String::new() },
        document.len()
    ));
    let proxy = kind.start(cannot_know.address, api.address);
    let answer = send(proxy.address, "POST", "/v1/receipts", &headers, "").unwrap();
    assert_eq!(answer.is_problem(503)["type"], "urn:keydesk:problem:unavailable");
    assert!(api.take().is_empty());

    for status in
        ["204 No Content", "302 Found", "404 Not Found", "405 Method Not Allowed", "500 Internal Server Error"]
    {
        let other =
            Stub::start(format!("HTTP/1.1 {status}\r\nlocation: /\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));
        let proxy = kind.start(other.address, api.address);
        let answer = send(proxy.address, "POST", "/v1/receipts", &headers, "").unwrap();
        let seen = api.take();
        // An empty yes, which Keydesk never gives, may pass, but not with an identity that the client wrote.
        if status.starts_with("204") {
            let written = |seen: &Message| seen.headers.iter().any(|(_, value)| value == "evil");
            assert!(!seen.iter().any(written), "{kind:?}: {seen:?}");
        } else {
            assert!(seen.is_empty() && answer.status() >= 300, "{kind:?} {status}: {seen:?} {answer:?}");
        }
    }
}

#[test]
fn behind_nginx_only_what_keydesk_judged_good_reaches_the_api() {
    a_proxy_obeys(Kind::Nginx);
}

#[test]
fn behind_caddy_only_what_keydesk_judged_good_reaches_the_api() {
    a_proxy_obeys(Kind::Caddy);
}

#[test]
fn behind_haproxy_only_what_keydesk_judged_good_reaches_the_api() {
    a_proxy_obeys(Kind::HAProxy);
}

#[test]
fn around_the_proxy_nobody_chooses_their_address() {
    let desk = Desk::new();
    let keydesk = Server::start(&desk, "");
    desk.add_org("acme");
    let here = desk.key(&["--scope", "receipts", "--ip", "127.0.0.1/32"]);
    let elsewhere = desk.key(&["--scope", "receipts", "--ip", "203.0.113.7/32"]);
    for forged in ["203.0.113.7", "203.0.113.7, 127.0.0.1", "127.0.0.1, 203.0.113.7", "nonsense"] {
        for (key, status) in [(&here, 200), (&elsewhere, 403)] {
            let headers = [
                ("x-api-key", key.as_str()),
                ("x-forwarded-for", forged),
                ("x-real-ip", forged),
                ("forwarded", "for=203.0.113.7"),
                ("x-forwarded-method", "POST"),
                ("x-forwarded-uri", "/v1/receipts"),
            ];
            for path in ["/v1/forward-auth", "/v1/whoami"] {
                let answer = send(keydesk.keys, "GET", path, &headers, "").unwrap();
                assert_eq!(answer.status(), status, "{forged}: {answer:?}");
            }
        }
    }
}

#[test]
fn the_question_itself_is_refused_where_it_is_not_clear() {
    let desk = Desk::new();
    let keydesk = Server::start(&desk, "127.0.0.1");
    let ask = |query: &str, headers: &[(&str, &str)]| {
        send(keydesk.keys, "GET", &format!("/v1/forward-auth{query}"), headers, "").unwrap()
    };
    for headers in [
        &[][..],
        &[("x-forwarded-method", "GET")],
        &[("x-original-uri", "/")],
        &[("x-forwarded-method", "GET"), ("x-forwarded-uri", "")],
    ] {
        assert_eq!(ask("", headers).is_problem(400)["type"], "urn:keydesk:problem:no-request");
    }
    let good = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/v1/admin")];
    for more in [
        ("x-forwarded-uri", "/v1/receipts"),
        ("x-original-uri", "/v1/receipts"),
        ("x-original-method", "POST"),
        ("x-original-uri", "/v1/\u{e4}"),
    ] {
        let answer = ask("", &[good.as_slice(), &[more]].concat());
        assert_eq!(answer.is_problem(400)["type"], "urn:keydesk:problem:ambiguous-request", "{more:?}");
    }
    for query in ["?enviroment=live", "?org=a&org=b", "?problem_in_header=yes"] {
        assert_eq!(ask(query, &good).is_problem(400)["type"], "urn:keydesk:problem:bad-request", "{query}");
    }
    // Some proxies ask with the client's own method, which decides nothing.
    for method in ["GET", "POST", "DELETE", "PURGE"] {
        let answer = send(keydesk.keys, method, "/v1/forward-auth", &good, "").unwrap();
        assert_eq!(answer.is_problem(401)["code"], "MISSING", "{method}");
    }
    // The header is the body, for a proxy that reads none.
    let mut answer = ask("?problem_in_header=true", &good);
    assert_eq!(answer.all("x-keydesk-problem"), [answer.body.as_str()]);
    answer.headers.retain(|(name, _)| name != "x-keydesk-problem");
    assert_eq!(answer.is_problem(401)["code"], "MISSING");
}
