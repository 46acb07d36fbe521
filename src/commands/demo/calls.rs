//! The calls of the demo: by the hour, with day and night, weekends and slow growth, each judged as the key plane would.

use std::borrow::Cow;

use time::{Duration, OffsetDateTime, Weekday};

use super::{
    cast::{Asks, Rhythm, Stream},
    noise,
};
use crate::{
    catalog::{Catalog, routes},
    clock,
    keys::verdict::{Evaluation, KeyRecord, LimitState, Requirements, Verdict},
    machine_http,
    usage::{
        self, Agent, Recorder, Use,
        refusals::{self, Refusal, Refusals},
    },
};

/// What was called is told apart by the quarter of an hour for so long…
const QUARTERS: Duration = Duration::days(2);
/// …and by the hour for so long; before, by a quarter of a day. That is more than any chart draws.
const HOURS: Duration = Duration::days(31);
/// Requests that somebody could make of one of the shipped catalogs' APIs, besides the one that it names itself.
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

/// Writes down the calls of a stream with a key, up to now.
pub struct Teller<'a> {
    pub catalog: &'a Catalog,
    pub recorder: &'a Recorder,
    pub refusals: &'a Refusals,
    pub now: OffsetDateTime,
}

/// A key that is called with.
pub struct Called<'a> {
    pub record: &'a KeyRecord,
    /// Before it was revoked, replaced or disabled.
    pub alive: KeyRecord,
    pub made: OffsetDateTime,
    /// How many of the calls that its streams want to make its tier has room for.
    pub share: f64,
}

impl<'a> Called<'a> {
    pub fn new(record: &'a KeyRecord, made: OffsetDateTime, streams: &[Stream], catalog: &Catalog) -> Self {
        let wanted: f64 = streams.iter().filter(|one| one.rhythm != Rhythm::Burst).map(|one| one.peak).sum();
        let limit = catalog.tier(&record.tier).and_then(|tier| tier.limit);
        let room = limit.map_or(f64::MAX, |limit| f64::from(limit.calls()) * 3_600. / limit.window().as_secs_f64());
        Self {
            record,
            alive: KeyRecord {
                revoked_at: None,
                overlap_ends_at: None,
                overlap_ended: false,
                disabled_at: None,
                ..record.clone()
            },
            made,
            share: (room * 0.5 / wanted.max(1.)).min(1.),
        }
    }

    /// The key as it was at a moment.
    fn at(&self, at: OffsetDateTime) -> &KeyRecord {
        let key = self.record;
        let ended = [key.revoked_at, key.overlap_ends_at, key.disabled_at].into_iter().flatten().min();
        if ended.is_some_and(|ended| ended <= at) { key } else { &self.alive }
    }
}

