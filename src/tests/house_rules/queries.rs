//! The statements that each page of the console makes: as many for two hundred keys as for a dozen, and none that reads a large
//! table from end to end.

use std::{collections::BTreeMap, fmt::Write};

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::world::{Browser, World};

/// Tables that grow with a deployment. They are all filled here.
const LARGE: [&str; 8] =
    ["api_keys", "key_last_used", "key_usage", "refusals", "audit_events", "sessions", "users", "members"];

/// An organization of a dozen keys (with fewer, the list also asks how far its people have come) and one of two hundred,
/// among two hundred others that have a hundred each, and what comes with these: people, sessions, calls, refusals and
/// history.
async fn deployment(world: &World) {
    world.org("few").await;
    world.org("many").await;
    let fill = "
        set session_replication_role = replica;
        insert into orgs (id, slug, name, created_at)
            select gen_random_uuid(), 'org-' || n, 'Org ' || n, '2026-01-01Z' from generate_series(1, 200) n;
        create temp table place as select id, slug, row_number() over (order by slug) as n from orgs where slug like 'org-%';
        insert into users (id, email, name, password_hash, created_at)
            select gen_random_uuid(), n || '@people.example', 'Person ' || n, '', '2026-01-01Z' from generate_series(1, 20000) n;
        insert into members (org_id, user_id, role, created_at)
            select p.id, u.id, 'viewer', '2026-01-01Z'
            from (select id, row_number() over (order by id) as n from users where email like '%@people.example') u
            join place p on p.n = 1 + u.n % 200;
        insert into sessions (id, digest, user_id, created_at, last_seen_at, agent)
            select gen_random_uuid(), sha256(id::text::bytea), id, '2026-11-24 11:30Z', '2026-11-24 11:59Z', 'Firefox' from users
            where email like '%@people.example';
        create temp table owns as
            select id as org_id, i from place, generate_series(1, 100) i
            union all select id, i from orgs, generate_series(1, 12) i where slug = 'few'
            union all select id, i from orgs, generate_series(1, 200) i where slug = 'many';
        insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, created_by, created_at)
            select overlay(gen_random_uuid()::text placing '0190' from 1 for 4)::uuid, org_id,
                   case i % 4 when 3 then 'test' else 'live' end, 'standard', 'Key ' || i, sha256((org_id::text || i)::bytea),
                   'kd_live_' || substr(md5(i::text), 1, 4) || '…' || substr(md5(i::text), 5, 4), '{read}',
                   (select user_id from members m where m.org_id = o.org_id order by user_id limit 1),
                   '2026-11-01Z'::timestamptz + i * interval '1 minute'
            from owns o order by random();
        insert into key_last_used select id, org_id, '2026-11-24 11:00Z', '203.0.113.7', 'curl/8.5.0', null from api_keys;
        insert into key_usage
            select id, org_id, '2026-11-24 11:00Z'::timestamptz - n * interval '5 hours', 'VALID', '203.0.113.7', 'curl', '', 9
            from api_keys, generate_series(0, 4) n;
        insert into refusals
            select gen_random_uuid(), '2026-11-24 11:00Z'::timestamptz - n * interval '1 hour', 'IP_NOT_ALLOWED', id, org_id,
                   '203.0.113.7', 'curl', '{}', '[]' from api_keys, generate_series(0, 1) n;
        insert into audit_events (chain, seq, at, actor_kind, actor_name, action, subject, summary, details, refused, address,
                                  agent, request_id, hash)
            select org_id, 1000 + row_number() over (partition by org_id order by id), created_at, 'operator', 'Operator',
                   'key.issue', 'key:' || id, 'Created', '{}', false, '', '', gen_random_uuid(), '' from api_keys;
        reset session_replication_role;";
    sqlx::raw_sql(fill).execute(&world.owner).await.unwrap();
    for table in LARGE {
        sqlx::raw_sql(AssertSqlSafe(format!("vacuum analyze {table}"))).execute(&world.owner).await.unwrap();
    }
}

/// How often the console has made each statement so far, on whichever of its connections. Each is prepared, and counted.
async fn made(world: &World) -> BTreeMap<String, i64> {
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(world.db.acquire().await.unwrap());
    }
    let mut made = BTreeMap::new();
    for db in &mut held {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("select statement, generic_plans + custom_plans from pg_prepared_statements")
                .fetch_all(&mut **db)
                .await
                .unwrap();
        for (statement, times) in rows {
            let words: Vec<&str> = statement.split_whitespace().collect();
            *made.entry(words.join(" ")).or_default() += times;
        }
    }
    made.retain(|statement, _| !statement.contains("pg_prepared_statements"));
    made
}

/// The statements of one visit, and how often each is made.
async fn of_visit(world: &World, browser: &mut Browser, path: &str) -> BTreeMap<String, i64> {
    // What is done once for a session is done.
    browser.get(path).await.is(200);
    let before = made(world).await;
    browser.get(path).await.is(200);
    since(world, before).await
}

