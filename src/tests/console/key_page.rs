//! A key's own page: what can be changed there, by whom, what is said of it, and what is not lost.

use keydesk::{
    actor::{Actor, Principal, Role},
    keys::lifecycle::{self, CreateKeyInput},
};
use time::Duration;

use crate::world::{Answer, Browser, TestKey, World};

/// Sends the edit form as the page has it, but for some fields.
async fn edit(browser: &mut Browser, key: &TestKey, change: &[(&str, &str)]) -> Answer {
    let page = browser.get(&format!("/keys/{}?edit=1", key.id)).await;
    let version = page.is(200).field("version");
    send_edit(browser, key, &version, change).await
}

async fn send_edit(browser: &mut Browser, key: &TestKey, version: &str, change: &[(&str, &str)]) -> Answer {
    let id = key.id.to_string();
    let mut form = vec![
        ("key_id", id.as_str()),
        ("version", version),
        ("name", "Test key"),
        ("asks_scopes", "true"),
        ("scopes[]", "read"),
        ("namespaces", ""),
        ("addresses", ""),
        ("expires", ""),
    ];
    for (field, _) in change {
        form.retain(|(name, _)| name != field);
    }
    form.extend(change);
    browser.post("/console/fn/keys/edit", &form).await
}

async fn act(browser: &mut Browser, what: &str, key: &TestKey) -> Answer {
    browser.post(&format!("/console/fn/keys/{what}"), &[("key_id", &key.id.to_string())]).await
}

async fn page(browser: &mut Browser, key: &TestKey) -> Answer {
    browser.get(&format!("/keys/{}", key.id)).await
}

#[tokio::test]
async fn a_developer_changes_a_key_and_what_takes_something_away_shows_its_receipt() {
    let world = World::new().await;
    let key = world.key("acme", &["read", "write"], "never").await;
    let mut dee = world.developer("acme").await;
    let wider = edit(&mut dee, &key, &[("name", "Nightly"), ("scopes[]", "read"), ("scopes[]", "write")]).await;
    wider.is(200).says("Changed “Nightly”.").says_not("Effective on");
    let narrowed = edit(
        &mut dee,
        &key,
        &[
            ("name", "Nightly"),
            ("namespaces", "staging"),
            ("addresses", "10.0.0.0/8, 203.0.113.7\r\n::1"),
            ("expires", "7d"),
        ],
    )
    .await;
    narrowed.is(200).says("Changed “Nightly”.").says("Effective on 1 of 1 node");
    narrowed.says("10.0.0.0/8, 203.0.113.7/32, ::1/128").says("staging").says("in 7 days");
    // It holds by now.
    assert_eq!(world.verdict(&key.secret).await, "IP_NOT_ALLOWED");
    let log = world.log("acme").await;
    assert!(log.last().unwrap().ends_with("scopes, namespaces, addresses, expiry"), "{log:?}");
    narrowed.says(log.last().unwrap().split_once(": ").unwrap().1);
    // The form has the key as it is; saved as it is, it changes nothing.
    let form = dee.get(&format!("/keys/{}?edit=1", key.id)).await;
    assert_eq!(form.field("name"), "Nightly");
    form.says(">10.0.0.0/8\n203.0.113.7\n::1</textarea>").says(">staging</textarea>").says("As it is: in 7 days");
    form.says("Your own address is").says("192.0.2.9");
    let same = [("name", "Nightly"), ("namespaces", "staging"), ("addresses", "::1 10.0.0.0/8 203.0.113.7")];
    edit(&mut dee, &key, &same).await.is(200).says("there was nothing to change");
    assert_eq!(world.log("acme").await.len(), log.len());
}

