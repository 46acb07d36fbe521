//! Keys from the console: make, list, revoke, and who may.

use keydesk::actor::Role;
use time::Duration;
use uuid::Uuid;

use crate::world::{Answer, Browser, World};

async fn issue(browser: &mut Browser, idempotency_key: &str, name: &str, change: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        ("idempotency_key", idempotency_key),
        ("name", name),
        ("environment", "live"),
        ("tier", "standard"),
        ("scopes[]", "read"),
        ("scopes[]", "write"),
        ("expires", "30d"),
    ];
    for (field, value) in change {
        form.retain(|(name, _)| name != field);
        form.push((field, value));
    }
    browser.post("/console/fn/keys/issue", &form).await
}

fn fresh() -> String {
    Uuid::new_v4().to_string()
}

async fn revoke(browser: &mut Browser, id: &str) -> Answer {
    browser.post("/console/fn/keys/revoke", &[("key_id", id), ("reason", "key_compromise")]).await
}

#[tokio::test]
async fn a_developer_makes_a_key_that_works_and_is_shown_once() {
    let world = World::new().await;
    let mut browser = world.developer("acme").await;
    let answer = issue(&mut browser, &fresh(), "CI deploys", &[]).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.is(200).says("Your new key").says("shown only once");
    let secret = answer.field("issued-secret");
    answer.says(
        &format!("curl -H 'x-api-key: {secret}' http://127.0.0.1:3001/v1/whoami")
            .replace('\'', "&#x27;")
            .replace("&#x27;", "'"),
    );
    answer.says(&format!("KEYDESK_API_KEY={secret}"));
    let who = world.program().with("x-api-key", &secret).get("/v1/whoami").await;
    who.is(200);
    assert_eq!(who.json()["name"], "CI deploys");
    assert_eq!(who.json()["org"], "acme");
    assert_eq!(who.json()["scopes"], serde_json::json!(["read", "write"]));
    assert_eq!(who.json()["expires_at"], "2026-12-24T12:00:00Z");
    let list = browser.get("/keys").await;
    list.is(200).says("CI deploys").says("Never").says("in 30 days").says("by Developer").says_not(&secret);
    assert_eq!(
        world.log("acme").await.last().unwrap().split(" (").next().unwrap(),
        "key.issue: Created key “CI deploys”"
    );
}

#[tokio::test]
async fn mistakes_are_named_beside_their_fields_and_nothing_typed_is_lost() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    let long = "x".repeat(81);
    for (field, value, message) in [
        ("name", "  ", "Give the key a name"),
        ("name", long.as_str(), "Use at most 80 characters."),
        ("name", "a\u{202e}b", "Leave out line breaks"),
        ("environment", "prod", "Choose one of: live, test."),
        ("tier", "gold", "Choose one of: standard, high, unlimited."),
        ("scopes[]", "root", "There is no scope"),
        ("expires", "0d", "Say for how many days"),
        ("expires", "4000d", "Say for how many days"),
    ] {
        let answer = issue(&mut browser, &fresh(), "Kept name", &[(field, value)]).await;
        answer.is(422).says(message);
        if field != "name" {
            assert_eq!(answer.field("name"), "Kept name");
        }
    }
    assert_eq!(world.count("acme").await, (0, 0));
    // The browser half gets the same, as JSON.
    let mut script = browser.script();
    let answer = issue(&mut script, &fresh(), "", &[("tier", "gold")]).await;
    answer.is(422);
    let fields: Vec<_> = answer.json()["fields"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["field"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(fields, ["name", "tier"]);
}

#[tokio::test]
async fn a_form_that_is_not_whole_is_400_and_does_nothing() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    browser.post("/console/fn/keys/issue", &[("name", "x")]).await.is(400);
    issue(&mut browser, "no-uuid", "x", &[]).await.is(422).says("Reload the page");
    browser.post("/console/fn/keys/nothing", &[]).await.is(404);
    let mut script = browser.script();
    script.post("/console/fn/keys/issue", &[("name", "x")]).await.is(400);
    script.post("/console/fn/keys/nothing", &[]).await.is(404);
    assert_eq!(world.count("acme").await, (0, 0));
}

