//! Set-up, sign-in, sessions, passwords.

use keydesk::{
    accounts,
    actor::Role,
    database::RlsScope,
    ids::Scope,
    orgs,
    secrets::{self, Digest},
};
use time::Duration;

use crate::world::{Answer, Browser, PASSWORD, START, World};

async fn sign_in(browser: &mut Browser, email: &str, password: &str) -> Answer {
    browser.post("/console/fn/sign-in", &[("email", email), ("password", password), ("next", "")]).await
}

/// A live set-up link's token.
async fn link(world: &World) -> String {
    let token = secrets::random_token().unwrap();
    let mut db = world.db.acquire().await.unwrap();
    let expires = world.clock.now() + Duration::HOUR;
    accounts::store::put_setup_link(&mut db, Digest::of_text(&token), expires).await.unwrap();
    secrets::reveal(&token)
}

async fn set_up(browser: &mut Browser, token: &str, email: &str, password: &str) -> Answer {
    let form = [
        ("token", token),
        ("organization", "Acme Corp"),
        ("name", "Ada Lovelace"),
        ("email", email),
        ("password", password),
    ];
    browser.post("/console/fn/setup", &form).await
}

#[tokio::test]
async fn the_setup_link_makes_the_first_owner_once() {
    let world = World::new().await;
    let token = link(&world).await;
    let mut ada = world.anonymous();
    ada.get(&format!("/setup?token={token}")).await.is(200).says("Create organization");
    // A mistake costs nothing but the mistake.
    let answer = set_up(&mut ada, &token, "ada", "short").await;
    answer
        .is(422)
        .says("Enter an e-mail address")
        .says("Use at least 15 characters")
        .says("Acme Corp")
        .says_not("value=\"short\"");
    assert_eq!(answer.field("token"), token);
    let answer = set_up(&mut ada, &token, "ada@example.com", PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/keys"));
    ada.get("/keys").await.is(200).says("No keys yet").says("Acme Corp").says("Owner");
    let mut eve = world.anonymous();
    eve.get(&format!("/setup?token={token}")).await.is(404);
    set_up(&mut eve, &token, "eve@example.com", PASSWORD).await.is(404).says("has been used");
    eve.get("/keys").await.is(303);
    let log = world.log("acme-corp").await;
    assert_eq!(log[0], "org.create: Created the organization “Acme Corp”");
    assert_eq!(log[1], "member.add: Added Ada Lovelace (ada@example.com) as owner");
}

#[tokio::test]
async fn a_setup_link_dies_when_a_newer_one_is_made_when_it_expires_and_when_somebody_has_an_account() {
    let world = World::new().await;
    let old = link(&world).await;
    let new = link(&world).await;
    let mut browser = world.anonymous();
    browser.get(&format!("/setup?token={old}")).await.is(404);
    set_up(&mut browser, &old, "a@example.com", PASSWORD).await.is(404);
    browser.get("/setup").await.is(404);
    world.clock.advance(Duration::HOUR);
    set_up(&mut browser, &new, "a@example.com", PASSWORD).await.is(404);
    let third = link(&world).await;
    world.member("acme", Role::Owner).await;
    browser.get(&format!("/setup?token={third}")).await.is(404);
    set_up(&mut browser, &third, "a@example.com", PASSWORD).await.is(404);
}

#[tokio::test]
async fn two_who_use_the_setup_link_at_once_make_one_organization() {
    let world = World::new().await;
    let token = link(&world).await;
    let (mut a, mut b) = (world.anonymous(), world.anonymous());
    let (a, b) = tokio::join!(
        set_up(&mut a, &token, "a@example.com", PASSWORD),
        set_up(&mut b, &token, "b@example.com", PASSWORD)
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 404]);
}