impl Teller<'_> {
    pub fn tell(&self, called: &Called<'_>, stream: &Stream, seed: u64) {
        let oldest = self.now - usage::RETENTION;
        let from = (self.now - Duration::seconds_f64(stream.from * 86_400.)).max(called.made).max(oldest);
        let until = self.now - Duration::seconds_f64(stream.until * 86_400.);
        let Some(request) = self.request(called, stream.asks) else { return };
        let mut begin = from;
        let mut n = 0;
        while begin < until {
            let length = match self.now - begin {
                age if age <= QUARTERS => Duration::minutes(15),
                age if age <= HOURS => Duration::HOUR,
                _ => Duration::hours(6),
            };
            // On whole quarters, hours or days, so that a daily run is in one of them.
            let into = begin.unix_timestamp().rem_euclid(length.whole_seconds());
            let end = (begin - Duration::nanoseconds(i64::from(begin.nanosecond())) + length - Duration::seconds(into))
                .min(until);
            n += 1;
            let luck = noise(seed, n);
            match stream.rhythm {
                Rhythm::Burst => self.burst(called, stream, &request, (begin, end), seed),
                rhythm => {
                    let wanted = stream.peak * called.share * calls(rhythm, begin, end) * growth(end, self.now);
                    let jitter = if matches!(rhythm, Rhythm::Daily(_)) { 0.1 } else { 0.45 };
                    let count = wanted * (1. - jitter / 2. + jitter * luck);
                    let whole = (count + noise(seed ^ 7, n)).floor() as i64;
                    // The latest seconds ago, where it goes on.
                    let back = (end - begin) * (0.05 + 0.6 * noise(seed ^ 3, n));
                    let at = if rhythm == Rhythm::Steady || end == self.now {
                        end - back.min(Duration::seconds(20 + n % 300))
                    } else {
                        end - back
                    };
                    self.note(called, stream, &request, at.max(begin), whole, None);
                }
            }
            begin = end;
        }
    }

    /// A request that a stream could make, and what it asks of a key.
    fn request(&self, called: &Called<'_>, asks: Asks) -> Option<Request<'_>> {
        let own = self.catalog.snippets.api.as_ref().map(|api| ("GET", api.path.as_str()));
        own.into_iter().chain(REQUESTS).find_map(|(method, path)| {
            let path_read = routes::Path::parse(path)?;
            let needs = routes::needs(&self.catalog.routes, method, &path_read)?;
            let (scopes, namespace) = (needs.scopes.to_vec(), needs.namespace.map(Cow::into_owned));
            let key = called.record;
            let fits = match asks {
                Asks::What => true,
                Asks::MoreScopes => scopes.iter().any(|scope| !key.scopes.contains(scope)),
                Asks::OtherNamespace => namespace.as_ref().is_some_and(|name| !key.namespaces.contains(name)),
            };
            fits.then_some(Request { method, path, scopes, namespace, asks })
        })
    }

    /// On some days, a quarter of an hour in which the tier's calls are used up, and then some more.
    fn burst(
        &self,
        called: &Called<'_>,
        stream: &Stream,
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
                self.note(called, stream, request, at, part, None);
            } else {
                let more = (stream.peak * (0.5 + noise(seed, day + minute))) as i64;
                let left = limit.window().as_secs().saturating_sub(60 * minute.unsigned_abs());
                self.note(called, stream, request, at, more, Some(LimitState::OverRate(left)));
            }
        }
    }

    /// As the key plane does it for each call.
    fn note(
        &self,
        called: &Called<'_>,
        stream: &Stream,
        request: &Request<'_>,
        at: OffsetDateTime,
        count: i64,
        limits: Option<LimitState>,
    ) {
        let key = called.at(at);
        // What is asked matters where it is what gets refused; everybody else asks for what their key can do.
        let plain = request.asks == Asks::What;
        let requirements = Requirements {
            address: stream.address.parse().ok(),
            scopes: if plain { &[] } else { &request.scopes },
            namespace: if plain { None } else { request.namespace.as_deref() },
            ..Requirements::default()
        };
        let mut evaluation = Evaluation::of_key(key, &requirements, self.catalog, at);
        if let Some(limits) = limits {
            evaluation.add_limits(limits);
        }
        let verdict = evaluation.verdict();
        // In a catalog without scopes nobody asks for too many.
        if count == 0 || (verdict == Verdict::Valid && !plain) {
            return;
        }
        let via = Some(stream.via).filter(|via| !via.is_empty());
        let used = Use {
            key: key.id,
            org: key.org_id,
            at,
            address: requirements.address,
            agent: Agent::parse(stream.agent),
            via: via.map(str::to_owned),
            code: verdict.code(),
        };
        if verdict != Verdict::Valid && at > self.now - refusals::RETENTION {
            let gates = machine_http::gates_json(&evaluation);
            for n in 0..count {
                // One after the other within the minute, the last of them at its moment.
                let at = at - Duration::seconds(i64::from(at.second()) * (count - 1 - n) / count);
                self.refusals.note(Refusal {
                    request_id: clock::id(at),
                    at,
                    code: used.code,
                    key: Some((key.id, key.org_id)),
                    address: requirements.address,
                    agent: used.agent.family.clone(),
                    asked: refusals::asked((request.method, request.path), &requirements, via),
                    gates: gates.clone(),
                });
            }
        }
        self.recorder.note_calls(used, count);
    }
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    scopes: Vec<String>,
    namespace: Option<String>,
    asks: Asks,
}

/// How many hours' worth of the busiest calls there are in a stretch of time, which is within a day.
fn calls(rhythm: Rhythm, begin: OffsetDateTime, end: OffsetDateTime) -> f64 {
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

/// How busy a rhythm is at a moment, from 0 to about 1.
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
        // What runs on its own is not quite the same at night, either.
        Rhythm::Steady => 0.8 + 0.25 * wave,
        Rhythm::Daily(_) | Rhythm::Burst => 1.,
    }
}

/// From less than half, half a year ago, to all of today's.
fn growth(at: OffsetDateTime, now: OffsetDateTime) -> f64 {
    1. - 0.55 * ((now - at).as_seconds_f64() / (190. * 86_400.)).clamp(0., 1.)
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
        let day = |hour| calls(Rhythm::Daily(6), tuesday + Duration::hours(hour), tuesday + Duration::hours(hour + 1));
        assert_eq!((0..24).map(day).sum::<f64>(), 1.);
        assert!((4. ..6.).contains(&calls(Rhythm::Steady, tuesday, tuesday + Duration::hours(6))));
    }
}