#[tokio::test]
async fn mistakes_in_an_edit_are_named_beside_their_fields_and_nothing_typed_is_lost() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut dee = world.developer("acme").await;
    for (field, value, message) in [
        ("name", "  ", "Give the key a name"),
        ("scopes[]", "root", "There is no scope"),
        ("namespaces", "a/b", "A namespace is 1 to 64 letters"),
        ("addresses", "10.0.0", "is no address or block"),
        ("expires", "0d", "Say for how many days"),
    ] {
        let mut change = vec![("name", "Kept name"), ("namespaces", "kept-too")];
        change.retain(|(name, _)| *name != field);
        change.push((field, value));
        let answer = edit(&mut dee, &key, &change).await;
        answer.is(422).says(message).says("<dialog").says(" open");
        if field != "name" {
            assert_eq!(answer.field("name"), "Kept name");
        }
        if field != "namespaces" {
            answer.says(">kept-too</textarea>");
        }
        if field == "addresses" {
            answer.says(">10.0.0</textarea>");
        }
    }
    assert_eq!(world.log("acme").await.iter().filter(|line| line.starts_with("key.edit")).count(), 0);
}

#[tokio::test]
async fn whoever_would_undo_what_somebody_else_did_meanwhile_is_told_and_may_still() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let (mut ada, mut dee) = (world.admin("acme").await, world.developer("acme").await);
    let version = dee.get(&format!("/keys/{}?edit=1", key.id)).await.field("version");
    edit(&mut ada, &key, &[("addresses", "198.51.100.0/24")]).await.is(200);
    let refused = send_edit(&mut dee, &key, &version, &[("name", "Mine")]).await;
    refused.is(422).says("Admin has changed this key since you opened it. Changed key “Test key”");
    refused.says("Save mine over theirs");
    assert_eq!((refused.field("name"), refused.field("version")), ("Mine".to_owned(), version.clone()));
    page(&mut ada, &key).await.says("198.51.100.0/24").says_not("Mine");
    // Nothing of theirs is lost by accident, and of one's own nothing has to be typed again.
    send_edit(&mut dee, &key, &version, &[("name", "Mine"), ("overwrite", "true")])
        .await
        .is(200)
        .says("Changed “Mine”.");
    page(&mut ada, &key).await.says("Mine").says("Any");
    assert_eq!(world.verdict(&key.secret).await, "VALID");
}

#[tokio::test]
async fn an_edit_whose_answer_got_lost_is_sent_again_and_is_no_quarrel_with_oneself() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut dee = world.developer("acme").await;
    let version = dee.get(&format!("/keys/{}?edit=1", key.id)).await.field("version");
    let change = [("name", "Mine"), ("addresses", "198.51.100.0/24")];
    send_edit(&mut dee, &key, &version, &change).await.is(200).says("Changed “Mine”.");
    let again = send_edit(&mut dee, &key, &version, &change).await;
    again.is(200).says("“Mine” is like this already: there was nothing to change.").says("Effective on 1 of 1 node");
    assert_eq!(world.log("acme").await.iter().filter(|line| line.starts_with("key.edit")).count(), 1);
}

#[tokio::test]
async fn what_was_typed_into_a_list_is_text_when_it_is_shown_again() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut dee = world.developer("acme").await;
    let typed = "</textarea><script>1</script>&amp;";
    let answer = edit(&mut dee, &key, &[("addresses", typed)]).await;
    answer.is(422).says(">&lt;/textarea>&lt;script>1&lt;/script>&amp;amp;</textarea>").says_not("<script>1");
}

#[tokio::test]
async fn a_key_is_disabled_everywhere_and_enabled_again() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut dee = world.developer("acme").await;
    for _ in 0..2 {
        let disabled = act(&mut dee, "disable", &key).await;
        disabled.is(200).says("Effective on 1 of 1 node").says(">Disabled<").says("Enable").says_not(">Disable<");
        assert_eq!(world.verdict(&key.secret).await, "DISABLED");
    }
    let enabled = act(&mut dee, "enable", &key).await;
    enabled.is(200).says("Enabled “Test key”.").says_not("Effective on").says(">Disable<");
    world.settle().await;
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    act(&mut dee, "enable", &key).await.is(200).says("was enabled already");
}

#[tokio::test]
async fn what_has_ended_is_not_changed_and_the_page_says_why() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut dee = world.developer("acme").await;
    let version = dee.get(&format!("/keys/{}?edit=1", key.id)).await.field("version");
    let id = key.id.to_string();
    dee.post("/console/fn/keys/revoke", &[("key_id", &id), ("reason", "other")]).await.is(200);
    let page = page(&mut dee, &key).await;
    page.is(200).says_not("/console/fn/keys/edit").says_not("/console/fn/keys/disable");
    for answer in [
        send_edit(&mut dee, &key, &version, &[]).await,
        act(&mut dee, "disable", &key).await,
        act(&mut dee, "enable", &key).await,
    ] {
        answer.is(409).says("The key is revoked, which is for good: create a new one.");
    }
}

