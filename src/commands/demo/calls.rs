//! The calls of the demo. They follow day and night, weekends and a slow growth, and get the verdicts of the key plane.

use std::borrow::Cow;

use time::{Duration, OffsetDateTime, Weekday};

use super::{
    AGE_DAYS,
    data::{CallPattern, Purpose, Rhythm},
    noise,
};
use crate::{
    catalog::{Catalog, routes},
    clock,
    keys::verdict::{Evaluation, KeyRecord, LimitState, Requirements, Verdict},
    machine_http,
    usage::{
        self, Agent, UsageRecorder, Use,
        refusals::{self, Refusal, RefusalRecorder},
    },
};

/// The age up to which calls are generated for each quarter of an hour.
const QUARTER_HOURS_SPAN: Duration = Duration::days(2);
/// The age up to which calls are generated for each hour. Older ones are generated for each six hours, which is as fine
/// as any chart shows them.
const HOURS_SPAN: Duration = Duration::days(31);
/// The share of a tier's limit that the calls of a key may use.
const MAX_LIMIT_SHARE: f64 = 0.5;
/// Requests that fit the APIs of the compiled-in catalogs. A catalog's own example comes before them.
const REQUESTS: [(&str, &str); 9] = [
    ("GET", "/v1/orders"),
    ("POST", "/v1/orders"),
    ("DELETE", "/v1/get/staging/my-key"),
    ("GET", "/v1/policy/pull"),
    ("POST", "/v1/receipts"),
    ("POST", "/v1/approvals/open"),
    ("POST", "/api/v1/contracts"),
    ("POST", "/api/v1/webhooks"),
    ("POST", "/api/v1/agent/run"),
];

/// Generates the calls of a pattern up to now, and records them.
pub struct CallGenerator<'a> {
    pub catalog: &'a Catalog,
    pub recorder: &'a UsageRecorder,
    pub refusals: &'a RefusalRecorder,
    pub now: OffsetDateTime,
}

/// A key that is used for calls.
pub struct CalledKey<'a> {
    pub record: &'a KeyRecord,
    /// The key as it was before it was revoked, replaced or disabled.
    pub while_active: KeyRecord,
    pub created_at: OffsetDateTime,
    /// The share of its patterns' calls that fits into its tier's limit.
    pub share: f64,
}

impl<'a> CalledKey<'a> {
    pub fn new(record: &'a KeyRecord, created_at: OffsetDateTime, patterns: &[CallPattern], catalog: &Catalog) -> Self {
        let wanted: f64 = patterns.iter().filter(|one| one.rhythm != Rhythm::Burst).map(|one| one.peak).sum();
        let limit = catalog.tier(&record.tier).and_then(|tier| tier.limit);
        let hourly = limit.map_or(f64::MAX, |limit| f64::from(limit.calls()) * 3_600. / limit.window().as_secs_f64());
        Self {
            record,
            while_active: KeyRecord {
                revoked_at: None,
                overlap_ends_at: None,
                overlap_ended: false,
                disabled_at: None,
                ..record.clone()
            },
            created_at,
            share: (hourly * MAX_LIMIT_SHARE / wanted.max(1.)).min(1.),
        }
    }

    /// The key as it was at a time.
    fn at(&self, at: OffsetDateTime) -> &KeyRecord {
        let key = self.record;
        let ended = [key.revoked_at, key.overlap_ends_at, key.disabled_at].into_iter().flatten().min();
        if ended.is_some_and(|ended| ended <= at) { key } else { &self.while_active }
    }
}

