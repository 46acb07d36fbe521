//! The audit log: no row, no effect; no change unnoticed.

use std::net::SocketAddr;

use axum::{body::Body, extract::ConnectInfo};
use http::Request;
use http_body_util::BodyExt;
use keydesk::{
    actor::Actor,
    audit::{
        self, Event, Row,
        chain::{Broken, Checker},
        heads::Heads,
        store::CheckError,
    },
    catalog::Catalog,
    database::{self, RlsScope},
    ids::Scope,
    keys::lifecycle::CreateKeyInput,
};
use tower::ServiceExt;
use uuid::Uuid;

use crate::world::{Answer, TestKey, World};

async fn check(world: &World) -> Result<(u64, i64), Broken> {
    let mut tx = world.begin(RlsScope::Operator).await;
    match audit::store::check_all(&mut tx, &world.server_keys.audit, &Default::default()).await {
        Ok(checked) => Ok((checked.heads.0.len() as u64, checked.rows)),
        Err(CheckError::Broken(broken)) => Err(broken),
        Err(CheckError::Database(error)) => panic!("{error}"),
    }
}

/// Runs a statement as the owner, whom no rule binds.
async fn tamper(world: &World, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&world.owner).await.unwrap();
}

#[tokio::test]
async fn a_chain_that_is_cut_with_its_head_or_lost_or_written_anew_is_noticed_by_where_it_ended() {
    let world = World::new().await;
    world.key("acme", &[], "never").await;
    world.key("other", &[], "never").await;
    let check = async |kept: &Heads| {
        let mut tx = world.begin(RlsScope::Operator).await;
        audit::store::check_all(&mut tx, &world.server_keys.audit, kept).await.map(|checked| checked.heads)
    };
    let folder = std::env::temp_dir().join(format!("keydesk-heads-{}", Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    check(&Heads::default()).await.unwrap().write(&folder).unwrap();
    let kept = Heads::read(&folder).unwrap();
    assert_eq!(check(&kept).await.unwrap(), kept);
    let (chain, other) = (world.org("acme").await.0, world.org("other").await.0);
    let rows = kept.0[&chain].seq;
    let is = |found: Result<Heads, CheckError>, wanted: Broken| match found {
        Err(CheckError::Broken(broken)) => assert_eq!(broken, wanted),
        found => panic!("{found:?}"),
    };
    // The last row goes, and the head says so. In itself the log is whole.
    let cut = format!(
        "delete from audit_events where chain = '{chain}' and seq = {rows};
        update audit_heads h set seq = e.seq, hash = e.hash from audit_events e
        where h.chain = '{chain}' and e.chain = h.chain and e.seq = {rows} - 1"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(cut)).execute(&world.owner).await.unwrap();
    assert!(check(&Heads::default()).await.is_ok());
    is(check(&kept).await, Broken::Cut { chain, kept: rows, rows: rows - 1 });
    // It grows beyond where it ended, with other rows.
    for _ in 0..2 {
        world.key("acme", &[], "never").await;
    }
    assert!(check(&Heads::default()).await.is_ok());
    is(check(&kept).await, Broken::Replaced { chain, seq: rows });
    let lost =
        format!("delete from audit_events where chain = '{other}'; delete from audit_heads where chain = '{other}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lost)).execute(&world.owner).await.unwrap();
    assert!(check(&Heads::default()).await.is_ok());
    let lacking = Heads(kept.0.iter().filter(|(chain, _)| **chain == other).map(|(c, h)| (*c, h.clone())).collect());
    is(check(&lacking).await, Broken::Missing { chain: other, kept: kept.0[&other].seq });
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_check_beside_a_writer_sees_one_moment() {
    let world = World::new().await;
    world.key("acme", &[], "never").await;
    let (org, mut writer) = (world.org("acme").await, world.owner.begin().await.unwrap());
    sqlx::raw_sql("lock table audit_events in access exclusive mode").execute(&mut *writer).await.unwrap();
    let checking = tokio::spawn({
        let world = world.clone();
        async move {
            let mut tx = database::read_snapshot(&world.db, RlsScope::Operator).await.unwrap();
            audit::store::check_all(&mut tx, &world.server_keys.audit, &Default::default()).await
        }
    });
    // It has read the heads, and a row is added before it reads the rows.
    world.until_blocked().await;
    let event = Event {
        action: "key.edit",
        subject: String::new(),
        summary: "Meanwhile".to_owned(),
        details: serde_json::json!({}),
    };
    let row = event.into_row(org.into(), &Actor::operator(), world.clock.now(), false);
    audit::append(&mut writer, &world.server_keys.audit, row).await.unwrap();
    writer.commit().await.unwrap();
    assert!(checking.await.unwrap().is_ok());
    assert!(check(&world).await.is_ok());
}

#[tokio::test]
async fn every_mutation_leaves_a_row_in_its_own_chain() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut owner = world.owner_of("acme").await;
    let fresh = || Uuid::new_v4().to_string();
    let before = world.log("acme").await.len();
    let (form, second, third) = (fresh(), fresh(), fresh());
    let issue = [
        ("idempotency_key", form.as_str()),
        ("name", "CI"),
        ("environment", "live"),
        ("tier", "standard"),
        ("expires", "never"),
    ];
    owner.post("/console/fn/keys/issue", &issue).await.is(200);
    owner.post("/console/fn/keys/revoke", &[("key_id", &key.id.to_string()), ("reason", "other")]).await.is(200);
    owner.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(200);
    owner.post("/console/fn/webhooks/generate", &[("idempotency_key", &second), ("environment", "live")]).await.is(200);
    owner
        .post("/console/fn/webhooks/regenerate", &[("idempotency_key", &third), ("environment", "live")])
        .await
        .is(200);
    owner.get("/audit/export").await.is(200);
    owner
        .post("/console/fn/account/password", &[("current", "not mine at all"), ("new", "a new long pass phrase")])
        .await
        .is(422);
    owner.post("/console/fn/sessions/end-all", &[]).await.is(303);
    let log = world.log("acme").await;
    let actions: Vec<&str> = log[before..].iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "key.issue",
            "key.revoke",
            "key.revoke_all",
            "webhook_secret.generate",
            "webhook_secret.regenerate",
            "audit.export",
            "password.change",
            "session.end_all",
        ]
    );
    assert!(check(&world).await.is_ok());
    world.clock.advance(time::Duration::MINUTE);
    let mut viewer = world.owner_of("acme").await;
    viewer.get("/audit").await.is(200).says("Created key “CI”").says("192.0.2.9").says("Refused a change of password");
}

#[tokio::test]
async fn without_its_audit_row_nothing_happens() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut owner = world.owner_of("acme").await;
    tamper(&world, "revoke insert on audit_events from keydesk_console").await;
    let idempotency_key = Uuid::new_v4().to_string();
    let issue = [
        ("idempotency_key", idempotency_key.as_str()),
        ("name", "CI"),
        ("environment", "live"),
        ("tier", "standard"),
        ("expires", "never"),
    ];
    owner.post("/console/fn/keys/issue", &issue).await.is(503).says("CI");
    owner.post("/console/fn/keys/revoke", &[("key_id", &key.id.to_string()), ("reason", "other")]).await.is(503);
    owner.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(503);
    owner
        .post("/console/fn/webhooks/generate", &[("idempotency_key", &idempotency_key), ("environment", "live")])
        .await
        .is(503);
    assert_eq!(world.count("acme").await, (1, 1));
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    let secrets: i64 =
        sqlx::query_scalar("select count(*) from webhook_secrets").fetch_one(&world.owner).await.unwrap();
    assert_eq!(secrets, 0);
}

#[tokio::test]
async fn concurrent_changes_make_one_gapless_chain() {
    let world = World::new().await;
    let mut browsers = Vec::new();
    for _ in 0..6 {
        browsers.push(world.owner_of("acme").await);
    }
    let jobs: Vec<_> = browsers
        .into_iter()
        .map(|mut browser| {
            tokio::spawn(async move {
                for _ in 0..5 {
                    let idempotency_key = Uuid::new_v4().to_string();
                    let form = [
                        ("idempotency_key", idempotency_key.as_str()),
                        ("name", idempotency_key.as_str()),
                        ("environment", "live"),
                        ("tier", "high"),
                        ("expires", "7d"),
                    ];
                    browser.post("/console/fn/keys/issue", &form).await.is(200);
                }
            })
        })
        .collect();
    for job in jobs {
        job.await.unwrap();
    }
    let (_, rows) = check(&world).await.unwrap();
    assert_eq!(rows, 1 + 6 + 30);
}

#[tokio::test]
async fn whatever_is_done_to_the_log_is_named_by_its_row() {
    for (statement, found) in [
        ("update audit_events set summary = 'Nothing happened' where seq = 3", "row 3 is not as it was written"),
        ("update audit_events set at = at + interval '1 microsecond' where seq = 2", "row 2 is not as it was written"),
        ("delete from audit_events where seq = 2", "row 3 stands where row 2 should"),
        ("delete from audit_events where seq = (select max(seq) from audit_events)", "its head says"),
        (
            "update audit_heads set seq = seq - 1; delete from audit_events where seq = (select max(seq) from audit_events)",
            "is not as it was written",
        ),
        ("delete from audit_heads", "its head says 0 rows"),
        (
            "update audit_events set seq = seq + 100 where seq = 2; update audit_events set seq = 2 where seq = 3; update audit_events set seq = 3 where seq = 102",
            "row 2 is not as it was written",
        ),
    ] {
        let world = World::new().await;
        for _ in 0..3 {
            world.key("acme", &[], "never").await;
        }
        assert_eq!(check(&world).await, Ok((1, 4)));
        tamper(&world, statement).await;
        let broken = check(&world).await.expect_err(statement).to_string();
        assert!(broken.contains(found), "{statement}: {broken}");
    }
}

#[tokio::test]
async fn an_export_is_checked_without_the_database() {
    let world = World::new().await;
    world.key("acme", &[], "never").await;
    let mut admin = world.admin("acme").await;
    let export = admin.get("/audit/export").await;
    assert_eq!(export.header("content-disposition"), "attachment; filename=\"audit.jsonl\"");
    let rows: Vec<Row> = export.is(200).body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.last().unwrap().action, "audit.export");
    let key = &world.server_keys.audit;
    let mut checker = Checker::new(key, world.org("acme").await.0);
    rows.iter().try_for_each(|row| checker.row(row)).unwrap();
    assert_eq!(checker.rows(), rows.len() as i64);
    world.viewer("acme").await.get("/audit/export").await.is(403);
}

