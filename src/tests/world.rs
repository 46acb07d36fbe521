//! What a test works in: both planes on a database of its own, a clock it sets, and clients named for people.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use futures::future::join_all;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use keydesk::{
    accounts::{self, Email, PersonName},
    actor::{Actor, Role},
    catalog::Catalog,
    client::TrustedProxies,
    clock::{self, Clock},
    config::Origin,
    console_plane::assets::Site,
    database::{self, RlsScope, embedded::Embedded},
    ids::{KeyId, OrgId, Scope, UserId},
    key_plane::{self, KeyPlane, limiter::Limiter},
    keys::{
        lifecycle::{self, CreateKeyInput, NewKey, Rotation},
        model::{KeyName, OverlapWindow, Reason},
    },
    mutation::Mutation,
    node::{Node, memory::Memory},
    orgs::{
        self, OrgName, Slug,
        lifecycle::{NewPerson, OrgError},
    },
    revocation::{self, LeaseLength},
    secrets::Digest,
    server::{self, Dependencies},
    server_keys::ServerKeys,
    usage::{UsageRecorder, refusals::RefusalRecorder},
};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool, Postgres, Transaction, postgres::PgConnectOptions};
use time::{OffsetDateTime, macros::datetime};
use tokio::sync::OnceCell;
use tower::ServiceExt;
use uuid::Uuid;

use crate::process::PATIENCE;

pub const START: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);
pub const ORIGIN: &str = "http://localhost:3000";
/// The password of everybody in these tests, hashed once.
pub const PASSWORD: &str = "correct horse battery staple";

struct Cluster {
    embedded: Embedded,
    folder: PathBuf,
    password_hash: String,
}

/// One cluster for all tests; it stays up between runs, so that the next one starts at once.
static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
const TEMPLATE: &str = "kd_template";
/// Where data folders are that belong to one database each, in the cluster's.
const FOLDERS: &str = "folders";

async fn cluster() -> &'static Cluster {
    CLUSTER
        .get_or_init(|| async {
            let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
            let folder = target.join("test-postgres");
            keydesk::data_dir::create(&folder).unwrap();
            let embedded = Embedded::join(&folder).await.unwrap();
            let mut db = embedded.options("postgres").connect().await.unwrap();
            // Of an earlier run: nobody is in them any more, or they stay.
            let _ = std::fs::remove_dir_all(folder.join(FOLDERS));
            let old: Vec<String> =
                sqlx::query_scalar("select datname::text from pg_database where datname like 'kd\\_t%'")
                    .fetch_all(&mut db)
                    .await
                    .unwrap();
            // Each waits for a checkpoint; side by side they share them.
            let droppers = old.chunks(old.len().div_ceil(16).max(1)).map(async |names| {
                let mut db = embedded.options("postgres").connect().await.unwrap();
                for name in names {
                    for what in ["database", "role"] {
                        let drop = format!("drop {what} if exists {name}");
                        let _ = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut db).await;
                    }
                }
            });
            join_all(droppers).await;
            sqlx::raw_sql(AssertSqlSafe(format!("create database {TEMPLATE}"))).execute(&mut db).await.unwrap();
            database::prepare(
                embedded.options(TEMPLATE),
                &folder,
                database::PlaneOverrides::default(),
                database::Opening::Prepare,
            )
            .await
            .unwrap();
            let hasher = accounts::password::Hasher::new().unwrap();
            let password = accounts::password::NewPassword::parse(&PASSWORD.into(), &[]).unwrap();
            let password_hash = hasher.hash(password).await.unwrap();
            Cluster { embedded, folder, password_hash }
        })
        .await
}

/// A database of its own for somebody who is no superuser, as most given databases are.
pub struct TestDatabase {
    /// As its owner.
    pub url: String,
    /// As the superuser, whom no rule binds.
    pub all_seeing: PgConnectOptions,
}

