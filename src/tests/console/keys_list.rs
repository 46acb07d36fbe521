//! The list of keys: what is asked of it in the address, many keys at once, and the file.

use keydesk::{
    actor::{Principal, Role},
    database::RlsScope,
    ids::KeyId,
    keys::{
        lifecycle::{self, CreateKeyInput, NewKey},
        model::KeyState,
    },
};
use sqlx::AssertSqlSafe;
use time::Duration;

use crate::world::{Account, Browser, World};

/// A key by its name; what else it is, is said in `change`.
async fn key(world: &World, org: &str, name: &str, change: impl FnOnce(&mut CreateKeyInput)) -> KeyId {
    let mut wish = CreateKeyInput {
        name: name.to_owned(),
        environment: "live".to_owned(),
        tier: "standard".to_owned(),
        expires: "never".to_owned(),
        ..CreateKeyInput::default()
    };
    change(&mut wish);
    // Within one millisecond, ids have no order.
    world.clock.advance(Duration::MILLISECOND);
    world.make(org, wish).await.id
}

/// The names in the list, in order.
async fn names(browser: &mut Browser, query: &str) -> Vec<String> {
    let page = browser.get(&format!("/keys?{query}")).await;
    page.is(200);
    page.body
        .split("<a href=\"/keys/")
        .skip(1)
        .map(|rest| rest.split('>').nth(1).unwrap().split('<').next().unwrap().to_owned())
        .collect()
}

async fn set(world: &World, id: KeyId, change: &str) {
    let update = format!("update api_keys set {change} where id = '{id}'");
    sqlx::raw_sql(AssertSqlSafe(update)).execute(&world.owner).await.unwrap();
}

#[tokio::test]
async fn a_search_finds_a_part_of_the_name_or_the_hint_and_takes_it_literally() {
    let world = World::new().await;
    for name in ["CI deploys", "Nightly 100%", "under_score", "undersscore", "Été à Malmö"] {
        key(&world, "acme", name, |_| ()).await;
    }
    let hint = world.key("acme", &[], "never").await.hint;
    let mut browser = world.viewer("acme").await;
    assert_eq!(names(&mut browser, "q=DEPLOY").await, ["CI deploys"]);
    assert_eq!(names(&mut browser, "q=%25").await, ["Nightly 100%"]);
    for text in ["été", "ÉTÉ", "à mal", "MALM", "malmÖ"] {
        let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        assert_eq!(names(&mut browser, &format!("q={text}")).await, ["Été à Malmö"], "{text}");
    }
    assert_eq!(names(&mut browser, "q=r_s").await, ["under_score"]);
    for hint in [hint.clone(), hint.replace('…', "..."), hint.split('…').nth(1).unwrap().to_owned()] {
        let hint: String = form_urlencoded::byte_serialize(hint.as_bytes()).collect();
        assert_eq!(names(&mut browser, &format!("q={hint}")).await, ["Test key"]);
    }
    let none = browser.get("/keys?q=nothing+like+it").await;
    none.says("No key matches").says("0 of 6 keys").says("Clear filters").says_not("No keys yet");
    browser.get("/keys").await.says("6 keys").says_not("Clear filters").says_not(" of 6 keys");
    let mut other = world.owner_of("other").await;
    other.get("/keys?q=x").await.says("No keys yet").says_not("No key matches").says_not("Search keys");
}

#[tokio::test]
async fn a_key_pasted_into_the_search_does_not_stay_in_the_address() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut browser = world.viewer("acme").await;
    let answer = browser.get(&format!("/keys?q={}&status=", key.secret)).await;
    answer.is(303).says_not(&key.secret);
    assert!(!answer.location().contains(&key.secret));
    browser.get(answer.location()).await.is(200).says("1 of 1 key").says(&key.hint);
}

