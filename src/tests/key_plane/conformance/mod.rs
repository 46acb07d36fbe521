//! The five systems as their customers meet them: `keydesk serve` with the preset and nothing else set, and each request
//! that their documentation shows, over HTTP. What the documentation says is quoted where it is checked.

mod heffl;
mod heir;
mod helios;
mod heso;
mod holonomix;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal::SIGTERM;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;

use crate::{
    process::{Folder, PATIENCE, end, ran, serving},
    world::{Answer, PASSWORD, TestDatabase},
};

/// A running server of a preset, on a database of its own.
pub struct Deployment {
    preset: String,
    folder: Folder,
    data: PathBuf,
    database: TestDatabase,
    child: Child,
    http: reqwest::Client,
    /// Where the console and the management API listen.
    console: String,
    /// What a browser calls the console.
    origin: String,
    pub keys: SocketAddr,
}

impl Deployment {
    pub async fn of(preset: &str) -> Self {
        Self::with(preset, None).await
    }

    /// `origin`: what people call the console, where it is not what it listens on.
    pub async fn with(preset: &str, origin: Option<&str>) -> Self {
        let (database, data) = crate::world::plain_owners_database().await;
        let folder = Folder::new();
        // A proxy in front of the console knows its port.
        let console = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = command(&folder, &data, &database.url, preset, &["serve"]);
        command.env("KEYDESK_CONSOLE_ADDR", console.to_string());
        command.env("KEYDESK_TRUSTED_PROXIES", "127.0.0.1");
        if let Some(origin) = origin {
            command.env("KEYDESK_CONSOLE_ORIGIN", origin);
        }
        let (child, said) = serving(&mut command, &["Console", "Key plane"]).unwrap();
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self {
            preset: preset.to_owned(),
            folder,
            data,
            database,
            child,
            http,
            console: format!("http://{console}"),
            origin: said[0].clone(),
            keys: said[1].trim_start_matches("http://").parse().unwrap(),
        }
    }

    /// The same program as a command, beside the server.
    pub fn run(&self, arguments: &[&str], input: &str) -> String {
        ran(&mut command(&self.folder, &self.data, &self.database.url, &self.preset, arguments), input).ok().to_owned()
    }

    /// The database, as whoever may see everything in it.
    pub fn database(&self) -> PgConnectOptions {
        self.database.all_seeing.clone()
    }

    pub async fn call(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = self.http.request(method.parse().unwrap(), url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    /// A request to the key plane's listener.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let json = [headers, &[("content-type", "application/json")]].concat();
        let (headers, body) =
            if body.is_null() { (headers, String::new()) } else { (json.as_slice(), body.to_string()) };
        self.call(method, &format!("http://{}{path}", self.keys), headers, &body).await
    }

    pub async fn whoami(&self, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", "/v1/whoami", headers, &Value::Null).await
    }

    /// What is left of a key: `VALID`, or why not.
    pub async fn verdict(&self, key: &str) -> String {
        let answer = self.whoami(&[("x-api-key", key)]).await;
        if answer.status == 200 { "VALID".to_owned() } else { answer.json()["code"].as_str().unwrap().to_owned() }
    }

    /// A request to the API, as a proxy describes it that found these headers on it.
    pub async fn forward(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.forward_expecting("", method, target, headers).await
    }

    /// The same, where the proxy's configuration adds what it expects.
    pub async fn forward_expecting(&self, query: &str, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = [headers, &[("x-forwarded-method", method), ("x-forwarded-uri", target)]].concat();
        self.ask("GET", &format!("/v1/forward-auth{query}"), &headers, &Value::Null).await
    }

    /// A request to the management API; with a body as it is written.
    pub async fn api(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let headers = if body.is_empty() { &headers[..1] } else { &headers[..] };
        self.call(method, &format!("{}{path}", self.console), headers, body).await
    }

    /// The owner of a new organization, signed in at the console.
    pub async fn owner(&self, org: &str) -> Person<'_> {
        let email = format!("ada@{org}.example");
        self.add(&["--email", &email, "--name", "Ada", "--org", org]);
        self.sign_in(&email).await
    }

    /// Adds somebody who can sign in.
    pub fn add(&self, person: &[&str]) {
        self.run(&[&["user", "create", "--password-stdin"], person].concat(), &format!("{PASSWORD}\n"));
    }

    pub async fn sign_in(&self, email: &str) -> Person<'_> {
        let mut person = self.anonymous();
        let form = [("email", email), ("password", PASSWORD), ("next", "")];
        assert_eq!(person.post("sign-in", &form).await.is(303).location(), "/keys");
        person
    }

    pub fn stop(&mut self) {
        end(&mut self.child, SIGTERM);
    }

    pub fn anonymous(&self) -> Person<'_> {
        Person { deployment: self, cookie: String::new() }
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.stop();
    }
}

fn command(folder: &Folder, data: &PathBuf, database: &str, preset: &str, arguments: &[&str]) -> Command {
    let mut command = folder.command(arguments);
    command.env("KEYDESK_DATA_DIR", data).env("DATABASE_URL", database).env("KEYDESK_CATALOG", preset);
    command
}

/// Somebody at the console, by its pages and forms.
pub struct Person<'a> {
    deployment: &'a Deployment,
    pub cookie: String,
}

impl Person<'_> {
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "text/html", "").await
    }

    pub async fn post(&mut self, name: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send("POST", &format!("/console/fn/{name}"), "text/html", &body).await
    }

    async fn send(&mut self, method: &str, path: &str, wants: &str, body: &str) -> Answer {
        let url = format!("{}{path}", self.deployment.console);
        let headers = [
            ("accept", wants),
            ("cookie", self.cookie.as_str()),
            ("origin", self.deployment.origin.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let headers = if method == "GET" { &headers[..3] } else { &headers[..] };
        let answer = self.deployment.call(method, &url, headers, body).await;
        if let Some((cookie, _)) = answer.header("set-cookie").split_once(';') {
            self.cookie = cookie.to_owned();
        }
        answer
    }

    /// The page that shows a new key; the fields are those of the form besides its id, and no expiry.
    pub async fn create_page(&mut self, fields: &[(&str, &str)]) -> Answer {
        let idempotency_key = uuid::Uuid::new_v4().to_string();
        let form = [&[("idempotency_key", idempotency_key.as_str()), ("expires", "never")], fields].concat();
        self.post("keys/issue", &form).await
    }

    pub async fn create(&mut self, fields: &[(&str, &str)]) -> String {
        self.create_page(fields).await.is(200).field("issued-secret")
    }

    pub async fn revoke(&mut self, key: &str) {
        let id =
            self.deployment.whoami(&[("x-api-key", key)]).await.is(200).json()["key_id"].as_str().unwrap().to_owned();
        self.post("keys/revoke", &[("key_id", &id), ("reason", "other")]).await.is(200);
    }

    /// An access token for the management API.
    pub async fn token(&mut self) -> String {
        self.post("account/access-token", &[]).await.is(200).field("issued-token")
    }
}

/// Waits for what follows by itself, such as a use that is written down.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let patience = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < patience, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) {
    answer.is(status);
    assert_eq!(answer.json()["code"], code, "{}", answer.body);
}
