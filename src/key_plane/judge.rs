//! One question about one presented credential, from the look-up to the verdict and what it leaves behind. Verify, whoami,
//! forward-auth and the audit chain all ask through this.

use std::sync::Arc;

use time::{Date, Month, OffsetDateTime};
use uuid::Uuid;

use super::{KeyPlane, limiter::Subject, metrics, wire::RateLimit};
use crate::{
    catalog::Limit,
    keys::{
        secret,
        verdict::{Evaluation, KeyRecord, LimitState, Requirements, Verdict},
    },
    machine_http::{self, credential::PresentedCredential},
    node::memory::Unavailable,
    usage::{
        self, Use,
        refusals::{self, Refusal},
    },
};

/// An address that presents more credentials than this that are no keys is told to slow down.
const INVALID_KEYS_LIMIT: Limit = Limit::per_minute(60);

/// Who asks, and how.
pub struct Question<'a> {
    pub credential: PresentedCredential<'a>,
    pub requirements: Requirements<'a>,
    pub request_id: Uuid,
    pub agent: &'a str,
    /// The service that asks on the client's behalf.
    pub via: Option<String>,
    /// Spends and records nothing.
    pub dry_run: bool,
    /// Whether there is anything to let the key through to. If not, a good key spends nothing and is not used; a bad one
    /// is refused and noted as everywhere.
    pub routed: bool,
    /// The request that is judged, for the log of refusals: its method, and its path without a query.
    pub request: (&'a str, &'a str),
}

pub struct Judged<'a> {
    pub verdict: Verdict,
    /// `None` where the caller may not know of the key.
    pub key: Option<Arc<KeyRecord>>,
    /// `None` where no limit was asked.
    pub rate_limit: Option<RateLimit<'a>>,
    pub evaluation: Evaluation,
}