/// Answers a data folder of its own that knows the roles' passwords, too: what a folder knows of a history is one database's.
pub async fn plain_owners_database() -> (TestDatabase, PathBuf) {
    let cluster = cluster().await;
    let options = cluster.embedded.options("postgres");
    let socket = options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    let mut db = options.connect().await.unwrap();
    let name = format!("kd_t{}", Uuid::new_v4().simple());
    for statement in [
        format!("create role {name} login createrole password 'plain'"),
        format!("create database {name} owner {name}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut db).await.unwrap();
    }
    let host: String = form_urlencoded::byte_serialize(socket.as_bytes()).collect();
    let url = format!("postgres://{name}:plain@localhost/{name}?host={host}");
    let data = cluster.folder.join(FOLDERS).join(&name);
    std::fs::create_dir_all(&data).unwrap();
    copy_secrets(&cluster.folder, &data);
    (TestDatabase { url, all_seeing: cluster.embedded.options(&name) }, data)
}

/// Copies the roles' passwords and the server's keys.
pub fn copy_secrets(from: &std::path::Path, to: &std::path::Path) {
    for file in std::fs::read_dir(from).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "password" || extension == "key") {
            std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
        }
    }
}

/// As the program's, but for its time-outs: a busy machine is no failure.
fn pool(options: PgConnectOptions) -> PgPool {
    let pool = database::pool(options, 4);
    let options = PgConnectOptions::clone(&pool.connect_options()).options([("statement_timeout", "0")]);
    pool.options().clone().acquire_timeout(PATIENCE).connect_lazy_with(options)
}

/// Where the server's own keys are.
pub async fn data_folder() -> PathBuf {
    cluster().await.folder.clone()
}

#[derive(Clone)]
pub struct World {
    pub plane: KeyPlane,
    pub refusals: Arc<RefusalRecorder>,
    pub console: Router,
    pub keys: Router,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub server_keys: Arc<ServerKeys>,
    pub usage: Arc<UsageRecorder>,
    /// As the console's role.
    pub db: PgPool,
    /// As the key plane's role.
    pub keys_db: PgPool,
    /// As the operator API's role.
    pub operator_db: PgPool,
    /// As the owner, who is above all rules.
    pub owner: PgPool,
}

impl World {
    pub async fn new() -> Self {
        Self::with_origin(ORIGIN).await
    }

    pub async fn with_origin(origin: &str) -> Self {
        Self::with(origin, Catalog::load("default").unwrap(), "").await
    }

    /// A deployment of a catalog, behind proxies.
    pub async fn of(catalog: Catalog, proxies: &str) -> Self {
        Self::with(ORIGIN, catalog, proxies).await
    }

