//! Webhook secrets: shown once, sealed at rest, replaced whole.

use keydesk::ids::OrgId;
use uuid::Uuid;

use crate::world::{Answer, Browser, World};

async fn make(browser: &mut Browser, verb: &str, environment: &str) -> Answer {
    let idempotency_key = Uuid::new_v4().to_string();
    browser
        .post(
            &format!("/console/fn/webhooks/{verb}"),
            &[("idempotency_key", &idempotency_key), ("environment", environment)],
        )
        .await
}

#[tokio::test]
async fn a_secret_is_generated_once_and_replaced_when_asked() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    browser.get("/webhooks").await.is(200).says("Generate secret").says("No secret for Live yet");
    make(&mut browser, "regenerate", "live").await.is(409).says("no secret to replace");
    let first = make(&mut browser, "generate", "live").await;
    first.is(200).says("Your webhook secret").says("shown only once");
    let secret = first.field("issued-secret");
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44, "{secret}");
    browser.get("/webhooks").await.says("Regenerate secret").says_not(&secret);
    make(&mut browser, "generate", "live").await.is(409).says("There is a secret already");
    browser.get("/webhooks?regenerate=1").await.says("The old secret stops working the moment the new one is made");
    let second = make(&mut browser, "regenerate", "live").await.is(200).field("issued-secret");
    assert_ne!(secret, second);
    // The other environment has its own.
    browser.get("/webhooks?environment=test").await.says("No secret for Test yet");
    make(&mut browser, "generate", "test").await.is(200);
    make(&mut browser, "generate", "prod").await.is(422);
    let log = world.log("acme").await;
    let log: Vec<&str> = log.iter().filter(|line| line.starts_with("webhook")).map(String::as_str).collect();
    assert_eq!(
        log,
        [
            "webhook_secret.generate: Generated the webhook secret of live",
            "webhook_secret.regenerate: Replaced the webhook secret of live",
            "webhook_secret.generate: Generated the webhook secret of test",
        ]
    );
}

#[tokio::test]
async fn a_form_sent_twice_replaces_once() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    make(&mut browser, "generate", "live").await.is(200);
    let idempotency_key = Uuid::new_v4().to_string();
    let form = [("idempotency_key", idempotency_key.as_str()), ("environment", "live")];
    let secret = browser.post("/console/fn/webhooks/regenerate", &form).await.is(200).field("issued-secret");
    browser.post("/console/fn/webhooks/regenerate", &form).await.is(409).says_not(&secret);
    let made: i64 = sqlx::query_scalar("select count(*) from webhook_secrets").fetch_one(&world.owner).await.unwrap();
    assert_eq!(made, 2);
}

#[tokio::test]
async fn at_rest_a_secret_is_sealed_and_a_replaced_one_is_gone() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    make(&mut browser, "generate", "live").await.is(200);
    let secret = make(&mut browser, "regenerate", "live").await.field("issued-secret");
    let rows: Vec<(Uuid, Uuid, Option<Vec<u8>>)> =
        sqlx::query_as("select id, org_id, ciphertext from webhook_secrets order by retired_at nulls last")
            .fetch_all(&world.owner)
            .await
            .unwrap();
    assert_eq!(rows[0].2, None);
    let (id, org, ciphertext) = (&rows[1].0, OrgId(rows[1].1), rows[1].2.as_ref().unwrap());
    assert!(!String::from_utf8_lossy(ciphertext).contains(&secret[..10]));
    let opened = world.server_keys.sealer.open(org, *id, ciphertext).unwrap();
    assert_eq!(keydesk::secrets::reveal(&opened), secret);
}

#[tokio::test]
async fn only_owners_and_admins_make_secrets() {
    let world = World::new().await;
    for (mut browser, may) in
        [(world.viewer("acme").await, false), (world.developer("acme").await, false), (world.admin("acme").await, true)]
    {
        let page = browser.get("/webhooks").await;
        assert_eq!(page.body.contains("Generate secret"), may);
        make(&mut browser, "generate", "live").await.is(if may { 200 } else { 403 });
    }
}