impl KeyPlane {
    pub async fn judge(&self, question: Question<'_>) -> Judged<'_> {
        let now = self.clock.now();
        let (key, mut evaluation) = match self.find_key(question.credential).await {
            // Step 5: the gates that need nothing but the record.
            Ok(key) => {
                let evaluation = Evaluation::of_key(&key, &question.requirements, &self.catalog, now);
                (Some(key), evaluation)
            }
            Err(verdict) => (None, Evaluation::without_key(verdict)),
        };
        let mut verdict = evaluation.verdict();
        let mut rate_limit = None;
        if let (Some(key), Verdict::Valid, true) = (&key, &verdict, question.routed) {
            let limits;
            (limits, rate_limit) = self.spend(key, question.dry_run, now).await;
            evaluation.add_limits(limits);
            verdict = evaluation.verdict();
        }
        // A caller that requires another organization does not learn of the key, and the key was not used there.
        let key = key.filter(|_| verdict != Verdict::WrongOrg);
        if !question.dry_run {
            if matches!(verdict, Verdict::NotFound | Verdict::Malformed(_))
                && let Some(retry_after) = self.slow_down(&question.requirements).await
            {
                verdict = Verdict::RateLimited { retry_after };
            }
            if question.routed || verdict != Verdict::Valid {
                self.record(&question, &verdict, &evaluation, key.as_deref(), now);
            }
        }
        Judged { verdict, key, rate_limit, evaluation }
    }

    /// Steps 3 and 4: shape and checksum, so that only what can be a key is looked up, and then its record.
    async fn find_key(&self, credential: PresentedCredential<'_>) -> Result<Arc<KeyRecord>, Verdict> {
        let key = match credential {
            PresentedCredential::Key(key) => key,
            PresentedCredential::Missing(where_keys_belong) => return Err(Verdict::Missing(where_keys_belong)),
        };
        let digest = secret::digest_of_key(key).map_err(Verdict::Malformed)?;
        match self.memory.find(&self.db, digest).await {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(Verdict::NotFound),
            Err(Unavailable) => Err(Verdict::Unavailable),
        }
    }

    /// Step 6: the rate, then the quota. A call that the quota refuses has not spent its rate.
    async fn spend(&self, key: &KeyRecord, dry_run: bool, now: OffsetDateTime) -> (LimitState, Option<RateLimit<'_>>) {
        // The gate of scopes has refused a key whose tier the catalog does not know.
        let Some(tier) = self.catalog.tier(&key.tier) else { return (LimitState::Unknown, None) };
        let subject = Subject::Key(key.id);
        let counted = match tier.limit {
            None => Ok(None),
            Some(limit) if dry_run => self.limiter.peek(subject, limit, self.clock.steady()).await.map(Some),
            Some(limit) => self.limiter.take(subject, limit, self.clock.steady()).await.map(Some),
        };
        let count = match counted {
            Ok(count) => count,
            Err(error) => {
                metrics::limiter_error();
                tracing::error!(?error, "the limiter could not be asked");
                if !tier.open_without_limiter {
                    return (LimitState::Unknown, None);
                }
                None
            }
        };
        let rate_limit = count.as_ref().map(|count| RateLimit::new(&tier.name, count));
        if let Some(count) = count.filter(|count| !count.taken) {
            return (LimitState::OverRate(count.reset_seconds()), rate_limit);
        }
        let Some(quota) = tier.monthly else { return (LimitState::Within, rate_limit) };
        let state = self.spend_quota(key, quota, dry_run, now).await;
        if let Some(count) = count.filter(|_| state != LimitState::Within && !dry_run) {
            self.limiter.give_back(subject, count).await;
        }
        (state, rate_limit)
    }

    async fn spend_quota(&self, key: &KeyRecord, quota: u64, dry_run: bool, now: OffsetDateTime) -> LimitState {
        let month = month_of(now);
        let within = if dry_run {
            Box::pin(usage::store::quota_used(&self.db, key.id, month)).await.map(|used| used < quota)
        } else {
            Box::pin(usage::store::spend_quota(&self.db, key.id, month, quota)).await
        };
        match within {
            Ok(true) => LimitState::Within,
            Ok(false) => LimitState::OverQuota(until_next_month(now)),
            Err(error) => {
                tracing::error!(%error, "a quota could not be counted");
                LimitState::Unknown
            }
        }
    }

    /// How many seconds an address has to wait that presents one wrong key after the other. Good keys from it are not held
    /// up.
    async fn slow_down(&self, requirements: &Requirements<'_>) -> Option<u64> {
        let subject = Subject::Address(requirements.address?);
        // What was refused anyway stays so without the limiter.
        let count = self.limiter.take(subject, INVALID_KEYS_LIMIT, self.clock.steady()).await.ok()?;
        (!count.taken).then(|| count.reset_seconds())
    }

    /// Step 7: counts the verdict and the key's use, and keeps why it was refused. All of it stays in memory until
    /// [`usage::Recorder`] writes it.
    fn record(
        &self,
        question: &Question<'_>,
        verdict: &Verdict,
        evaluation: &Evaluation,
        key: Option<&KeyRecord>,
        now: OffsetDateTime,
    ) {
        let code = verdict.code();
        metrics::verdict(code);
        let requirements = &question.requirements;
        let agent = self.usage.agents.get(question.agent);
        let key = key.map(|key| (key.id, key.org_id));
        if let Some((key, org)) = key {
            let (agent, via) = (agent.clone(), question.via.clone());
            self.usage.record(Use { key, org, at: now, address: requirements.address, agent, via, code });
        }
        if *verdict != Verdict::Valid {
            self.refusals.record(Refusal {
                request_id: question.request_id,
                at: now,
                code,
                key,
                address: requirements.address,
                agent: agent.family,
                asked: refusals::requirements_json(question.request, requirements, question.via.as_deref()),
                gates: machine_http::gates_json(evaluation),
            });
        }
    }
}

/// The first day of the calendar month, in UTC.
fn month_of(now: OffsetDateTime) -> Date {
    now.date().replace_day(1).unwrap_or(now.date())
}

/// Whole seconds until the next calendar month begins, rounded up.
fn until_next_month(now: OffsetDateTime) -> u64 {
    let first = month_of(now);
    let year = if first.month() == Month::December { first.year() + 1 } else { first.year() };
    let next = Date::from_calendar_date(year, first.month().next(), 1).unwrap_or(first);
    let left = next.midnight().assume_utc() - now;
    u64::try_from(left.whole_seconds()).unwrap_or_default() + u64::from(left.subsec_nanoseconds() > 0)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_month_is_a_calendar_month_in_utc() {
        for (now, left) in [
            (datetime!(2026-11-30 23:59:59 UTC), 1),
            (datetime!(2026-11-30 23:59:59.5 UTC), 1),
            (datetime!(2026-11-01 00:00 UTC), 30 * 86_400),
            (datetime!(2026-12-31 12:00 UTC), 43_200),
            (datetime!(2028-02-28 00:00 UTC), 2 * 86_400),
        ] {
            assert_eq!(until_next_month(now), left, "{now}");
        }
        assert_eq!(month_of(datetime!(2026-11-30 23:59:59 UTC)), month_of(datetime!(2026-11-01 00:00 UTC)));
    }
}