    async fn with(origin: &str, catalog: Catalog, proxies: &str) -> Self {
        let cluster = cluster().await;
        let name = format!("kd_t{}", Uuid::new_v4().simple());
        let mut db = cluster.embedded.options("postgres").connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name} template {TEMPLATE}")))
            .execute(&mut db)
            .await
            .unwrap();
        let owner = cluster.embedded.options(&name);
        let planes = database::prepare(
            owner.clone(),
            &cluster.folder,
            database::PlaneOverrides::default(),
            database::Opening::Prepare,
        )
        .await
        .unwrap();
        Self::build(owner, planes, origin, catalog, proxies, &cluster.folder)
    }

    fn build(
        owner: PgConnectOptions,
        planes: database::PlaneOptions,
        origin: &str,
        catalog: Catalog,
        proxies: &str,
        folder: &std::path::Path,
    ) -> Self {
        let clock = Clock::manual(START);
        let catalog = Arc::new(catalog);
        let server_keys = Arc::new(ServerKeys::load(folder).unwrap());
        let (usage, refusals) = (Arc::new(UsageRecorder::default()), Arc::new(RefusalRecorder::default()));
        let (db, keys_db) = (pool(planes.console), pool(planes.keys));
        let operator_db = pool(planes.operator);
        let planes = server::build_planes(Dependencies {
            operator_db: operator_db.clone(),
            console_db: db.clone(),
            keys_db: keys_db.clone(),
            memory: Arc::new(Memory::new(clock.clone(), LeaseLength::SHORTEST)),
            clock: clock.clone(),
            catalog: Arc::clone(&catalog),
            server_keys: Arc::clone(&server_keys),
            origin: Origin::parse(origin).unwrap(),
            keys_url: "http://127.0.0.1:3001".to_owned(),
            site: Site::find().expect("the browser half has to be built first: make test"),
            limiter: Arc::new(Limiter::memory()),
            proxies: Arc::new(TrustedProxies::parse(proxies).unwrap()),
            usage: Arc::clone(&usage),
            refusals: Arc::clone(&refusals),
            draining: tokio::sync::watch::channel(false).1,
        })
        .unwrap();
        let keys = planes.key_plane_router();
        let server::Planes { console, keys: plane, .. } = planes;
        let node = Node::new("node".to_owned(), "memory", Arc::clone(&plane.memory), clock.clone(), &keys_db);
        tokio::spawn(async move { node.run().await });
        Self {
            plane,
            refusals,
            console,
            keys,
            clock,
            catalog,
            server_keys,
            usage,
            db,
            keys_db,
            operator_db,
            owner: database::pool(owner, 2),
        }
    }

    /// Another node on the same database, with a limiter of its own.
    pub fn with_limiter(&self, limiter: Limiter) -> Self {
        let plane = KeyPlane { limiter: Arc::new(limiter), ..self.plane.clone() };
        Self { keys: key_plane::router::router(plane.clone()), plane, ..self.clone() }
    }

    /// A key plane of another catalog on the same database.
    pub fn again(&self, catalog: Catalog) -> Self {
        let plane = KeyPlane { catalog: Arc::new(catalog), limiter: Arc::new(Limiter::memory()), ..self.plane.clone() };
        Self { keys: key_plane::router::router(plane.clone()), plane, ..self.clone() }
    }

    /// A key plane on the same database that does not follow it.
    pub fn astray(&self) -> Self {
        let plane =
            KeyPlane { memory: Arc::new(Memory::new(self.clock.clone(), LeaseLength::SHORTEST)), ..self.plane.clone() };
        Self { keys: key_plane::router::router(plane.clone()), plane, ..self.clone() }
    }

    /// Changes the database behind Keydesk's back, and waits until the key plane has followed.
    pub async fn change(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&self.owner).await.unwrap();
        self.settle().await;
    }

    /// Commits as a handler does, and waits until the key plane has followed. Answers whether the commit waited for it.
    pub async fn commit(&self, m: Mutation) -> bool {
        let receipt = m.commit().await.unwrap();
        self.settle().await;
        receipt.is_some()
    }

    /// Waits until every node has followed every change.
    pub async fn settle(&self) {
        let revision: i64 =
            sqlx::query_scalar("select revision from key_revision").fetch_one(&self.owner).await.unwrap();
        let revision = revocation::Revision(revision);
        while self.plane.memory.applied().is_none_or(|mark| mark.revision < revision)
            || self.plane.memory.lease.left().is_zero()
        {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    /// Waits until something in the database waits for a lock.
    pub async fn until_blocked(&self) {
        let blocked = "select exists (select from pg_stat_activity
                                      where datname = current_database() and wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(blocked).fetch_one(&self.owner).await.unwrap() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub async fn begin(&self, scope: RlsScope) -> Transaction<'static, Postgres> {
        database::begin(&self.db, scope).await.unwrap()
    }

    /// Begins a change by the operator.
    pub async fn mutation(&self, scope: RlsScope) -> Mutation {
        self.mutation_by(Actor::operator(), scope).await
    }

    pub async fn mutation_by(&self, actor: Actor, scope: RlsScope) -> Mutation {
        Mutation::begin(&self.db, &self.server_keys.audit, scope, actor, self.clock.now()).await.unwrap()
    }

    /// The organization of a slug, made if it is new.
    pub async fn org(&self, slug: &str) -> OrgId {
        let slug = Slug::parse(slug).unwrap();
        let mut m = self.mutation(RlsScope::Operator).await;
        if let Some(org) = orgs::store::find_by_slug(&mut m, &slug).await.unwrap() {
            return org.id;
        }
        let org = OrgId(clock::id(self.clock.now()));
        m.set_rls_scope(RlsScope::Org(org)).await.unwrap();
        let (permit, name) = (m.permit().unwrap(), OrgName::parse(slug.as_str()).unwrap());
        orgs::lifecycle::create_org(&mut m, &permit, &slug, &name).await.unwrap();
        m.commit().await.unwrap();
        org
    }

    /// A member of an organization (made if it is new), not signed in.
    pub async fn member(&self, org: &str, role: Role) -> Account {
        let email = format!("{}-{}@{org}.example", role.as_str(), Uuid::new_v4().simple());
        self.member_called(org, role, &email).await.unwrap()
    }

    /// The same with an address that there may be already.
    pub async fn member_called(&self, org: &str, role: Role, email: &str) -> Result<Account, OrgError> {
        let org_id = self.org(org).await;
        let person = self.new_person(email, role.label()).await;
        let mut m = self.mutation(RlsScope::Org(org_id)).await;
        let permit = m.permit().unwrap();
        let user = orgs::lifecycle::add_member(&mut m, &permit, &person, role).await?;
        m.commit().await.unwrap();
        Ok(Account { user, email: email.to_owned() })
    }

    pub async fn staff(&self) -> Account {
        let email = format!("support-{}@provider.example", Uuid::new_v4().simple());
        let person = self.new_person(&email, "Sam").await;
        let mut m = self.mutation(RlsScope::Nothing).await;
        let permit = m.permit().unwrap();
        let user = orgs::lifecycle::add_staff(&mut m, &permit, &person).await.unwrap();
        m.commit().await.unwrap();
        Account { user, email }
    }

    async fn new_person(&self, email: &str, name: &str) -> NewPerson {
        NewPerson {
            email: Email::parse(email).unwrap(),
            name: PersonName::parse(name).unwrap(),
            password_hash: cluster().await.password_hash.clone(),
        }
    }

    /// A browser of somebody with a session, which did not go through the sign-in form.
    pub async fn browser(&self, account: &Account) -> Browser {
        let id = tower_sessions::session::Id::default();
        let now = self.clock.now();
        let session = accounts::store::Session {
            id: clock::id(now),
            user: account.user,
            created_at: now,
            last_seen_at: now,
            agent: "test browser".to_owned(),
            address: None,
        };
        let mut db = self.db.acquire().await.unwrap();
        accounts::store::insert_session(&mut db, Digest::of(id.to_string().as_bytes()), &session).await.unwrap();
        Browser { cookie: Some(format!("keydesk-3000={id}")), ..self.anonymous() }
    }

    pub async fn viewer(&self, org: &str) -> Browser {
        self.browser(&self.member(org, Role::Viewer).await).await
    }
    pub async fn developer(&self, org: &str) -> Browser {
        self.browser(&self.member(org, Role::Developer).await).await
    }
    pub async fn admin(&self, org: &str) -> Browser {
        self.browser(&self.member(org, Role::Admin).await).await
    }
    pub async fn owner_of(&self, org: &str) -> Browser {
        self.browser(&self.member(org, Role::Owner).await).await
    }
    pub async fn support(&self) -> Browser {
        self.browser(&self.staff().await).await
    }

    /// A browser of somebody, and a script that holds an access token which they created there.
    pub async fn browser_and_script(&self, account: &Account) -> (Browser, Script) {
        let mut browser = self.browser(account).await;
        let made = browser.clone().script().post("/console/fn/account/access-token", &[]).await;
        let token = made.is(200).json()["token"].as_str().unwrap().to_owned();
        // The cookie of this session, wherever it has moved.
        browser.get("/settings").await.is(200);
        (browser, self.nobodys_script().bearer(&token))
    }

    pub async fn script(&self, account: &Account) -> Script {
        self.browser_and_script(account).await.1
    }

    /// A script of a member of an organization.
    pub async fn script_of(&self, org: &str, role: Role) -> Script {
        self.script(&self.member(org, role).await).await
    }

    pub fn nobodys_script(&self) -> Script {
        Script { console: self.console.clone(), headers: HeaderMap::new() }
    }

    /// A browser of nobody in particular.
    pub fn anonymous(&self) -> Browser {
        Browser {
            console: self.console.clone(),
            cookie: None,
            look: None,
            origin: Some(ORIGIN.to_owned()),
            wants: "text/html",
        }
    }

    /// A program that calls the key plane.
    pub fn program(&self) -> Program {
        Program { keys: self.keys.clone(), headers: HeaderMap::new(), address: [198, 51, 100, 7].into() }
    }

    /// A key of an organization, made by the operator.
    pub async fn key(&self, org: &str, scopes: &[&str], expires: &str) -> TestKey {
        let scopes = scopes.iter().map(|s| (*s).to_owned()).collect();
        self.make(org, CreateKeyInput { scopes, expires: expires.to_owned(), ..plain() }).await
    }

    pub async fn key_of(&self, org: &str, tier: &str, scopes: &[&str]) -> TestKey {
        let scopes = scopes.iter().map(|s| (*s).to_owned()).collect();
        self.make(org, CreateKeyInput { tier: tier.to_owned(), scopes, ..plain() }).await
    }

    /// A key that may read, from some addresses only and in some namespaces only.
    pub async fn key_from(&self, org: &str, addresses: &[&str], namespaces: &[&str]) -> TestKey {
        let owned = |texts: &[&str]| texts.iter().map(|s| (*s).to_owned()).collect();
        let input = CreateKeyInput {
            scopes: owned(&["read"]),
            ip_allowlist: owned(addresses),
            namespaces: owned(namespaces),
            ..plain()
        };
        self.make(org, input).await
    }

    pub async fn make(&self, org: &str, input: CreateKeyInput) -> TestKey {
        let org = self.org(org).await;
        let input = CreateKeyInput { allow_duplicate_name: true, ..input };
        let new = NewKey::parse(input, &self.catalog).unwrap();
        let mut m = self.mutation(RlsScope::Org(org)).await;
        let permit = m.permit().unwrap();
        let issued = lifecycle::issue(&mut m, &permit, &new).await.unwrap();
        m.commit().await.unwrap();
        TestKey { id: issued.id, secret: issued.secret.reveal().to_owned(), hint: issued.secret.hint.clone() }
    }

    /// A key that was replaced an instant ago, and has a day left.
    pub async fn replaced_key(&self, org: &str) -> TestKey {
        let key = self.key(org, &["read"], "never").await;
        let org = self.org(org).await;
        let mut m = self.mutation(RlsScope::Org(org)).await;
        let permit = m.permit().unwrap();
        let rotation = Rotation { overlap: OverlapWindow::Day, reason: Reason::Superseded, idempotency_key: None };
        lifecycle::rotate(&mut m, &permit, key.id, &rotation, &self.catalog).await.unwrap();
        self.commit(m).await;
        key
    }

    pub async fn service_key(&self, capabilities: &[&str]) -> String {
        let capabilities: Vec<String> = capabilities.iter().map(|c| (*c).to_owned()).collect();
        let mut m = self.mutation(RlsScope::Nothing).await;
        let permit = m.permit().unwrap();
        let name = KeyName::parse(&format!("gateway {}", Uuid::new_v4())).unwrap();
        let prefix = &self.catalog.service_prefix;
        let secret = lifecycle::issue_service_key(&mut m, &permit, prefix, &name, &capabilities).await.unwrap();
        m.commit().await.unwrap();
        secret.unwrap().reveal().to_owned()
    }

    /// Begins a change by the back office, as its role.
    pub async fn office_mutation(&self, actor: Actor, org: OrgId) -> Mutation {
        let (pool, audit_key, now) = (&self.operator_db, &self.server_keys.audit, self.clock.now());
        Mutation::begin(pool, audit_key, RlsScope::Org(org), actor, now).await.unwrap()
    }

    /// Begins a change by somebody of an organization, as a role.
    pub async fn mutation_of(&self, org: OrgId, user: UserId, role: Role) -> Mutation {
        let principal = keydesk::actor::Principal::Member { user, name: "Ada".to_owned(), org, role };
        self.mutation_by(Actor { principal, ..Actor::operator() }, RlsScope::Org(org)).await
    }

    /// What whoami says of a key.
    pub async fn verdict(&self, secret: &str) -> String {
        let answer = self.program().with("x-api-key", secret).get("/v1/whoami").await;
        if answer.status == 200 { "VALID".to_owned() } else { answer.json()["code"].as_str().unwrap_or("?").to_owned() }
    }

    /// How many keys an organization has, and how many of them are not revoked.
    pub async fn count(&self, org: &str) -> (i64, i64) {
        let org = self.org(org).await;
        let mut tx = self.begin(RlsScope::Org(org)).await;
        let counts = keydesk::keys::store::count(&mut tx, org).await.unwrap();
        (counts.all, counts.revocable)
    }

    /// What an organization's audit log says, oldest first: `action: summary`.
    pub async fn log(&self, org: &str) -> Vec<String> {
        let org = self.org(org).await;
        self.log_of(org.into()).await
    }

    pub async fn log_of(&self, scope: Scope) -> Vec<String> {
        let mut tx = self.begin(RlsScope::Operator).await;
        let rows = keydesk::audit::store::whole(&mut tx, scope).await.unwrap();
        rows.into_iter().map(|row| format!("{}: {}", row.action, row.summary)).collect()
    }
}

fn plain() -> CreateKeyInput {
    CreateKeyInput {
        name: "Test key".to_owned(),
        environment: "live".to_owned(),
        tier: "standard".to_owned(),
        expires: "never".to_owned(),
        ..CreateKeyInput::default()
    }
}

#[derive(Debug)]
pub struct Account {
    pub user: UserId,
    pub email: String,
}

pub struct TestKey {
    pub id: KeyId,
    pub secret: String,
    pub hint: String,
}

/// An answer, read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn location(&self) -> &str {
        self.header("location")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    /// The value of a read-only or hidden field.
    pub fn field(&self, id: &str) -> String {
        let mark = format!("id=\"{id}\"");
        let named = format!("name=\"{id}\"");
        let tag = self
            .body
            .split('<')
            .find(|tag| tag.starts_with("input") && (tag.contains(&mark) || tag.contains(&named)))
            .unwrap_or_else(|| panic!("no field {id}: {}", self.body));
        let (_, rest) = tag.split_once("value=\"").unwrap_or_else(|| panic!("no value: {tag}"));
        rest.split('"').next().unwrap().to_owned()
    }

    /// Asserts that the page says something.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "{text:?} is not in: {}", self.body);
        self
    }

    #[track_caller]
    pub fn says_not(&self, text: &str) -> &Self {
        assert!(!self.body.contains(text), "{text:?} is in: {}", self.body);
        self
    }

    /// On a page with two elements of one id, a label names the wrong field.
    fn assert_ids_are_unique(&self) {
        if !self.header("content-type").starts_with("text/html") {
            return;
        }
        let ids: Vec<&str> = self.body.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "an id is there twice: {ids:?}");
    }

    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }
}

