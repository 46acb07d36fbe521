//! Members: their roles change and their memberships end, on the page and from scripts.

use axum::body::Body;
use keydesk::{actor::Role, catalog::Catalog};
use serde_json::json;

use crate::world::{Account, Browser, World};

async fn panel(browser: &mut Browser, about: &Account) -> crate::world::Answer {
    browser.get(&format!("/members?manage={}", about.user.0)).await
}

async fn post(browser: &mut Browser, form: &str, about: &Account, role: &str) -> crate::world::Answer {
    let id = about.user.0.to_string();
    browser.post(&format!("/console/fn/members/{form}"), &[("user_id", id.as_str()), ("role", role)]).await
}

#[tokio::test]
async fn an_owner_changes_a_role_and_removes_a_member_and_both_hold_at_once() {
    let world = World::new().await;
    let mut owner = world.owner_of("acme").await;
    let grace = world.member("acme", Role::Viewer).await;
    let mut theirs = world.browser(&grace).await;
    owner.get("/members").await.is(200).says(&format!("/members?manage={}", grace.user.0));
    panel(&mut owner, &grace).await.is(200).says("Manage ").says("Change role").says("value=\"owner\"");
    theirs.get("/keys?new=1").await.says_not("/console/fn/keys/issue");
    post(&mut owner, "role", &grace, "developer").await.is(200).says("is developer now.").says("Effective on");
    theirs.get("/keys?new=1").await.is(200).says("/console/fn/keys/issue");
    post(&mut owner, "role", &grace, "developer").await.is(200).says("is developer already.").says("Effective on");
    post(&mut owner, "remove", &grace, "").await.is(200).says("is no longer a member.").says("Effective on");
    theirs.get("/keys").await.is(303);
    owner.get("/members").await.says_not(&grace.user.0.to_string());
    // Twice, and what is nobody: told, and nothing happens.
    post(&mut owner, "remove", &grace, "").await.is(404).says("There is no such member.");
    post(&mut owner, "role", &grace, "viewer").await.is(404).says("There is no such member.");
    let log = world.log("acme").await;
    assert_eq!(log.iter().filter(|row| row.starts_with("member.role: ")).count(), 1, "{log:?}");
    assert_eq!(log.iter().filter(|row| row.starts_with("member.remove: ")).count(), 1, "{log:?}");
}

#[tokio::test]
async fn somebody_who_was_removed_can_be_added_again_with_their_address() {
    let world = World::new().await;
    let mut owner = world.owner_of("acme").await;
    let grace = world.member("acme", Role::Admin).await;
    let mut theirs = world.browser(&grace).await;
    let email = grace.email.to_uppercase();
    let taken = world.member_called("other", Role::Viewer, &email).await.unwrap_err();
    assert!(taken.to_string().ends_with("has an account already"), "{taken}");
    post(&mut owner, "remove", &grace, "").await.is(200);
    let again = world.member_called("other", Role::Viewer, &email).await.unwrap();
    assert_eq!(again.user, grace.user);
    // What they were signed in with before is not what they are signed in with now.
    theirs.get("/keys").await.is(303).says_not("acme");
    let mut theirs = world.browser(&again).await;
    theirs.get("/keys").await.is(200).says_not("/console/fn/keys/issue");
    assert!(world.log("other").await.iter().any(|row| row.starts_with("member.add: Added")));
}