#[tokio::test]
async fn environment_tier_and_scope_are_filters() {
    let world = World::new().await;
    key(&world, "acme", "plain", |_| ()).await;
    key(&world, "acme", "testing", |wish| wish.environment = "test".to_owned()).await;
    key(&world, "acme", "quick", |wish| wish.tier = "high".to_owned()).await;
    key(&world, "acme", "reader", |wish| wish.scopes = vec!["read".to_owned()]).await;
    let mut browser = world.viewer("acme").await;
    assert_eq!(names(&mut browser, "environment=test").await, ["testing"]);
    assert_eq!(names(&mut browser, "tier=high").await, ["quick"]);
    assert_eq!(names(&mut browser, "scope=read").await, ["reader"]);
    // Together they narrow, and what is unknown is not there.
    assert!(names(&mut browser, "environment=test&scope=read").await.is_empty());
    for odd in [
        "environment=moon",
        "tier=x",
        "scope=x",
        "status=x",
        "creator=x",
        "unused=x",
        "sort=x",
        "page=x&page=y",
        "q=%FF",
    ] {
        assert!(!names(&mut browser, odd).await.is_empty() || odd.starts_with("q="), "{odd}");
    }
    let page = browser.get("/keys?environment=test&environment=moon&status=%00").await;
    page.is(200).says("4 keys").says_not("Clear filters");
}

#[tokio::test]
async fn the_filter_by_status_agrees_with_the_status_that_is_shown() {
    let world = World::new().await;
    for status in KeyState::ALL {
        let id = key(&world, "acme", status.label(), |_| ()).await;
        let revoked = "revoked_at = now(), revoked_by = 'x', revoked_reason = 'other'";
        let rotated = "overlap_ends_at = '2026-11-24 12:00Z'";
        let (expired, disabled) = ("expires_at = '2026-11-24 12:00Z'", "disabled_at = '2026-11-24Z'");
        match status {
            KeyState::Active => set(&world, id, "expires_at = '2026-11-24 12:00:01Z'").await,
            // Of several that apply, the first of the verdict's order is told.
            KeyState::Disabled => set(&world, id, &format!("{expired}, {disabled}")).await,
            KeyState::Expired => set(&world, id, expired).await,
            KeyState::Rotated => set(&world, id, &format!("{rotated}, {expired}, {disabled}")).await,
            KeyState::Revoked => set(&world, id, &format!("{revoked}, {rotated}, {expired}, {disabled}")).await,
        }
    }
    let mut browser = world.viewer("acme").await;
    for status in KeyState::ALL {
        let page = browser.get(&format!("/keys?status={}", status.as_str())).await;
        page.says("1 of 5 keys").says(&format!("{}</span>", status.label()));
        assert_eq!(names(&mut browser, &format!("status={}", status.as_str())).await, [status.label()]);
    }
}

/// A key made by somebody.
async fn made_by(world: &World, org: &str, account: &Account, name: &str) {
    let org = world.org(org).await;
    let wish = CreateKeyInput {
        name: name.to_owned(),
        environment: "live".to_owned(),
        tier: "standard".to_owned(),
        expires: "never".to_owned(),
        ..CreateKeyInput::default()
    };
    let mut actor = keydesk::actor::Actor::operator();
    actor.principal = Principal::Member { user: account.user, name: "Ada".to_owned(), org, role: Role::Owner };
    world.clock.advance(Duration::MILLISECOND);
    let mut m = world.mutation_by(actor, RlsScope::Org(org)).await;
    let permit = m.permit().unwrap();
    let new = NewKey::parse(wish, &world.catalog).unwrap();
    lifecycle::issue(&mut m, &permit, &new).await.unwrap();
    world.commit(m).await;
}