#[tokio::test]
async fn the_page_goes_back_through_a_long_log() {
    let world = World::new().await;
    for _ in 0..120 {
        world.key("acme", &[], "never").await;
    }
    let mut owner = world.owner_of("acme").await;
    let first = owner.get("/audit").await;
    let older = first.body.split("/audit?before=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(older, "73");
    let second = owner.get("/audit?before=73").await;
    second.says("/audit?before=23").says("Newest");
    owner.get("/audit?before=23").await.says("Created the organization").says_not("Older");
    owner.get("/audit?before=x").await.is(200);
}

#[tokio::test]
async fn a_refused_act_of_staff_is_in_the_deployments_log() {
    let world = World::new().await;
    world.support().await.get("/keys").await.is(403);
    let log = world.log_of(Scope::Deployment).await;
    assert_eq!(log.last().unwrap(), "denied: Refused: support may not see API keys");
}

/// A wish for a key of the catalog's first environment and tier.
fn wish(world: &World, scope: &str) -> CreateKeyInput {
    CreateKeyInput {
        name: "Auditor".to_owned(),
        environment: world.catalog.environments[0].name.clone(),
        tier: world.catalog.tiers[0].name.clone(),
        scopes: vec![scope.to_owned()],
        expires: "never".to_owned(),
        ..CreateKeyInput::default()
    }
}

#[tokio::test]
async fn a_key_reads_its_organizations_chain_page_by_page() {
    let world = World::of(Catalog::load("heso").unwrap(), "").await;
    let key = world.make("acme", wish(&world, "audit:read")).await;
    let theirs = world.make("other", wish(&world, "audit:read")).await;
    let lines = |answer: &Answer| -> Vec<Row> {
        assert_eq!(answer.is(200).header("content-type"), "application/jsonl; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let whole = |rows: &[Row]| {
        let mut checker = Checker::new(&world.server_keys.audit, rows[0].chain);
        rows.iter().try_for_each(|row| checker.row(row)).unwrap();
        checker.rows()
    };
    assert_eq!(whole(&lines(&world.program().bearer(&key.secret).get("/v1/audit/chain").await)), 2);
    // Longer than a page, exactly two, and more than two.
    let org = world.org("acme").await;
    for rows in [101, 200, 201] {
        let mut m = world.mutation(RlsScope::Org(org)).await;
        while audit::store::last(&mut m, org.into()).await.unwrap() < rows {
            let event = Event {
                action: "test",
                subject: String::new(),
                summary: "A line\nbreak".to_owned(),
                details: serde_json::json!({}),
            };
            m.record(event).await.unwrap();
        }
        m.commit().await.unwrap();
        let [bearer, header] = [
            world.program().bearer(&key.secret).get("/v1/audit/chain").await,
            world.program().with("x-api-key", &key.secret).get("/v1/audit/chain").await,
        ];
        assert_eq!(bearer.body, header.body);
        let read = lines(&header);
        assert!(whole(&read) == rows && read[0].chain == org.0, "{rows}");
    }
    let read = lines(&world.program().bearer(&theirs.secret).get("/v1/audit/chain").await);
    assert!(whole(&read) == 2 && read[0].chain == world.org("other").await.0);
}

/// The answer's head; its body is read when it is taken.
async fn begun(world: &World, key: &TestKey) -> http::Response<Body> {
    let mut request = Request::get("/v1/audit/chain").header("x-api-key", &key.secret).body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
    world.keys.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_chain_is_told_as_it_was_when_the_key_was_judged_and_whole_or_visibly_not() {
    let world = World::of(Catalog::load("heso").unwrap(), "").await;
    let key = world.make("acme", wish(&world, "audit:read")).await;
    let response = begun(&world, &key).await;
    let before = world.log("acme").await.len();
    world.make("acme", wish(&world, "audit:read")).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.iter().filter(|byte| **byte == b'\n').count(), before);
    // Without a database in the middle of it, the connection is cut off; without one at its beginning, that is 503.
    let response = begun(&world, &key).await;
    assert_eq!(response.status(), 200);
    world.keys_db.close().await;
    assert!(response.into_body().collect().await.is_err());
    let answer = world.program().with("x-api-key", &key.secret).get("/v1/audit/chain").await;
    assert_eq!(answer.is(503).json()["code"], "UNAVAILABLE");
}

#[tokio::test]
async fn a_chain_is_read_through_every_gate_and_only_where_the_catalog_offers_it() {
    let default = include_str!("../../catalog/presets/default.toml");
    let catalog = format!("audit_scope = \"read\"\n{}", default.replacen("limit = 1000", "limit = 3", 1));
    let world = World::of(Catalog::parse(&catalog).unwrap(), "").await;
    let key = world.make("acme", wish(&world, "read")).await;
    let ask = async |key: &TestKey| world.program().bearer(&key.secret).get("/v1/audit/chain").await;
    let told = |answer: &Answer| (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or("").to_owned());
    let other = world.make("acme", wish(&world, "write")).await;
    assert_eq!(told(&ask(&other).await), (403, "INSUFFICIENT_SCOPE".to_owned()));
    assert!(ask(&other).await.header("www-authenticate").ends_with("scope=\"read\""));
    let elsewhere = CreateKeyInput { ip_allowlist: vec!["203.0.113.7".to_owned()], ..wish(&world, "read") };
    let elsewhere = world.make("acme", elsewhere).await;
    assert_eq!(told(&ask(&elsewhere).await), (403, "IP_NOT_ALLOWED".to_owned()));
    for left in [2, 1, 0] {
        assert!(ask(&key).await.is(200).header("ratelimit").starts_with(&format!("\"standard\";r={left};")));
    }
    let answer = ask(&key).await;
    assert_eq!(told(&answer), (429, "RATE_LIMITED".to_owned()));
    assert!(!answer.header("retry-after").is_empty());
    world.clock.advance(time::Duration::minutes(15));
    world.settle().await;
    let form = [("key_id", key.id.to_string()), ("reason", "other".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.owner_of("acme").await.post("/console/fn/keys/revoke", &form).await.is(200);
    assert_eq!(told(&ask(&key).await), (401, "REVOKED".to_owned()));
    world.usage.flush(&world.keys_db).await.unwrap();
    let used: (i64, i64) = sqlx::query_as(
        "select sum(calls) filter (where code = 'VALID')::bigint, sum(calls) filter (where code <> 'VALID')::bigint
         from key_usage where key_id = $1",
    )
    .bind(key.id.0)
    .fetch_one(&world.owner)
    .await
    .unwrap();
    assert_eq!(used, (3, 2));
    let plain = World::new().await;
    let key = plain.key("acme", &["read", "write", "admin"], "never").await;
    plain.program().bearer(&key.secret).get("/v1/audit/chain").await.is(404).says("There is nothing at this path.");
}