#[tokio::test]
async fn who_may_not_is_offered_nothing_and_refused() {
    let world = World::new().await;
    let (owner, admin) = (world.member("acme", Role::Owner).await, world.member("acme", Role::Admin).await);
    let viewer = world.member("acme", Role::Viewer).await;
    for role in [Role::Developer, Role::Viewer] {
        let member = world.member("acme", role).await;
        let mut browser = world.browser(&member).await;
        panel(&mut browser, &viewer).await.is(200).says_not("manage=").says_not("Change role");
        post(&mut browser, "role", &viewer, "admin").await.is(403);
        post(&mut browser, "remove", &viewer, "").await.is(403);
    }
    let mut browser = world.browser(&admin).await;
    // Neither owners nor oneself are offered, and an owner's role is not.
    panel(&mut browser, &owner).await.is(200).says_not("Change role");
    panel(&mut browser, &admin).await.is(200).says_not("Change role");
    panel(&mut browser, &viewer).await.is(200).says("Change role").says_not("<option value=\"owner\"");
    post(&mut browser, "role", &owner, "viewer").await.is(403).says("Only an owner may change an owner");
    post(&mut browser, "role", &viewer, "owner").await.is(403).says("Only an owner may change an owner");
    post(&mut browser, "remove", &owner, "").await.is(403);
    post(&mut browser, "role", &viewer, "king").await.is(422).says("Choose one of the roles in the list.");
    // The last owner stays, and another organization's members are nobody's.
    let mut browser = world.browser(&owner).await;
    post(&mut browser, "remove", &owner, "").await.is(409).says("without an owner");
    let foreign = world.member("globex", Role::Viewer).await;
    post(&mut browser, "remove", &foreign, "").await.is(404);
    post(&mut browser, "role", &foreign, "viewer").await.is(404);
    world.browser(&foreign).await.get("/keys").await.is(200);
}

#[tokio::test]
async fn scripts_do_what_their_person_may() {
    let world = World::new().await;
    let (owner, admin) = (world.member("acme", Role::Owner).await, world.member("acme", Role::Admin).await);
    let viewer = world.member("acme", Role::Viewer).await;
    let script = world.script(&admin).await;
    let path = |about: &Account| format!("/api/v1/members/{}", about.user.0);
    let changed = script.send("PATCH", &path(&viewer), &json!({ "role": "developer" })).await;
    changed.is(200).says("\"role\":\"developer\"").says("\"receipt\":{\"nodes\":1,");
    let again = script.send("PATCH", &path(&viewer), &json!({ "role": "developer" })).await;
    assert_eq!(again.is(200).json()["receipt"]["nodes"], 1);
    script.send("PATCH", &path(&viewer), &json!({ "role": "owner" })).await.is(403);
    script.send("PATCH", &path(&owner), &json!({ "role": "viewer" })).await.is(403);
    script.send("PATCH", &path(&viewer), &json!({ "role": "king" })).await.is(422).says("Choose one of");
    script.request("DELETE", &path(&owner), Body::empty()).await.is(403);
    let removed = script.request("DELETE", &path(&viewer), Body::empty()).await;
    removed.is(200).says("\"receipt\":{\"nodes\":1,");
    script.request("DELETE", &path(&viewer), Body::empty()).await.is(404);
    script.request("DELETE", "/api/v1/members/no-id", Body::empty()).await.is(404);
    // Another organization's members are nobody's.
    let foreign = world.member("globex", Role::Viewer).await;
    script.send("PATCH", &path(&foreign), &json!({ "role": "admin" })).await.is(404);
    script.request("DELETE", &path(&foreign), Body::empty()).await.is(404);
    world.browser(&foreign).await.get("/keys").await.is(200);
    script.get("/api/v1/members").await.says_not(&viewer.user.0.to_string());
    let last = world.script(&owner).await;
    last.send("PATCH", &path(&owner), &json!({ "role": "admin" })).await.is(409).says("without an owner");
}

#[tokio::test]
async fn where_keys_are_bound_to_who_made_them_they_are_refused_once_it_is_said() {
    let bound = include_str!("../../catalog/presets/default.toml")
        .replace("bound_to_creator = false", "bound_to_creator = true");
    let world = World::of(Catalog::parse(&bound).unwrap(), "").await;
    let mut owner = world.owner_of("acme").await;
    let grace = world.member("acme", Role::Developer).await;
    let idempotency_key = uuid::Uuid::new_v4().to_string();
    let form = [
        ("idempotency_key", idempotency_key.as_str()),
        ("name", "CI"),
        ("environment", "live"),
        ("tier", "standard"),
        ("scopes[]", "read"),
        ("expires", "never"),
    ];
    let mut theirs = world.browser(&grace).await;
    let secret = theirs.post("/console/fn/keys/issue", &form).await.is(200).field("issued-secret");
    assert_eq!(world.verdict(&secret).await, "VALID");
    panel(&mut owner, &grace).await.says("keys they made stop working");
    post(&mut owner, "remove", &grace, "").await.is(200).says("Effective on 1 of 1 node");
    // Nothing settles in between.
    assert_eq!(world.verdict(&secret).await, "SUSPENDED");
}