async fn call(router: &Router, address: IpAddr, mut request: Request<Body>) -> Answer {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 40_000)));
    // A test is one thread: a loop of calls that wait for nothing would keep the node from renewing its lease.
    tokio::task::yield_now().await;
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let answer =
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() };
    answer.assert_ids_are_unique();
    answer
}

/// Somebody's browser at the console.
#[derive(Clone)]
pub struct Browser {
    console: Router,
    /// The session's.
    pub cookie: Option<String>,
    /// How its pages look.
    look: Option<String>,
    pub origin: Option<String>,
    wants: &'static str,
}

impl Browser {
    /// The browser half's requests, which are answered with JSON.
    pub fn script(mut self) -> Self {
        self.wants = "application/json";
        self
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, Body::empty(), &[]).await
    }

    /// A form, as browsers send one.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.request("POST", path, body.into(), &[("content-type", "application/x-www-form-urlencoded")]).await
    }

    pub async fn request(&mut self, method: &str, path: &str, body: Body, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, self.wants);
        request = request.header(header::USER_AGENT, "test browser");
        for cookie in self.cookie.iter().chain(&self.look) {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(origin) = &self.origin {
            request = request.header(header::ORIGIN, origin);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = call(&self.console, [192, 0, 2, 9].into(), request.body(body).unwrap()).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            let kept = if cookie.starts_with("keydesk_look=") { &mut self.look } else { &mut self.cookie };
            *kept = (!cookie.ends_with('=')).then_some(cookie);
        }
        answer
    }
}

/// A program at the key plane.
#[derive(Clone)]
pub struct Program {
    keys: Router,
    headers: HeaderMap,
    pub address: IpAddr,
}

impl Program {
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub fn bearer(self, secret: &str) -> Self {
        self.with("authorization", &format!("Bearer {secret}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.clone().with("content-type", "application/json").request("POST", path, body.to_string().into()).await
    }

    pub async fn request(&self, method: &str, path: &str, body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        *request.headers_mut() = self.headers.clone();
        call(&self.keys, self.address, request).await
    }
}

/// Somebody's script at the management API.
#[derive(Clone)]
pub struct Script {
    console: Router,
    headers: HeaderMap,
}

impl Script {
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// The token it holds.
    pub fn token(&self) -> String {
        self.headers["authorization"].to_str().unwrap()["Bearer ".len()..].to_owned()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, Body::empty()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: &serde_json::Value) -> Answer {
        self.clone().with("content-type", "application/json").request(method, path, body.to_string().into()).await
    }

    pub async fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub async fn request(&self, method: &str, path: &str, body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        *request.headers_mut() = self.headers.clone();
        call(&self.console, [192, 0, 2, 10].into(), request).await
    }
}
