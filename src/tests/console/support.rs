//! The support desk: find a customer's key, revoke it, and nothing else.

use keydesk::{audit::Chain, secrets::Digest};

use crate::world::World;

#[tokio::test]
async fn staff_find_a_key_by_hint_by_digest_and_by_a_pasted_key_that_is_not_kept() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    world.program().with("x-api-key", &key.secret).with("user-agent", "warehouse/2.1").get("/v1/whoami").await.is(200);
    world.usage.flush(&world.keys_db).await.unwrap();
    let mut staff = world.support().await;
    let digest = Digest::of(key.secret.as_bytes()).to_hex();
    for query in [key.hint.clone(), key.hint.replace('…', "..."), digest.clone(), format!(" {digest} ")] {
        let page = staff.post("/console/fn/support/find", &[("query", &query)]).await;
        page.is(200).says("Test key").says(&key.hint).says("acme").says("198.51.100.7").says_not(&key.secret);
    }
    let page = staff.post("/console/fn/support/find", &[("query", &key.secret)]).await;
    page.is(200).says("Test key").says("A whole key was pasted").says_not(&key.secret);
    assert_eq!(page.field("query"), digest);
    // Where the browser made the digest, it says that a key was pasted.
    let hashed = staff.post("/console/fn/support/find", &[("query", &digest), ("pasted", "true")]).await;
    hashed.is(200).says("Test key").says("A whole key was pasted");
    let missing = staff.post("/console/fn/support/find", &[("query", "kd_live_AAAA…AAAA")]).await;
    missing.is(200).says("No such key");
    let vague = staff.post("/console/fn/support/find", &[("query", "kd_live")]).await;
    vague.is(422).says("with its dots");
    assert_eq!(vague.field("query"), "kd_live");
    let log = world.log_of(Chain::Deployment).await;
    assert_eq!(log.iter().filter(|line| line.starts_with("support.find: Looked for a key: 1 found")).count(), 6);
}

#[tokio::test]
async fn staff_revoke_with_a_ticket_and_the_customers_log_names_them() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut staff = world.support().await;
    let id = key.id.to_string();
    staff.get(&format!("/support?revoke={id}")).await.is(200).says("Ticket").says("Revoke key");
    let without = staff
        .post("/console/fn/support/revoke", &[("key_id", &id), ("reason", "key_compromise"), ("ticket", " ")])
        .await;
    without.is(422).says("Name the request you act on");
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    let form = [("key_id", id.as_str()), ("reason", "key_compromise"), ("ticket", "T-1042")];
    staff.post("/console/fn/support/revoke", &form).await.is(200).says("Revoked “Test key”.");
    assert_eq!(world.verdict(&key.secret).await, "REVOKED");
    staff.post("/console/fn/support/revoke", &form).await.is(200).says("was revoked already");
    let absent = [("key_id", "0192f0c1-2345-7abc-8def-0123456789ab"), ("reason", "other"), ("ticket", "T-1")];
    staff.post("/console/fn/support/revoke", &absent).await.is(404);
    let mut owner = world.owner_of("acme").await;
    owner.get("/audit").await.says("Sam (support)").says("ticket T-1042").says(&key.hint);
    owner.get("/keys").await.says("by Sam (support)");
}

#[tokio::test]
async fn staff_see_no_organization_and_make_nothing() {
    let world = World::new().await;
    let key = world.key("acme", &[], "never").await;
    let mut staff = world.support().await;
    for path in ["/keys", "/webhooks", "/audit", "/audit/export", "/members", &format!("/keys/{}", key.id)] {
        staff.get(path).await.is(403).says_not("Test key");
    }
    let form = [("key_id", key.id.to_string()), ("reason", "other".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    staff.post("/console/fn/keys/revoke", &form).await.is(403);
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    // And no member works at the desk.
    let mut owner = world.owner_of("acme").await;
    owner.get("/support").await.is(403);
    owner.post("/console/fn/support/find", &[("query", &key.hint)]).await.is(403).says_not("Test key");
}
