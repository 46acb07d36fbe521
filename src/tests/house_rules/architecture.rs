//! The laws of the layout, read off the source as text.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const PLANES: [&str; 4] = ["console_plane", "management_api", "operator_api", "key_plane"];
const DOMAINS: [&str; 8] = ["catalog", "keys", "orgs", "accounts", "webhooks", "revocation", "usage", "audit"];

/// Every source file but the tests': its path below `src`, and its text without comments.
fn sources() -> Vec<(String, String)> {
    fn visit(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    visit(&root, &mut files);
    let sources: Vec<_> = files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let code: Vec<String> = fs::read_to_string(&file)
                .unwrap()
                .lines()
                .map(|line| line.split("//").next().unwrap().to_owned())
                .collect();
            (path, code.join("\n"))
        })
        .filter(|(path, _)| !path.starts_with("tests/"))
        .collect();
    assert!(sources.len() > 50, "the source was not found");
    sources
}

/// The text before a file's own tests.
fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]").next().unwrap()
}

/// Whether `code` has `word` as a whole word.
fn names(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(part) && !code[at + word.len()..].starts_with(part))
}

fn home(path: &str) -> &str {
    path.split('/').next().unwrap()
}

#[test]
fn planes_never_name_each_other_and_domains_never_name_a_plane() {
    for (path, code) in sources() {
        let home = home(&path);
        for plane in PLANES.iter().filter(|plane| **plane != home) {
            if PLANES.contains(&home) || DOMAINS.contains(&home) || ["database", "machine_http"].contains(&home) {
                assert!(!names(&code, plane), "{path} names {plane}");
            }
        }
    }
}

#[test]
fn sql_lives_in_stores_only() {
    for (path, code) in sources() {
        if path.ends_with("store.rs") {
            continue;
        }
        let code = without_tests(&code);
        for mark in ["sqlx::query", "query!(", "query_as!(", "query_scalar!(", "raw_sql", "QueryBuilder"] {
            assert!(!code.contains(mark), "{path} has SQL ({mark}); move it to a store.rs");
        }
    }
}

/// The store functions that write, as `file: function`, with their text.
fn writers(sources: &[(String, String)]) -> Vec<(String, String)> {
    let stores = sources.iter().filter(|(path, _)| path.ends_with("store.rs"));
    let functions = stores.flat_map(|(_, store)| store.split("pub async fn ").skip(1));
    let writing =
        functions.filter(|text| ["insert into", "update ", "delete from"].iter().any(|verb| text.contains(verb)));
    writing.map(|text| (text.split(['(', '<']).next().unwrap().to_owned(), text.to_owned())).collect()
}

