//! One question about one credential, from the headers to the verdict and what it leaves behind. Verify, whoami and
//! forward-auth are skins of this.

use std::{sync::Arc, time::Duration};

use time::{Date, Month, OffsetDateTime};
use uuid::Uuid;

use super::{
    KeyPlane,
    limiter::{Allowance, Outcome, Rate, Subject, Ticket},
    metrics,
};
use crate::{
    catalog::Tier,
    keys::{
        secret::Presented,
        verdict::{self, Asked, Case, Lookup, Record, Spending, Step, Verdict},
    },
    revocation::memory::Unavailable,
    usage::{
        self, Use,
        refusals::{self, Refusal},
    },
};

/// Of keys that are none, an address may show so many…
const INVALID_CALLS: u32 = 60;
/// …in so long, before it is told to slow down.
const INVALID_WINDOW: Duration = Duration::from_secs(60);

/// What was presented.
#[derive(Clone, Copy)]
pub enum Shown<'a> {
    Nothing,
    WrongHeader,
    Credential(&'a [u8]),
}

/// Who asks, and how.
pub struct Question<'a> {
    pub asked: Asked<'a>,
    pub shown: Shown<'a>,
    pub request_id: Uuid,
    pub agent: &'a str,
    /// The service that asks on the client's behalf.
    pub via: Option<String>,
    /// Spends and records nothing.
    pub dry_run: bool,
    /// Whether there is anything to let the key through to. Without, a good key spends nothing and is not used; a bad one
    /// is refused and noted as everywhere.
    pub routed: bool,
    /// The request that is judged, for the log of refusals: its method, and its path without a query.
    pub request: (&'a str, &'a str),
}

/// What the calls of a tier came to.
#[derive(Clone, Debug)]
pub struct Metered<'a> {
    pub tier: &'a str,
    pub window: Duration,
    pub rate: Rate,
}

pub struct Judged<'a> {
    pub verdict: Verdict,
    /// `None` where the asker may not know of the key.
    pub record: Option<Arc<Record>>,
    pub metered: Option<Metered<'a>>,
    /// What each gate said; empty for a key that was let in and no dry run.
    pub steps: Vec<Step>,
}

