//! Why a request was refused, gate by gate, and what to do.

use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::view::{GateLine, Refused, RefusedModel};
use crate::{
    console_plane::{error::ConsoleError, form::FormState, moment::When},
    keys::{
        store::KeyDetails,
        verdict::{Code, Gate},
    },
    usage::store::{self, Explained},
};

/// Of a key's refused requests, so many of the newest are shown.
const SHOWN: i64 = 20;

/// The newest refused requests with a key, and the one that is asked for.
pub async fn refused(
    db: &mut PgConnection,
    key: &KeyDetails,
    request: Option<&str>,
    now: OffsetDateTime,
) -> Result<RefusedModel, ConsoleError> {
    let rows = store::refusals_of(db, key.org, key.id, SHOWN).await?;
    let found = match request.and_then(|text| text.trim().parse::<Uuid>().ok()) {
        Some(id) => store::refusal(db, key.org, id).await?,
        None => None,
    };
    let error = match (request, &found) {
        (Some(_), None) => Some(ConsoleError::field(
            "request",
            "There is no such refused request with a key of yours. It may have been let in, or be older than 7 days.",
        )),
        _ => None,
    };
    let values = request.map(|text| ("request".to_owned(), text.to_owned())).into_iter().collect();
    Ok(RefusedModel {
        rows: rows.into_iter().map(|row| explain(row, key, now)).collect(),
        found: found.map(|row| explain(row, key, now)),
        refill: FormState { values, error },
    })
}

fn explain(row: Explained, page: &KeyDetails, now: OffsetDateTime) -> Refused {
    let expired = page.expires_at.is_some_and(|at| at <= now);
    let address = row.address.map(|address| address.to_string()).unwrap_or_default();
    Refused {
        request_id: row.request_id.to_string(),
        when: When::at(row.at, now),
        other_key: (row.key != page.id).then(|| format!("/keys/{}?request={}", row.key, row.request_id)),
        asked: asked(&row.asked),
        gates: gates(&row.gates),
        fix: fix(&row.code, &row.asked, &address, expired && row.key == page.id),
        code: row.code,
        address,
        agent: row.agent,
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn scopes(asked: &Value) -> String {
    let scopes = asked.get("scopes").and_then(Value::as_array);
    scopes.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn asked(asked: &Value) -> Vec<String> {
    let request = format!("{} {}", text(asked, "/request/method"), text(asked, "/request/path"));
    let named = |name: &str, value: &str| if value.is_empty() { String::new() } else { format!("{name} {value}") };
    let parts = [
        request.trim().to_owned(),
        named("environment", text(asked, "/environment")),
        named("namespace", text(asked, "/namespace")),
        named("scope", &scopes(asked)),
        named("via", text(asked, "/via")),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

fn gates(gates: &Value) -> Vec<GateLine> {
    let line = |said: &Value| {
        let name = match said.get("gate").and_then(|gate| Gate::deserialize(gate).ok()) {
            Some(Gate::Shape) => "It is written like a key",
            Some(Gate::Found) => "It is a key of the organization",
            Some(Gate::State) => "It is not revoked, replaced, disabled or expired",
            Some(Gate::Standing) => "The organization and its maker are in good standing",
            Some(Gate::Environment) => "It is of the environment",
            Some(Gate::Address) => "It may be used from the address",
            Some(Gate::Namespace) => "It may enter the namespace",
            Some(Gate::Scope) => "It has the scopes",
            Some(Gate::Rate) => "It has calls left for now",
            Some(Gate::Quota) => "It has calls left this month",
            // Another version's.
            None => text(said, "/gate"),
        };
        let passed = said.get("passed").and_then(Value::as_bool).unwrap_or_default();
        GateLine { name: name.to_owned(), refused: (!passed).then(|| text(said, "/detail").to_owned()) }
    };
    gates.as_array().into_iter().flatten().map(line).collect()
}

/// What to do about a verdict.
fn fix(code: &str, asked: &Value, address: &str, expired: bool) -> String {
    // One of another version: nothing can be said of it.
    let Some(code) = Code::ALL.into_iter().find(|known| known.as_str() == code) else { return String::new() };
    let fixed = match code {
        // Without a key in it, or let in: none of these is kept with a key.
        Code::Valid | Code::Missing | Code::Malformed | Code::NotFound => "",
        Code::Revoked => "That is for good: create another key, and give the caller that one.",
        Code::Rotated => "Give the caller the key that replaced it.",
        Code::Disabled if expired => "Enable the key and choose a later expiry, if it is meant to work.",
        Code::Disabled => "Enable the key, if it is meant to work.",
        Code::Expired => "Edit the key and choose a later expiry, or create another.",
        Code::Suspended => "Ask the provider why the organization, or who made the key, is suspended.",
        Code::WrongEnvironment => "Give the caller a key of the environment that it calls.",
        Code::IpNotAllowed if address.is_empty() => "Have the proxy in front say where the caller is.",
        Code::IpNotAllowed => {
            return format!("If the caller is yours, edit the key and add {address} to its addresses.");
        }
        Code::NamespaceNotAllowed => {
            let namespace = text(asked, "/namespace");
            return format!("Edit the key and add {namespace} to its namespaces, or call for another.");
        }
        Code::InsufficientScope => return format!("Edit the key and tick {}, or call for less.", scopes(asked)),
        Code::RateLimited => "Call more rarely and wait as long as Retry-After says, or use a key of a higher tier.",
        Code::UsageExceeded => "Wait for the next month, or use a key of a higher tier.",
        Code::Unavailable => "Nothing is wrong with the key. Try again, and tell the provider if it goes on.",
    };
    fixed.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_asked_is_told_in_few_words() {
        let all = json!({
            "request": { "method": "GET", "path": "/v1/orders" }, "environment": "live", "namespace": "staging",
            "scopes": ["read", "write"], "via": "gateway",
        });
        assert_eq!(
            asked(&all),
            ["GET /v1/orders", "environment live", "namespace staging", "scope read, write", "via gateway"]
        );
        assert!(asked(&json!({ "request": { "method": "", "path": "" }, "scopes": [] })).is_empty());
        assert_eq!(fix("INSUFFICIENT_SCOPE", &all, "", false), "Edit the key and tick read, write, or call for less.");
        assert!(fix("IP_NOT_ALLOWED", &all, "10.0.4.7", false).contains("add 10.0.4.7 to its addresses"));
    }
}
