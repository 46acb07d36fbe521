//! Sign-in with a password, and the delay that grows with each failure.

use secrecy::SecretString;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use time::{Duration, OffsetDateTime};

use super::{
    password::{Hasher, HashingFailed},
    store::{self, Account},
};
use crate::{
    database::{self, RlsScope},
    error_kind::DomainError,
};

/// The failed attempts of an account since the last that was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub count: i32,
    pub paused_until: Option<OffsetDateTime>,
}

/// The failures in a row that cause no pause.
const MAX_FREE_FAILURES: i32 = 4;
/// The failures in a row after which no password is tried until it is reset. NIST SP 800-63B-4, section 3.2.2, allows
/// at most 100.
const MAX_FAILURES: i32 = 100;
/// The pause after the first failure that causes one. Each further failure doubles it, up to [`MAX_PAUSE`].
const FIRST_PAUSE_SECONDS: i64 = 30;
const MAX_PAUSE: Duration = Duration::HOUR;
/// The doublings after which a pause is longer than [`MAX_PAUSE`].
const MAX_DOUBLINGS: u32 = 7;

impl Failures {
    /// Whether a password may be tried now.
    pub fn may_try(&self, now: OffsetDateTime) -> bool {
        self.count < MAX_FAILURES && self.paused_until.is_none_or(|until| until <= now)
    }

    /// The failures after one more, with the pause that it causes.
    pub fn after_another(self, now: OffsetDateTime) -> Self {
        let count = self.count.saturating_add(1);
        let paused_until = (count > MAX_FREE_FAILURES).then(|| {
            let doublings = u32::try_from(count - MAX_FREE_FAILURES - 1).unwrap_or_default().min(MAX_DOUBLINGS);
            now + Duration::seconds(FIRST_PAUSE_SECONDS << doublings).min(MAX_PAUSE)
        });
        Self { count, paused_until }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AttemptFailed {
    #[error(transparent)]
    Hashing(#[from] HashingFailed),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl DomainError for AttemptFailed {}

/// The outcome of an attempt to sign in.
pub enum Attempt {
    Accepted(Account),
    /// Holds the account, if there is one, for the audit log. The person must not learn whether there is.
    Refused(Option<Account>),
}

/// Tries a password. The work takes equally long whatever is wrong. Answers the transaction in which the account is
/// locked and its failures are updated, so that the caller adds the audit row and commits.
pub async fn attempt(
    console: &PgPool,
    hasher: &Hasher,
    email: &str,
    password: &SecretString,
    now: OffsetDateTime,
) -> Result<(Transaction<'static, Postgres>, Attempt), AttemptFailed> {
    // The slow check happens outside of the transaction, which holds a connection and a lock.
    let stored = {
        let mut db = console.acquire().await?;
        store::password_hash(&mut db, email).await?
    };
    let matches = hasher.verify(password, stored.as_deref()).await?;
    let rehashed = match &stored {
        Some(stored) if matches && hasher.is_outdated(stored) => Some(hasher.rehash(password).await?),
        _ => None,
    };
    let mut tx = database::begin(console, RlsScope::Nothing).await?;
    let Some(account) = store::lock_by_email(&mut tx, email).await? else { return Ok((tx, Attempt::Refused(None))) };
    // Attempts during a pause are not counted. Otherwise an attacker could prolong it without end and keep the owner out.
    let open = !account.disabled && account.failures.may_try(now);
    // The password may have been changed since its hash was checked.
    if open && matches && stored.as_ref() == Some(&account.password_hash) {
        record_success(&mut tx, &account, rehashed, now).await?;
        return Ok((tx, Attempt::Accepted(account)));
    }
    if open {
        store::set_failures(&mut tx, account.id, account.failures.after_another(now)).await?;
    }
    Ok((tx, Attempt::Refused(Some(account))))
}

async fn record_success(
    db: &mut PgConnection,
    account: &Account,
    rehashed: Option<String>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    store::signed_in(db, account.id, now).await?;
    if let Some(hash) = rehashed {
        store::set_password(db, account.id, &hash).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_delay_grows_from_half_a_minute_to_an_hour_and_ends_in_shut() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let mut failures = Failures::default();
        let mut delays = Vec::new();
        for _ in 0..14 {
            assert!(failures.may_try(now));
            failures = failures.after_another(now);
            delays.push(failures.paused_until.map_or(0, |until| (until - now).whole_seconds()));
            failures.paused_until = failures.paused_until.map(|_| now);
        }
        assert_eq!(delays, [0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        failures.count = 99;
        assert!(failures.may_try(now));
        assert!(!failures.after_another(now).may_try(now + Duration::weeks(52)));
    }

    #[test]
    fn while_paused_nothing_is_tried() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let failures = Failures { count: 5, paused_until: Some(now + Duration::SECOND) };
        assert!(!failures.may_try(now));
        assert!(failures.may_try(now + Duration::SECOND));
    }
}
