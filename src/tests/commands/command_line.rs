//! The program as an operator calls it: real processes on a data folder of their own.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Stdio},
};

use nix::sys::signal::Signal::SIGTERM;

use crate::process::{Folder, PATIENCE, ran, serving, signal};

/// A running server; killed at the end, if it was not stopped.
struct Server {
    child: Child,
    console: String,
    keys: String,
    link: Option<String>,
}

impl Server {
    /// `fresh`: nobody has an account, so that a link is to be printed.
    fn start(folder: &Folder, fresh: bool) -> Self {
        let mut child = folder.command(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut after =
            |word: &str| lines.find_map(|line| line.trim().strip_prefix(word).map(|rest| rest.trim().to_owned()));
        let (console, keys) = (after("Console").unwrap(), after("Key plane").unwrap());
        let link = fresh.then(|| lines.nth(2).unwrap().trim().to_owned());
        Self { child, console, keys, link }
    }

    fn stop(mut self) -> std::time::Duration {
        let begun = std::time::Instant::now();
        signal(&self.child, SIGTERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        begun.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PASSWORD: &str = "correct horse battery staple\n";

fn add_owner(folder: &Folder) {
    let arguments =
        ["user", "create", "--email", "ada@example.com", "--name", "Ada", "--org", "acme", "--password-stdin"];
    assert_eq!(folder.run(&arguments, PASSWORD).ok(), "Added ada@example.com as owner of acme.");
}

#[test]
fn wrong_arguments_and_settings_fail_with_one_line_before_anything_is_touched() {
    let folder = Folder::new();
    folder.run(&["sevre"], "").fails("unrecognized subcommand");
    folder.run(&["serve", "--plane", "both"], "").fails("invalid value 'both'");
    folder.run(&["serve", "--verbose"], "").fails("unexpected argument");
    folder.run(&["key", "revoke", "--reason", "other"], "").fails("required arguments");
    folder.run(&["service-key", "create", "--name", "x", "--capability", "all"], "").fails("invalid value 'all'");
    let with = |name: &str, value: &str| ran(folder.command(&["migrate"]).env(name, value), "");
    with("KEYDESK_CATALOG", "hso").fails("there is no catalog \"hso\". Name one of default, heso,");
    with("KEYDESK_LIMITER", "memcached://user:hunter2@x").fails("must be memory, or redis://");
    assert!(!with("KEYDESK_LIMITER", "memcached://user:hunter2@x").err.contains("hunter2"));
    with("KEYDESK_TRUSTED_PROXIES", "proxy.example").fails("no address or block");
    with("KEYDESK_CATALOG", "/no/such.toml").fails("could not be read");
    with("KEYDESK_CONSOL_ADDR", "x").fails("not known");
    with("KEYDESK_CONSOLE_ORIGIN", "http://keys.example.com").fails("must be https");
    with("KEYDESK_CONSOLE_ADDR", "3000").fails("not an address and port");
    with("DATABASE_URL", "mysql://user:hunter2secret@x/y").fails("DATABASE_URL is not a Postgres URL");
    assert!(!with("DATABASE_URL", "mysql://user:hunter2secret@x/y").err.contains("hunter2"));
    assert!(!folder.0.join("postgres").exists());
    assert!(folder.run(&["help"], "").ok().contains("seed-demo"));
}

#[test]
fn an_operator_makes_people_and_keys_and_revokes_with_a_receipt() {
    let folder = Folder::new();
    let short = ["user", "create", "--email", "a@example.com", "--name", "A", "--org", "acme", "--password-stdin"];
    folder.run(&short, "short\n").fails("at least 15 characters");
    add_owner(&folder);
    let again = ["user", "create", "--email", "ADA@example.com", "--name", "Ada", "--org", "acme", "--password-stdin"];
    folder.run(&again, PASSWORD).fails("has an account already");
    let support = [
        "user",
        "create",
        "--email",
        "sam@example.com",
        "--name",
        "Sam",
        "--staff",
        "support",
        "--password-stdin",
        "--json",
    ];
    assert_eq!(folder.run(&support, PASSWORD).ok(), r#"{"email":"sam@example.com","is":"support staff"}"#);
    let secret = folder
        .run(&["key", "create", "--org", "acme", "--name", "CI", "--scope", "read", "--expires", "30d"], "")
        .ok()
        .to_owned();
    assert!(secret.starts_with("kd_live_") && secret.len() == 44, "{secret}");
    folder.run(&["key", "create", "--org", "nobody", "--name", "CI"], "").fails("no organization nobody");
    folder.run(&["key", "create", "--org", "acme", "--name", "CI", "--scope", "root"], "").fails("There is no scope");
    let narrow = ["key", "create", "--org", "acme", "--name", "ci", "--ip", "10.0.0.0/8", "--namespace", "staging"];
    folder.run(&narrow, "").fails("there is a key of this name already");
    folder.run(&[&narrow[..], &["--allow-duplicate-name"]].concat(), "").ok();
    folder.run(&["key", "create", "--org", "acme", "--name", "CI", "--ip", "10.0.0"], "").fails("no address or block");
    folder.run(&["key", "create", "--org", "acme", "--name", "CI", "--namespace", "a b"], "").fails("A namespace is");
    let hint = format!("{}…{}", &secret[..12], &secret[40..]);
    let stopped = folder.run(&["key", "disable", "--hint", &hint], "");
    assert!(stopped.ok().starts_with("“CI” of acme is disabled. Effective after"), "{stopped:?}");
    assert!(
        folder.run(&["key", "disable", "--hint", &hint], "").ok().starts_with("“CI” of acme was disabled already.")
    );
    let listed = folder.run(&["key", "list", "--org", "acme"], "");
    assert!(listed.ok().ends_with(&format!("Disabled  {hint}  CI")), "{listed:?}");
    let enabled = folder.run(&["key", "enable", "--hint", &hint, "--json"], "");
    let enabled: serde_json::Value = serde_json::from_str(enabled.ok()).unwrap();
    assert_eq!((enabled["disabled"].as_bool(), enabled["changed"].as_bool()), (Some(false), Some(true)));
    let listed: serde_json::Value =
        serde_json::from_str(folder.run(&["key", "list", "--org", "acme", "--json"], "").ok()).unwrap();
    assert_eq!((listed[1]["status"].as_str(), listed[1]["name"].as_str()), (Some("active"), Some("CI")));
    let suspended = folder.run(&["org", "suspend", "--org", "acme"], "");
    assert!(suspended.ok().starts_with("acme is suspended. Effective after"), "{suspended:?}");
    let resumed = folder.run(&["org", "resume", "--org", "acme", "--json"], "");
    let resumed: serde_json::Value = serde_json::from_str(resumed.ok()).unwrap();
    assert_eq!((resumed["suspended"].as_bool(), resumed["changed"].as_bool()), (Some(false), Some(true)));
    folder.run(&["org", "suspend", "--org", "nobody"], "").fails("no organization nobody");
    folder.run(&["key", "revoke", "--hint", &hint, "--reason", "because"], "").fails("choose one of");
    folder.run(&["key", "revoke", "--hint", "kd_live_AAAA…AAAA", "--reason", "other"], "").fails("no such key");
    let revoked = folder.run(&["key", "revoke", "--hint", &hint, "--reason", "key_compromise"], "");
    assert!(revoked.ok().starts_with("“CI” of acme is revoked. Effective after"), "{revoked:?}");
    let digest = keydesk::secrets::Digest::of(secret.as_bytes()).to_hex();
    let again = folder.run(&["key", "revoke", "--digest", &digest, "--reason", "other", "--json"], "");
    let receipt: serde_json::Value = serde_json::from_str(again.ok()).unwrap();
    assert_eq!((receipt["already_revoked"].as_bool(), receipt["receipt"]["nodes"].as_u64()), (Some(true), Some(0)));
    folder.run(&["key", "enable", "--digest", &digest], "").fails("the key is revoked, which is for good");
    let service =
        folder.run(&["service-key", "create", "--name", "gateway", "--capability", "verify"], "").ok().to_owned();
    assert!(service.starts_with("kd_service_"), "{service}");
    folder.run(&["service-key", "create", "--name", "gateway", "--capability", "verify"], "").fails("already");
    let revoked = folder.run(&["service-key", "revoke", "--name", "gateway"], "");
    assert!(revoked.ok().starts_with("Service key “gateway” is revoked. Effective after"), "{revoked:?}");
    folder.run(&["service-key", "revoke", "--name", "gateway"], "").fails("no live service key");
    let set = ["user", "set-password", "--email", "ada@example.com", "--password-stdin"];
    folder.run(&set, "short\n").fails("at least 15 characters");
    folder.run(&set, "another long pass phrase\n").ok();
    folder.run(&["user", "disable", "--email", "sam@example.com"], "").ok();
    folder.run(&["user", "disable", "--email", "nobody@example.com"], "").fails("has no account");
    // Shut, an account is opened again, and not made a second time.
    let set = ["user", "set-password", "--email", "sam@example.com", "--password-stdin"];
    assert!(
        folder.run(&set, PASSWORD).ok().ends_with("`keydesk user enable --email sam@example.com` lets them sign in.")
    );
    folder.run(&support, PASSWORD).fails("has an account that is disabled: `keydesk user enable");
    assert_eq!(
        folder.run(&["user", "enable", "--email", "sam@example.com"], "").ok(),
        "sam@example.com can sign in again."
    );
    folder.run(&support, PASSWORD).fails("has an account already");
    assert_eq!(folder.run(&["audit", "verify"], "").ok(), "The audit log is whole: 16 rows in 2 chains.");
}

#[test]
fn a_catalog_is_checked_without_a_database() {
    let folder = Folder::new();
    for (preset, said) in [
        ("default", "test: keys begin with kd_test_…"),
        ("heso", "GET /v1/policy/pull: policy:read"),
        ("heir", "partner: 1,000 per 15 min; only contracts, vaults, webhooks, embed"),
        ("holonomix", "a key enters only the namespaces it lists"),
        ("helios", "staging: keys begin with helios_staging_…"),
        ("heffl", "a key of another organization is 403"),
    ] {
        let checked = folder.run(&["catalog", "check", preset], "");
        assert!(checked.ok().starts_with(&format!("{preset} is a good catalog.\n")), "{checked:?}");
        assert!(checked.ok().contains(said), "{checked:?}");
    }
    let checked = folder.run(&["catalog", "check", "heir", "--json"], "");
    let checked: serde_json::Value = serde_json::from_str(checked.ok()).unwrap();
    assert_eq!((&checked["ok"], &checked["catalog"]["brand"][0]), (&true.into(), &"HEIR".into()));
    let file = folder.0.join("mine.toml");
    let text = include_str!("../../catalog/presets/heir.toml");
    write(&file, &text.replace("brand = \"HEIR\"", "brand = \"Mine\""));
    assert!(folder.run(&["catalog", "check", file.to_str().unwrap()], "").ok().contains("Mine"));
    write(&file, &text.replace("limit = 100\n", "limit = 0\n"));
    let line = text.lines().position(|line| line == "limit = 100").unwrap() + 1;
    let wrong = folder.run(&["catalog", "check", file.to_str().unwrap()], "");
    wrong.fails(&format!("the catalog, line {line}, tiers.limit: must be at least 1"));
    assert_eq!(wrong.code, 1);
    folder.run(&["catalog", "check", "mine"], "").fails("there is no catalog \"mine\"");
    folder.run(&["catalog", "check", "/no/such.toml"], "").fails("could not be read");
    // Also where the settings name one that is to be mended.
    let output =
        folder.command(&["catalog", "check", "heso"]).env("KEYDESK_CATALOG", "/no/such.toml").output().unwrap();
    assert!(output.status.success());
    assert!(!folder.0.join("postgres").exists() && !folder.0.join("audit.key").exists());
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn an_exported_log_is_checked_line_by_line() {
    use keydesk::{
        audit::{Row, chain::GENESIS},
        server_keys::ServerKeys,
    };
    let folder = Folder::new();
    let keys = ServerKeys::load(&folder.0).unwrap();
    let mut previous = GENESIS.to_vec();
    let rows: Vec<String> = (1..=3)
        .map(|seq| {
            let mut row: Row = serde_json::from_value(serde_json::json!({
                "chain": uuid::Uuid::from_u128(5), "seq": seq, "at": "2026-11-24T12:00:00Z", "actor_kind": "operator", "actor_id": null,
                "actor_name": "Operator", "action": "key.issue", "subject": "", "summary": format!("Made {seq}"), "details": "{}",
                "refused": false, "address": "", "agent": "", "request_id": uuid::Uuid::nil(), "hash": "00".repeat(32),
            }))
            .unwrap();
            row.hash = row.seal(&keys.audit, &previous);
            previous.clone_from(&row.hash);
            serde_json::to_string(&row).unwrap()
        })
        .collect();
    let file = folder.0.join("audit.jsonl");
    let verify = || folder.run(&["audit", "verify", file.to_str().unwrap()], "");
    write(&file, &(rows.join("\n") + "\n"));
    assert_eq!(verify().ok(), "The audit log is whole: 3 rows in 1 chain.");
    write(&file, &rows.join("\n").replace("Made 2", "Made 9"));
    verify().fails("row 2 is not as it was written");
    write(&file, &format!("{}\n{}\n", rows[0], rows[2]));
    verify().fails("row 3 stands where row 2 should");
    write(&file, &format!("{}\nnonsense\n", rows[0]));
    verify().fails("line 2");
    folder.run(&["audit", "verify", "/no/such/file"], "").fails("/no/such/file");
    assert!(!folder.0.join("postgres").exists(), "an export is checked without a database");
}

#[test]
fn each_start_prints_a_fresh_link_while_nobody_has_an_account_and_commands_work_beside_it() {
    let folder = Folder::new();
    let first = Server::start(&folder, true);
    let old = first.link.clone().unwrap();
    assert!(old.starts_with(&format!("{}/setup?token=", first.console)), "{old}");
    assert!(first.keys.starts_with("http://127.0.0.1:"));
    assert!(first.stop() < PATIENCE);
    assert!(!folder.0.join("postgres/postmaster.pid").exists(), "the last to leave stops Postgres");
    let mut second = Server::start(&folder, true);
    let new = second.link.clone().unwrap();
    assert_ne!(old.split('=').nth(1), new.split('=').nth(1));
    add_owner(&folder);
    let key = folder.run(&["key", "create", "--org", "acme", "--name", "CI"], "").ok().to_owned();
    assert!(folder.0.join("postgres/postmaster.pid").exists(), "the server still uses Postgres");
    // Killed, not stopped: Postgres lives on, and the next start finds everything.
    second.child.kill().unwrap();
    second.child.wait().unwrap();
    let third = Server::start(&folder, false);
    let address = third.keys.trim_start_matches("http://").to_owned();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET /v1/whoami HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n").unwrap();
    let mut status = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut status).unwrap();
    assert_eq!(status.trim(), "HTTP/1.1 200 OK");
    // Asks for more than fits on its way and reads nothing of it: this ends by being cut off, or never.
    let page = get(&third.console, "/sign-in", "");
    let asset = page.split('"').find(|part| part.starts_with("/pkg/") && part.ends_with(".css")).unwrap();
    let mut deaf = std::net::TcpStream::connect(third.console.trim_start_matches("http://")).unwrap();
    deaf.write_all(format!("GET {asset} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(1_000).as_bytes()).unwrap();
    // Nobody sends so large a head but to keep the server busy.
    let mut large = std::net::TcpStream::connect(third.console.replace("http://localhost", "127.0.0.1")).unwrap();
    let head = format!("GET /sign-in HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "a".repeat(40_000));
    // It may hang up before all of it is sent.
    let _ = large.write_all(head.as_bytes());
    let mut status = String::new();
    BufReader::new(large).read_line(&mut status).unwrap();
    assert!(status.starts_with("HTTP/1.1 431"), "{status}");
    // The first connection stays open and idle, and the deaf one full; neither must hold the server.
    assert!(third.stop() < PATIENCE);
}

#[tokio::test]
async fn a_given_postgres_is_used_by_an_owner_who_is_no_superuser() {
    let (database, data) = crate::world::plain_owners_database().await;
    let own = Folder::new();
    let run = |arguments: &[&str], input: &str| {
        ran(own.command(arguments).env("KEYDESK_DATA_DIR", &data).env("DATABASE_URL", &database.url), input)
    };
    assert_eq!(run(&["migrate"], "").ok(), "The database is up to date.");
    assert_eq!(run(&["migrate"], "").ok(), "The database is up to date.");
    let person = ["user", "create", "--email", "ada@example.com", "--name", "Ada", "--org", "acme", "--password-stdin"];
    run(&person, PASSWORD).ok();
    let key = run(&["key", "create", "--org", "acme", "--name", "CI"], "").ok().to_owned();
    let digest = keydesk::secrets::Digest::of(key.as_bytes()).to_hex();
    run(&["key", "revoke", "--digest", &digest, "--reason", "other"], "").ok();
    assert_eq!(run(&["audit", "verify"], "").ok(), "The audit log is whole: 4 rows in 1 chain.");
}

#[tokio::test]
async fn a_command_that_looks_makes_nothing_and_nothing_is_taken_over_unasked() {
    let (database, data) = crate::world::plain_owners_database().await;
    let own = Folder::new();
    let absent = own.0.join("absent");
    for looking in [&["nodes"][..], &["audit", "verify"], &["key", "list", "--org", "acme"], &["audit", "verify", "x"]]
    {
        let ran_in = |folder: &std::path::Path| ran(own.command(looking).env("KEYDESK_DATA_DIR", folder), "");
        ran_in(&absent).fails("");
        ran_in(&own.0).fails("");
        ran(own.command(looking).env("KEYDESK_DATA_DIR", &absent).env("DATABASE_URL", &database.url), "").fails("");
    }
    assert!(!absent.exists());
    let run = |folder: &std::path::Path, arguments: &[&str]| {
        ran(own.command(arguments).env("KEYDESK_DATA_DIR", folder).env("DATABASE_URL", &database.url), "")
    };
    run(&absent, &["nodes"]).fails("there is no data folder");
    run(&data, &["nodes"]).fails("run `keydesk migrate`");
    run(&data, &["migrate"]).ok();
    run(&data, &["nodes"]).ok();
    // The roles belong to the whole server, and whoever made them has their passwords.
    for arguments in [&["nodes"][..], &["migrate"], &["serve"]] {
        run(&own.0, arguments).fails("has a role keydesk_console already, whose password is not in");
    }
    assert_eq!(std::fs::read_dir(&own.0).unwrap().count(), 0);
    run(&data, &["nodes"]).ok();
}

#[test]
fn roles_are_taken_over_only_if_that_is_said() {
    let folder = Folder::new();
    add_owner(&folder);
    let password = folder.0.join("keydesk_keys.password");
    std::fs::remove_file(&password).unwrap();
    folder.run(&["migrate"], "").fails("has a role keydesk_keys already, whose password is not in");
    assert!(!password.exists());
    assert_eq!(folder.run(&["migrate", "--reset-passwords"], "").ok(), "The database is up to date.");
    assert_eq!(folder.run(&["migrate"], "").ok(), "The database is up to date.");
}

#[test]
fn a_server_key_that_is_missing_or_another_one_is_named_and_not_replaced() {
    let folder = Folder::new();
    add_owner(&folder);
    for name in ["audit.key", "webhook-seal.key"] {
        let (path, away) = (folder.0.join(name), folder.0.join("away"));
        std::fs::rename(&path, &away).unwrap();
        for command in [&["migrate"][..], &["nodes"], &["serve"]] {
            folder.run(command, "").fails(&format!("{} is missing", path.display()));
        }
        assert!(!path.exists());
        std::fs::copy(folder.0.join("access-token.key"), &path).unwrap();
        for command in [&["migrate"][..], &["nodes"], &["serve"]] {
            folder.run(command, "").fails(&format!("{} is not the one", path.display()));
        }
        std::fs::rename(&away, &path).unwrap();
        folder.run(&["migrate"], "").ok();
    }
}

/// What a plane answers to a GET: status line, headers and body.
fn get(address: &str, path: &str, header: &str) -> String {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A process that serves one plane, and where its lines say it answers.
fn serve_plane(folder: &Folder, plane: &str, words: &[&str]) -> (Child, Vec<String>) {
    let mut command = folder.command(&["serve", "--plane", plane]);
    serving(command.env("KEYDESK_ADMIN_ADDR", "127.0.0.1:0"), words).unwrap()
}

#[test]
fn a_process_that_drains_sends_calls_elsewhere_and_answers_those_that_come() {
    let folder = Folder::new();
    add_owner(&folder);
    let key = folder.run(&["key", "create", "--org", "acme", "--name", "CI"], "").ok().to_owned();
    let mut command = folder.command(&["serve", "--plane", "keys"]);
    let (mut server, at) = serving(command.env("KEYDESK_DRAIN", "5m"), &["Key plane"]).unwrap();
    let whoami = || get(&at[0], "/v1/whoami", &format!("x-api-key: {key}\r\n"));
    // It listens when it can answer.
    assert!(get(&at[0], "/readyz", "").starts_with("HTTP/1.1 200"));
    let process = nix::unistd::Pid::from_raw(server.id().try_into().unwrap());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
    while get(&at[0], "/readyz", "").starts_with("HTTP/1.1 200") {}
    assert!(get(&at[0], "/readyz", "").contains("this node is about to stop"));
    let mut kept = std::net::TcpStream::connect(at[0].trim_start_matches("http://")).unwrap();
    write!(kept, "GET /v1/whoami HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut kept, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(whoami().starts_with("HTTP/1.1 200"));
    // Asked once more, it does not wait for the rest of five minutes.
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(server.wait().unwrap().success());
}

#[test]
fn planes_run_apart_on_one_data_folder_and_the_last_to_stop_stops_postgres() {
    let folder = Folder::new();
    add_owner(&folder);
    let key = folder.run(&["key", "create", "--org", "acme", "--name", "CI"], "").ok().to_owned();
    let (mut console, _) = serve_plane(&folder, "console", &["Console"]);
    let (mut first, at) = serve_plane(&folder, "keys", &["Key plane", "Metrics"]);
    let (mut second, other) = serve_plane(&folder, "keys", &["Key plane"]);
    for address in [&at[0], &other[0]] {
        assert!(get(address, "/v1/whoami", &format!("x-api-key: {key}\r\n")).starts_with("HTTP/1.1 200"));
    }
    // Both have said that they are alive by now, or will within a few seconds.
    let admin = at[1].trim_end_matches("/metrics");
    let begun = std::time::Instant::now();
    while !get(admin, "/readyz", "").contains("2 nodes count calls each in its own memory") {
        assert!(begun.elapsed() < PATIENCE, "{}", get(admin, "/readyz", ""));
        // Another process says it in its own time.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let metrics = get(admin, "/metrics", "");
    for line in [
        "keydesk_verdicts_total{code=\"VALID\"} 1",
        "keydesk_answer_seconds_bucket{route=\"/v1/whoami\"",
        "keydesk_usage_buckets_waiting",
        "keydesk_refusals_waiting 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(!metrics.contains(&key));
    for child in [&mut first, &mut console, &mut second] {
        assert!(folder.0.join("postgres/postmaster.pid").exists());
        signal(child, SIGTERM);
        assert!(child.wait().unwrap().success());
    }
    assert!(!folder.0.join("postgres/postmaster.pid").exists());
}

/// What a form of the console answers, and the cookie it sets.
fn post(console: &str, name: &str, form: &str, cookie: &str) -> (String, String) {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(console.replace("http://localhost", "127.0.0.1")).unwrap();
    let (length, cookie) = (form.len(), format!("cookie: {cookie}\r\n"));
    write!(
        stream,
        "POST /console/fn/{name} HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {console}\r\naccept: text/html\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n{cookie}\r\n{form}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    (answer, cookie)
}

#[test]
fn an_operator_sees_the_nodes_and_the_last_refusals_and_metrics_tell_of_leases_and_receipts() {
    let folder = Folder::new();
    add_owner(&folder);
    let quiet = folder.run(&["nodes"], "");
    assert!(quiet.ok().contains("No key plane is running."), "{quiet:?}");
    assert!(quiet.ok().ends_with("Nothing was refused in the last seven days."), "{quiet:?}");
    let key = folder.run(&["key", "create", "--org", "acme", "--name", "CI"], "").ok().to_owned();
    let (mut server, at) = serve_plane(&folder, "all", &["Console", "Key plane", "Metrics"]);
    let (console, keys, admin) = (&at[0], &at[1], at[2].trim_end_matches("/metrics"));
    let form = "email=ada%40example.com&password=correct+horse+battery+staple&next=";
    let (_, cookie) = post(console, "sign-in", form, "");
    for _ in 0..2 {
        assert!(get(keys, "/v1/whoami", &format!("x-api-key: {key}\r\n")).starts_with("HTTP/1.1 200"));
    }
    let (page, _) = post(console, "keys/revoke-all", "confirmation=acme", &cookie);
    assert!(page.contains("Effective on 1 of 1 node after"), "{page}");
    assert!(get(keys, "/v1/whoami", &format!("x-api-key: {key}\r\n")).starts_with("HTTP/1.1 401"));
    let metrics = get(admin, "/metrics", "");
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    };
    assert_eq!(value("keydesk_nodes"), 1.0);
    assert_eq!(value("keydesk_memory_keys"), 1.0);
    assert!(value("keydesk_memory_hits_total") >= 1.0 && value("keydesk_memory_misses_total") >= 2.0);
    assert!(value("keydesk_revision_newest") >= 1.0);
    assert_eq!(value("keydesk_revision_applied"), value("keydesk_revision_newest"));
    assert!((0.0..=10.0).contains(&value("keydesk_lease_seconds_left")));
    assert_eq!(value("keydesk_receipt_seconds_count"), 1.0);
    assert_eq!(value("keydesk_receipt_seconds_bucket{le=\"+Inf\"}"), 1.0);
    assert!(value("keydesk_receipt_seconds_bucket{le=\"2.5\"}") <= 1.0);

    let begun = std::time::Instant::now();
    let seen = loop {
        let seen: serde_json::Value = serde_json::from_str(folder.run(&["nodes", "--json"], "").ok()).unwrap();
        // Refusals are written in batches, in the server's own time; and a node that had to wait for its turn is late.
        if seen["refusals"][0].is_object() && seen["nodes"][0]["state"] == "following" {
            break seen;
        }
        assert!(begun.elapsed() < PATIENCE, "{seen}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let (node, refused) = (&seen["nodes"][0], &seen["refusals"][0]);
    assert_eq!((node["state"].as_str(), node["limiter"].as_str()), (Some("following"), Some("memory")), "{seen}");
    assert_eq!((&node["applied_revision"], node["behind"].as_u64()), (&seen["newest_revision"], Some(0)));
    assert!(node["lease_age_seconds"].as_f64().unwrap() <= 1.0, "{seen}");
    assert_eq!((refused["code"].as_str(), refused["org"].as_str()), (Some("REVOKED"), Some("acme")));
    assert_eq!(refused["address"], "127.0.0.1");
    let shown = folder.run(&["nodes"], "");
    let lines: Vec<&str> = shown.ok().lines().collect();
    assert_eq!(lines[0], format!("Newest revision: {}", seen["newest_revision"]));
    // Each cell stands under its heading.
    for (head, line, pairs) in [
        (lines[1], lines[2], [("NODE", node["name"].as_str().unwrap()), ("STATE", "Following"), ("LIMITER", "memory")]),
        (
            lines[4],
            lines[5],
            [("CODE", "REVOKED"), ("AGENT", "-"), ("REQUEST", refused["request_id"].as_str().unwrap())],
        ),
    ] {
        for (column, cell) in pairs {
            assert!(line[head.find(column).unwrap()..].starts_with(cell), "{column}: {shown:?}");
        }
    }
    assert!(!shown.out.contains(&key));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.id() as i32), nix::sys::signal::SIGTERM).unwrap();
    assert!(server.wait().unwrap().success());
    assert!(folder.run(&["nodes"], "").ok().contains("No key plane is running."), "it has left");
}

#[test]
fn an_embedded_postgres_that_is_killed_is_started_again() {
    let folder = Folder::new();
    add_owner(&folder);
    let server = Server::start(&folder, false);
    let pid = || -> Option<i32> {
        std::fs::read_to_string(folder.0.join("postgres/postmaster.pid")).ok()?.lines().next()?.parse().ok()
    };
    let first = pid().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL).unwrap();
    let begun = std::time::Instant::now();
    let console = server.console.replace("http://localhost", "127.0.0.1");
    while pid().is_none_or(|pid| pid == first) || !get(&console, "/healthz", "").starts_with("HTTP/1.1 200") {
        assert!(begun.elapsed() < PATIENCE, "nobody starts it");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    server.stop();
    assert!(pid().is_none(), "and it is stopped in order");
}