#[tokio::test]
async fn a_form_sent_twice_makes_one_key_and_shows_its_secret_once() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let idempotency_key = fresh();
    let (mut a, mut b) = (world.browser(&account).await, world.browser(&account).await);
    // At once, as a double click does.
    let (first, second) =
        tokio::join!(issue(&mut a, &idempotency_key, "Twice", &[]), issue(&mut b, &idempotency_key, "Twice", &[]));
    let (made, refused) = if first.status == 200 { (first, second) } else { (second, first) };
    let secret = made.is(200).field("issued-secret");
    refused.is(409).says("has already created the key “Twice”").says(&secret[..12]).says_not(&secret);
    // And once more, later.
    issue(&mut a, &idempotency_key, "Twice", &[]).await.is(409).says_not(&secret);
    assert_eq!(world.count("acme").await, (1, 1));
    // The same form id of another organization is another form.
    issue(&mut world.owner_of("other").await, &idempotency_key, "Theirs", &[]).await.is(200);
}

#[tokio::test]
async fn a_second_key_of_one_name_is_made_only_if_that_is_meant() {
    let world = World::new().await;
    let mut browser = world.developer("acme").await;
    let first = issue(&mut browser, &fresh(), "CI deploys", &[("expires", "7d")]).await.is(200).field("issued-secret");
    let idempotency_key = fresh();
    let asked = issue(&mut browser, &idempotency_key, " ci DEPLOYS ", &[]).await;
    asked.is(422).says("There is a key of this name already").says(&first[..12]).says_not(&first);
    assert_eq!(asked.field("name"), " ci DEPLOYS ");
    assert_eq!(world.count("acme").await, (1, 1));
    assert_eq!(world.log("acme").await.iter().filter(|line| line.starts_with("key.issue")).count(), 1);
    let meant = issue(&mut browser, &idempotency_key, "ci deploys", &[("allow_duplicate_name", "true")]).await;
    meant.is(200).says("Your new key");
    let id = meant.field("key_id");
    // The form sent twice made its key, and is not told of its own name.
    issue(&mut browser, &idempotency_key, "ci deploys", &[]).await.is(409).says("has already created the key");
    // Another organization's names are nobody's business here.
    issue(&mut world.owner_of("other").await, &fresh(), "CI deploys", &[]).await.is(200);
    // A key that is over has no claim to its name.
    world.clock.advance(Duration::days(8));
    let mut browser = world.developer("acme").await;
    revoke(&mut browser, &id).await.is(200);
    issue(&mut browser, &fresh(), "CI deploys", &[]).await.is(200);
}

#[tokio::test]
async fn a_key_is_confirmed_by_how_it_ends_and_flagged_until_then() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let (id, page) = (key.id.to_string(), format!("/keys/{}", key.id));
    let last_four = &key.secret[key.secret.len() - 4..];
    const FLAG: &str = "Not confirmed as stored";
    let mut dee = world.developer("acme").await;
    dee.get("/keys").await.says(FLAG).says("Three steps to the first call");
    dee.get(&page).await.says("Is this key stored somewhere?");
    // Who could not have made it is not asked.
    let mut viewer = world.viewer("acme").await;
    viewer.get(&page).await.says_not("Is this key stored somewhere?");
    viewer.get("/keys").await.says_not("Three steps");
    for wrong in ["", "abcd", &last_four[1..], &key.secret] {
        let answer = dee.post("/console/fn/keys/confirm", &[("key_id", &id), ("last_four", wrong)]).await;
        answer.is(422).says("The key does not end like that").says_not(&key.secret);
    }
    dee.get("/keys").await.says(FLAG);
    let theirs = world.key("other", &[], "never").await;
    let foreign =
        [("key_id", theirs.id.to_string()), ("last_four", theirs.secret[theirs.secret.len() - 4..].to_owned())];
    let foreign = foreign.each_ref().map(|(name, value)| (*name, value.as_str()));
    dee.post("/console/fn/keys/confirm", &foreign).await.is(404);
    for _ in 0..2 {
        let answer = dee.post("/console/fn/keys/confirm", &[("key_id", &id), ("last_four", last_four)]).await;
        answer.is(200).says("Noted that “Test key” is stored.").says_not("Is this key stored somewhere?");
    }
    dee.get("/keys").await.says_not(FLAG).says("Done: ");
    let said = format!("key.confirm: Confirmed that key “Test key” ({}) is stored", key.hint);
    assert_eq!(world.log("acme").await.iter().filter(|line| **line == said).count(), 1);
    // One that something calls with is stored, whatever was said; and whoever has come so far needs no first steps.
    let used = world.key("acme", &[], "never").await;
    world.program().with("x-api-key", &used.secret).get("/v1/whoami").await.is(200);
    world.usage.flush(&world.keys_db).await.unwrap();
    dee.get("/keys").await.says_not(FLAG).says_not("Three steps");
    revoke(&mut dee, &id).await.is(200);
    let late = dee.post("/console/fn/keys/confirm", &[("key_id", &id), ("last_four", last_four)]).await;
    late.is(409).says("is revoked");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_stays_visible() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut browser = world.developer("acme").await;
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    let answer = revoke(&mut browser, &key.id.to_string()).await;
    answer.is(200).says("Revoked “Test key”.").says("Effective on 1 of 1 node after");
    assert_eq!(world.verdict(&key.secret).await, "REVOKED");
    browser.get("/keys").await.says("Test key").says("Leaked or compromised").says("by Developer");
    browser.get(&format!("/keys/{}", key.id)).await.is(200).says("Revoked key “Test key”");
    assert_eq!(
        world.log("acme").await.last().unwrap(),
        &format!("key.revoke: Revoked key “Test key” ({}): leaked or compromised", key.hint)
    );
}

