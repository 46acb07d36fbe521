//! Rotation on a key's own page: the successor shown once, who has changed over and who has not, more time, and the end.

use keydesk::ids::KeyId;
use time::Duration;
use uuid::Uuid;

use crate::world::{Answer, Browser, TestKey, World};

async fn rotate(browser: &mut Browser, idempotency_key: &str, key: &TestKey, window: &str, reason: &str) -> Answer {
    let id = key.id.to_string();
    let form = [("idempotency_key", idempotency_key), ("key_id", &id), ("window", window), ("reason", reason)];
    browser.post("/console/fn/keys/rotate", &form).await
}

fn fresh() -> String {
    Uuid::new_v4().to_string()
}

async fn act(browser: &mut Browser, what: &str, key: &TestKey, more: &[(&str, &str)]) -> Answer {
    let id = key.id.to_string();
    let mut form = vec![("key_id", id.as_str())];
    form.extend(more);
    browser.post(&format!("/console/fn/keys/{what}"), &form).await
}

async fn page(browser: &mut Browser, key: &TestKey) -> Answer {
    browser.get(&format!("/keys/{}", key.id)).await
}

/// A program somewhere calls with a key.
async fn call(world: &World, secret: &str, address: &str, agent: &str) {
    let mut program = world.program().with("x-api-key", secret).with("user-agent", agent);
    program.address = address.parse().unwrap();
    program.get("/v1/whoami").await;
    world.usage.flush(&world.keys_db).await.unwrap();
}

/// The successor that a page shows once.
fn successor<'a>(answer: &'a Answer, old: &TestKey) -> (TestKey, &'a Answer) {
    let secret = answer.is(200).field("issued-secret");
    let mut links = answer.body.split("href=\"/keys/").filter_map(|rest| rest.split('"').next()?.parse::<KeyId>().ok());
    let link = links.find(|id| *id != old.id);
    let hint = format!("{}…{}", &secret[..12], &secret[secret.len() - 4..]);
    (TestKey { id: link.expect("the page links to the new key"), secret, hint }, answer)
}

#[tokio::test]
async fn a_developer_rotates_a_key_and_sees_the_successor_once() {
    let world = World::new().await;
    let old = world.key("acme", &["read"], "never").await;
    let mut dee = world.developer("acme").await;
    let form = dee.get(&format!("/keys/{}?rotate=1", old.id)).await;
    form.is(200).says("Rotate “Test key”?").says("<option value=\"24h\" selected").says("Leaked or compromised");
    let idempotency_key = form.field("idempotency_key");
    let answer = rotate(&mut dee, &idempotency_key, &old, "24h", "superseded").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let (new, answer) = successor(&answer, &old);
    answer
        .says("Your new key")
        .says("shown only once")
        .says("In your program")
        .says("The old key goes on until 25 Nov 2026");
    answer.says(&old.hint).says(&new.hint).says("Replaced, ends");
    assert_eq!(world.verdict(&old.secret).await, "VALID");
    assert_eq!(world.verdict(&new.secret).await, "VALID");
    // The same form again makes no third key, and shows nothing twice.
    let again = rotate(&mut dee, &idempotency_key, &old, "24h", "superseded").await;
    again.is(409).says("has already created the key").says_not(&new.secret);
    rotate(&mut dee, &fresh(), &old, "24h", "superseded").await.is(409).says("has been rotated already");
    assert_eq!(world.count("acme").await, (2, 2));
    // Neither of the two is rotated now, and either's page shows both.
    for key in [&old, &new] {
        let page = page(&mut dee, key).await;
        page.is(200).says(&old.hint).says(&new.hint).says("This key").says_not("rotate-title").says_not(&new.secret);
    }
}

#[tokio::test]
async fn mistakes_in_a_rotation_are_named_beside_their_fields() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut dee = world.developer("acme").await;
    rotate(&mut dee, &fresh(), &key, "1y", "superseded").await.is(422).says("Choose one of: now, 1h, 24h, 7d.");
    let answer = rotate(&mut dee, &fresh(), &key, "7d", "boredom").await;
    answer.is(422).says("Choose one of the reasons in the list.").says("<option value=\"7d\" selected");
    assert_eq!(world.count("acme").await, (1, 1));
}

#[tokio::test]
async fn after_a_leak_the_old_key_has_ended_everywhere_before_the_new_one_is_shown() {
    let world = World::new().await;
    let mut dee = world.developer("acme").await;
    for (window, why) in [("7d", "key_compromise"), ("now", "superseded")] {
        let old = world.key("acme", &["read"], "never").await;
        let answer = rotate(&mut dee, &fresh(), &old, window, why).await;
        let (new, answer) = successor(&answer, &old);
        answer.says("The old key has ended. Effective on 1 of 1 node");
        assert_eq!(world.verdict(&old.secret).await, "ROTATED");
        assert_eq!(world.verdict(&new.secret).await, "VALID");
        answer.says_not("End the old key").says_not("Give it more time");
    }
}