impl CallGenerator<'_> {
    pub fn generate(&self, called: &CalledKey<'_>, pattern: &CallPattern, seed: u64) {
        let oldest = self.now - usage::RETENTION;
        let from = (self.now - Duration::seconds_f64(pattern.from * 86_400.)).max(called.created_at).max(oldest);
        let until = self.now - Duration::seconds_f64(pattern.until * 86_400.);
        let Some(request) = self.request(called, pattern.purpose) else { return };
        let mut begin = from;
        let mut n = 0;
        while begin < until {
            let length = match self.now - begin {
                age if age <= QUARTER_HOURS_SPAN => Duration::minutes(15),
                age if age <= HOURS_SPAN => Duration::HOUR,
                _ => Duration::hours(6),
            };
            // Each span ends at a multiple of its length, so that a daily run lies in exactly one.
            let into = begin.unix_timestamp().rem_euclid(length.whole_seconds());
            let end = (begin - Duration::nanoseconds(i64::from(begin.nanosecond())) + length - Duration::seconds(into))
                .min(until);
            n += 1;
            match pattern.rhythm {
                Rhythm::Burst => self.burst(called, pattern, &request, (begin, end), seed),
                rhythm => {
                    let wanted = pattern.peak * called.share * busy_hours(rhythm, begin, end) * growth(end, self.now);
                    let jitter = if matches!(rhythm, Rhythm::Daily(_)) { 0.1 } else { 0.45 };
                    let count = wanted * (1. - jitter / 2. + jitter * noise(seed, n));
                    let whole = (count + noise(seed ^ 7, n)).floor() as i64;
                    // The last call of a caller that still calls was at most some minutes ago.
                    let back = (end - begin) * (0.05 + 0.6 * noise(seed ^ 3, n));
                    let at = if rhythm == Rhythm::Steady || end == self.now {
                        end - back.min(Duration::seconds(20 + n % 300))
                    } else {
                        end - back
                    };
                    self.record(called, pattern, &request, at.max(begin), whole, None);
                }
            }
            begin = end;
        }
    }

    /// A request that fits a purpose, with its requirements.
    fn request(&self, called: &CalledKey<'_>, purpose: Purpose) -> Option<Request<'_>> {
        let own = self.catalog.snippets.api.as_ref().map(|api| ("GET", api.path.as_str()));
        own.into_iter().chain(REQUESTS).find_map(|(method, path)| {
            let parsed = routes::Path::parse(path)?;
            let needs = routes::needs(&self.catalog.routes, method, &parsed)?;
            let (scopes, namespace) = (needs.scopes.to_vec(), needs.namespace.map(Cow::into_owned));
            let key = called.record;
            let fits = match purpose {
                Purpose::Ordinary => true,
                Purpose::MissingScope => scopes.iter().any(|scope| !key.scopes.contains(scope)),
                Purpose::OtherNamespace => namespace.as_ref().is_some_and(|name| !key.namespaces.contains(name)),
            };
            fits.then_some(Request { method, path, scopes, namespace, purpose })
        })
    }

    /// On some days, uses up the tier's limit within five minutes, and makes further calls for four.
    fn burst(
        &self,
        called: &CalledKey<'_>,
        pattern: &CallPattern,
        request: &Request<'_>,
        (begin, end): (OffsetDateTime, OffsetDateTime),
        seed: u64,
    ) {
        let Some(limit) = self.catalog.tier(&called.record.tier).and_then(|tier| tier.limit) else { return };
        let day = begin.unix_timestamp().div_euclid(86_400);
        let at =
            begin.replace_time(time::Time::MIDNIGHT) + Duration::seconds_f64(3_600. * (9. + 11. * noise(seed, day)));
        let today = noise(seed ^ 5, day) < 0.4 && (begin..end).contains(&at);
        if !today || at + Duration::minutes(9) > self.now {
            return;
        }
        for minute in 0..9 {
            let at = at + Duration::minutes(minute);
            if minute < 5 {
                let part = i64::from(limit.calls()) / 5;
                self.record(called, pattern, request, at, part, None);
            } else {
                let more = (pattern.peak * (0.5 + noise(seed, day + minute))) as i64;
                let left = limit.window().as_secs().saturating_sub(60 * minute.unsigned_abs());
                self.record(called, pattern, request, at, more, Some(LimitState::OverRate(left)));
            }
        }
    }

    /// Records a number of equal calls as the key plane records each call.
    fn record(
        &self,
        called: &CalledKey<'_>,
        pattern: &CallPattern,
        request: &Request<'_>,
        at: OffsetDateTime,
        count: i64,
        limits: Option<LimitState>,
    ) {
        let key = called.at(at);
        // An ordinary request has no requirements, because its key may make it in any catalog.
        let ordinary = request.purpose == Purpose::Ordinary;
        let requirements = Requirements {
            address: pattern.address.parse().ok(),
            scopes: if ordinary { &[] } else { &request.scopes },
            namespace: if ordinary { None } else { request.namespace.as_deref() },
            ..Requirements::default()
        };
        let mut evaluation = Evaluation::of_key(key, &requirements, self.catalog, at);
        if let Some(limits) = limits {
            evaluation.add_limits(limits);
        }
        let verdict = evaluation.verdict();
        // A request that should be refused is left out if this catalog allows it.
        if count == 0 || (verdict == Verdict::Valid && !ordinary) {
            return;
        }
        let via = Some(pattern.via).filter(|via| !via.is_empty());
        let used = Use {
            key: key.id,
            org: key.org_id,
            at,
            address: requirements.address,
            agent: Agent::parse(pattern.agent),
            via: via.map(str::to_owned),
            code: verdict.code(),
        };
        if verdict != Verdict::Valid && at > self.now - refusals::RETENTION {
            let gates = machine_http::gates_json(&evaluation);
            for n in 0..count {
                // The calls are spread over the minute up to the time of the last.
                let at = at - Duration::seconds(i64::from(at.second()) * (count - 1 - n) / count);
                self.refusals.record(Refusal {
                    request_id: clock::id(at),
                    at,
                    code: used.code,
                    key: Some((key.id, key.org_id)),
                    address: requirements.address,
                    agent: used.agent.family.clone(),
                    asked: refusals::requirements_json((request.method, request.path), &requirements, via),
                    gates: gates.clone(),
                });
            }
        }
        self.recorder.record_calls(used, count);
    }
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    scopes: Vec<String>,
    namespace: Option<String>,
    purpose: Purpose,
}