#[tokio::test]
async fn whoever_signs_in_gets_a_new_session_in_a_cookie_that_scripts_cannot_read() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let mut browser = world.anonymous();
    // An id that somebody else chose is not adopted.
    browser.cookie = Some("keydesk-3000=AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    let answer = sign_in(&mut browser, &account.email.to_uppercase(), PASSWORD).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/keys"));
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("keydesk-3000=") && !cookie.contains("AAAAAAAAAA"), "{cookie}");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    assert!(!cookie.contains("Domain") && !cookie.contains("Expires") && !cookie.contains("Max-Age"), "{cookie}");
    browser.get("/keys").await.is(200);
    // Signing in again ends the session before.
    let mut before = browser.clone();
    sign_in(&mut browser, &account.email, PASSWORD).await;
    assert_ne!(browser.cookie, before.cookie);
    before.get("/keys").await.is(303);
    assert!(world.log("acme").await.contains(&"sign_in: Signed in".to_owned()));
}

#[tokio::test]
async fn behind_https_the_cookie_is_bound_to_its_host() {
    let world = World::with_origin("https://keys.example.com").await;
    let account = world.member("acme", Role::Owner).await;
    let mut browser = world.anonymous();
    browser.origin = Some("https://keys.example.com".to_owned());
    let answer = sign_in(&mut browser, &account.email, PASSWORD).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-keydesk=") && cookie.contains("Secure"), "{cookie}");
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000; includeSubDomains");
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_are_answered_alike() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let comparable = |answer: Answer, email: &str| {
        let mut headers = answer.headers;
        headers.remove("x-request-id");
        // The address that was typed is in the page.
        headers.remove("content-length");
        let policy = headers.remove("content-security-policy").unwrap().to_str().unwrap().to_owned();
        let nonce = policy.split("nonce-").nth(1).unwrap().split('\'').next().unwrap();
        (answer.status, headers, answer.body.replace(email, "EMAIL").replace(nonce, "NONCE"))
    };
    let wrong = sign_in(&mut world.anonymous(), &account.email, "not the password of anybody").await;
    let unknown = sign_in(&mut world.anonymous(), "nobody@example.com", PASSWORD).await;
    wrong.is(401).says("Email or password is wrong").says(&account.email).says_not("not the password");
    assert_eq!(comparable(wrong, &account.email), comparable(unknown, "nobody@example.com"));
    // A disabled account and a paused one, likewise.
    let disabled = world.member("acme", Role::Owner).await;
    sqlx::query("update users set disabled_at = $1 where id = $2")
        .bind(START)
        .bind(disabled.user.0)
        .execute(&world.owner)
        .await
        .unwrap();
    let answer = sign_in(&mut world.anonymous(), &disabled.email, PASSWORD).await;
    let paused = world.member("acme", Role::Owner).await;
    sqlx::query("update users set failed_sign_ins = 7, paused_until = $1 where id = $2")
        .bind(START + Duration::HOUR)
        .bind(paused.user.0)
        .execute(&world.owner)
        .await
        .unwrap();
    let other = sign_in(&mut world.anonymous(), &paused.email, PASSWORD).await;
    assert_eq!(comparable(answer, &disabled.email), comparable(other, &paused.email));
}

#[tokio::test]
async fn failures_delay_the_next_try_and_success_forgives_them() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let mut browser = world.anonymous();
    for _ in 0..5 {
        sign_in(&mut browser, &account.email, "wrong, wrong, wrong").await.is(401);
    }
    sign_in(&mut browser, &account.email, PASSWORD).await.is(401);
    // A try during the pause does not prolong it.
    world.clock.advance(Duration::seconds(31));
    sign_in(&mut browser, &account.email, PASSWORD).await.is(303);
    let failed: i32 = sqlx::query_scalar("select failed_sign_ins from users where id = $1")
        .bind(account.user.0)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(failed, 0);
    let log = world.log("acme").await;
    assert_eq!(log.iter().filter(|line| line.starts_with("sign_in: Refused a sign-in as Owner")).count(), 6, "{log:?}");
    // Who guessed is not known, so it is not said to have been its owner.
    let refused = "select distinct actor_kind from audit_events where action = 'sign_in' and refused";
    let kinds: Vec<String> = sqlx::query_scalar(refused).fetch_all(&world.owner).await.unwrap();
    assert_eq!(kinds, ["anonymous"]);
}

#[tokio::test]
async fn a_live_session_outlives_the_guesses_of_others() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let mut own = world.browser(&account).await;
    for _ in 0..6 {
        sign_in(&mut world.anonymous(), &account.email, "guess, guess, guess").await.is(401);
    }
    own.get("/keys").await.is(200);
}

