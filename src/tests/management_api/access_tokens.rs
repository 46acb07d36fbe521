//! Access tokens: what a script may show, and everything else that somebody might.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use keydesk::{
    accounts,
    actor::{Actor, Role},
    database::RlsScope,
    ids::OrgId,
    orgs::{self, Permit},
};
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use crate::world::{Account, Answer, PASSWORD, START, Script, World, data_folder};

const KEYS: &str = "/api/v1/api-keys";

/// The instance's own pair: the one that signs for real.
async fn server_pair() -> Ed25519KeyPair {
    let text = std::fs::read_to_string(data_folder().await.join("access-token.key")).unwrap();
    Ed25519KeyPair::from_seed_unchecked(&BASE64.decode(text).unwrap()).unwrap()
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&BASE64.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

fn unsigned(head: &str, claims: &str) -> String {
    format!("{}.{}", BASE64.encode(head), BASE64.encode(claims))
}

fn signed(pair: &Ed25519KeyPair, head: &str, claims: &str) -> String {
    let message = unsigned(head, claims);
    format!("{message}.{}", BASE64.encode(pair.sign(message.as_bytes())))
}

/// A token for whoever could not create one, from a live session of theirs, signed with the instance's own key.
pub async fn forged_for(world: &World, account: &Account) -> String {
    let model = world.script_of("forge", Role::Viewer).await.token();
    world.browser(account).await;
    let mut db = world.db.acquire().await.unwrap();
    let long_ago = START - Duration::days(1);
    let sessions = accounts::store::sessions_of(&mut db, account.user, long_ago, long_ago).await.unwrap();
    let mut claims = part(&model, 1);
    claims["sub"] = json!(account.user.0);
    claims["sid"] = json!(sessions[0].id);
    signed(&server_pair().await, &part(&model, 0).to_string(), &claims.to_string())
}

/// A value changed in, added to or (`null`) taken from an object.
fn but(object: &Value, name: &str, value: Value) -> String {
    let mut object = object.clone();
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
    object.to_string()
}

#[tokio::test]
async fn forty_and_more_ways_to_get_in_without_a_good_token() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let script = world.script(&account).await;
    let good = script.token();
    let (head, claims) = (part(&good, 0), part(&good, 1));
    let (head_text, claims_text) = (head.to_string(), claims.to_string());
    let pair = server_pair().await;
    let public = pair.public_key().as_ref().to_vec();
    let foreign = Ed25519KeyPair::generate().unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(foreign.public_key().as_ref()) });
    let now = START.unix_timestamp();
    let hs256 = |head: &str, secret: &[u8]| {
        let message = unsigned(head, &claims_text);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", BASE64.encode(tag))
    };
    let es256 = {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        let message = unsigned(&but(&head, "alg", json!("ES256")), &claims_text);
        format!("{message}.{}", BASE64.encode(pair.sign(&random, message.as_bytes()).unwrap()))
    };
    let bare = unsigned(&head_text, &claims_text);
    let signature = good.rsplit('.').next().unwrap().to_owned();
    let of_head = |name: &str, value: Value| signed(&pair, &but(&head, name, value), &claims_text);
    let of_claims = |name: &str, value: Value| signed(&pair, &head_text, &but(&claims, name, value));
    let by_foreign = |head: &str| signed(&foreign, head, &claims_text);
    // The last character of 64 bytes in base64 has bits that mean nothing: another writing of the same signature.
    let other_writing = |text: &str| {
        let last = text.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        format!("{}{next}", &text[..text.len() - 1])
    };
    let flipped = {
        let mut bytes = BASE64.decode(&signature).unwrap();
        bytes[0] ^= 1;
        BASE64.encode(bytes)
    };
    let tokens: Vec<(&str, String)> = vec![
        ("alg none, no signature", format!("{}.", unsigned(&but(&head, "alg", json!("none")), &claims_text))),
        ("alg None", format!("{}.", unsigned(&but(&head, "alg", json!("None")), &claims_text))),
        (
            "alg NONE, with the real signature",
            format!("{}.{signature}", unsigned(&but(&head, "alg", json!("NONE")), &claims_text)),
        ),
        ("alg none, two parts", unsigned(&but(&head, "alg", json!("none")), &claims_text)),
        ("alg empty", of_head("alg", json!(""))),
        ("alg missing", of_head("alg", Value::Null)),
        ("alg a list", of_head("alg", json!(["EdDSA", "none"]))),
        ("alg eddsa in lower case", of_head("alg", json!("eddsa"))),
        ("alg Ed448", of_head("alg", json!("Ed448"))),
        ("HS256 with the public key as secret", hs256(&but(&head, "alg", json!("HS256")), &public)),
        (
            "HS256 with the public key's text as secret",
            hs256(&but(&head, "alg", json!("HS256")), BASE64.encode(&public).as_bytes()),
        ),
        ("HS256 with an empty secret", hs256(&but(&head, "alg", json!("HS256")), b"")),
        ("HMAC under the name EdDSA", hs256(&head_text, &public)),
        ("HS256 named over an EdDSA signature", of_head("alg", json!("HS256"))),
        ("RS256 named over an EdDSA signature", of_head("alg", json!("RS256"))),
        ("ES256 of one's own key", es256),
        ("typ missing", of_head("typ", Value::Null)),
        ("typ of something else", of_head("typ", json!("dpop+jwt"))),
        ("kid missing", of_head("kid", Value::Null)),
        ("kid empty", of_head("kid", json!(""))),
        ("kid of a foreign key", by_foreign(&but(&head, "kid", json!("mine")))),
        ("kid a path", by_foreign(&but(&head, "kid", json!("../../../../dev/null")))),
        ("kid an address", by_foreign(&but(&head, "kid", json!("https://evil.example/key")))),
        ("kid with SQL", by_foreign(&but(&head, "kid", json!("' union select 'key' --")))),
        ("kid a number", of_head("kid", json!(0))),
        ("another instance's key under our kid", by_foreign(&head_text)),
        ("an embedded jwk", by_foreign(&but(&head, "jwk", jwk.clone()))),
        ("an embedded jwk beside a good signature", of_head("jwk", jwk)),
        ("jku", by_foreign(&but(&head, "jku", json!("https://evil.example/jwks.json")))),
        ("x5u", by_foreign(&but(&head, "x5u", json!("https://evil.example/cert.pem")))),
        ("x5c", by_foreign(&but(&head, "x5c", json!(["MIIB"])))),
        ("crit", of_head("crit", json!(["exp"]))),
        ("b64 false", of_head("b64", json!(false))),
        ("zip", of_head("zip", json!("DEF"))),
        ("alg twice", signed(&pair, &head_text.replacen('{', r#"{"alg":"none","#, 1), &claims_text)),
        ("exp a string", of_claims("exp", json!((now + 900).to_string()))),
        ("exp a fraction", of_claims("exp", json!(now as f64 + 900.5))),
        (
            "exp beyond numbers",
            signed(&pair, &head_text, &claims_text.replacen(&format!("\"exp\":{}", now + 900), "\"exp\":1e300", 1)),
        ),
        ("exp negative", of_claims("exp", json!(-1))),
        ("exp missing", of_claims("exp", Value::Null)),
        ("exp twice", signed(&pair, &head_text, &claims_text.replacen('{', &format!("{{\"exp\":{},", now + 9_000), 1))),
        ("expired a moment ago, beyond the leeway", of_claims("exp", json!(now - 5))),
        ("expired long ago", of_claims("exp", json!(now - 900))),
        ("nbf missing", of_claims("nbf", Value::Null)),
        ("nbf beyond the leeway", of_claims("nbf", json!(now + 6))),
        ("nbf a string", of_claims("nbf", json!(now.to_string()))),
        ("iat missing", of_claims("iat", Value::Null)),
        ("iss missing", of_claims("iss", Value::Null)),
        ("iss of another deployment", of_claims("iss", json!("https://keys.example.com"))),
        ("iss with a slash", of_claims("iss", json!("http://localhost:3000/"))),
        ("iss a list", of_claims("iss", json!(["http://localhost:3000"]))),
        ("aud missing", of_claims("aud", Value::Null)),
        ("aud of another deployment", of_claims("aud", json!("https://keys.example.com/api/v1"))),
        ("aud the key plane", of_claims("aud", json!("http://localhost:3000/v1"))),
        ("aud a list with others", of_claims("aud", json!([claims["aud"], "https://other.example"]))),
        ("aud a list of ours alone", of_claims("aud", json!([claims["aud"]]))),
        ("sid missing", of_claims("sid", Value::Null)),
        ("sid of no session", of_claims("sid", json!(Uuid::new_v4()))),
        ("sid no id", of_claims("sid", json!("' or true --"))),
        ("jti missing", of_claims("jti", Value::Null)),
        ("sub missing", of_claims("sub", Value::Null)),
        (
            "sub somebody else, with one's own session",
            of_claims("sub", json!(world.member("acme", Role::Admin).await.user.0)),
        ),
        ("a claim more", of_claims("role", json!("owner"))),
        ("claims a list", signed(&pair, &head_text, "[]")),
        ("claims no JSON", signed(&pair, &head_text, "x")),
        ("signature missing", format!("{bare}.")),
        ("signature cut", format!("{bare}.{}", &signature[..signature.len() - 4])),
        ("signature altered", format!("{bare}.{flipped}")),
        ("signature in another writing", format!("{bare}.{}", other_writing(&signature))),
        ("signature padded", format!("{good}==")),
        (
            "claims altered under the real signature",
            format!("{}.{signature}", unsigned(&head_text, &but(&claims, "jti", json!(Uuid::new_v4())))),
        ),
        ("an extra dot", format!("{good}.")),
        ("a dot before", format!(".{good}")),
        ("five parts, as of an encrypted one", format!("{good}.x.y")),
        ("white space before", format!(" {good}")),
        ("white space inside", good.replacen('.', ". ", 1)),
        ("a tab before", format!("\t{good}")),
        ("quoted", format!("\"{good}\"")),
        ("twice in one value", format!("{good}, Bearer {good}")),
        ("huge", of_claims("jti", json!("x".repeat(12_000)))),
        ("huge, and good otherwise", signed(&pair, &format!("{head_text}{}", " ".repeat(4_000)), &claims_text)),
        ("empty", String::new()),
        ("dots alone", "..".to_owned()),
    ];
    assert!(tokens.len() >= 40, "{}", tokens.len());
    for (attack, token) in &tokens {
        script.get(KEYS).await.is(200);
        let answer = world.nobodys_script().bearer(token).get(KEYS).await;
        assert_eq!(answer.status, 401, "{attack}: {}", answer.body);
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{attack}");
        assert!(!answer.body.contains("data"), "{attack}");
    }
    // The forger's tools do work: what they make of unchanged parts is let in.
    world.nobodys_script().bearer(&signed(&pair, &head_text, &claims_text)).get(KEYS).await.is(200);
    // Right up to the leeway, and in the other writing of the scheme (RFC 9110 §11.1).
    world.nobodys_script().bearer(&of_claims("exp", json!(now - 4))).get(KEYS).await.is(200);
    world.nobodys_script().bearer(&of_claims("nbf", json!(now + 5))).get(KEYS).await.is(200);
    world.nobodys_script().with("authorization", &format!("bearer {good}")).get(KEYS).await.is(200);

    let nobody = || world.nobodys_script();
    let elsewhere: Vec<(&str, Script, String, u16)> = vec![
        ("two Authorization headers", nobody().bearer(&good).bearer(&good), KEYS.into(), 400),
        ("a good one after a bad one", nobody().bearer("x").bearer(&good), KEYS.into(), 400),
        ("another scheme", nobody().with("authorization", &format!("Token {good}")), KEYS.into(), 401),
        ("no scheme", nobody().with("authorization", &good), KEYS.into(), 401),
        (
            "Basic",
            nobody().with("authorization", &format!("Basic {}", BASE64.encode(format!("token:{good}")))),
            KEYS.into(),
            401,
        ),
        (
            "in a cookie",
            nobody().with("cookie", &format!("access_token={good}; authorization=Bearer {good}")),
            KEYS.into(),
            401,
        ),
        ("in x-api-key", nobody().with("x-api-key", &good), KEYS.into(), 401),
        ("in Proxy-Authorization", nobody().with("proxy-authorization", &format!("Bearer {good}")), KEYS.into(), 401),
        (
            "in X-Forwarded-Authorization",
            nobody().with("x-forwarded-authorization", &format!("Bearer {good}")),
            KEYS.into(),
            401,
        ),
        ("in the query", nobody(), format!("{KEYS}?access_token={good}&token={good}"), 401),
    ];
    for (attack, script_of_attacker, path, status) in elsewhere {
        script.get(KEYS).await.is(200);
        let answer = script_of_attacker.get(&path).await;
        assert_eq!(answer.status.as_u16(), status, "{attack}: {}", answer.body);
    }
    // Nor in a body.
    let body = json!({ "name": "CI", "access_token": good });
    world.nobodys_script().post(KEYS, &body).await.is(401);
}

/// What ends a session, as something done by somebody.
async fn dead(world: &World, script: &Script) -> Answer {
    let answer = script.get(KEYS).await;
    // Nor can it be exchanged.
    script.post("/api/v1/tokens", &json!({})).await.is(401);
    assert_eq!(world.verdict("nonsense").await, "MALFORMED", "the world goes on");
    answer
}

#[tokio::test]
async fn a_token_dies_with_its_session_at_once() {
    let world = World::new().await;
    for end in [
        "sign-out",
        "sign-out everywhere",
        "password change",
        "ended elsewhere",
        "disabled",
        "password set",
        "removed",
        "idle",
        "too old",
    ] {
        let account = world.member("acme", Role::Admin).await;
        world.member("acme", Role::Owner).await;
        let (mut browser, script) = world.browser_and_script(&account).await;
        let fresh = script.post("/api/v1/tokens", &json!({})).await;
        let fresh = fresh.is(201).json()["access_token"].as_str().unwrap().to_owned();
        let second = world.nobodys_script().bearer(&fresh);
        second.get(KEYS).await.is(200);
        script.get(KEYS).await.is(200);
        match end {
            "sign-out" => {
                browser.post("/console/fn/sign-out", &[]).await.is(303);
            }
            "sign-out everywhere" => {
                world.browser(&account).await.post("/console/fn/sessions/end-all", &[]).await.is(303);
            }
            "password change" => {
                let form = [("current", PASSWORD), ("new", "quite another long pass phrase")];
                browser.post("/console/fn/account/password", &form).await.is(303);
            }
            "ended elsewhere" => {
                let session = part(&script.token(), 1)["sid"].as_str().unwrap().to_owned();
                world
                    .browser(&account)
                    .await
                    .post("/console/fn/sessions/end", &[("session_id", &session)])
                    .await
                    .is(303);
            }
            "disabled" | "password set" => {
                let org = world.org("acme").await;
                let mut tx = world.begin(RlsScope::Org(org)).await;
                let permit = Permit::grant(&Actor::operator(), org).unwrap();
                let who = accounts::store::lock_by_email(&mut tx, &account.email).await.unwrap().unwrap();
                let (audit, now) = (&world.server_keys.audit, world.clock.now());
                if end == "disabled" {
                    orgs::lifecycle::disable(&mut tx, audit, &permit, &who, now).await.unwrap();
                } else {
                    orgs::lifecycle::set_password(&mut tx, audit, &permit, &who, &who.password_hash, now)
                        .await
                        .unwrap();
                }
                world.commit(tx).await;
            }
            "removed" => world.change(&format!("delete from members where user_id = '{}'", account.user.0)).await,
            // The session's limits, not the token's: those moments are the same for a fresh token.
            "idle" => {
                world
                    .change(&format!(
                        "update sessions set last_seen_at = last_seen_at - interval '61 minutes' where user_id = '{}'",
                        account.user.0
                    ))
                    .await
            }
            _ => {
                world
                    .change(&format!(
                        "update sessions set created_at = created_at - interval '12 hours' where user_id = '{}'",
                        account.user.0
                    ))
                    .await
            }
        }
        for script in [script, second] {
            let answer = dead(&world, &script).await;
            assert_eq!(answer.status, 401, "{end}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_role_that_changes_changes_at_once() {
    let world = World::new().await;
    let account = world.member("acme", Role::Developer).await;
    let script = world.script(&account).await;
    script.post(KEYS, &json!({ "name": "CI" })).await.is(201);
    world.change(&format!("update members set role = 'viewer' where user_id = '{}'", account.user.0)).await;
    let refused = script.post(KEYS, &json!({ "name": "CI" })).await;
    refused.is(403).says("Your role, viewer, may not create API keys.");
    assert!(world.log("acme").await.contains(&"denied: Refused: viewer may not create API keys".to_owned()));
}

#[tokio::test]
async fn a_token_lives_for_fifteen_minutes_and_says_so() {
    let world = World::new().await;
    let account = world.member("acme", Role::Owner).await;
    let script = world.script(&account).await;
    world.clock.advance(Duration::seconds(904));
    script.get(KEYS).await.is(200);
    let fresh = script.post("/api/v1/tokens", &json!({})).await;
    let fresh = fresh.is(201).json();
    assert_eq!((fresh["token_type"].as_str(), fresh["expires_in"].as_i64()), (Some("Bearer"), Some(900)));
    world.clock.advance(Duration::SECOND);
    script.get(KEYS).await.is(401);
    world.nobodys_script().bearer(fresh["access_token"].as_str().unwrap()).get(KEYS).await.is(200);
}

#[tokio::test]
async fn whoever_has_the_public_key_can_check_a_token() {
    let world = World::new().await;
    let script = world.script_of("acme", Role::Viewer).await;
    let jwks = world.nobodys_script().get("/.well-known/jwks.json").await;
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_value(jwks.is(200).json()).unwrap();
    let token = script.token();
    let head = jsonwebtoken::decode_header(&token).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(jwks.find(&head.kid.unwrap()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["http://localhost:3000/api/v1"]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
}

#[tokio::test]
async fn staff_get_no_token_and_one_of_theirs_would_not_count() {
    let world = World::new().await;
    let staff = world.staff().await;
    let mut browser = world.browser(&staff).await;
    browser.get("/settings").await.is(200).says_not("Create access token");
    browser.post("/console/fn/account/access-token", &[]).await.is(403);
    let token = forged_for(&world, &staff).await;
    let answer = world.nobodys_script().bearer(&token).get(KEYS).await;
    answer.is(403).says("Support staff work at the support desk.");
    assert!(
        world.log_of(keydesk::audit::Chain::Org(OrgId::NONE)).await.iter().all(|row| !row.contains("access_token"))
    );
}

#[tokio::test]
async fn a_token_is_created_on_the_settings_page_and_shown_once() {
    let world = World::new().await;
    let account = world.member("acme", Role::Viewer).await;
    let mut browser = world.browser(&account).await;
    browser.get("/settings").await.is(200).says("Create access token").says_not("Your access token");
    let page = browser.post("/console/fn/account/access-token", &[]).await;
    page.is(200).says("Your access token");
    assert_eq!(page.header("cache-control"), "no-store");
    let token = page.field("issued-token");
    world.nobodys_script().bearer(&token).get("/api/v1/members").await.is(200);
    browser.get("/settings").await.says_not(&token);
    let log = world.log("acme").await;
    assert_eq!(log.last().unwrap(), "access_token.create: Created an access token for the management API");
    assert!(log.iter().all(|row| !row.contains(&token)));
}