/// The calls of a rhythm in a span within a day, in multiples of those of its busiest hour.
fn busy_hours(rhythm: Rhythm, begin: OffsetDateTime, end: OffsetDateTime) -> f64 {
    if let Rhythm::Daily(hour) = rhythm {
        let at = begin.replace_time(time::Time::MIDNIGHT) + Duration::hours(hour) + Duration::minutes(7);
        return f64::from(u8::from((begin..end).contains(&at)));
    }
    let mut sum = 0.;
    let mut at = begin;
    while at < end {
        let next = (at + Duration::HOUR).min(end);
        sum += level(rhythm, at) * (next - at).as_seconds_f64() / 3_600.;
        at = next;
    }
    sum
}

/// The activity of a rhythm at a time, from 0 to about 1.
fn level(rhythm: Rhythm, at: OffsetDateTime) -> f64 {
    let hour = f64::from(at.hour()) + f64::from(at.minute()) / 60.;
    let weekend = matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday);
    let wave = 0.5 + 0.5 * ((hour - 18.5) / 24. * std::f64::consts::TAU).cos();
    match rhythm {
        Rhythm::People => (0.07 + 0.75 * wave.powf(1.4)) * if weekend { 1.2 } else { 1. },
        Rhythm::Office => {
            let up = ((hour - 6.) / 3.).clamp(0., 1.);
            let down = ((19. - hour) / 3.).clamp(0., 1.);
            let lunch = if (12. ..13.).contains(&hour) { 0.7 } else { 1. };
            (0.03 + 0.95 * up * down * lunch) * if weekend { 0.12 } else { 1. }
        }
        // Steady callers also vary a little between day and night.
        Rhythm::Steady => 0.8 + 0.25 * wave,
        Rhythm::Daily(_) | Rhythm::Burst => 1.,
    }
}

/// The share of today's calls that there were at a time: less than half, half a year ago.
fn growth(at: OffsetDateTime, now: OffsetDateTime) -> f64 {
    1. - 0.55 * ((now - at).as_seconds_f64() / (AGE_DAYS as f64 * 86_400.)).clamp(0., 1.)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn people_sleep_and_offices_close() {
        let at = |rhythm, at| level(rhythm, at);
        let (tuesday, saturday) = (datetime!(2026-11-24 00:00 UTC), datetime!(2026-11-28 00:00 UTC));
        for (rhythm, busy, quiet) in [
            (Rhythm::People, tuesday + Duration::hours(19), tuesday + Duration::hours(5)),
            (Rhythm::People, saturday + Duration::hours(19), tuesday + Duration::hours(19)),
            (Rhythm::Office, tuesday + Duration::hours(10), tuesday + Duration::hours(23)),
            (Rhythm::Office, tuesday + Duration::hours(10), saturday + Duration::hours(10)),
        ] {
            assert!(at(rhythm, busy) > at(rhythm, quiet), "{busy} {quiet}");
        }
        let day =
            |hour| busy_hours(Rhythm::Daily(6), tuesday + Duration::hours(hour), tuesday + Duration::hours(hour + 1));
        assert_eq!((0..24).map(day).sum::<f64>(), 1.);
        assert!((4. ..6.).contains(&busy_hours(Rhythm::Steady, tuesday, tuesday + Duration::hours(6))));
    }
}