impl KeyPlane {
    pub async fn judge(&self, question: Question<'_>) -> Judged<'_> {
        let now = self.clock.now();
        let found = match question.shown {
            Shown::Credential(credential) => self.look_up(credential).await,
            Shown::Nothing => Found::Not(Lookup::Missing),
            Shown::WrongHeader => Found::Not(Lookup::WrongHeader),
        };
        let lookup = match &found {
            Found::Not(lookup) => *lookup,
            Found::Key(record) => Lookup::Found(record),
        };
        let mut case = Case { catalog: &self.catalog, lookup, asked: &question.asked, spending: Spending::NotYet, now };
        let mut metered = None;
        if let (Verdict::Valid, Lookup::Found(record), true) = (verdict::decide(case), lookup, question.routed) {
            (case.spending, metered) = self.spend(record, question.dry_run, now).await;
        }
        let mut verdict = verdict::decide(case);
        // Nobody asks why a key was let in, unless they ask beforehand.
        let explained = question.dry_run || verdict != Verdict::Valid;
        let steps = if explained { verdict::trace(case) } else { Vec::new() };
        if !question.dry_run {
            if matches!(verdict, Verdict::NotFound | Verdict::Malformed(_))
                && let Some(retry_after) = self.slow_down(&question.asked, now).await
            {
                verdict = Verdict::RateLimited { retry_after };
            }
            if question.routed || verdict != Verdict::Valid {
                self.leave_traces(&question, &verdict, &steps, lookup, now);
            }
        }
        // To whoever may not know of it, the key's facts are as absent as the key.
        let told = match found {
            Found::Key(mut record) if verdict != Verdict::WrongOrg => {
                if record.scopes.iter().any(|scope| !verdict::counts(&self.catalog, &record, scope)) {
                    let scopes = record.scopes.iter().filter(|scope| verdict::counts(&self.catalog, &record, scope));
                    let scopes = scopes.cloned().collect();
                    // The one in memory stays whole.
                    Arc::make_mut(&mut record).scopes = scopes;
                }
                Some(record)
            }
            _ => None,
        };
        Judged { verdict, record: told, metered, steps }
    }

    /// Shape and checksum first; what cannot be a key is not asked about.
    async fn look_up(&self, credential: &[u8]) -> Found {
        let presented = match Presented::parse(credential) {
            Ok(presented) => presented,
            Err(why) => return Found::Not(Lookup::Malformed(why)),
        };
        let digest = presented.digest;
        match self.memory.get(digest, || verdict::store::find_by_digest(&self.keys, digest)).await {
            Ok(Some(record)) => Found::Key(record),
            Ok(None) => Found::Not(Lookup::Unknown),
            Err(Unavailable) => Found::Not(Lookup::Unreachable),
        }
    }

    /// The last two gates: rate, then quota. A call that the quota refuses has not spent its rate.
    async fn spend(&self, record: &Record, dry_run: bool, now: OffsetDateTime) -> (Spending, Option<Metered<'_>>) {
        let Some(tier) = self.catalog.tier(&record.tier) else { return (Spending::Unknown, None) };
        let (rate, ticket) = match self.spend_rate(record, tier, dry_run, now).await {
            Rated::Unlimited => (None, None),
            Rated::Broken => return (Spending::Unknown, None),
            Rated::Over(metered, retry_after) => return (Spending::OverRate(retry_after), Some(metered)),
            Rated::Within(metered, ticket) => (Some(metered), ticket),
        };
        let quota = self.spend_quota(record, tier, dry_run, now).await;
        if quota != Spending::Within
            && let Some(ticket) = ticket
        {
            self.limiter.give_back(Subject::Key(record.id), ticket).await;
        }
        (quota, rate)
    }

    async fn spend_rate<'a>(&self, record: &Record, tier: &'a Tier, dry_run: bool, now: OffsetDateTime) -> Rated<'a> {
        let Some(limit) = tier.limit else { return Rated::Unlimited };
        let Ok(allowance) = Allowance::new(limit.calls, limit.window) else { return Rated::Broken };
        let subject = Subject::Key(record.id);
        let metered = |rate| Metered { tier: &tier.name, window: limit.window, rate };
        let outcome = if dry_run {
            self.limiter.peek(subject, allowance, now).await.map(|outcome| match outcome {
                Outcome::Taken { rate, .. } => Rated::Within(metered(rate), None),
                Outcome::Refused { rate, retry_after } => Rated::Over(metered(rate), retry_after),
            })
        } else {
            self.limiter.take(subject, allowance, now).await.map(|outcome| match outcome {
                Outcome::Taken { rate, ticket } => Rated::Within(metered(rate), Some(ticket)),
                Outcome::Refused { rate, retry_after } => Rated::Over(metered(rate), retry_after),
            })
        };
        outcome.unwrap_or_else(|error| {
            metrics::limiter_error();
            tracing::error!(?error, "the limiter could not be asked");
            if tier.open_without_limiter { Rated::Unlimited } else { Rated::Broken }
        })
    }

    async fn spend_quota(&self, record: &Record, tier: &Tier, dry_run: bool, now: OffsetDateTime) -> Spending {
        let Some(quota) = tier.monthly else { return Spending::Within };
        let month = month_of(now);
        let within = if dry_run {
            Box::pin(usage::store::quota_used(&self.keys, record.id, month)).await.map(|used| used < quota)
        } else {
            Box::pin(usage::store::spend_quota(&self.keys, record.id, month, quota)).await
        };
        match within {
            Ok(true) => Spending::Within,
            Ok(false) => Spending::OverQuota(until_next_month(now)),
            Err(error) => {
                tracing::error!(%error, "a quota could not be counted");
                Spending::Unknown
            }
        }
    }

    /// How long an address that shows one wrong key after the other has to wait; keys that are good are not held up.
    async fn slow_down(&self, asked: &Asked<'_>, now: OffsetDateTime) -> Option<u64> {
        let allowance = Allowance::new(INVALID_CALLS, INVALID_WINDOW).ok()?;
        match self.limiter.take(Subject::Address(asked.address?), allowance, now).await {
            Ok(Outcome::Refused { retry_after, .. }) => Some(retry_after),
            // What was refused anyway stays so without the limiter.
            Ok(Outcome::Taken { .. }) | Err(_) => None,
        }
    }

    fn leave_traces(
        &self,
        question: &Question<'_>,
        verdict: &Verdict,
        steps: &[Step],
        lookup: Lookup<'_>,
        now: OffsetDateTime,
    ) {
        let code = verdict.code();
        metrics::verdict(code);
        let asked = &question.asked;
        let key = match lookup {
            // A key of another organization was not used here.
            Lookup::Found(record) if *verdict != Verdict::WrongOrg => Some((record.id, record.org_id)),
            _ => None,
        };
        let agent = self.usage.agents.get(question.agent);
        if let Some((key, org)) = key {
            let (agent, via) = (agent.clone(), question.via.clone());
            self.usage.record(Use { key, org, at: now, address: asked.address, agent, via, code });
        }
        if *verdict != Verdict::Valid {
            self.refusals.record(Refusal {
                request_id: question.request_id,
                at: now,
                code,
                key,
                address: asked.address,
                agent: agent.family,
                asked: refusals::requirements_json(question.request, asked, question.via.as_deref()),
                gates: verdict::steps_json(steps),
            });
        }
    }
}

enum Found {
    Key(Arc<Record>),
    Not(Lookup<'static>),
}

enum Rated<'a> {
    Unlimited,
    Within(Metered<'a>, Option<Ticket>),
    Over(Metered<'a>, u64),
    Broken,
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
