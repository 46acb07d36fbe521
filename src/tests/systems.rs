//! The five systems, each as the preset of its name and nothing else: what its documentation says, asked of the planes.

use keydesk::{
    catalog::{Catalog, PRESETS},
    console_plane::keys::snippets,
    keys::lifecycle::{NewKey, Wish},
};
use serde_json::{Value, json};

use crate::world::{Answer, Program, TestKey, World};

async fn deployment(preset: &str) -> World {
    World::of(Catalog::load(preset).unwrap(), "").await
}

/// A wish for a key of the catalog's first environment and tier.
fn wish(world: &World, scopes: &[&str]) -> Wish {
    Wish {
        name: "Test key".to_owned(),
        environment: world.catalog.environments[0].name.clone(),
        tier: world.catalog.tiers[0].name.clone(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        expires: "never".to_owned(),
        ..Wish::default()
    }
}

async fn key(world: &World, org: &str, scopes: &[&str]) -> TestKey {
    world.make(org, wish(world, scopes)).await
}

async fn key_of_tier(world: &World, tier: &str, scopes: &[&str]) -> TestKey {
    world.make("acme", Wish { tier: tier.to_owned(), ..wish(world, scopes) }).await
}

/// A request as a proxy describes it, with the client's headers beside.
async fn proxied(program: Program, method: &str, target: &str) -> Answer {
    program.with("x-forwarded-method", method).with("x-forwarded-uri", target).get("/v1/forward-auth").await
}

async fn forward(world: &World, key: &TestKey, method: &str, target: &str) -> Answer {
    proxied(world.program().with("x-api-key", &key.secret), method, target).await
}

async fn verify(world: &World, asked: &Value) -> Value {
    world.program().bearer(&world.service_key(&["verify"]).await).post("/v1/keys/verify", asked).await.json()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    answer.is(status);
    assert_eq!(answer.json()["code"], code);
}

#[tokio::test]
async fn two_different_keys_in_the_two_headers_under_every_preset() {
    for (preset, both) in [
        ("default", None),
        ("heso", None),
        ("heir", None),
        ("holonomix", Some("x-api-key")),
        ("helios", Some("x-api-key")),
        ("heffl", Some("x-api-key")),
    ] {
        let world = deployment(preset).await;
        let (one, other) = (key(&world, "acme", &[]).await, key(&world, "acme", &[]).await);
        for (in_header, as_bearer) in [(&one, &other), (&other, &one)] {
            let written = [
                world.program().with("x-api-key", &in_header.secret).bearer(&as_bearer.secret),
                world.program().bearer(&as_bearer.secret).with("x-api-key", &in_header.secret),
            ];
            for program in written {
                let answer = program.get("/v1/whoami").await;
                match both {
                    None => {
                        answer.is(400).says("hold different credentials");
                    }
                    Some(_) => assert_eq!(answer.is(200).json()["key_id"], in_header.id.to_string(), "{preset}"),
                }
                // A proxy's question counts them alike.
                let status = proxied(program, "GET", "/nowhere/at/all").await.status.as_u16();
                assert_eq!(status == 400, both.is_none(), "{preset}");
            }
        }
        // The same key in both is one key.
        world.program().with("x-api-key", &one.secret).bearer(&one.secret).get("/v1/whoami").await.is(200);
        // And alone as Bearer it counts where the documentation says so.
        let bearer = world.program().bearer(&one.secret).get("/v1/whoami").await;
        match preset {
            "helios" | "heffl" => {
                refused(&bearer, 401, "MISSING");
                bearer.says("Send your API key in the x-api-key header: Authorization: Bearer does not count here.");
                let none = world.program().get("/v1/whoami").await;
                refused(&none, 401, "MISSING");
                assert_eq!(none.json()["detail"], "Send your API key in the x-api-key header.");
            }
            _ => assert_eq!(bearer.is(200).json()["key_id"], one.id.to_string()),
        }
    }
}

#[tokio::test]
async fn keys_begin_as_the_preset_says() {
    for (preset, environment, tier, begins) in [
        ("default", "live", "standard", "kd_live_"),
        ("heso", "live", "standard", "heso_live_"),
        ("heir", "production", "public", "heir_pk_"),
        ("heir", "production", "partner", "heir_pt_"),
        ("heir", "production", "internal", "heir_in_"),
        ("holonomix", "live", "standard", "hx_live_"),
        ("helios", "development", "standard", "helios_dev_"),
        ("helios", "staging", "standard", "helios_staging_"),
        ("helios", "production", "standard", "helios_live_"),
        ("heffl", "production", "standard", "heffl_live_"),
    ] {
        let world = deployment(preset).await;
        let wish = Wish { environment: environment.to_owned(), tier: tier.to_owned(), ..wish(&world, &[]) };
        let made = world.make("acme", wish).await;
        assert!(made.secret.starts_with(begins) && made.secret.len() == begins.len() + 36, "{preset}: {}", made.hint);
        assert_eq!(world.verdict(&made.secret).await, "VALID");
    }
}

#[tokio::test]
async fn heso_scopes_guard_what_the_documentation_says() {
    let world = deployment("heso").await;
    let scopes = ["receipts:write", "policy:read", "approvals:write", "audit:read"];
    let mut keys = Vec::new();
    for scope in scopes {
        keys.push((scope, key(&world, "acme", &[scope]).await));
    }
    for (method, target, needs) in [
        ("POST", "/v1/receipts", "receipts:write"),
        ("GET", "/v1/policy/pull", "policy:read"),
        ("POST", "/v1/approvals", "approvals:write"),
        ("GET", "/v1/approvals/7", "approvals:write"),
        ("GET", "/v1/audit/chain?since=3", "audit:read"),
    ] {
        for (scope, key) in &keys {
            let answer = forward(&world, key, method, target).await;
            if *scope == needs {
                // The organization is resolved from the key.
                assert_eq!(answer.is(200).header("x-keydesk-org"), "acme");
                let bearer = proxied(world.program().bearer(&key.secret), method, target).await;
                assert_eq!(bearer.is(200).header("x-keydesk-key-id"), key.id.to_string());
            } else {
                refused(&answer, 403, "INSUFFICIENT_SCOPE");
                assert!(answer.header("www-authenticate").ends_with(&format!("scope=\"{needs}\"")));
            }
            let asked = json!({ "key": key.secret, "scopes": [needs] });
            assert_eq!(verify(&world, &asked).await["valid"], *scope == needs);
        }
        proxied(world.program(), method, target).await.is(401);
    }
    // Only what is documented is let through.
    let all = key(&world, "acme", &scopes).await;
    for (method, target) in
        [("GET", "/v1/receipts"), ("POST", "/v1/policy/pull"), ("GET", "/v1/approvalsx"), ("GET", "/")]
    {
        forward(&world, &all, method, target).await.is(403).says("No route of the catalog");
    }
}

#[tokio::test]
async fn heir_tiers_have_their_limits() {
    let world = deployment("heir").await;
    for (tier, limit) in [("public", 100), ("partner", 1_000)] {
        let key = key_of_tier(&world, tier, &["contracts"]).await;
        let mut remaining = limit;
        loop {
            let answer = forward(&world, &key, "POST", "/api/v1/contracts").await;
            if answer.status == 429 {
                assert_eq!(remaining, 0, "{tier}");
                assert!((1..=900).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
                break;
            }
            assert_eq!(answer.is(200).header("ratelimit-policy"), format!("\"{tier}\";q={limit};w=900"));
            remaining -= 1;
        }
        world.clock.advance(time::Duration::minutes(15));
        forward(&world, &key, "POST", "/api/v1/contracts").await.is(200);
    }
    let key = key_of_tier(&world, "internal", &["admin"]).await;
    let answer = forward(&world, &key, "POST", "/api/v1/admin/users").await;
    assert_eq!(answer.is(200).header("ratelimit-policy"), "\"internal\";q=10000;w=900");
    assert!(answer.header("ratelimit").starts_with("\"internal\";r=9999;"), "{}", answer.header("ratelimit"));
}

#[tokio::test]
async fn heir_tiers_allow_their_scopes_at_create_and_at_the_gate() {
    let world = deployment("heir").await;
    let every = ["contracts", "vaults", "webhooks", "embed", "admin"];
    let allowed: [(&str, &[&str]); 3] = [("public", &every[..1]), ("partner", &every[..4]), ("internal", &every)];
    let mut owner = world.owner_of("acme").await;
    for (tier, allowed) in allowed {
        for scope in every {
            let wish = Wish { tier: tier.to_owned(), ..wish(&world, &[scope]) };
            let parsed = NewKey::parse(wish, &world.catalog);
            assert_eq!(parsed.is_ok(), allowed.contains(&scope), "{tier} {scope}");
            let form_id = uuid::Uuid::new_v4().to_string();
            let form = [
                ("form_id", form_id.as_str()),
                ("name", "Key"),
                ("environment", "production"),
                ("tier", tier),
                ("scopes[]", scope),
                ("expires", "never"),
            ];
            let answer = owner.post("/console/fn/keys/issue", &form).await;
            if !allowed.contains(&scope) {
                answer.is(422).says(&format!("The tier {tier} does not allow"));
                continue;
            }
            let secret = answer.is(200).field("issued-secret");
            let program = || world.program().with("x-api-key", &secret);
            for asked in every {
                let status = proxied(program(), "GET", &format!("/api/v1/{asked}/7")).await.status.as_u16();
                assert_eq!(status == 200, asked == scope, "{tier} {scope} {asked}");
            }
        }
    }
    // A key that was made when its tier allowed more is held to what the tier allows today.
    let before = include_str!("../catalog/presets/heir.toml").replacen("scopes = [\"contracts\"]", "", 1);
    let before = World::of(Catalog::parse(&before).unwrap(), "").await;
    let key = key_of_tier(&before, "public", &["contracts", "admin"]).await;
    forward(&before, &key, "GET", "/api/v1/admin").await.is(200);
    let today = before.again(Catalog::load("heir").unwrap());
    refused(&forward(&today, &key, "GET", "/api/v1/admin").await, 403, "INSUFFICIENT_SCOPE");
    forward(&today, &key, "GET", "/api/v1/contracts").await.is(200);
}

#[tokio::test]
async fn holonomix_keys_enter_their_namespaces_only() {
    let world = deployment("holonomix").await;
    let bound = |namespaces: &[&str]| Wish {
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        ..wish(&world, &[])
    };
    let key = world.make("acme-corp", bound(&["default"])).await;
    let answer = forward(&world, &key, "GET", "/v1/get/default/my-key").await;
    assert_eq!(answer.is(200).header("x-keydesk-namespaces"), "default");
    proxied(world.program().bearer(&key.secret), "GET", "/v1/get/default/my-key").await.is(200);
    let detail = "Namespace 'staging' not permitted for tenant 'acme-corp'";
    for (method, target) in [
        ("GET", "/v1/get/staging/my-key"),
        ("PUT", "/v1/put/staging/my-key"),
        ("POST", "/v1/query/staging"),
        ("GET", "/v1/get/staging/default"),
        ("GET", "/v1/get/%73taging/my-key"),
    ] {
        let answer = forward(&world, &key, method, target).await;
        refused(&answer, 403, "NAMESPACE_NOT_ALLOWED");
        assert_eq!(answer.json()["detail"], detail, "{target}");
    }
    let answer = verify(&world, &json!({ "key": key.secret, "namespace": "staging" })).await;
    assert_eq!((&answer["code"], &answer["detail"]), (&json!("NAMESPACE_NOT_ALLOWED"), &json!(detail)));
    assert_eq!(verify(&world, &json!({ "key": key.secret, "namespace": "default" })).await["valid"], true);
    // A path without a namespace is nobody's, and a key without namespaces enters none.
    for target in ["/v1/get", "/v1/get/", "/v1/get//my-key", "/v1", "/gate/admin/tenants"] {
        forward(&world, &key, "GET", target).await.is(403).says("No route of the catalog");
    }
    let unbound = world.make("acme-corp", bound(&[])).await;
    refused(&forward(&world, &unbound, "GET", "/v1/get/default/my-key").await, 403, "NAMESPACE_NOT_ALLOWED");
    let several = world.make("acme-corp", bound(&["default", "staging"])).await;
    forward(&world, &several, "GET", "/v1/get/staging/my-key").await.is(200);
}

#[tokio::test]
async fn helios_keys_open_both_endpoints_and_every_failure_is_401() {
    let world = deployment("helios").await;
    let made = key(&world, "acme", &[]).await;
    for target in ["/api/v1/agent", "/api/v1/agent/runs/7", "/api/v1/lab-results", "/api/v1/lab-results?patient=7"] {
        for method in ["GET", "POST"] {
            assert_eq!(
                forward(&world, &made, method, target).await.is(200).header("x-keydesk-environment"),
                "development"
            );
        }
        refused(&proxied(world.program(), "POST", target).await, 401, "MISSING");
        refused(&proxied(world.program().bearer(&made.secret), "POST", target).await, 401, "MISSING");
        let (begin, last) = made.secret.split_at(made.secret.len() - 1);
        let other = if last == "A" { "B" } else { "A" };
        let mistyped = world.program().with("x-api-key", &format!("{begin}{other}"));
        refused(&proxied(mistyped, "POST", target).await, 401, "MALFORMED");
    }
    forward(&world, &made, "GET", "/api/v1/other").await.is(403);
    // A key from a different account: 401.
    let program = world.program().with("x-api-key", &made.secret).with("x-forwarded-method", "POST");
    let program = program.with("x-forwarded-uri", "/api/v1/agent");
    program.get("/v1/forward-auth?org=acme").await.is(200);
    refused(&program.get("/v1/forward-auth?org=globex").await, 401, "NOT_FOUND");
    // One environment's key is no other's.
    refused(&program.get("/v1/forward-auth?environment=production").await, 403, "WRONG_ENVIRONMENT");
    // Revoked, and revoke all.
    let mut owner = world.owner_of("acme").await;
    let form = [("key_id", made.id.to_string()), ("reason", "other".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    owner.post("/console/fn/keys/revoke", &form).await.is(200);
    refused(&program.get("/v1/forward-auth").await, 401, "REVOKED");
    let other = key(&world, "acme", &[]).await;
    owner.post("/console/fn/keys/revoke-all", &[("confirmation", "acme")]).await.is(200);
    refused(&forward(&world, &other, "POST", "/api/v1/agent").await, 401, "REVOKED");
}

#[tokio::test]
async fn heffl_keys_are_the_workspaces_and_stop_with_their_creator() {
    let world = deployment("heffl").await;
    let made = key(&world, "acme", &[]).await;
    for target in ["/", "/leads", "/api/v1/anything/at/all?x=1"] {
        forward(&world, &made, "POST", target).await.is(200);
    }
    // The wrong workspace is 403.
    let program = world.program().with("x-api-key", &made.secret).with("x-forwarded-method", "GET");
    let program = program.with("x-forwarded-uri", "/leads");
    program.get("/v1/forward-auth?org=acme").await.is(200);
    refused(&program.get("/v1/forward-auth?org=globex").await, 403, "NOT_FOUND");
    // Stray spaces and line breaks are 401, and said.
    let middle = made.secret.len() / 2;
    let (begin, end) = made.secret.split_at(middle);
    let spaced = world.program().with("x-api-key", &format!("{begin} {end}"));
    let answer = proxied(spaced, "GET", "/leads").await;
    refused(&answer, 401, "MALFORMED");
    answer.says("space").says("line break");
    for text in [format!(" {}", made.secret), format!("{}\n", made.secret), format!("{begin}\r\n{end}")] {
        let answer = verify(&world, &json!({ "key": text })).await;
        assert_eq!(answer["code"], "MALFORMED");
        assert!(answer["detail"].as_str().unwrap().contains("line break"), "{answer}");
    }
    // A creator who is disabled takes their keys with them; another workspace member's go on.
    let account = world.member("acme", keydesk::orgs::Role::Developer).await;
    let mut creator = world.browser(&account).await;
    let form_id = uuid::Uuid::new_v4().to_string();
    let form = [
        ("form_id", form_id.as_str()),
        ("name", "Website Forms"),
        ("environment", "production"),
        ("tier", "standard"),
        ("expires", "never"),
    ];
    let secret = creator.post("/console/fn/keys/issue", &form).await.is(200).field("issued-secret");
    assert_eq!(world.verdict(&secret).await, "VALID");
    world.change(&format!("update users set disabled_at = now() where id = '{}'", account.user.0)).await;
    assert_eq!(world.verdict(&secret).await, "SUSPENDED");
    assert_eq!(world.verdict(&made.secret).await, "VALID");
}

#[tokio::test]
async fn the_console_wears_the_preset() {
    for (preset, _) in PRESETS {
        let world = deployment(preset).await;
        let catalog = &world.catalog;
        let brand = &catalog.brand;
        let sign_in = world.anonymous().get("/sign-in").await;
        sign_in.is(200).says(&format!("<title>Sign in · {brand}</title>")).says(&format!("Sign in to {brand}</h1>"));
        let mut owner = world.owner_of("acme").await;
        let page = owner.get("/keys?new=1").await;
        page.is(200).says(&format!("<title>API keys · {brand}</title>"));
        for path in ["/keys?new=1", "/webhooks", "/members", "/settings", "/nowhere"] {
            let answer = owner.get(path).await;
            assert!(brand == "Keydesk" || !answer.body.contains("Keydesk"), "{preset} {path}: {}", answer.body);
        }
        for environment in &catalog.environments {
            page.says(&format!("<option value=\"{}\"", environment.name));
        }
        for tier in &catalog.tiers {
            page.says(&format!("<option value=\"{}\"", tier.name));
        }
        for scope in &catalog.scopes {
            page.says(&format!("value=\"{}\"", scope.name));
        }
        assert_eq!(page.body.contains("<legend>Scopes</legend>"), !catalog.scopes.is_empty(), "{preset}");
        let form_id = uuid::Uuid::new_v4().to_string();
        let form = [
            ("form_id", form_id.as_str()),
            ("name", "CI"),
            ("environment", catalog.environments[0].name.as_str()),
            ("tier", catalog.tiers[0].name.as_str()),
            ("expires", "never"),
        ];
        let issued = owner.post("/console/fn/keys/issue", &form).await;
        let secret = issued.is(200).field("issued-secret");
        assert_eq!(issued.header("cache-control"), "no-store");
        let snippets = snippets::of(&catalog.snippets, "http://127.0.0.1:3001");
        assert_eq!(snippets.len(), 4);
        for snippet in snippets {
            issued.says(&format!(">{}</label>", snippet.language)).says(&format!("{} example", snippet.language));
        }
        // In the three fields that are for it, and in no example.
        assert_eq!(issued.body.matches(&secret).count(), 3, "{preset}");
        issued.says(&format!("{}_API_KEY={secret}", catalog.snippets.env_prefix));
        owner.get("/keys").await.is(200).says_not(&secret).says_not("_API_KEY");
    }
}
