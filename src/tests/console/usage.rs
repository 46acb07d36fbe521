//! How a key was used, and why its requests were refused, on its own page.

use serde_json::json;
use time::Duration;

use crate::world::{Answer, Browser, TestKey, World};

async fn look(browser: &mut Browser, key: &TestKey, query: &str) -> Answer {
    browser.get(&format!("/keys/{}{query}", key.id)).await
}

/// A program somewhere calls with a key; answers the id of its request.
async fn call(world: &World, secret: &str, address: &str, agent: &str) -> String {
    let mut program = world.program().with("x-api-key", secret).with("user-agent", agent);
    program.address = address.parse().unwrap();
    let answer = program.get("/v1/whoami").await;
    world.usage.flush_all(&world.refusals, &world.keys_db).await;
    answer.header("x-request-id").to_owned()
}

#[tokio::test]
async fn calls_are_shown_over_a_day_a_week_and_a_month_by_caller_and_by_verdict() {
    let world = World::new().await;
    let key = world.key_from("acme", &["10.0.0.0/8"], &[]).await;
    call(&world, &key.secret, "10.0.4.9", "nightly/2.0").await;
    world.clock.advance(Duration::days(10));
    for _ in 0..3 {
        call(&world, &key.secret, "10.0.4.7", "curl/8.5.0").await;
    }
    world.clock.advance(Duration::days(2));
    call(&world, &key.secret, "10.0.4.7", "curl/8.6.0").await;
    call(&world, &key.secret, "203.0.113.9", "python-httpx/0.28").await;
    let mut vic = world.viewer("acme").await;
    for (query, label, bars, seen, unseen) in [
        (
            "",
            "Calls with this key in the last 24 hours: 1 let in, 1 refused; at most 2 in an hour.",
            24,
            "10.0.4.7",
            "10.0.4.9",
        ),
        (
            "?usage=7d",
            "Calls with this key in the last 7 days: 4 let in, 1 refused; at most 3 in six hours.",
            28,
            "10.0.4.7",
            "10.0.4.9",
        ),
        (
            "?usage=30d",
            "Calls with this key in the last 30 days: 5 let in, 1 refused; at most 3 in a day.",
            30,
            "10.0.4.9",
            "10.0.4.10",
        ),
        (
            "?usage=forever",
            "Calls with this key in the last 24 hours: 1 let in, 1 refused",
            24,
            "203.0.113.9",
            "10.0.4.9",
        ),
    ] {
        let page = look(&mut vic, &key, query).await;
        page.is(200).says(label).says(seen).says_not(unseen).says("<svg").says("IP_NOT_ALLOWED").says("python-httpx");
        assert_eq!(page.body.matches("class=\"chart-ground\"").count(), bars, "{query}");
        // The same numbers as a table: a row for each bar.
        let table = page.body.split("Calls by time").nth(1).unwrap().split("</table>").next().unwrap();
        assert_eq!(table.matches("<th scope=\"row\">").count(), bars, "{query}");
    }
    let idle = world.key("acme", &[], "never").await;
    look(&mut vic, &idle, "?usage=30d")
        .await
        .is(200)
        .says("Nobody has called with this key in the last 30 days.")
        .says_not("<svg viewBox=\"0 0 300");
}

#[tokio::test]
async fn forms_are_answered_as_far_back_as_their_page_looked() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let mut olga = world.owner_of("acme").await;
    let id = key.id.to_string();
    let back = format!("/keys/{id}?usage=7d");
    let shows_a_week = "?usage=7d\" aria-current=\"true\"";
    let page = look(&mut olga, &key, "?usage=7d").await;
    page.is(200).says(shows_a_week);
    // Every form of the page says where it was sent from.
    let forms: Vec<_> = page.body.split("<form method=\"post\" action=\"/console/fn/keys/").skip(1).collect();
    assert!(forms.len() >= 5, "{forms:#?}");
    for form in forms {
        let form = form.split("</form>").next().unwrap();
        assert!(form.contains(&format!("name=\"back\" value=\"{back}\"")), "{form}");
    }
    for (name, form, status) in [
        ("disable", vec![], 200),
        ("enable", vec![], 200),
        (
            "rotate",
            vec![("idempotency_key", "0192f0c1-0000-7000-8000-000000000001"), ("window", "7d"), ("reason", "")],
            422,
        ),
        ("confirm", vec![("last_four", "")], 422),
        ("revoke", vec![("reason", "other")], 200),
    ] {
        let form = [vec![("key_id", id.as_str()), ("back", &back)], form].concat();
        let page = olga.post(&format!("/console/fn/keys/{name}"), &form).await;
        page.is(status).says(shows_a_week);
    }
}

#[tokio::test]
async fn a_refused_request_is_explained_gate_by_gate_with_what_to_do() {
    let world = World::new().await;
    let key = world.key_from("acme", &["10.0.0.0/8"], &["default"]).await;
    let other = world.key("acme", &["read"], "never").await;
    let request = call(&world, &key.secret, "203.0.113.9", "curl/8.5.0").await;
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    let asked = json!({ "key": key.secret, "address": "10.0.4.7", "namespace": "staging", "scopes": ["write"] });
    let verified = service.post("/v1/keys/verify", &asked).await.json()["request_id"].as_str().unwrap().to_owned();
    world.usage.flush_all(&world.refusals, &world.keys_db).await;
    let mut vic = world.viewer("acme").await;
    let page = look(&mut vic, &key, "").await;
    page.is(200).says("If the caller is yours, edit the key and add 203.0.113.9 to its addresses.");
    page.says("The key may not be used from this address.").says(&request).says("GET /v1/whoami");
    // All that would have refused it is told, and not only what refused it first.
    page.says("Edit the key and add staging to its namespaces, or call for another.").says(&verified);
    page.says("namespace staging · scope write").says("The key lacks the scope write.");
    look(&mut vic, &other, "").await.says("No request with this key was refused in the last 7 days.");
    // Looked up by its id, from the page of whichever key.
    let found = look(&mut vic, &key, &format!("?request=%20{request}")).await;
    found.is(200).says("found-refusal").says_not("This was another key");
    let found = look(&mut vic, &other, &format!("?request={request}")).await;
    found.says("found-refusal").says("This was another key").says(&format!("/keys/{}?request={request}", key.id));
}

#[tokio::test]
async fn refused_requests_of_others_are_not_told() {
    let world = World::new().await;
    let theirs = world.key_from("other", &["10.0.0.0/8"], &[]).await;
    let ours = world.key("acme", &["read"], "never").await;
    let request = call(&world, &theirs.secret, "203.0.113.9", "curl/8.5.0").await;
    let nobodys = call(&world, "kd_live_nonsense", "203.0.113.9", "curl/8.5.0").await;
    let mut owner = world.owner_of("acme").await;
    for request in [request.as_str(), &nobodys, "0192f0c1-2345-7abc-8def-0123456789ab", "no id at all"] {
        let page = look(&mut owner, &ours, &format!("?request={}", request.replace(' ', "+"))).await;
        page.is(200).says("There is no such refused request with a key of yours.").says_not("203.0.113.9");
        assert_eq!(page.field("request"), request);
    }
    look(&mut world.owner_of("other").await, &theirs, &format!("?request={request}")).await.says("found-refusal");
}
