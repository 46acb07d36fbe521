//! What is counted for operators, as Prometheus reads it.

use std::{sync::LazyLock, time::Duration};

use metrics::{Counter, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{KeyPlane, ROUTES};
use crate::keys::verdict::Code;

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The counters of verdicts. They are looked up once, since a look-up costs more than the counting; so [`start`] has to come
/// before the first call.
static VERDICTS: LazyLock<Vec<(Code, Counter)>> = LazyLock::new(|| {
    Code::ALL.iter().map(|code| (*code, counter!("keydesk_verdicts_total", "code" => code.as_str()))).collect()
});
/// How long answers took, by route. The last is for every other path, so that requests for ever new paths make no new
/// series.
static ANSWERS: LazyLock<Vec<(&str, Histogram)>> = LazyLock::new(|| {
    let routes = ROUTES.iter().map(|(_, route)| *route).chain(["other"]);
    routes.map(|route| (route, histogram!("keydesk_answer_seconds", "route" => route))).collect()
});

/// Starts counting, once for the process. `None`: it counts already, as in tests.
pub fn start() -> Option<PrometheusHandle> {
    const ANSWER_SECONDS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0];
    const RECEIPT_SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 11.0, 60.0, 330.0];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("keydesk_answer_seconds".to_owned()), &ANSWER_SECONDS)
        .ok()?
        .set_buckets_for_metric(Matcher::Full("keydesk_receipt_seconds".to_owned()), &RECEIPT_SECONDS)
        .ok()?
        .install_recorder()
        .ok()
}

/// Folds what was recorded into the histograms again and again; otherwise each answer would take memory until the metrics
/// are read.
pub async fn keep_up(handle: Option<PrometheusHandle>) {
    let Some(handle) = handle else { return };
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        handle.run_upkeep();
    }
}

pub fn verdict(code: Code) {
    if let Some((_, counter)) = VERDICTS.iter().find(|(known, _)| *known == code) {
        counter.increment(1);
    }
}

pub fn limiter_error() {
    counter!("keydesk_limiter_errors_total").increment(1);
}

/// The histogram of how long answers at a path take.
pub fn answers_at(path: &str) -> Option<&'static Histogram> {
    ANSWERS.iter().find(|(route, _)| *route == path).or(ANSWERS.last()).map(|(_, times)| times)
}

/// Sets the gauges, when the metrics are read.
pub fn observe(plane: &KeyPlane) {
    #[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
    let set = |name: &'static str, value: u64| gauge!(name).set(value as f64);
    set("keydesk_usage_buckets_waiting", plane.usage.waiting() as u64);
    set("keydesk_usage_calls_lumped", plane.usage.lumped());
    set("keydesk_refusals_waiting", plane.refusals.waiting() as u64);
    set("keydesk_refusals_dropped", plane.refusals.dropped());
    let (remembered, hits, misses) = plane.memory.counts();
    set("keydesk_memory_keys", remembered as u64);
    counter!("keydesk_memory_hits_total").absolute(hits);
    counter!("keydesk_memory_misses_total").absolute(misses);
    gauge!("keydesk_lease_seconds_left").set(plane.memory.lease.left().as_secs_f64());
    let applied = plane.memory.applied().map_or(0, |mark| mark.revision.0.unsigned_abs());
    set("keydesk_revision_applied", applied);
    set("keydesk_revision_newest", plane.memory.newest());
    set("keydesk_history_went_back", u64::from(plane.memory.went_back().is_some()));
    set("keydesk_nodes", plane.memory.nodes());
    set("keydesk_database_connections", u64::from(plane.db.size()));
    set("keydesk_database_connections_idle", plane.db.num_idle() as u64);
}