#[tokio::test]
async fn the_creator_is_a_filter_and_only_those_who_made_a_key_are_offered() {
    let world = World::new().await;
    let (ada, idle) = (world.member("acme", Role::Developer).await, world.member("acme", Role::Admin).await);
    let stranger = world.member("other", Role::Admin).await;
    made_by(&world, "acme", &ada, "hers").await;
    made_by(&world, "acme", &ada, "hers too").await;
    made_by(&world, "other", &stranger, "theirs").await;
    key(&world, "acme", "by the operator", |_| ()).await;
    let mut browser = world.viewer("acme").await;
    assert_eq!(names(&mut browser, &format!("creator={}", ada.user.0)).await, ["hers too", "hers"]);
    assert_eq!(names(&mut browser, "creator=operator").await, ["by the operator"]);
    let page = browser.get("/keys").await;
    page.says(&ada.user.0.to_string()).says_not(&idle.user.0.to_string()).says_not(&stranger.user.0.to_string());
    // Another organization's member is as good as nobody: ignored, and not told apart.
    for nobody in [stranger.user.0, idle.user.0, uuid::Uuid::new_v4(), uuid::Uuid::nil()] {
        assert_eq!(names(&mut browser, &format!("creator={nobody}")).await.len(), 3);
    }
}

#[tokio::test]
async fn unused_for_some_days_counts_from_the_last_use_or_from_the_beginning() {
    let world = World::new().await;
    key(&world, "acme", "never used", |_| ()).await;
    world.clock.advance(Duration::MILLISECOND);
    let used = world.key("acme", &[], "never").await;
    world.clock.advance(Duration::days(20));
    world.program().with("x-api-key", &used.secret).get("/v1/whoami").await.is(200);
    world.usage.flush(&world.keys_db).await.unwrap();
    world.clock.advance(Duration::days(10) + Duration::SECOND);
    key(&world, "acme", "new", |_| ()).await;
    let mut browser = world.viewer("acme").await;
    assert_eq!(names(&mut browser, "unused=7").await, ["Test key", "never used"]);
    assert_eq!(names(&mut browser, "unused=30").await, ["never used"]);
    assert!(names(&mut browser, "unused=31").await.is_empty());
    // A number that is not in the select is there once it is asked for.
    browser.get("/keys?unused=12").await.says("<option value=\"12\" selected>12 days");
}

#[tokio::test]
async fn the_list_is_sorted_by_four_columns_both_ways() {
    let world = World::new().await;
    let b = world.key("acme", &[], "never").await;
    set(&world, b.id, "name = 'b'").await;
    key(&world, "acme", "C", |wish| wish.expires = "7d".to_owned()).await;
    world.clock.advance(Duration::MILLISECOND);
    let a = world.key("acme", &[], "30d").await;
    set(&world, a.id, "name = 'a'").await;
    for (secret, days) in [(&a.secret, 0), (&b.secret, 1)] {
        world.clock.advance(Duration::days(days));
        world.program().with("x-api-key", secret).get("/v1/whoami").await.is(200);
        world.usage.flush(&world.keys_db).await.unwrap();
    }
    let mut browser = world.viewer("acme").await;
    for (sort, order) in [
        ("-created", ["a", "C", "b"]),
        ("created", ["b", "C", "a"]),
        ("name", ["a", "b", "C"]),
        ("-name", ["C", "b", "a"]),
        ("-used", ["b", "a", "C"]),
        ("used", ["a", "b", "C"]),
        ("expires", ["C", "a", "b"]),
        ("-expires", ["a", "C", "b"]),
    ] {
        assert_eq!(names(&mut browser, &format!("sort={sort}")).await, order, "{sort}");
    }
    let page = browser.get("/keys?sort=-name&status=active").await;
    page.says("aria-sort=\"descending\"").says("href=\"/keys?status=active&amp;sort=name\"");
    assert_eq!(page.body.matches("aria-sort").count(), 1);
}