#[tokio::test]
async fn what_was_done_to_many_keys_at_once_is_in_the_history_of_each_of_them() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut olga = world.owner_of("acme").await;
    edit(&mut olga, &key, &[("namespaces", "staging")]).await.is(200);
    let office = Actor { principal: Principal::Service { name: "office".to_owned() }, ..Actor::operator() };
    let mut m = world.office_mutation(office, world.org("acme").await).await;
    let permit = m.permit().unwrap();
    lifecycle::add_namespace(&mut m, &permit, "production", &world.catalog).await.unwrap();
    world.commit(m).await;
    page(&mut olga, &key).await.says("Added the namespace “production”").says_not("Revoked all keys");
    olga.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(200);
    let later = world.key("acme", &["read"], "never").await;
    page(&mut olga, &key).await.is(200).says("Revoked all keys (1)");
    page(&mut olga, &later).await.is(200).says_not("Revoked all keys").says_not("Added the namespace");
}

#[tokio::test]
async fn viewers_and_strangers_change_nothing_and_are_offered_nothing() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut vic = world.viewer("acme").await;
    for path in ["", "?edit=1", "?revoke=1"] {
        let page = vic.get(&format!("/keys/{}{path}", key.id)).await;
        page.is(200).says_not("<dialog").says_not("/console/fn/keys/").says_not("History");
    }
    let mut sam = world.owner_of("other").await;
    page(&mut sam, &key).await.is(404);
    for (browser, status) in [(&mut vic, 403), (&mut world.support().await, 403), (&mut sam, 404)] {
        send_edit(browser, &key, "", &[("overwrite", "true")]).await.is(status).says_not(&key.hint);
        for what in ["disable", "enable"] {
            act(browser, what, &key).await.is(status).says_not(&key.hint);
        }
    }
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    assert!(world.log("acme").await.iter().any(|line| line.contains("change API keys")), "the refusal is in the log");
}

#[tokio::test]
async fn a_key_that_nothing_has_used_is_flagged_after_a_week() {
    let world = World::new().await;
    let (idle, used) = (world.key("acme", &["read"], "never").await, world.key("acme", &["read"], "never").await);
    assert_eq!(world.verdict(&used.secret).await, "VALID");
    world.usage.flush(&world.keys_db).await.unwrap();
    world.clock.advance(Duration::days(6));
    let vic = world.member("acme", Role::Viewer).await;
    let flagged = "Never used since it was created";
    page(&mut world.browser(&vic).await, &idle).await.is(200).says_not(flagged);
    world.clock.advance(Duration::days(3));
    let mut vic = world.browser(&vic).await;
    page(&mut vic, &idle).await.is(200).says("Never used since it was created 9 days ago.");
    page(&mut vic, &used).await.is(200).says_not(flagged);
}

#[tokio::test]
async fn a_key_whose_tier_is_gone_keeps_its_scopes_and_can_be_renamed() {
    let world = World::new().await;
    let wish = CreateKeyInput {
        name: "Test key".to_owned(),
        environment: "live".to_owned(),
        tier: "high".to_owned(),
        scopes: vec!["read".to_owned()],
        expires: "never".to_owned(),
        ..CreateKeyInput::default()
    };
    let key = world.make("acme", wish).await;
    world.change("update api_keys set tier = 'gone'").await;
    let mut dee = world.developer("acme").await;
    let form = dee.get(&format!("/keys/{}?edit=1", key.id)).await;
    form.is(200).says_not("asks_scopes");
    let (id, version) = (key.id.to_string(), form.field("version"));
    let fields = [
        ("key_id", id.as_str()),
        ("version", &version),
        ("name", "Renamed"),
        ("namespaces", ""),
        ("addresses", ""),
        ("expires", ""),
    ];
    dee.post("/console/fn/keys/edit", &fields).await.is(200).says("Changed “Renamed”.").says(">read<");
}
