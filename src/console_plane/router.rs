//! The console's routes, and what every answer of it carries.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use leptos::server_fn::ServerFn;
use tower_http::{CompressionLevel, catch_panic::CatchPanicLayer, compression::CompressionLayer};
use tower_sessions::{Expiry, SessionManagerLayer, cookie::SameSite};
use uuid::Uuid;

use super::{
    audit_log,
    context::{RequestContext, RequestId},
    form::submit,
    keys::{
        self,
        forms::{
            ConfirmKey, CreateKey, DisableKey, EditKey, EnableKey, ExtendRotation, FinishRotation, RevokeAllKeys,
            RevokeKey, RevokeSomeKeys, RotateKey,
        },
    },
    members::{
        self,
        forms::{RemoveMember, SetRole},
    },
    nodes, render,
    sessions::Sessions,
    settings::{
        self,
        forms::{ChangePassword, CreateAccessToken, EndAllSessions, EndSession, SetAppearance},
    },
    sign_in::{
        self,
        forms::{SetUp, SignIn, SignOut},
    },
    state::Console,
    support::{
        self,
        forms::{FindKey, RevokeAnyKey},
    },
    webhooks::{
        self,
        forms::{GenerateWebhookSecret, RegenerateWebhookSecret},
    },
};
use crate::{config::Origin, database, response_headers};

/// Every route but the server functions, for the test that tries each with every kind of principal.
pub const ROUTES: [(&str, &str); 16] = [
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/sign-in"),
    ("GET", "/setup"),
    ("GET", "/keys"),
    ("GET", "/keys.csv"),
    ("GET", "/keys/revoke"),
    ("GET", "/keys/{id}"),
    ("GET", "/webhooks"),
    ("GET", "/audit"),
    ("GET", "/audit/export"),
    ("GET", "/members"),
    ("GET", "/settings"),
    ("GET", "/support"),
    ("GET", "/nodes"),
    ("GET", "/favicon.svg"),
];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// No answer takes longer; hashing a password behind a queue of others takes the longest.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

pub fn router(console: Arc<Console>) -> Router {
    // Drawing pages needs it; a second call (in tests) changes nothing.
    let _ = any_spawner::Executor::init_tokio();
    let sessions = Sessions { console: console.db.clone(), clock: console.clock.clone() };
    // Nothing but the id is in the cookie. `__Host-` needs https; on this machine cookies ignore ports, so the name has it.
    let https = console.origin.is_https();
    let cookie = if https { "__Host-keydesk".to_owned() } else { format!("keydesk-{}", console.origin.port()) };
    let session_layer = SessionManagerLayer::new(sessions)
        .with_name(cookie)
        .with_secure(https)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path("/")
        .with_expiry(Expiry::OnSessionEnd);
    // Pages are compressed; answers to forms are not, since one of them holds a secret beside what somebody typed, and
    // the length of the two together would tell about the secret.
    let pages = Router::new()
        .route("/", get(home))
        .route("/healthz", get(healthz))
        .route("/sign-in", get(sign_in::routes::sign_in))
        .route("/setup", get(sign_in::routes::setup))
        .route("/keys", get(keys::list::routes::list))
        .route("/keys.csv", get(keys::list::routes::csv))
        .route("/keys/revoke", get(keys::list::routes::preview))
        .route("/keys/{id}", get(keys::one::routes::show))
        .route("/webhooks", get(webhooks::routes::show))
        .route("/audit", get(audit_log::routes::show))
        .route("/audit/export", get(audit_log::routes::export))
        .route("/members", get(members::routes::show))
        .route("/settings", get(settings::routes::show))
        .route("/support", get(support::routes::show))
        .route("/nodes", get(nodes::routes::show))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    Router::new()
        .merge(pages)
        .merge(forms())
        .merge(console.site.routes())
        .fallback(async |cx: RequestContext| render::not_found(&cx).await)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(|_| {
            plain(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong in the console.")
        }))
        .layer(session_layer)
        .layer(middleware::from_fn_with_state(Arc::clone(&console), same_origin))
        .layer(middleware::from_fn_with_state(Arc::clone(&console), finish_response))
        .with_state(console)
}

