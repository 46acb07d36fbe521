//! The laws of the layout, read off the source as text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use keydesk::{catalog::Catalog, key_plane, management_api, operator_api};

const PLANES: [&str; 4] = ["console_plane", "management_api", "operator_api", "key_plane"];
/// What builds and calls the planes.
const ABOVE_PLANES: [&str; 5] = ["commands", "server", "lib", "main", "browser"];

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

/// The module at the top of the crate that a file belongs to.
fn home(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap()
}

/// The paths that a tree of imports stands for: `a::x` and `a::y::z` for `a::{x, y::z}`.
fn paths(tree: &str) -> Vec<String> {
    let Some((prefix, group)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let (mut depth, mut items) = (0, vec![String::new()]);
    for c in group.chars() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        match c {
            _ if depth < 0 => break,
            ',' if depth == 0 => items.push(String::new()),
            _ => items.last_mut().unwrap().push(c),
        }
    }
    let items = items.iter().filter(|item| !item.trim().is_empty());
    items.flat_map(|item| paths(item)).map(|path| format!("{}{path}", prefix.trim())).collect()
}

/// What `code` names by its path from the top of the crate.
fn named(code: &str) -> BTreeSet<String> {
    code.split("crate::").skip(1).flat_map(|rest| paths(rest.split(';').next().unwrap())).collect()
}

#[test]
fn no_plane_is_named_by_another_nor_by_what_is_below_the_planes() {
    for (path, code) in sources().iter().filter(|(path, _)| !ABOVE_PLANES.contains(&home(path))) {
        for plane in PLANES.iter().filter(|plane| **plane != home(path)) {
            assert!(!names(code, plane), "{path} names {plane}");
        }
    }
}

#[test]
fn folders_name_each_other_one_way_only() {
    let sources = sources();
    let mut left: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, code) in &sources {
        let others = named(code).into_iter().map(|path| path.split("::").next().unwrap().to_owned());
        left.entry(home(path)).or_default().extend(others.filter(|other| other != home(path)));
    }
    assert!(left["orgs"].contains("accounts"), "{left:#?}");
    // Takes away what names nothing that is left, until nothing is; what is in a circle stays.
    while let Some(leaf) = left.iter().find(|(_, named)| named.is_empty()).map(|(home, _)| *home) {
        left.remove(leaf);
        left.values_mut().for_each(|named| _ = named.remove(leaf));
    }
    assert!(left.is_empty(), "these name each other in a circle: {left:#?}");
}

#[test]
fn sql_lives_in_stores_only() {
    for (path, code) in sources() {
        if path.ends_with("/store.rs") {
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
        ("node/mod.rs", "each round of a node writes down how far it is"),
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
        ("node/look_up.rs", "gives up a connection that leads to a server that lags"),
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
        // `store::insert` of another domain is another function.
        let of_keys = path.starts_with("keys/") || named(code).contains("keys::store");
        for writer in &writers {
            let imported =
                ["keys", "service_keys"].iter().any(|module| code.contains(&format!("{module}::store::{writer}(")));
            let called = of_keys && code.contains(&format!(" store::{writer}("));
            assert!(!imported && !called, "{path} calls keys::store::{writer}");
        }
    }
}

#[test]
fn leptos_is_named_in_the_console_only() {
    for (path, code) in sources() {
        let allowed = home(&path) == "console_plane" || ["lib", "server", "browser"].contains(&home(&path));
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

/// The server's clock is kept out of everywhere but `clock.rs` by `clippy.toml`.
#[test]
fn no_query_reads_the_databases_clock() {
    for (path, code) in sources().into_iter().filter(|(path, _)| path.ends_with("/store.rs")) {
        assert!(!code.contains("now()") && !code.contains("current_timestamp"), "{path} reads the database's clock");
    }
}

#[test]
fn the_list_of_routes_is_the_router() {
    for (path, routes) in [("console_plane/router.rs", keydesk::console_plane::router::ROUTES.as_slice())] {
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

/// Handlers for programs are listed by the document they are described in; the few others are written out.
#[test]
fn every_route_for_programs_is_in_its_document_and_the_reverse() {
    let catalog = format!("audit_scope = \"read\"\n{}", include_str!("../../catalog/presets/default.toml"));
    let catalog = Catalog::parse(&catalog).unwrap();
    let (management, keys) = (management_api::router::document(&catalog), key_plane::router::document(&catalog));
    let mut undescribed: Vec<&str> = management_api::router::UNDESCRIBED.iter().map(|(_, path)| *path).collect();
    // What is nowhere else.
    undescribed.extend(["/api", "/api/", "/api/{*rest}"]);
    // The last two are on the operator's own port.
    let beside_keys = vec!["/v1/openapi.json", "/metrics", "/readyz"];
    for (plane, document, undescribed) in [
        ("management_api", &management, undescribed),
        ("key_plane", &keys, beside_keys),
        ("operator_api", &operator_api::router::document(), vec!["/gate/openapi.json"]),
    ] {
        let code: Vec<String> =
            sources().into_iter().filter(|(path, _)| home(path) == plane).map(|(_, code)| code).collect();
        let written: BTreeSet<&str> = code
            .iter()
            .flat_map(|code| code.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()))
            .collect();
        assert_eq!(written, undescribed.into_iter().collect());
        // Each handler that is described is routed, once.
        let paths = document["paths"].as_object().unwrap().values();
        let operations: usize = paths.map(|item| item.as_object().unwrap().len()).sum();
        let handlers: usize = code.iter().map(|code| code.matches("#[utoipa::path(").count()).sum();
        assert_eq!(operations, handlers, "{plane}");
        assert!(!code.iter().any(|code| code.contains(".nest(")));
        // What the document refers to is in it.
        let text = document.to_string();
        for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document["components"]["schemas"].get(name).is_some(), "{plane}: {name}");
        }
    }
    let described = keys["paths"].as_object().unwrap().keys().map(String::as_str).chain(["/v1/openapi.json"]);
    assert_eq!(described.collect::<BTreeSet<_>>(), key_plane::ROUTES.iter().map(|(_, path)| *path).collect());
}
