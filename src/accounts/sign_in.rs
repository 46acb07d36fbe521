//! Whether a password is accepted, and the delay that grows with failures.

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

/// An account's recent failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Consecutive ones.
    pub count: i32,
    pub paused_until: Option<OffsetDateTime>,
}

/// From here on, each failure pauses the account.
const FREE: i32 = 4;
/// NIST SP 800-63B-4 §3.2.2: no more than 100 in a row; then the account stays shut until its password is reset.
const SHUT: i32 = 100;

impl Failures {
    /// Whether a password may be tried at all now.
    pub fn may_try(&self, now: OffsetDateTime) -> bool {
        self.count < SHUT && self.paused_until.is_none_or(|until| until <= now)
    }

    /// After one more failure: a pause of 30 seconds, doubling up to an hour.
    pub fn and_one_more(self, now: OffsetDateTime) -> Self {
        let count = self.count.saturating_add(1);
        let paused_until = (count > FREE).then(|| {
            let doublings = u32::try_from(count - FREE - 1).unwrap_or_default().min(7);
            now + Duration::seconds(30 << doublings).min(Duration::HOUR)
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

/// What a password proved.
pub enum Attempt {
    Accepted(Account),
    /// Of the account, if there is one; whoever tries is told nothing of that.
    Refused(Option<Account>),
}

/// Tries a password. Does the same slow work whatever is wrong. Answers the transaction in which the account is locked
/// and the outcome noted, for the caller to add its audit row and commit.
pub async fn attempt(
    console: &PgPool,
    hasher: &Hasher,
    email: &str,
    password: &SecretString,
    now: OffsetDateTime,
) -> Result<(Transaction<'static, Postgres>, Attempt), AttemptFailed> {
    // The slow check happens outside any transaction.
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
    // While it is paused nothing counts, right or wrong: else whoever guesses could keep its owner out for ever.
    let open = !account.disabled && account.failures.may_try(now);
    // The hash may have changed since it was checked.
    if open && matches && stored.as_ref() == Some(&account.password_hash) {
        accepted(&mut tx, &account, rehashed, now).await?;
        return Ok((tx, Attempt::Accepted(account)));
    }
    if open {
        store::set_failures(&mut tx, account.id, account.failures.and_one_more(now)).await?;
    }
    Ok((tx, Attempt::Refused(Some(account))))
}

async fn accepted(
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
            failures = failures.and_one_more(now);
            delays.push(failures.paused_until.map_or(0, |until| (until - now).whole_seconds()));
            failures.paused_until = failures.paused_until.map(|_| now);
        }
        assert_eq!(delays, [0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        failures.count = 99;
        assert!(failures.may_try(now));
        assert!(!failures.and_one_more(now).may_try(now + Duration::weeks(52)));
    }

    #[test]
    fn while_paused_nothing_is_tried() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let failures = Failures { count: 5, paused_until: Some(now + Duration::SECOND) };
        assert!(!failures.may_try(now));
        assert!(failures.may_try(now + Duration::SECOND));
    }
}
