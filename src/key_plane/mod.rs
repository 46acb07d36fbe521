//! PLANE: programs ask whether a key is good. API keys and service keys come in here; cookies and access tokens do not
//! count here.
//!
//! # A call from the socket to the answer
//!
//! Whoami, verify and forward-auth take the same way. A comment in the code names each step.
//!
//! 1. `response_headers.rs`, around all handlers: the request gets its id and a deadline.
//! 2. `handlers.rs` (whoami, verify) or `forward_auth.rs` makes a [`judge::Question`]: the presented credential
//!    (`machine_http/credential.rs`), the client's address (`client.rs`), and what is required of the key. Verify reads both
//!    from its body, after `machine_http/service.rs` has let the service in that asks.
//! 3. `judge.rs`, `find_key`: shape and checksum, then the digest (`keys/secret.rs`).
//! 4. `node/memory.rs`: the key's record, from memory while the node's lease holds; otherwise by one SELECT
//!    (`keys/verdict/store.rs`, `find_by_digest`).
//! 5. `keys/verdict/mod.rs`: the gates that need nothing but the record, each asked once. A call that one of them refuses
//!    spends nothing.
//! 6. `judge.rs`, `spend`: the rate (`limiter/`) and the monthly quota (`usage/store.rs`, where a tier has one).
//! 7. `judge.rs`, `record`: the verdict is counted (`metrics.rs`), the use and the refusal are noted in memory
//!    (`usage/mod.rs`, `usage/refusals.rs`).
//! 8. `wire.rs`: the answer's body and its rate-limit headers; a refusal is a problem document (`machine_http/problem.rs`).
//! 9. `response_headers.rs` again: problems are written, every answer gets its headers, and how long it took is recorded.
//!
//! A whoami whose key is in memory and has no quota runs no SQL.

mod audit_chain;
pub mod forward_auth;
pub mod handlers;
mod judge;
pub mod limiter;
pub mod metrics;
mod openapi;
pub mod ready;
pub mod router;
pub mod wire;

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::watch;

use crate::{
    catalog::Catalog,
    client::TrustedProxies,
    clock::Clock,
    node::memory::Memory,
    usage::{UsageRecorder, refusals::RefusalRecorder},
};
use limiter::Limiter;

/// Every route, for the metrics, and for the test that tries each with every kind of principal.
pub const ROUTES: [(&str, &str); 7] = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/v1/whoami"),
    ("GET", "/v1/forward-auth"),
    ("GET", "/v1/audit/chain"),
    ("POST", "/v1/keys/verify"),
    ("GET", "/v1/openapi.json"),
];

/// What the key plane works with.
#[derive(Clone)]
pub struct KeyPlane {
    /// Connects as the role `keydesk_keys`.
    pub db: PgPool,
    pub memory: Arc<Memory>,
    pub clock: Clock,
    pub catalog: Arc<Catalog>,
    pub limiter: Arc<Limiter>,
    pub proxies: Arc<TrustedProxies>,
    pub usage: Arc<UsageRecorder>,
    pub refusals: Arc<RefusalRecorder>,
    /// Becomes true when the process is about to stop.
    pub draining: watch::Receiver<bool>,
}