#[test]
fn only_a_mutation_commits_what_changes_something() {
    /// What is written without a mutation, since nobody asks for it, or nobody is to wait for it. These lists may only
    /// shrink.
    const TRANSACTIONS: [(&str, &str); 3] = [
        ("database/store.rs", "begins them all; those that read are read-only to Postgres"),
        ("server.rs", "forgets idempotency keys that are over"),
        ("usage/store.rs", "the recorder notes calls in batches, as the key plane's role"),
    ];
    const STATEMENTS: [(&str, &str); 9] = [
        ("audit/mod.rs", "what a mutation records goes through here"),
        ("console_plane/sessions.rs", "sessions begin, are in use and end: their user is their proof"),
        ("key_plane/judge.rs", "counts calls against a quota"),
        ("revocation/node.rs", "each round of a node writes down how far it is"),
        ("revocation/receipt.rs", "a node that did not follow loses its row"),
        ("server.rs", "prints a set-up link, and forgets what is over"),
        ("server_keys.rs", "the first server notes which keys the database was written with"),
        ("usage/mod.rs", "the recorder notes calls in batches"),
        ("usage/refusals.rs", "the recorder notes refusals in batches"),
    ];
    /// Whoever takes a connection without a transaction.
    const CONNECTIONS: [(&str, &str); 7] = [
        ("console_plane/sessions.rs", "see above"),
        ("accounts/sign_in.rs", "reads a password's hash"),
        ("console_plane/settings/load.rs", "reads one's sessions"),
        ("console_plane/sign_in/act.rs", "reads whether a set-up link is live"),
        ("revocation/look_up.rs", "gives up a connection that leads to a server that lags"),
        ("server.rs", "see above"),
        ("server_keys.rs", "see above"),
    ];
    let sources = sources();
    let writers = writers(&sources);
    let (mut transactions, mut statements, mut connections) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (path, code) in &sources {
        let code = without_tests(code);
        if path == "mutation.rs" {
            continue;
        }
        if ["database::begin(", ".begin()", ".begin_with("].iter().any(|begin| code.contains(begin)) {
            transactions.insert(path.as_str());
        }
        if ["db", "pool", "console", "keys"].iter().any(|pool| code.contains(&format!("{pool}.acquire()"))) {
            connections.insert(path.as_str());
        }
        let writes = writers.iter().any(|(writer, _)| code.contains(&format!("store::{writer}(")));
        if writes && !names(code, "Mutation") {
            statements.insert(path.as_str());
        }
        if !path.contains("lifecycle") {
            assert!(!code.contains(".restricts_access()"), "{path} decides whether to wait");
        }
    }
    let listed = |list: &[(&'static str, &str)]| list.iter().map(|(path, _)| *path).collect::<BTreeSet<_>>();
    assert_eq!(transactions, listed(&TRANSACTIONS), "who begins a transaction that writes");
    assert_eq!(statements, listed(&STATEMENTS), "who writes without a mutation");
    assert_eq!(connections, listed(&CONNECTIONS), "who takes a plain connection");
    // A function that writes gets a connection from its caller, but for those of the key plane and its nodes.
    for (path, store) in &sources {
        if path.ends_with("store.rs") && !["usage/store.rs", "revocation/store.rs"].contains(&path.as_str()) {
            for (writer, text) in &writers {
                let signature = text.split('{').next().unwrap();
                assert!(!store.contains(text.as_str()) || !signature.contains("PgPool"), "{path}: {writer}");
            }
        }
    }
}

#[test]
fn what_changes_a_key_is_called_from_the_lifecycle_only() {
    let sources = sources();
    let stores = ["keys/store.rs", "keys/service_keys/store.rs"];
    let stores = stores.map(|store| &sources.iter().find(|(path, _)| path == store).unwrap().1);
    // Every store function that writes.
    let writers: Vec<&str> = stores
        .iter()
        .flat_map(|store| store.split("pub async fn ").skip(1))
        .filter(|function| ["insert into", "update ", "delete from"].iter().any(|verb| function.contains(verb)))
        .map(|function| function.split(['(', '<']).next().unwrap())
        .collect();
    for writer in ["insert", "set_revoked", "set_fields", "set_disabled", "add_namespace", "set_overlap"] {
        assert!(writers.contains(&writer), "{writers:?}");
    }
    for (path, code) in &sources {
        if path.starts_with("keys/lifecycle/") || ["keys/lifecycle.rs", "keys/store.rs"].contains(&path.as_str()) {
            continue;
        }
        for writer in &writers {
            // `store::insert` of another domain is another function.
            let of_keys = path.starts_with("keys/") || code.contains("keys::store") || code.contains("keys::{");
            let imported =
                ["keys", "service_keys"].iter().any(|module| code.contains(&format!("{module}::store::{writer}(")));
            let called = code.contains(&format!(" store::{writer}(")) && of_keys && !path.contains("settings");
            assert!(!imported && !called, "{path} calls keys::store::{writer}");
        }
    }
}

#[test]
fn leptos_is_named_in_the_console_only() {
    for (path, code) in sources() {
        let allowed =
            home(&path) == "console_plane" || ["lib.rs", "main.rs", "server.rs", "browser.rs"].contains(&path.as_str());
        assert!(allowed || !names(&code, "leptos"), "{path} names leptos");
    }
}

#[test]
fn the_halves_part_at_modules_and_imports_only() {
    for (path, code) in sources() {
        let lines: Vec<&str> = code.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            if !line.contains("feature = \"ssr\"") {
                continue;
            }
            assert_eq!(line.trim(), "#[cfg(feature = \"ssr\")]", "{path}:{}", index + 1);
            let next = lines[index + 1..].iter().find(|line| !line.trim().is_empty()).unwrap().trim();
            let next = next.strip_prefix("pub(super) ").or(next.strip_prefix("pub ")).unwrap_or(next);
            assert!(next.starts_with("mod ") || next.starts_with("use "), "{path}:{}: {next}", index + 2);
        }
    }
}

#[test]
fn secrets_are_exposed_in_few_places() {
    const ALLOWED: [&str; 10] = [
        "accounts/password.rs",
        "data_dir.rs",
        "database/embedded.rs",
        "database/mod.rs",
        "database/roles.rs",
        // The password in the limiter's address.
        "key_plane/limiter/redis.rs",
        "keys/secret.rs",
        "secrets.rs",
        "webhooks/mod.rs",
        "webhooks/seal.rs",
    ];
    let exposing: BTreeSet<String> =
        sources().into_iter().filter(|(_, code)| code.contains("expose_secret")).map(|(path, _)| path).collect();
    let allowed: BTreeSet<String> = ALLOWED.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(exposing, allowed, "this list may only shrink");
}

#[test]
fn the_wall_clock_is_read_in_one_place() {
    for (path, code) in sources() {
        if path == "clock.rs" {
            continue;
        }
        for mark in ["now_utc", "now_local", "SystemTime", "time::UNIX_EPOCH", "Uuid::now_v7"] {
            assert!(!code.contains(mark), "{path} reads the clock ({mark})");
        }
    }
    let store = sources().into_iter().filter(|(path, _)| path.ends_with("store.rs"));
    for (path, code) in store {
        assert!(!code.contains("now()") && !code.contains("current_timestamp"), "{path} reads the database's clock");
    }
}

#[test]
fn the_list_of_routes_is_the_router() {
    for (path, routes) in [
        ("console_plane/router.rs", keydesk::console_plane::router::ROUTES.as_slice()),
        ("operator_api/router.rs", keydesk::operator_api::router::ROUTES.as_slice()),
        ("key_plane/router.rs", keydesk::key_plane::ROUTES.as_slice()),
    ] {
        let (_, code) = sources().into_iter().find(|(p, _)| p == path).unwrap();
        let written: BTreeSet<&str> =
            code.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let listed: BTreeSet<&str> = routes.iter().map(|(_, path)| *path).collect();
        for path in &written {
            // Server functions are listed by Leptos itself.
            assert!(listed.contains(path) || path.starts_with("/console/fn/"), "{path} is not in ROUTES");
        }
        for path in listed {
            assert!(written.contains(path) || path == "/favicon.svg", "{path} is no route");
        }
    }
}

/// Handlers of the management API are listed by the document they are described in; the few others are written out.
#[test]
fn every_route_of_the_management_api_is_in_its_document_and_the_reverse() {
    let sources = sources();
    let plane: Vec<&(String, String)> = sources.iter().filter(|(path, _)| home(path) == "management_api").collect();
    let (_, router) = plane.iter().find(|(path, _)| path == "management_api/router.rs").unwrap();
    let written: BTreeSet<&str> = plane
        .iter()
        .flat_map(|(_, code)| code.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()))
        .collect();
    let mut undescribed: BTreeSet<&str> =
        keydesk::management_api::router::UNDESCRIBED.iter().map(|(_, path)| *path).collect();
    // What is nowhere else.
    undescribed.extend(["/api", "/api/", "/api/{*rest}"]);
    assert_eq!(written, undescribed);
    // Each handler that is described is routed, once.
    let document = keydesk::management_api::router::document(&keydesk::catalog::Catalog::load("default").unwrap());
    let paths = document["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|item| item.as_object().unwrap().len()).sum();
    let handlers: usize = plane.iter().map(|(_, code)| code.matches("#[utoipa::path(").count()).sum();
    assert_eq!(operations, handlers);
    assert!(!router.contains(".nest(") && !router.contains(".merge("));
}