#[tokio::test]
async fn two_people_who_revoke_at_once_both_succeed_and_one_did_it() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let (mut a, mut b) = (world.admin("acme").await, world.developer("acme").await);
    let id = key.id.to_string();
    let (first, second) = tokio::join!(revoke(&mut a, &id), revoke(&mut b, &id));
    first.is(200);
    second.is(200);
    assert!(first.body.contains("was revoked already") != second.body.contains("was revoked already"));
    assert_eq!(world.log("acme").await.iter().filter(|line| line.starts_with("key.revoke")).count(), 1);
}

#[tokio::test]
async fn revoke_all_asks_for_the_name_and_hits_every_key_of_this_organization_alone() {
    let world = World::new().await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(world.key("acme", &[], "never").await);
    }
    let theirs = world.key("other", &[], "never").await;
    let mut browser = world.admin("acme").await;
    browser.get("/keys?revoke-all=1").await.is(200).says("Revoke 3 keys").says("Type acme to confirm");
    let refused = browser.post("/console/fn/keys/revoke-all", &[("confirmation", "Acme")]).await;
    refused.is(422).says("exactly");
    assert_eq!(refused.field("confirmation"), "Acme");
    assert_eq!(world.count("acme").await, (3, 3));
    browser.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(200).says("Revoked 3 keys.");
    for key in &keys {
        assert_eq!(world.verdict(&key.secret).await, "REVOKED");
    }
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
    browser.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(200).says("no key left");
}

#[tokio::test]
async fn an_expired_key_is_refused_from_its_moment_on_and_stays_visible() {
    let world = World::new().await;
    let key = world.key("acme", &[], "30d").await;
    world.clock.advance(Duration::days(30) - Duration::microseconds(1));
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    world.clock.advance(Duration::microseconds(1));
    assert_eq!(world.verdict(&key.secret).await, "EXPIRED");
    world.viewer("acme").await.get("/keys").await.says("Test key").says("Expired");
}

#[tokio::test]
async fn a_role_that_may_not_is_refused_told_and_noted() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut viewer = world.viewer("acme").await;
    issue(&mut viewer, &fresh(), "x", &[]).await.is(403).says("Your role, viewer, may not create API keys");
    revoke(&mut viewer, &key.id.to_string()).await.is(403);
    let mut developer = world.developer("acme").await;
    developer.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(403);
    assert_eq!(world.count("acme").await, (1, 1));
    let log = world.log("acme").await;
    assert!(log.contains(&"denied: Refused: viewer may not create API keys".to_owned()), "{log:?}");
    // What they may not do is not offered either.
    viewer.get("/keys").await.is(200).says_not("Create key").says_not("Revoke Test key").says_not("Revoke all keys");
    developer.get("/keys").await.says("Create key").says_not("Revoke all keys");
}