/// The statements of one form, sent by the browser half.
async fn of_form(world: &World, browser: &mut Browser, path: &str, form: &[(&str, &str)]) -> BTreeMap<String, i64> {
    let before = made(world).await;
    browser.post(path, form).await.is(200);
    since(world, before).await
}

async fn since(world: &World, before: BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let mut after = made(world).await;
    after.retain(|statement, times| {
        *times -= before.get(statement).copied().unwrap_or_default();
        *times > 0
    });
    after
}

async fn id_of_a_key(world: &World, org: &str) -> String {
    let one = "select k.id::text from api_keys k join orgs o on o.id = k.org_id where o.slug = $1 and k.name = 'Key 3'";
    sqlx::query_scalar(one).bind(org).fetch_one(&world.owner).await.unwrap()
}

/// The generic plan of everything that the console has prepared, by statement.
async fn plans(world: &World) -> BTreeMap<String, String> {
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(world.db.acquire().await.unwrap());
    }
    let mut plans = BTreeMap::new();
    for db in &mut held {
        // For any values, not those that were asked for.
        sqlx::raw_sql("set plan_cache_mode = force_generic_plan").execute(&mut **db).await.unwrap();
        let statements: Vec<(String, String, i32)> = sqlx::query_as(
            "select name, statement, cardinality(parameter_types) from pg_prepared_statements
             where statement !~ 'pg_|set_config'",
        )
        .fetch_all(&mut **db)
        .await
        .unwrap();
        for (name, statement, parameters) in statements {
            let values = vec!["null"; parameters as usize].join(", ");
            let values = if values.is_empty() { values } else { format!("({values})") };
            let explain = AssertSqlSafe(format!("explain execute {name} {values}"));
            let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut **db).await.unwrap();
            plans.insert(statement, plan.join("\n"));
        }
        sqlx::raw_sql("reset plan_cache_mode").execute(&mut **db).await.unwrap();
    }
    plans
}

#[tokio::test]
async fn no_page_asks_more_for_more_keys_and_none_reads_a_large_table_from_end_to_end() {
    let world = World::new().await;
    deployment(&world).await;
    let (mut few, mut many) = (world.owner_of("few").await, world.owner_of("many").await);
    let mut told = String::new();
    for path in [
        "/keys",
        "/keys?page=1&sort=name",
        "/keys?sort=-used",
        "/keys?q=key&status=active",
        "/keys?scope=read",
        "/keys?unused=30",
        "/keys/revoke?all=1",
        "/keys/revoke?matching=1&status=active",
        "/keys.csv",
        "/keys/{id}",
        "/keys/{id}?usage=30d",
        "/webhooks",
        "/audit",
        "/members",
        "/settings",
    ] {
        let path_of = async |org: &str| path.replace("{id}", &id_of_a_key(&world, org).await);
        let of_few = of_visit(&world, &mut few, &path_of("few").await).await;
        let of_many = of_visit(&world, &mut many, &path_of("many").await).await;
        assert_eq!(of_few, of_many, "{path}: a dozen keys, and two hundred");
        writeln!(told, "{path}: {}", of_few.values().sum::<i64>()).unwrap();
        for (statement, times) in &of_few {
            assert!(*times <= 3, "{path} makes one {times} times: {statement}");
            let head: String = statement.chars().take(100).collect();
            writeln!(told, "  {times} × {head}").unwrap();
        }
    }
    let mut staff = world.support().await;
    for path in ["/support", "/nodes"] {
        let of_visit = of_visit(&world, &mut staff, path).await;
        writeln!(told, "{path}: {}", of_visit.values().sum::<i64>()).unwrap();
    }
    // Beginning and committing are a round trip each, besides.
    let idempotency_key = Uuid::new_v4().to_string();
    let create = [
        ("idempotency_key", idempotency_key.as_str()),
        ("name", "CI deploys"),
        ("environment", "live"),
        ("tier", "standard"),
        ("expires", "never"),
    ];
    let mut script = many.script();
    let of_create = of_form(&world, &mut script, "/console/fn/keys/issue", &create).await;
    writeln!(told, "create a key: {}", of_create.values().sum::<i64>()).unwrap();
    for statement in of_create.keys() {
        let head: String = statement.chars().take(100).collect();
        writeln!(told, "  {head}").unwrap();
    }
    insta::assert_snapshot!(told);
    let plans = plans(&world).await;
    assert!(plans.len() >= 20, "{}", plans.len());
    let scans = |plan: &str| LARGE.iter().any(|table| plan.contains(&format!("Seq Scan on {table}")));
    let scanning: Vec<_> = plans.iter().filter(|(_, plan)| scans(plan)).collect();
    assert!(scanning.is_empty(), "{scanning:#?}");
}