#[tokio::test]
async fn after_a_hundred_failures_only_a_reset_helps() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    sqlx::query("update users set failed_sign_ins = 100 where id = $1")
        .bind(account.user.0)
        .execute(&world.owner)
        .await
        .unwrap();
    world.clock.advance(Duration::days(30));
    sign_in(&mut world.anonymous(), &account.email, PASSWORD).await.is(401);
}

#[tokio::test]
async fn an_outdated_hash_is_renewed_at_sign_in() {
    use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8_192, 1, 1, None).unwrap());
    let weak = weak.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
    sqlx::query("update users set password_hash = $1 where id = $2")
        .bind(&weak)
        .bind(account.user.0)
        .execute(&world.owner)
        .await
        .unwrap();
    sign_in(&mut world.anonymous(), &account.email, PASSWORD).await.is(303);
    let hash: String = sqlx::query_scalar("select password_hash from users where id = $1")
        .bind(account.user.0)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert!(hash.contains("m=19456,t=2,p=1"), "{hash}");
    sign_in(&mut world.anonymous(), &account.email, PASSWORD).await.is(303);
}

#[tokio::test]
async fn what_was_typed_into_a_refused_sign_in_is_in_no_log() {
    let world = World::new().await;
    sign_in(&mut world.anonymous(), "my-password-by-mistake", "x").await.is(401);
    let log = world.log_of(Scope::Deployment).await;
    assert_eq!(log, ["sign_in: Refused a sign-in with an unknown address"]);
}

#[tokio::test]
async fn a_session_ends_after_an_idle_hour_and_after_half_a_day() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let mut idle = world.browser(&account).await;
    world.clock.advance(Duration::minutes(59));
    idle.get("/keys").await.is(200);
    world.clock.advance(Duration::minutes(59));
    idle.get("/keys").await.is(200);
    world.clock.advance(Duration::minutes(61));
    let answer = idle.get("/keys?page=1").await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/sign-in?next=%2Fkeys"));
    let mut busy = world.browser(&account).await;
    for _ in 0..23 {
        busy.get("/keys").await.is(200);
        world.clock.advance(Duration::minutes(30));
    }
    busy.get("/keys").await.is(200);
    world.clock.advance(Duration::minutes(31));
    busy.get("/keys").await.is(303);
}