#[tokio::test]
async fn a_changed_role_counts_at_the_next_request() {
    let world = World::new().await;
    let account = world.member("acme", Role::Admin).await;
    let mut browser = world.browser(&account).await;
    browser.get("/keys").await.says("Create key");
    sqlx::query("update members set role = 'viewer' where user_id = $1")
        .bind(account.user.0)
        .execute(&world.owner)
        .await
        .unwrap();
    browser.get("/keys").await.says_not("Create key");
    issue(&mut browser, &fresh(), "x", &[]).await.is(403);
    sqlx::query("delete from members where user_id = $1").bind(account.user.0).execute(&world.owner).await.unwrap();
    browser.get("/keys").await.is(303);
}

#[tokio::test]
async fn a_thousand_keys_come_page_by_page() {
    let world = World::new().await;
    let org = world.org("acme").await;
    sqlx::query(
        "insert into api_keys (id, org_id, environment, tier, name, digest, hint, scopes, created_at)
         select ('0192f0c1-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $1, 'live', 'standard', 'Key no. ' || n || '.',
                sha256(n::text::bytea), 'kd_live_' || n, '{}', now() from generate_series(1, 1000) n",
    )
    .bind(org.0)
    .execute(&world.owner)
    .await
    .unwrap();
    let mut browser = world.viewer("acme").await;
    let first = browser.get("/keys").await;
    first.says("Key no. 1000.").says("Key no. 951.").says_not("Key no. 950.").says("1,000 keys").says("Page 1 of 20");
    browser.get("/keys?page=20").await.says("Key no. 1.").says("Page 20 of 20");
    for odd in ["/keys?page=99", "/keys?page=0", "/keys?page=-1", "/keys?page=x", "/keys?page=99999999999999999999"] {
        browser.get(odd).await.is(200);
    }
}

#[tokio::test]
async fn a_name_is_text_wherever_it_is_shown() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    let name = "<img src=x onerror=alert(1)>\"'&";
    let answer = issue(&mut browser, &fresh(), name, &[]).await;
    answer.is(200).says_not("<img src=x");
    let list = browser.get("/keys").await;
    list.says_not("<img src=x");
    let id = list.body.split("href=\"/keys/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for path in [format!("/keys/{id}"), format!("/keys?revoke={id}"), "/audit".to_owned()] {
        browser.get(&path).await.is(200).says("&lt;img src=x").says_not("<img src=x");
    }
}

#[tokio::test]
async fn an_expired_session_loses_nothing_that_was_typed() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let mut browser = world.browser(&account).await;
    world.clock.advance(Duration::hours(2));
    let idempotency_key = fresh();
    let answer = issue(&mut browser, &idempotency_key, "Kept through", &[]).await;
    answer.is(401).says("Your session has ended").says("Send it again");
    assert_eq!(
        (answer.field("name"), answer.field("idempotency_key")),
        ("Kept through".to_owned(), idempotency_key.clone())
    );
    let mut again = world.browser(&account).await;
    issue(&mut again, &idempotency_key, "Kept through", &[]).await.is(200);
}

#[tokio::test]
async fn last_used_shows_when_from_where_and_by_what() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut browser = world.viewer("acme").await;
    browser.get("/keys").await.says("Never");
    let program = world.program().with("x-api-key", &key.secret).with("user-agent", "warehouse/2.1");
    program.get("/v1/whoami").await.is(200);
    world.usage.flush(&world.keys_db).await.unwrap();
    world.clock.advance(Duration::minutes(3));
    browser.get("/keys").await.says("3 minutes ago").says("198.51.100.7 · warehouse/2.1");
    // A service asks in the client's place: both are known.
    let service = world.program().bearer(&world.service_key(&["verify"]).await).with("user-agent", "gateway/1");
    service.post("/v1/keys/verify", &serde_json::json!({ "key": key.secret })).await.is(200);
    world.usage.flush(&world.keys_db).await.unwrap();
    browser.get(&format!("/keys/{}", key.id)).await.says("just now").says("via gateway");
    // A refused call is no use.
    revoke(&mut world.owner_of("acme").await, &key.id.to_string()).await.is(200);
    world.clock.advance(Duration::minutes(5));
    program.get("/v1/whoami").await.is(401);
    world.usage.flush(&world.keys_db).await.unwrap();
    browser.get("/keys").await.says("5 minutes ago");
}