#[tokio::test]
async fn the_page_knows_who_is_still_on_the_old_key_and_when_nobody_is() {
    let world = World::new().await;
    let old = world.key("acme", &["read"], "never").await;
    for (address, agent) in [("10.0.4.7", "curl/8.5.0"), ("10.0.4.8", "nightly/1.0"), ("10.0.4.9", "axios/1.12")] {
        call(&world, &old.secret, address, agent).await;
    }
    world.clock.advance(Duration::minutes(10));
    let mut dee = world.developer("acme").await;
    let rotated = rotate(&mut dee, &fresh(), &old, "24h", "superseded").await;
    let (new, _) = successor(&rotated, &old);
    let says = async |text: &str, dee: &mut Browser| {
        for key in [&old, &new] {
            page(dee, key).await.is(200).says(text);
        }
    };
    says("3 callers of the week before have called with neither key since.", &mut dee).await;
    world.clock.advance(Duration::minutes(2));
    call(&world, &old.secret, "10.0.4.7", "curl/8.6.0").await;
    call(&world, &old.secret, "10.0.4.9", "axios/1.12").await;
    world.clock.advance(Duration::minutes(3));
    says("2 callers are still on the old key: ", &mut dee).await;
    says("10.0.4.7 curl, 3 minutes ago", &mut dee).await;
    call(&world, &new.secret, "10.0.4.7", "curl/8.6.0").await;
    says("1 caller is still on the old key: 10.0.4.9 axios, 3 minutes ago. 1 caller has moved over.", &mut dee).await;
    call(&world, &new.secret, "10.0.4.9", "axios/1.12").await;
    says("1 caller of the week before has called with neither key since. 2 callers have moved over.", &mut dee).await;
    call(&world, &new.secret, "10.0.4.8", "nightly/1.0").await;
    says("Nobody is left on the old key: it can be ended. 3 callers have moved over.", &mut dee).await;
    // Silent: it ends without a question.
    let ended = act(&mut dee, "finish", &old, &[("back", &format!("/keys/{}", new.id))]).await;
    ended.is(200).says("The old key has ended.").says("Effective on 1 of 1 node").says("<h1>Test key");
    assert_eq!(world.verdict(&old.secret).await, "ROTATED");
    assert_eq!(world.verdict(&new.secret).await, "VALID");
    page(&mut dee, &old).await.says_not("End the old key");
}

#[tokio::test]
async fn the_history_of_a_new_key_begins_with_the_rotation_that_made_it() {
    let world = World::new().await;
    let old = world.key("acme", &["read"], "never").await;
    let mut dee = world.developer("acme").await;
    let rotated = rotate(&mut dee, &fresh(), &old, "24h", "superseded").await;
    let (new, _) = successor(&rotated, &old);
    let made = format!("Rotated key “Test key” ({}) to {}", old.hint, new.hint);
    let created = format!("Created key “Test key” ({})", old.hint);
    page(&mut dee, &new).await.says(&made).says_not(&created);
    page(&mut dee, &old).await.says(&made).says(&created);
    // What becomes of the old one is the old one's.
    act(&mut dee, "finish", &old, &[]).await.is(200);
    page(&mut dee, &new).await.says(&made).says_not("Ended the replaced key");
    page(&mut dee, &old).await.says("Ended the replaced key");
}

#[tokio::test]
async fn a_live_caller_is_cut_off_only_by_whoever_says_so() {
    let world = World::new().await;
    let old = world.replaced_key("acme").await;
    world.clock.advance(Duration::minutes(5));
    call(&world, &old.secret, "10.0.4.7", "curl/8.5.0").await;
    let mut dee = world.developer("acme").await;
    let form = dee.get(&format!("/keys/{}?finish=1", old.id)).await;
    form.is(200)
        .says("End the old key now?")
        .says("1 caller is still on the old key: 10.0.4.7 curl")
        .says("Cut them off");
    let refused = act(&mut dee, "finish", &old, &[]).await;
    refused.is(422).says("1 caller is still on the old key: 10.0.4.7 curl, just now. Tick this box to cut them off.");
    assert_eq!(world.verdict(&old.secret).await, "VALID");
    act(&mut dee, "finish", &old, &[("force", "true")]).await.is(200).says("Effective on 1 of 1 node");
    assert_eq!(world.verdict(&old.secret).await, "ROTATED");
    call(&world, &old.secret, "10.0.4.7", "curl/8.5.0").await;
    page(&mut dee, &old).await.says("It has ended: they are refused.");
}

#[tokio::test]
async fn an_old_key_is_given_more_time_once() {
    let world = World::new().await;
    let old = world.replaced_key("acme").await;
    let mut dee = world.developer("acme").await;
    page(&mut dee, &old).await.is(200).says("Give it more time").says("in 1 day");
    act(&mut dee, "extend", &old, &[]).await.is(200).says("The old key goes on until 26 Nov 2026, 12:00:00 UTC.");
    page(&mut dee, &old).await.says_not("Give it more time").says("It was given more time once already.");
    act(&mut dee, "extend", &old, &[]).await.is(409).says("The replaced key was given more time once already.");
    world.clock.advance(Duration::hours(49));
    let mut dee = world.developer("acme").await;
    page(&mut dee, &old).await.says("The old key has ended.").says_not("End the old key");
    act(&mut dee, "extend", &old, &[]).await.is(409);
}

#[tokio::test]
async fn viewers_see_how_a_rotation_goes_and_touch_nothing() {
    let world = World::new().await;
    let old = world.replaced_key("acme").await;
    call(&world, &old.secret, "10.0.4.7", "curl/8.5.0").await;
    let mut vic = world.viewer("acme").await;
    for path in ["", "?rotate=1", "?finish=1"] {
        let page = vic.get(&format!("/keys/{}{path}", old.id)).await;
        page.is(200).says("1 caller is still on the old key").says_not("/console/fn/keys/").says_not("<dialog");
    }
    let mut sam = world.owner_of("other").await;
    for (browser, status) in [(&mut vic, 403), (&mut world.support().await, 403), (&mut sam, 404)] {
        rotate(browser, &fresh(), &old, "now", "key_compromise").await.is(status).says_not(&old.hint);
        for what in ["extend", "finish"] {
            act(browser, what, &old, &[("force", "true")]).await.is(status).says_not("10.0.4.7");
        }
    }
    assert_eq!(world.verdict(&old.secret).await, "VALID");
}