/// Every form, at the address that its server function has.
fn forms() -> Router<Arc<Console>> {
    Router::new()
        .route(SignIn::PATH, post(submit::<SignIn>))
        .route(SignOut::PATH, post(submit::<SignOut>))
        .route(SetUp::PATH, post(submit::<SetUp>))
        .route(CreateKey::PATH, post(submit::<CreateKey>))
        .route(ConfirmKey::PATH, post(submit::<ConfirmKey>))
        .route(EditKey::PATH, post(submit::<EditKey>))
        .route(DisableKey::PATH, post(submit::<DisableKey>))
        .route(EnableKey::PATH, post(submit::<EnableKey>))
        .route(RotateKey::PATH, post(submit::<RotateKey>))
        .route(ExtendRotation::PATH, post(submit::<ExtendRotation>))
        .route(FinishRotation::PATH, post(submit::<FinishRotation>))
        .route(RevokeKey::PATH, post(submit::<RevokeKey>))
        .route(RevokeSomeKeys::PATH, post(submit::<RevokeSomeKeys>))
        .route(RevokeAllKeys::PATH, post(submit::<RevokeAllKeys>))
        .route(GenerateWebhookSecret::PATH, post(submit::<GenerateWebhookSecret>))
        .route(RegenerateWebhookSecret::PATH, post(submit::<RegenerateWebhookSecret>))
        .route(SetRole::PATH, post(submit::<SetRole>))
        .route(RemoveMember::PATH, post(submit::<RemoveMember>))
        .route(EndSession::PATH, post(submit::<EndSession>))
        .route(EndAllSessions::PATH, post(submit::<EndAllSessions>))
        .route(ChangePassword::PATH, post(submit::<ChangePassword>))
        .route(SetAppearance::PATH, post(submit::<SetAppearance>))
        .route(CreateAccessToken::PATH, post(submit::<CreateAccessToken>))
        .route(FindKey::PATH, post(submit::<FindKey>))
        .route(RevokeAnyKey::PATH, post(submit::<RevokeAnyKey>))
}

async fn home(cx: RequestContext) -> Response {
    match cx.who().await {
        Ok(Some(who)) => Redirect::to(who.home()).into_response(),
        Ok(None) => Redirect::to("/sign-in").into_response(),
        Err(error) => render::refusal(&cx, &error, "/").await,
    }
}

/// 200 once migrated and able to answer.
async fn healthz(State(console): State<Arc<Console>>) -> Response {
    if database::store::is_answering(&console.db).await {
        Json(serde_json::json!({ "status": "ok" })).into_response()
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, "The database does not answer.")
    }
}

async fn method_not_allowed(cx: RequestContext) -> Response {
    let text = "This address is not a page. It only takes what the console's forms send.";
    render::message(&cx, StatusCode::METHOD_NOT_ALLOWED, "Not a page", text, ("/", "Back to the console")).await
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, text).into_response()
}

/// Refuses what another site's page sends in the name of whoever is signed in here: on any path, before anything else.
async fn same_origin(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if safe || is_ours(request.headers(), &console.origin) {
        next.run(request).await
    } else {
        plain(StatusCode::FORBIDDEN, "This request did not come from a page of this console, so it was refused.")
    }
}

/// Browsers say where a request comes from; one that says nothing at all is not trusted.
fn is_ours(headers: &HeaderMap, origin: &Origin) -> bool {
    match headers.get(SEC_FETCH_SITE) {
        Some(site) => site == "same-origin",
        None => headers
            .get(header::ORIGIN)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| origin.is_named_by(value)),
    }
}

/// Gives a request its id and a deadline, and every answer its headers and log line.
async fn finish_response(State(console): State<Arc<Console>>, mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    request.extensions_mut().insert(RequestId(id));
    let method = request.method().clone();
    // The path only: a set-up link's token is in the query.
    let path = request.uri().path().to_owned();
    let begun = Instant::now();
    let mut response = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request))
        .await
        .unwrap_or_else(|_| plain(StatusCode::SERVICE_UNAVAILABLE, "The console took too long. Try again."));
    response_headers::set(response.headers_mut(), id, &console.origin);
    tracing::info!(
        plane = "console", %id, %method, path, status = response.status().as_u16(),
        ms = begun.elapsed().as_secs_f64() * 1e3, "answered"
    );
    response
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ours(pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        is_ours(&headers, &Origin::parse("http://localhost:3000").unwrap())
    }

    #[test]
    fn a_request_is_ours_only_if_the_browser_says_so() {
        assert!(ours(&[("sec-fetch-site", "same-origin")]));
        assert!(ours(&[("origin", "http://localhost:3000")]));
        assert!(ours(&[("origin", "http://127.0.0.1:3000")]));
        assert!(!ours(&[]));
        assert!(!ours(&[("origin", "null")]));
        assert!(!ours(&[("origin", "http://localhost:3001")]));
        assert!(!ours(&[("referer", "http://localhost:3000/keys")]));
        for foreign in ["same-site", "cross-site", "none", "", "Same-Origin"] {
            assert!(!ours(&[("sec-fetch-site", foreign), ("origin", "http://localhost:3000")]), "{foreign}");
        }
    }
}