/// Ten thousand keys of one organization among forty others', as they come: in turn.
async fn many(world: &World) {
    let acme = world.org("acme").await.0;
    // No node needs to hear of sixty thousand keys, nor each row to be checked against the others.
    let fill = format!(
        "set session_replication_role = replica;
         create temp table other as select gen_random_uuid() as id, n from generate_series(0, 39) n;
         insert into orgs (id, slug, name, created_at) select id, 'other-' || n, 'Other ' || n, now() from other;
         insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, created_at, revoked_at, revoked_by,
                               revoked_reason)
         select ('0192f0c1-0000-7000-8000-' || lpad(to_hex(g.n), 12, '0'))::uuid,
                case when g.n <= 20000 and g.n % 2 = 0 then '{acme}'::uuid else o.id end, 'live', 'standard', 'Key no. ' || g.n || '.',
                sha256(g.n::text::bytea), 'kd_live_' || g.n, '{{read}}', now(), case when g.n % 10 = 0 then now() end,
                case when g.n % 10 = 0 then 'x' end, case when g.n % 10 = 0 then 'other' end
         from generate_series(1, 60000) g (n) join other o on o.n = g.n % 40;
         insert into key_last_used select id, org_id, now() - interval '1 day', '203.0.113.7', 'curl', null from api_keys;
         insert into key_usage select id, org_id, '2026-11-24 11:00Z', 'VALID', '203.0.113.7', 'curl', '', 3 from api_keys;
         reset session_replication_role;"
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&world.owner).await.unwrap();
    for table in ["api_keys", "key_last_used", "key_usage"] {
        let tidy = format!("vacuum analyze {table}");
        sqlx::raw_sql(AssertSqlSafe(tidy)).execute(&world.owner).await.unwrap();
    }
}

/// How often these tables were read from end to end so far. Sessions keep their counts to themselves for a while, so each
/// of them is asked.
async fn scans(world: &World) -> i64 {
    for (pool, connections) in [(&world.owner, 2), (&world.db, 4)] {
        let mut held = Vec::new();
        for _ in 0..connections {
            held.push(pool.acquire().await.unwrap());
        }
        for db in &mut held {
            sqlx::raw_sql("select pg_stat_force_next_flush()").execute(&mut **db).await.unwrap();
        }
    }
    let sum = "select sum(seq_scan)::bigint from pg_stat_user_tables
               where relname in ('api_keys', 'key_last_used', 'key_usage')";
    sqlx::query_scalar(sum).fetch_one(&world.owner).await.unwrap()
}

#[tokio::test]
async fn ten_thousand_keys_are_searched_sorted_and_paged_without_a_scan_of_the_table() {
    let world = World::new().await;
    many(&world).await;
    let before = scans(&world).await;
    let mut browser = world.owner_of("acme").await;
    let first = browser.get("/keys").await;
    first
        .says("10,000 keys")
        .says("Page 1 of 200")
        .says("Key no. 20000.")
        .says("Key no. 19902.")
        .says_not("Key no. 19900.");
    browser
        .get("/keys?q=no.+199&page=2")
        .await
        .says("55 of 10,000 keys")
        .says("Key no. 1998.")
        .says_not("Key no. 19998.");
    browser.get("/keys?page=200").await.says("Key no. 2.").says("rel=\"prev\"").says_not("rel=\"next\"");
    browser.get("/keys?page=999&status=revoked").await.says("Page 40 of 40").says("status=revoked&amp;page=39");
    for query in ["sort=name", "sort=-used", "sort=expires", "scope=read", "creator=operator", "unused=7", "tier=high"]
    {
        // Often enough that Postgres would rather not plan anew each time.
        for _ in 0..7 {
            browser.get(&format!("/keys?{query}")).await.is(200);
        }
    }
    browser.get("/keys/revoke?all=1&sort=created").await.is(200).says("Revoke 40 keys?");
    browser.get("/keys.csv?q=no.+1999").await.is(200);
    // The plans of what was asked, for whatever is asked next.
    let mut plans = 0;
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(world.db.acquire().await.unwrap());
    }
    for db in &mut connections {
        // For any values, not those that were asked for.
        sqlx::raw_sql("set plan_cache_mode = force_generic_plan").execute(&mut **db).await.unwrap();
        let statements: Vec<(String, String, i32)> = sqlx::query_as(
            "select name, statement, cardinality(parameter_types) from pg_prepared_statements
             where statement ~ '^(select|with)' and statement ~ 'api_keys|key_usage'",
        )
        .fetch_all(&mut **db)
        .await
        .unwrap();
        for (name, statement, parameters) in statements {
            let values = vec!["null"; parameters as usize].join(", ");
            let values = if values.is_empty() { values } else { format!("({values})") };
            let explain = format!("explain execute {name} {values}");
            let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut **db).await.unwrap();
            let plan = plan.join("\n");
            for table in ["api_keys", "key_last_used", "key_usage"] {
                assert!(!plan.contains(&format!("Seq Scan on {table}")), "{statement}\n{plan}");
            }
            if statement.contains("from api_keys k where k.org_id = ") {
                let indexed = ["Index Cond: (org_id = ", "Index Cond: ((org_id = "].iter().any(|by| plan.contains(by));
                assert!(indexed, "{statement}\n{plan}");
                plans += 1;
            }
        }
    }
    drop(connections);
    assert!(plans >= 5, "the list's statements were looked at");
    assert_eq!(scans(&world).await, before, "no table was read from end to end");
}

