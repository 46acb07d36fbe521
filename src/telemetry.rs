//! Logging to standard error, since standard output holds a command's answer. No log line holds a secret: Keydesk logs
//! no request's headers, query or body, and other crates, some of which would at a verbose level, are held to warnings.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging at a level: `error`, `warn`, `info` (the default), `debug` or `trace`, as `RUST_LOG` holds it.
pub fn start(level: Option<&str>) {
    let parsed: Option<LevelFilter> = level.and_then(|level| level.parse().ok());
    let unknown = level.filter(|level| parsed.is_none() && !level.is_empty());
    let level = parsed.unwrap_or(LevelFilter::INFO);
    let targets = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("keydesk", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // In tests logging may have been started before; the first start stays in force.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
    if let Some(unknown) = unknown {
        tracing::warn!(RUST_LOG = unknown, "not a level; logging info. Set error, warn, info, debug or trace.");
    }
    // A panic's message can hold the data that was being worked on, so only its place is logged.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "panicked; this is a mistake in Keydesk, please report it");
    }));
}