#[tokio::test]
async fn signing_out_ends_the_session_everywhere_it_was_known() {
    let world = World::new().await;
    let mut browser = world.owner_of("acme").await;
    let mut copy = browser.clone();
    let answer = browser.post("/console/fn/sign-out", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/sign-in?done=signed-out"));
    assert_eq!(answer.header("clear-site-data"), "\"cache\", \"storage\"");
    copy.get("/keys").await.is(303);
    // A late write does not bring it back.
    copy.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(401);
    world.anonymous().post("/console/fn/sign-out", &[]).await.is(303);
}

#[tokio::test]
async fn a_session_is_kept_as_a_digest_only() {
    let world = World::new().await;
    let browser = world.owner_of("acme").await;
    let id = browser.cookie.unwrap().split_once('=').unwrap().1.to_owned();
    let found: i64 = sqlx::query_scalar("select count(*) from sessions where sessions::text like '%' || $1 || '%'")
        .bind(&id)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(found, 0);
    let found: i64 = sqlx::query_scalar("select count(*) from sessions where digest = $1")
        .bind(Digest::of(id.as_bytes()).as_bytes())
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(found, 1);
}

#[tokio::test]
async fn one_sees_and_ends_ones_own_sessions_and_nobody_elses() {
    let world = World::new().await;
    let account = world.member("acme", Role::Developer).await;
    let (mut here, mut there) = (world.browser(&account).await, world.browser(&account).await);
    let mut other = world.admin("acme").await;
    let page = here.get("/settings").await;
    page.is(200).says("This session");
    let id = page.field("session_id");
    other.post("/console/fn/sessions/end", &[("session_id", &id)]).await.is(303);
    there.get("/keys").await.is(200);
    let answer = here.post("/console/fn/sessions/end", &[("session_id", &id)]).await;
    assert_eq!(answer.location(), "/settings?done=session");
    there.get("/keys").await.is(303);
    here.get("/keys").await.is(200);
    let mut third = world.browser(&account).await;
    here.post("/console/fn/sessions/end-all", &[]).await.is(303);
    here.get("/keys").await.is(303);
    third.get("/keys").await.is(303);
    other.get("/keys").await.is(200);
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_and_renews_this_one() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let (mut here, mut there) = (world.browser(&account).await, world.browser(&account).await);
    let before = here.cookie.clone();
    let new = "a different long pass phrase";
    let change = async |browser: &mut Browser, current: &str, new: &str| {
        browser.post("/console/fn/account/password", &[("current", current), ("new", new)]).await
    };
    change(&mut here, "not my password at all", new).await.is(422).says("This is not your current password");
    change(&mut here, PASSWORD, "short").await.is(422).says("Use at least 15 characters").says_not("value=\"short\"");
    there.get("/keys").await.is(200);
    let answer = change(&mut here, PASSWORD, new).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/settings?done=password"));
    assert_ne!(here.cookie, before);
    here.get("/settings?done=password").await.is(200).says("Your password is changed");
    there.get("/keys").await.is(303);
    sign_in(&mut world.anonymous(), &account.email, PASSWORD).await.is(401);
    sign_in(&mut world.anonymous(), &account.email, new).await.is(303);
}

#[tokio::test]
async fn a_disabled_person_is_out_at_once() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let mut browser = world.browser(&account).await;
    browser.get("/keys").await.is(200);
    sqlx::query("update users set disabled_at = $1 where id = $2")
        .bind(START)
        .bind(account.user.0)
        .execute(&world.owner)
        .await
        .unwrap();
    browser.get("/keys").await.is(303);
    let (mut tx, user) = (world.begin(RlsScope::Person(account.user)).await, account.user);
    assert!(orgs::standing::standing(&mut tx, user).await.unwrap().is_none());
}

#[tokio::test]
async fn after_signing_in_one_goes_where_one_was_going_if_that_is_a_page_of_ours() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    for (next, goes) in [
        ("/audit", "/audit"),
        ("//evil.example", "/keys"),
        ("/keys?page=2", "/keys?page=2"),
        ("https://evil.example", "/keys"),
    ] {
        let mut browser = world.anonymous();
        let form = [("email", account.email.as_str()), ("password", PASSWORD), ("next", next)];
        assert_eq!(browser.post("/console/fn/sign-in", &form).await.location(), goes);
        // The page itself sends on whoever is signed in.
        let query = form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
        assert_eq!(browser.get(&format!("/sign-in?next={query}")).await.location(), goes);
    }
}

#[tokio::test]
async fn staff_start_at_the_support_desk() {
    let world = World::new().await;
    let account = world.staff().await;
    let mut browser = world.anonymous();
    assert_eq!(sign_in(&mut browser, &account.email, PASSWORD).await.location(), "/support");
    assert_eq!(browser.get("/").await.location(), "/support");
}

#[tokio::test]
async fn a_browser_remembers_how_its_pages_look_and_no_other_does() {
    let world = World::new().await;
    let account = world.member("acme", Role::Viewer).await;
    let (mut here, mut there) = (world.browser(&account).await, world.browser(&account).await);
    const DARK: &str = "data-theme=\"dark\" data-density=\"compact\"";
    here.get("/settings").await.says("data-theme=\"system\" data-density=\"comfortable\"");
    let kept = here.post("/console/fn/account/look", &[("theme", "dark"), ("density", "compact")]).await;
    assert_eq!((kept.status.as_u16(), kept.location()), (303, "/settings?done=look"));
    here.get("/settings?done=look").await.is(200).says(DARK).says("This browser remembers");
    there.get("/settings").await.says_not(DARK);
    // It outlives the session: it is the browser's.
    here.post("/console/fn/sign-out", &[]).await;
    here.get("/sign-in").await.says(DARK);
    let odd = there.post("/console/fn/account/look", &[("theme", "\"><script>"), ("density", "compact")]).await;
    odd.is(422).says("Choose one of the list.").says_not("<script>\"");
}