#[tokio::test]
async fn filters_never_show_another_organizations_keys() {
    let world = World::new().await;
    let theirs = key(&world, "other", "Secret plan", |wish| wish.scopes = vec!["read".to_owned()]).await;
    key(&world, "acme", "Ours", |wish| wish.scopes = vec!["read".to_owned()]).await;
    let mut browser = world.owner_of("acme").await;
    // By the application's own queries.
    for table in ["orgs", "members", "api_keys", "key_last_used", "key_usage", "audit_events", "audit_heads"] {
        let off = format!("alter table {table} no force row level security, disable row level security");
        sqlx::raw_sql(AssertSqlSafe(off)).execute(&world.owner).await.unwrap();
    }
    for query in [
        "q=Secret",
        "q=kd_live",
        "environment=live",
        "tier=standard",
        "status=active",
        "scope=read",
        "creator=operator",
        "unused=1",
        "sort=name",
        "sort=-name",
        "sort=created",
        "sort=used",
        "sort=-used",
        "sort=expires",
        "sort=-expires",
        "page=2",
    ] {
        browser.get(&format!("/keys?{query}")).await.is(200).says_not("Secret plan").says_not(&theirs.to_string());
        let file = browser.get(&format!("/keys.csv?{query}")).await;
        file.is(200).says_not("Secret plan").says_not(&theirs.to_string());
        browser.get(&format!("/keys/revoke?all=1&{query}")).await.says_not("Secret plan");
    }
    browser.get(&format!("/keys/revoke?key={theirs}")).await.says("No key is selected").says_not("Secret plan");
    let form = [("key_ids[]", theirs.to_string()), ("reason", "other".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post("/console/fn/keys/revoke-some", &form).await.is(404);
    assert_eq!(world.count("other").await, (1, 1));
}

#[tokio::test]
async fn some_keys_are_previewed_with_their_calls_and_revoked_together() {
    let world = World::new().await;
    let (busy, quiet, kept) = (
        world.key("acme", &[], "never").await,
        key(&world, "acme", "Quiet", |_| ()).await,
        key(&world, "acme", "Kept", |_| ()).await,
    );
    let program = world.program().with("x-api-key", &busy.secret);
    program.get("/v1/whoami").await.is(200);
    world.clock.advance(Duration::days(2));
    for _ in 0..3 {
        program.get("/v1/whoami").await.is(200);
    }
    world.usage.flush(&world.keys_db).await.unwrap();
    let mut browser = world.developer("acme").await;
    browser
        .get("/keys?q=e")
        .await
        .says("aria-label=\"Select Quiet\"")
        .says("Revoke selected")
        .says("Select all on this page");
    let preview = browser.get(&format!("/keys/revoke?q=e&key={}&key={quiet}", busy.id)).await;
    preview.is(200).says("Revoke 2 keys?").says("1 of 2 was called in the last day").says(">3</td>").says_not("Kept");
    preview.says("href=\"/keys?q=e\"").says("name=\"reason\"");
    // Ticked all, without saying which: those on the page that is looked at.
    let all = browser.get("/keys/revoke?q=Quiet&all=1").await;
    all.says("Revoke 1 key?").says("None of them was called in the last day");
    let (busy_id, quiet_id) = (busy.id.to_string(), quiet.to_string());
    let form = [("key_ids[]", busy_id.as_str()), ("key_ids[]", quiet_id.as_str()), ("back", "/keys?q=e")];
    let wrong = browser.post("/console/fn/keys/revoke-some", &[&form[..], &[("reason", "because")]].concat()).await;
    wrong.is(422).says("Choose one of the reasons").says("Revoke 2 keys?");
    let done = browser.post("/console/fn/keys/revoke-some", &[&form[..], &[("reason", "superseded")]].concat()).await;
    done.is(200).says("Revoked 2 keys.").says("ffective").says("3 of 3 keys").says_not("Select Quiet");
    assert_eq!(world.verdict(&busy.secret).await, "REVOKED");
    assert_eq!(world.count("acme").await, (3, 1));
    let log = world.log("acme").await;
    assert_eq!(log.iter().filter(|line| line.starts_with("key.revoke: Revoked key")).count(), 2);
    browser.get(&format!("/keys/{quiet}")).await.says("Revoked key “Quiet”");
    browser
        .post("/console/fn/keys/revoke-some", &[&form[..], &[("reason", "other")]].concat())
        .await
        .says("revoked already");
    assert_eq!(world.log("acme").await.len(), log.len());
    // One that is not there: then none.
    let absent = "0192f0c1-2345-7abc-8def-0123456789ab";
    let kept_id = kept.to_string();
    let form = [("key_ids[]", kept_id.as_str()), ("key_ids[]", absent), ("reason", "other")];
    browser.post("/console/fn/keys/revoke-some", &form).await.is(404);
    browser.post("/console/fn/keys/revoke-some", &[("reason", "other")]).await.is(422).says("No key is selected");
    browser.get("/keys/revoke").await.says("No key is selected");
    let mut viewer = world.viewer("acme").await;
    viewer.get(&format!("/keys/revoke?key={kept}")).await.is(403).says_not("Kept");
    viewer.post("/console/fn/keys/revoke-some", &form[..1]).await.is(400);
    viewer.post("/console/fn/keys/revoke-some", &[form[0], form[2]]).await.is(403);
    viewer.get("/keys").await.says_not("Select ").says_not("Revoke selected");
    assert_eq!(world.count("acme").await, (3, 1));
}

#[tokio::test]
async fn everything_that_matches_is_previewed_the_busiest_first_and_revoked_together() {
    let world = World::new().await;
    many(&world).await;
    let mut browser = world.developer("acme").await;
    browser.get("/keys").await.says_not("Revoke what matches");
    let list = browser.get("/keys?q=no.+19&status=active&page=2").await;
    list.says("444 of 10,000 keys").says("href=\"/keys/revoke?q=no.+19&amp;status=active&amp;matching=1\"");
    let busiest =
        "update key_usage set calls = 1234 where key_id = (select id from api_keys where name = 'Key no. 194.')";
    sqlx::raw_sql(busiest).execute(&world.owner).await.unwrap();
    let preview = browser.get("/keys/revoke?q=no.+19&status=active&matching=1").await;
    preview.is(200).says("Revoke 444 keys?").says("444 of 444 were called in the last day").says("And 344 more");
    let at = |text: &str| preview.body.find(text).unwrap_or_else(|| panic!("{text} is not there"));
    assert!(at("Key no. 194.") < at("Key no. 19998."));
    let ids = preview.body.split("name=\"key_ids[]\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let mut form: Vec<_> = ids.map(|id| ("key_ids[]", id)).collect();
    assert_eq!(form.len(), 444);
    form.extend([("reason", "superseded"), ("back", "/keys?q=no.+19&status=active")]);
    browser
        .post("/console/fn/keys/revoke-some", &form)
        .await
        .is(200)
        .says("Revoked 444 keys.")
        .says("0 of 10,000 keys");
    assert_eq!(world.count("acme").await, (10_000, 7556));
    // Nothing is left of it; nothing was asked for; too much was.
    browser.get("/keys/revoke?q=no.+19&status=active&matching=1").await.says("No key is selected");
    browser.get("/keys/revoke?matching=1").await.says("No key is selected");
    browser
        .get("/keys/revoke?status=active&matching=1")
        .await
        .is(422)
        .says("Too many at once")
        .says("/keys?status=active");
    // What is mistyped would match more.
    for unclear in ["q=no.+19&stauts=active", "q=no.+19&status=Active", "q=no.+19&environment=liev"] {
        let refused = browser.get(&format!("/keys/revoke?{unclear}&matching=1")).await;
        refused.is(422).says("This filter is not clear").says("/keys?q=no.+19").says_not("key_ids");
    }
    let ids: Vec<_> = (0..1001).map(|n| format!("0192f0c1-2345-7abc-8def-{n:012x}")).collect();
    let form = [ids.iter().map(|id| ("key_ids[]", id.as_str())).collect(), vec![("reason", "other")]].concat();
    browser.post("/console/fn/keys/revoke-some", &form).await.is(422);
    browser.post("/console/fn/keys/revoke-some", &form[1..]).await.is(404);
    let mut viewer = world.viewer("acme").await;
    viewer.get("/keys?q=no.+19").await.is(200).says_not("Revoke what matches");
    viewer.get("/keys/revoke?q=no.+19&matching=1").await.is(403).says_not("Key no.");
}

#[tokio::test]
async fn people_who_revoke_overlapping_keys_at_once_do_not_wait_for_each_other_in_a_circle() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(world.key("acme", &[], "never").await.id.to_string());
    }
    let (mut a, mut b, mut c) = (world.admin("acme").await, world.admin("acme").await, world.developer("acme").await);
    let form = |ids: Vec<String>| {
        let mut form: Vec<(&'static str, String)> = ids.into_iter().map(|id| ("key_ids[]", id)).collect();
        form.push(("reason", "other".to_owned()));
        form
    };
    let (there, back) = (form(ids.clone()), form(ids.iter().rev().cloned().collect()));
    let there: Vec<(&str, &str)> = there.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let back: Vec<(&str, &str)> = back.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let one = [("key_id", ids[6].as_str()), ("reason", "other")];
    let (first, second, third) = tokio::join!(
        a.post("/console/fn/keys/revoke-some", &there),
        b.post("/console/fn/keys/revoke-some", &back),
        c.post("/console/fn/keys/revoke", &one),
    );
    for answer in [first, second, third] {
        answer.is(200);
    }
    let log = world.log("acme").await;
    assert_eq!(log.iter().filter(|line| line.starts_with("key.revoke")).count(), 12);
}

#[tokio::test]
async fn the_file_holds_what_is_filtered_no_secret_and_no_formula() {
    let world = World::new().await;
    key(&world, "acme", "=HYPERLINK(\"http://evil.example\")", |_| ()).await;
    key(&world, "acme", "Testing", |wish| wish.environment = "test".to_owned()).await;
    let used = world.key("acme", &["read", "write"], "30d").await;
    world.program().with("x-api-key", &used.secret).with("user-agent", "@SUM(1)").get("/v1/whoami").await.is(200);
    world.usage.flush(&world.keys_db).await.unwrap();
    let mut browser = world.viewer("acme").await;
    let file = browser.get("/keys.csv?environment=live&sort=created").await;
    file.is(200).says_not(&used.secret);
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"keys.csv\"");
    assert_eq!(file.header("cache-control"), "no-store");
    let lines: Vec<&str> = file.body.lines().collect();
    assert_eq!(lines.len(), 3, "{}", file.body);
    assert!(lines[0].starts_with("\"Name\",\"Hint\",\"Environment\""));
    assert!(lines[1].starts_with("\"'=HYPERLINK(\"\"http://evil.example\"\")\",\"kd_live_"), "{}", lines[1]);
    assert!(lines[2].contains("\"read write\"") && lines[2].contains("\"'@SUM(1)\""), "{}", lines[2]);
    assert!(lines[2].contains(&used.hint) && lines[2].contains("\"2026-12-24T12:00:00"), "{}", lines[2]);
    assert_eq!(world.log("acme").await.last().unwrap(), "key.export: Downloaded the list of keys (2)");
}
