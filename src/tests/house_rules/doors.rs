//! Every door × every kind of principal: a table that is read as a diff. A door that is not in it fails the test.

use std::collections::BTreeSet;

use axum::body::Body;
use keydesk::{actor::Role, catalog::Catalog, console_plane, key_plane, management_api, operator_api};
use leptos::server_fn::axum::server_fn_paths;
use serde_json::json;
use uuid::Uuid;

use crate::world::{Account, Answer, Browser, Program, World};

/// Who knocks at the console.
const PEOPLE: [&str; 8] = ["Anonymous", "Viewer", "Developer", "Admin", "Owner", "Support", "Program", "Foreign"];

struct Cast {
    viewer: Account,
    developer: Account,
    admin: Account,
    owner: Account,
    support: Account,
    api_key: String,
}

impl Cast {
    async fn of(world: &World) -> Self {
        Self {
            viewer: world.member("acme", Role::Viewer).await,
            developer: world.member("acme", Role::Developer).await,
            admin: world.member("acme", Role::Admin).await,
            owner: world.member("acme", Role::Owner).await,
            support: world.staff().await,
            api_key: world.key("acme", &["read"], "never").await.secret,
        }
    }

    /// A browser with a session of its own, and the headers it sends besides.
    async fn browser(&self, world: &World, who: &str) -> (Browser, Vec<(&'static str, String)>) {
        let account = match who {
            "Viewer" => &self.viewer,
            "Developer" => &self.developer,
            "Admin" => &self.admin,
            "Owner" | "Foreign" => &self.owner,
            "Support" => &self.support,
            "Program" => {
                let bearer = format!("Bearer {}", self.api_key);
                return (world.anonymous(), vec![("x-api-key", self.api_key.clone()), ("authorization", bearer)]);
            }
            _ => return (world.anonymous(), Vec::new()),
        };
        let mut browser = world.browser(account).await;
        if who == "Foreign" {
            browser.origin = Some("https://evil.example".to_owned());
        }
        (browser, Vec::new())
    }
}

/// A form that would be accepted from whoever may send it.
async fn form(world: &World, name: &str) -> Vec<(&'static str, String)> {
    let fresh = Uuid::new_v4().to_string();
    let fields: Vec<(&'static str, String)> = match name {
        "keys/issue" => vec![
            ("idempotency_key", fresh.clone()),
            ("name", fresh),
            ("environment", "live".into()),
            ("tier", "standard".into()),
            ("scopes[]", "read".into()),
            ("expires", "never".into()),
        ],
        "keys/confirm" => {
            let secret = world.key("acme", &[], "never").await;
            let last_four = secret.secret.chars().skip(secret.secret.len() - 4).collect();
            vec![("key_id", secret.id.to_string()), ("last_four", last_four)]
        }
        "keys/revoke" => {
            let key = world.key("acme", &[], "never").await;
            vec![("key_id", key.id.to_string()), ("reason", "other".into())]
        }
        "keys/edit" => {
            let key = world.key("acme", &["read"], "never").await;
            vec![
                ("key_id", key.id.to_string()),
                ("version", String::new()),
                ("overwrite", "true".into()),
                ("name", "Renamed".into()),
                ("namespaces", String::new()),
                ("ip_allowlist", String::new()),
                ("expires", String::new()),
            ]
        }
        "keys/disable" | "keys/enable" => {
            let key = world.key("acme", &[], "never").await;
            vec![("key_id", key.id.to_string())]
        }
        "keys/rotate" => {
            let key = world.key("acme", &[], "never").await;
            vec![
                ("idempotency_key", fresh),
                ("key_id", key.id.to_string()),
                ("window", "24h".into()),
                ("reason", "superseded".into()),
            ]
        }
        "keys/extend" | "keys/finish" => {
            let key = world.replaced_key("acme").await;
            vec![("key_id", key.id.to_string())]
        }
        "keys/revoke-some" => {
            let key = world.key("acme", &[], "never").await;
            vec![("key_ids[]", key.id.to_string()), ("reason", "other".into())]
        }
        "keys/revoke-all" => vec![("confirmation", "acme".into())],
        "webhooks/generate" | "webhooks/regenerate" => vec![("idempotency_key", fresh), ("environment", "live".into())],
        "members/role" | "members/remove" => {
            let member = world.member("acme", Role::Viewer).await;
            vec![("user_id", member.user.0.to_string()), ("role", "developer".into())]
        }
        "sessions/end" => vec![("session_id", fresh)],
        "account/look" => vec![("theme", "dark".into()), ("density", "compact".into())],
        "sessions/end-all" | "sign-out" | "account/access-token" => vec![],
        "account/password" => {
            vec![("current", "wrong, and long enough".into()), ("new", "another long pass phrase".into())]
        }
        "sign-in" => vec![("email", "nobody@example.com".into()), ("password", "x".into()), ("next", String::new())],
        "setup" => vec![
            ("token", "x".into()),
            ("organization", "A".into()),
            ("name", "B".into()),
            ("email", "c@example.com".into()),
            ("password", "x".into()),
        ],
        "support/find" => vec![("query", "kd_live_AbCd…WxYz".into())],
        "support/revoke" => {
            let key = world.key("acme", &[], "never").await;
            vec![("key_id", key.id.to_string()), ("reason", "other".into()), ("ticket", "T-1".into())]
        }
        other => panic!("{other} is not in the doors table: add a form for it"),
    };
    fields
}

fn shown(answer: &Answer) -> String {
    let location = answer.location();
    if location.is_empty() {
        answer.status.as_u16().to_string()
    } else {
        format!("{}→{location}", answer.status.as_u16())
    }
}

fn line(door: &str, answers: &[String]) -> String {
    let cells: String = answers.iter().map(|answer| format!(" {answer:<42}")).collect();
    format!("{door:<38}{}\n", cells.trim_end())
}

#[tokio::test]
async fn every_door_of_the_console() {
    let world = World::new().await;
    let cast = Cast::of(&world).await;
    let mut table = line("", &PEOPLE.map(str::to_owned));
    for (method, path) in console_plane::router::ROUTES {
        let mut answers = Vec::new();
        for who in PEOPLE {
            let (mut browser, headers) = cast.browser(&world, who).await;
            let path = path.replace("{id}", &world.key("acme", &[], "never").await.id.to_string());
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = browser.request(method, &path, Body::empty(), &headers).await;
            let id = path.strip_prefix("/keys/").unwrap_or("no id");
            answers.push(shown(&answer).replace(id, "ID"));
        }
        table += &line(&format!("{method} {path}"), &answers);
    }
    let functions: BTreeSet<&str> = server_fn_paths().map(|(path, _)| path).collect();
    assert!(functions.len() >= 13, "{functions:?}");
    for path in functions {
        let name = path.strip_prefix("/console/fn/").expect("server functions have names of their own");
        let mut answers = Vec::new();
        for who in PEOPLE {
            let (mut browser, headers) = cast.browser(&world, who).await;
            let fields = form(&world, name).await;
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            headers.push(("content-type", "application/x-www-form-urlencoded"));
            answers.push(shown(&browser.request("POST", path, body.into(), &headers).await));
        }
        table += &line(&format!("POST {path}"), &answers);
    }
    insta::assert_snapshot!(table);
}

/// Who knocks where programs do, and the API key that some of them hold.
async fn programs(world: &World) -> (Vec<(&'static str, Program)>, String) {
    let owner = world.owner_of("acme").await;
    let key = world.key("acme", &["read"], "never").await.secret;
    let (verify, operate) = (world.service_key(&["verify"]).await, world.service_key(&["operate"]).await);
    let session = owner.cookie.unwrap().split_once('=').unwrap().1.to_owned();
    let programs = vec![
        ("Anonymous", world.program()),
        (
            "Session cookie",
            world.program().with("cookie", &format!("keydesk-3000={session}; __Host-keydesk={session}")),
        ),
        ("Session as Bearer", world.program().bearer(&session)),
        ("API key", world.program().with("x-api-key", &key)),
        ("API key as Bearer", world.program().bearer(&key)),
        ("API key in a query", world.program()),
        ("Service key, verify", world.program().bearer(&verify)),
        ("Service key, operate", world.program().bearer(&operate)),
    ];
    (programs, key)
}

/// A program's answer: its status, and the verdict's word.
fn told(answer: &Answer) -> String {
    let code = serde_json::from_str(&answer.body).unwrap_or(serde_json::Value::Null);
    let code = code["code"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
    format!("{}{code}", answer.status.as_u16())
}

#[tokio::test]
async fn every_door_of_the_operator_api() {
    let world = World::new().await;
    let (mut programs, key) = programs(&world).await;
    let operate = world.service_key(&["operate"]).await;
    programs.push(("Operate, x-api-key", world.program().with("x-api-key", &operate)));
    let mut table = line("", &programs.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    let document = operator_api::router::document();
    let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.as_str()))
    });
    for (method, path) in described.chain([("GET".to_owned(), "/gate/openapi.json")]) {
        let mut answers = Vec::new();
        for (name, program) in &programs {
            let tenant_id = format!("t{}", Uuid::new_v4().simple());
            let route = path.replace("{tenant_id}", "acme");
            let body = match path {
                "/gate/admin/tenants" => serde_json::json!({ "tenant_id": tenant_id, "name": "A" }),
                "/gate/onboard/first-key" => {
                    world.org(&tenant_id).await;
                    serde_json::json!({ "tenant_id": tenant_id })
                }
                "/gate/onboard/rotate-key" => {
                    world.key(&tenant_id, &[], "never").await;
                    serde_json::json!({ "tenant_id": tenant_id })
                }
                _ => serde_json::json!({ "tenant_id": "acme", "namespace": "a" }),
            };
            let route = if name.ends_with("query") { format!("{route}?x-api-key={key}") } else { route };
            let answer = match method.as_str() {
                "GET" => program.get(&route).await,
                _ => program.post(&route, &body).await,
            };
            answers.push(told(&answer));
        }
        table += &line(&format!("{method} {path}"), &answers);
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn every_door_of_the_key_plane() {
    // Of a catalog that has all of them.
    let catalog = format!("audit_scope = \"read\"\n{}", include_str!("../../catalog/presets/default.toml"));
    let world = World::of(Catalog::parse(&catalog).unwrap(), "").await;
    let (programs, key) = programs(&world).await;
    let mut table = line("", &programs.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    for (method, path) in key_plane::ROUTES {
        let mut answers = Vec::new();
        for (name, program) in &programs {
            let program = match path {
                "/v1/forward-auth" => {
                    program.clone().with("x-forwarded-method", "GET").with("x-forwarded-uri", "/anything")
                }
                _ => program.clone(),
            };
            let path =
                if name.ends_with("query") { format!("{path}?x-api-key={key}&key={key}") } else { path.to_owned() };
            let answer = match method {
                "GET" => program.get(&path).await,
                _ => program.post(&path, &json!({ "key": key })).await,
            };
            answers.push(told(&answer));
        }
        table += &line(&format!("{method} {path}"), &answers);
    }
    insta::assert_snapshot!(table);
}

/// A body that would be taken from whoever may send it.
fn body_for(operation: &str) -> serde_json::Value {
    match operation {
        "createKey" => json!({ "name": "CI", "allow_duplicate_name": true }),
        "editKey" | "putKey" => json!({ "name": "Renamed" }),
        "createWebhookSecret" | "regenerateWebhookSecret" => json!({ "environment": "live" }),
        "setRole" => json!({ "role": "developer" }),
        "removeMember" | "createToken" | "listKeys" | "revokeAllKeys" | "readKey" | "disableKey" | "enableKey"
        | "rotateKey" | "revokeKey" | "listMembers" | "listWebhookSecrets" | "listAudit" | "readReceipt" => {
            serde_json::Value::Null
        }
        other => panic!("{other} is not in the doors table: add a body for it"),
    }
}

#[tokio::test]
async fn every_door_of_the_management_api() {
    let world = World::new().await;
    let cast = Cast::of(&world).await;
    let (verify, operate) = (world.service_key(&["verify"]).await, world.service_key(&["operate"]).await);
    let session = world.browser(&cast.owner).await.cookie.unwrap();
    let session_id = session.split_once('=').unwrap().1.to_owned();
    let owner = world.script(&cast.owner).await;
    let nobody = || world.nobodys_script();
    let scripts = [
        ("Anonymous", nobody()),
        ("Session cookie", nobody().with("cookie", &format!("{session}; __Host-keydesk={session_id}"))),
        ("Session as Bearer", nobody().bearer(&session_id)),
        ("Token as cookie", nobody().with("cookie", &format!("access_token={}", owner.token()))),
        ("Token as key", nobody().with("x-api-key", &owner.token())),
        ("API key", nobody().bearer(&cast.api_key).with("x-api-key", &cast.api_key)),
        ("Key, verify", nobody().bearer(&verify)),
        ("Key, operate", nobody().bearer(&operate)),
        ("Support", nobody().bearer(&crate::management_api::access_tokens::forged_for(&world, &cast.support).await)),
        ("Viewer", world.script(&cast.viewer).await),
        ("Developer", world.script(&cast.developer).await),
        ("Admin", world.script(&cast.admin).await),
        ("Owner", owner.clone()),
    ];
    let row = |door: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:<18}")).collect();
        format!("{door:<48}{}\n", cells.trim_end())
    };
    let mut table = row("", &scripts.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    let document = management_api::router::document(&world.catalog);
    let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| {
            (method.to_uppercase(), path.clone(), body_for(operation["operationId"].as_str().unwrap()))
        })
    });
    let undescribed = management_api::router::UNDESCRIBED.iter();
    let undescribed = undescribed.map(|(method, path)| ((*method).to_owned(), (*path).to_owned(), json!(null)));
    for (method, path, body) in described.chain(undescribed) {
        let mut answers = Vec::new();
        for (_, script) in &scripts {
            let id = match path.contains("members") {
                true => world.member("acme", Role::Viewer).await.user.0,
                false => world.key("acme", &[], "never").await.id.0,
            };
            let path = path.replace("{id}", &id.to_string()).replace("{revision}", "1");
            let answer = match &body {
                serde_json::Value::Null => script.request(&method, &path, Body::empty()).await,
                body => script.send(&method, &path, body).await,
            };
            let problem = answer.header("content-type") == "application/problem+json";
            let kind = if problem {
                answer.json()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
            } else {
                String::new()
            };
            answers.push(format!("{} {kind}", answer.status.as_u16()).trim_end().to_owned());
        }
        table += &row(&format!("{method} {path}"), &answers);
    }
    insta::assert_snapshot!(table);
    // And a token opens no other door.
    let token = owner.token();
    for answer in [
        world.program().bearer(&token).get("/v1/whoami").await,
        world.program().with("x-api-key", &token).get("/v1/whoami").await,
        world.program().bearer(&token).post("/v1/keys/verify", &json!({ "key": cast.api_key })).await,
    ] {
        answer.is(401);
    }
    let bearer = format!("Bearer {token}");
    world.anonymous().request("GET", "/keys", Body::empty(), &[("authorization", &bearer)]).await.is(303);
}
