//! One organization's rows are nothing to another: by the application's own queries, and by the database alone.

use keydesk::{catalog::Catalog, database::RlsScope, keys::lifecycle::Wish};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::world::World;

#[tokio::test]
async fn another_organizations_key_is_the_same_as_none() {
    let world = World::new().await;
    let theirs = world.key("other", &[], "never").await;
    let mut browser = world.owner_of("acme").await;
    let absent = "0192f0c1-2345-7abc-8def-0123456789ab";
    let scrub = |body: String, id: &str, policy: &str| {
        body.replace(id, "ID").replace(policy.split("nonce-").nth(1).unwrap().split('\'').next().unwrap(), "NONCE")
    };
    let mut pages = Vec::new();
    for id in [theirs.id.to_string(), absent.to_owned()] {
        let page = browser.get(&format!("/keys/{id}")).await;
        let policy = page.header("content-security-policy").to_owned();
        let form = [("key_id", id.as_str()), ("reason", "other")];
        let answer = browser.post("/console/fn/keys/revoke", &form).await;
        let script = browser.clone().script().post("/console/fn/keys/revoke", &form).await;
        let revoke_policy = answer.header("content-security-policy").to_owned();
        pages.push((
            page.status,
            scrub(page.body, &id, &policy),
            answer.status,
            scrub(answer.body, &id, &revoke_policy),
            script.status,
            script.body,
        ));
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!((pages[0].0.as_u16(), pages[0].2.as_u16()), (404, 404));
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
    browser.get(&format!("/keys?revoke={}", theirs.id)).await.is(200).says_not("Test key");
}

#[tokio::test]
async fn the_applications_queries_alone_keep_organizations_apart() {
    let world = World::new().await;
    let theirs = world.key("other", &[], "never").await;
    let mine = world.key("acme", &[], "never").await;
    let mut browser = world.owner_of("acme").await;
    for table in ["orgs", "members", "api_keys", "key_last_used", "webhook_secrets", "audit_events", "audit_heads"] {
        let off = format!("alter table {table} no force row level security, disable row level security");
        sqlx::raw_sql(AssertSqlSafe(off)).execute(&world.owner).await.unwrap();
    }
    let form = [("key_id", theirs.id.to_string()), ("reason", "other".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post("/console/fn/keys/revoke", &form).await.is(404);
    browser.get(&format!("/keys/{}", theirs.id)).await.is(404);
    browser.get("/keys").await.is(200).says(&mine.hint).says_not(&theirs.hint).says("1 key");
    browser.get("/audit").await.says_not(&theirs.hint);
    browser.get("/members").await.says("@acme.example").says_not("@other.example");
    browser.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(200).says("Revoked 1 key.");
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
}

#[tokio::test]
async fn the_database_alone_keeps_organizations_apart() {
    let world = World::new().await;
    let theirs = world.key("other", &[], "never").await;
    world.key("acme", &[], "never").await;
    let mut other = world.owner_of("other").await;
    let idempotency_key = uuid::Uuid::new_v4().to_string();
    other
        .post("/console/fn/webhooks/generate", &[("idempotency_key", &idempotency_key), ("environment", "live")])
        .await
        .is(200);
    world.program().with("x-api-key", &theirs.secret).get("/v1/whoami").await.is(200);
    world.usage.flush(&world.keys_db).await.unwrap();
    let (acme, other) = (world.org("acme").await, world.org("other").await);
    // No WHERE in any of these.
    for (table, column) in [
        ("orgs", "id"),
        ("members", "org_id"),
        ("api_keys", "org_id"),
        ("key_last_used", "org_id"),
        ("webhook_secrets", "org_id"),
        ("audit_events", "chain"),
        ("audit_heads", "chain"),
    ] {
        let foreign = format!("select count(*) from {table} where {column} = $1");
        let seen: i64 =
            sqlx::query_scalar(AssertSqlSafe(foreign.clone())).bind(other.0).fetch_one(&world.owner).await.unwrap();
        assert!(seen > 0, "{table} has rows of the other organization");
        let mut tx = world.begin(RlsScope::Org(acme)).await;
        let seen: i64 =
            sqlx::query_scalar(AssertSqlSafe(foreign.clone())).bind(other.0).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table} shows another organization's rows");
        drop(tx);
        // Without any reach there is nothing at all.
        let mut tx = world.begin(RlsScope::Nothing).await;
        let seen: i64 = sqlx::query_scalar(AssertSqlSafe(foreign)).bind(other.0).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table} shows rows to nobody in particular");
    }
    for change in [
        "update api_keys set revoked_at = now(), revoked_by = 'x', revoked_reason = 'other'",
        "update webhook_secrets set retired_at = now(), ciphertext = null",
        "update audit_heads set seq = 99",
    ] {
        let mut tx = world.begin(RlsScope::Org(acme)).await;
        sqlx::raw_sql(change).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
    let untouched: bool = sqlx::query_scalar(
        "select (select bool_and(retired_at is null) from webhook_secrets) and (select seq < 99 from audit_heads where chain = $1)",
    )
    .bind(other.0)
    .fetch_one(&world.owner)
    .await
    .unwrap();
    assert!(untouched);
    // Nor can a row be put into another organization.
    let mut tx = world.begin(RlsScope::Org(acme)).await;
    let planted = sqlx::query(
        "insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, created_at)
         values (gen_random_uuid(), $1, 'live', 'standard', 'x', sha256('x'), 'x', '{}', now())",
    )
    .bind(other.0)
    .execute(&mut *tx)
    .await;
    assert!(planted.unwrap_err().to_string().contains("row-level security"));
}

/// HESO's catalog, whose keys read the audit log on the key plane.
async fn heso() -> (World, String) {
    let world = World::of(Catalog::load("heso").unwrap(), "").await;
    let wish = || Wish {
        name: "Auditor".to_owned(),
        environment: "live".to_owned(),
        tier: "standard".to_owned(),
        scopes: vec!["audit:read".to_owned()],
        expires: "never".to_owned(),
        ..Wish::default()
    };
    world.make("other", wish()).await;
    let key = world.make("acme", wish()).await.secret;
    (world, key)
}

#[tokio::test]
async fn the_database_alone_keeps_the_key_plane_to_one_organizations_audit_log() {
    let (world, _) = heso().await;
    let (acme, other) = (world.org("acme").await, world.org("other").await);
    for (reach, seen) in
        [(RlsScope::Org(acme), vec![acme.0]), (RlsScope::Org(other), vec![other.0]), (RlsScope::Nothing, vec![])]
    {
        let mut tx = keydesk::database::begin(&world.keys_db, reach).await.unwrap();
        // No WHERE.
        let chains: Vec<Uuid> =
            sqlx::query_scalar("select distinct chain from audit_events").fetch_all(&mut *tx).await.unwrap();
        assert_eq!(chains, seen, "{reach:?}");
    }
}

#[tokio::test]
async fn the_key_planes_query_alone_keeps_it_to_one_organizations_audit_log() {
    let (world, key) = heso().await;
    let acme = world.org("acme").await;
    world.change("alter table audit_events no force row level security, disable row level security").await;
    let answer = world.program().bearer(&key).get("/v1/audit/chain").await;
    assert_eq!(answer.is(200).body.lines().count(), world.log("acme").await.len());
    assert!(answer.body.lines().all(|line| line.starts_with(&format!("{{\"chain\":\"{acme}\""))), "{}", answer.body);
}

/// Runs a statement as a plane's role and expects Postgres to refuse it.
async fn refused(world: &World, plane: &sqlx::PgPool, statement: &'static str) {
    let mut tx = plane.begin().await.unwrap();
    let org = world.org("acme").await.to_string();
    sqlx::query("select set_config('keydesk.org', $1, true)").bind(org).execute(&mut *tx).await.unwrap();
    let error = sqlx::raw_sql(statement).execute(&mut *tx).await.expect_err(statement).to_string();
    assert!(error.contains("permission denied"), "{statement}: {error}");
}

#[tokio::test]
async fn the_key_plane_cannot_read_what_it_does_not_need() {
    let world = World::new().await;
    for statement in [
        "select password_hash from users",
        "select * from users",
        "select digest from sessions",
        "select ciphertext from webhook_secrets",
        "select * from audit_heads",
        "insert into audit_events select * from audit_events",
        "update audit_events set summary = ''",
        "delete from audit_events",
        "select * from members",
        "select * from setup_links",
        "select hint from api_keys",
        "select name from orgs",
        "update api_keys set revoked_at = null",
        "insert into service_keys select * from service_keys",
        "delete from api_keys",
        "delete from key_last_used",
        "create table x ()",
    ] {
        refused(&world, &world.keys_db, statement).await;
    }
}

#[tokio::test]
async fn the_operator_api_cannot_read_what_it_does_not_need() {
    let world = World::new().await;
    for statement in [
        "select password_hash from users",
        "select id from users",
        "select digest from sessions",
        "select ciphertext from webhook_secrets",
        "select summary from audit_events",
        "select user_id from members",
        "select digest from setup_links",
        "select digest from api_keys",
        "select address from key_usage",
        "select digest from key_changes",
        "select gates from refusals",
        "update api_keys set scopes = '{}'",
        "update api_keys set revoked_at = null",
        "update api_keys set digest = ''",
        "update orgs set slug = slug",
        "update service_keys set capabilities = '{}'",
        "insert into service_keys select * from service_keys",
        "insert into members select * from members",
        "insert into key_usage select * from key_usage",
        "update audit_events set summary = ''",
        "delete from audit_events",
        "delete from api_keys",
        "delete from orgs",
        "create table x ()",
    ] {
        refused(&world, &world.operator_db, statement).await;
    }
}

#[tokio::test]
async fn the_database_alone_keeps_the_back_office_to_one_organization_at_a_time() {
    let world = World::new().await;
    let theirs = world.key("other", &[], "never").await;
    world.key("acme", &[], "never").await;
    world.program().with("x-api-key", &theirs.secret).get("/v1/whoami").await.is(200);
    world.usage.flush(&world.keys_db).await.unwrap();
    let (acme, other) = (world.org("acme").await, world.org("other").await);
    for (table, column, across) in [
        ("orgs", "id", true),
        ("api_keys", "org_id", true),
        ("key_usage", "org_id", true),
        ("audit_heads", "chain", false),
    ] {
        let foreign = format!("select count({column}) from {table} where {column} = $1");
        for (reach, sees) in [(RlsScope::Org(acme), false), (RlsScope::Nothing, false), (RlsScope::Operator, across)] {
            let mut tx = keydesk::database::begin(&world.operator_db, reach).await.unwrap();
            let query = sqlx::query_scalar(AssertSqlSafe(foreign.clone())).bind(other.0);
            let seen: i64 = query.fetch_one(&mut *tx).await.unwrap();
            assert_eq!(seen > 0, sees, "{table} {reach:?}");
        }
    }
    for change in [
        "update api_keys set overlap_ends_at = now(), overlap_ended = true",
        "update orgs set suspended_at = now()",
        "update audit_heads set seq = 99",
    ] {
        // Whoever reads across organizations changes none of them.
        for reach in [RlsScope::Org(acme), RlsScope::Operator] {
            let mut tx = keydesk::database::begin(&world.operator_db, reach).await.unwrap();
            sqlx::raw_sql(change).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    world.settle().await;
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
    let untouched: bool = sqlx::query_scalar("select seq < 99 from audit_heads where chain = $1")
        .bind(other.0)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert!(untouched);
}

#[tokio::test]
async fn the_console_can_change_only_what_it_must() {
    let world = World::new().await;
    for statement in [
        "update audit_events set summary = ''",
        "delete from audit_events",
        "truncate audit_events",
        "delete from audit_heads",
        "update api_keys set digest = digest",
        "update api_keys set tier = 'unlimited'",
        "update api_keys set environment = 'test'",
        "update api_keys set created_by = null",
        "update api_keys set predecessor = null",
        "update api_keys set org_id = org_id",
        "delete from api_keys",
        "update members set user_id = user_id",
        "update members set org_id = org_id",
        "update users set staff_role = 'support'",
        "update users set email = email",
        "update service_keys set capabilities = '{}'",
        "insert into key_last_used select * from key_last_used",
        "alter table api_keys disable row level security",
        "drop policy tenant on api_keys",
        "set role postgres",
    ] {
        let mut tx = world.db.begin().await.unwrap();
        let error = sqlx::raw_sql(statement).execute(&mut *tx).await.expect_err(statement).to_string();
        let refused = ["permission denied", "must be owner", "does not exist"].iter().any(|word| error.contains(word));
        assert!(refused, "{statement}: {error}");
    }
}

#[tokio::test]
async fn the_planes_roles_are_neither_owners_nor_above_the_rules() {
    let world = World::new().await;
    for plane in [&world.db, &world.keys_db, &world.operator_db] {
        let (superuser, bypass): (bool, bool) =
            sqlx::query_as("select rolsuper, rolbypassrls from pg_roles where rolname = current_user")
                .fetch_one(plane)
                .await
                .unwrap();
        assert!(!superuser && !bypass);
    }
    let unforced: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
         and relname in ('orgs', 'members', 'api_keys', 'key_last_used', 'webhook_secrets', 'audit_events', 'audit_heads')
         and not (relrowsecurity and relforcerowsecurity)",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    assert!(unforced.is_empty(), "{unforced:?}");
}
