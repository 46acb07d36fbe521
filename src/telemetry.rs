//! Logs: to standard error, since standard output is a command's answer. No secret is ever in one: nothing logs a request's
//! headers, query or body, and other crates, which might at their most verbose, are held to warnings.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging. `level` is what `RUST_LOG` holds: `error`, `warn`, `info` (the default), `debug` or `trace`.
pub fn start(level: Option<&str>) {
    let parsed: Option<LevelFilter> = level.and_then(|level| level.parse().ok());
    let unknown = level.filter(|level| parsed.is_none() && !level.is_empty());
    let level = parsed.unwrap_or(LevelFilter::INFO);
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("keydesk", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second start (in tests) keeps the first.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
    if let Some(unknown) = unknown {
        tracing::warn!(RUST_LOG = unknown, "not a level; logging info. Set error, warn, info, debug or trace.");
    }
    // Where it happened, but not with what: a panic's message can hold what was being worked on.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "panicked; this is a mistake in Keydesk, please report it");
    }));
}
