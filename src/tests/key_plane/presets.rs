//! The five systems' presets beside each other, and the corners of each; what their documentation shows is in conformance.

use keydesk::{
    catalog::{Catalog, PRESETS},
    console_plane::keys::snippets,
    keys::lifecycle::Wish,
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
async fn heir_keys_are_held_to_what_their_tier_allows_today() {
    let before = include_str!("../../catalog/presets/heir.toml").replacen("scopes = [\"contracts\"]", "", 1);
    let before = World::of(Catalog::parse(&before).unwrap(), "").await;
    let key = key_of_tier(&before, "public", &["contracts", "admin"]).await;
    forward(&before, &key, "GET", "/api/v1/admin").await.is(200);
    let today = before.again(Catalog::load("heir").unwrap());
    refused(&forward(&today, &key, "GET", "/api/v1/admin").await, 403, "INSUFFICIENT_SCOPE");
    forward(&today, &key, "GET", "/api/v1/contracts").await.is(200);
}

#[tokio::test]
async fn holonomix_namespaces_are_read_from_the_path_whatever_is_asked() {
    let world = deployment("holonomix").await;
    let bound = |namespaces: &[&str]| Wish {
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        ..wish(&world, &[])
    };
    let key = world.make("acme-corp", bound(&["default"])).await;
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
        let idempotency_key = uuid::Uuid::new_v4().to_string();
        let form = [
            ("idempotency_key", idempotency_key.as_str()),
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
        owner.get("/keys").await.is(200).says_not(&secret);
    }
}
