//! How a key was used, read for its page.

use crate::ids::{KeyId, OrgId};
use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::view::{Bar, ShareRow, Span, UsageModel};
use crate::{
    console_plane::{error::ConsoleError, moment::When},
    usage::store::{self, Shares},
};

/// More callers than these are counted, not shown.
const CALLERS: i64 = 10;

pub async fn usage(
    db: &mut PgConnection,
    org: OrgId,
    key: KeyId,
    span: Span,
    now: OffsetDateTime,
) -> Result<UsageModel, ConsoleError> {
    let begins = begins(span, now);
    let since = begins.first().copied().unwrap_or(now);
    let (_, step, _) = span.bars();
    let points = store::series(db, org, key, since, step).await?;
    let Shares { top, callers: all } = store::by_caller(db, org, key, since, CALLERS).await?;
    let codes = store::by_code(db, org, key, since).await?;
    let (good, refused) = (points.iter().map(|p| p.good).sum(), points.iter().map(|p| p.refused).sum());
    let points: HashMap<OffsetDateTime, (i64, i64)> = points.iter().map(|p| (p.at, (p.good, p.refused))).collect();
    let bars = begins.iter().map(|at| {
        let (good, refused) = points.get(at).copied().unwrap_or_default();
        Bar { when: When::at(*at, now), good, refused }
    });
    let callers = top.into_iter().map(|share| ShareRow {
        address: share.address.map_or_else(|| "unknown address".to_owned(), |address| address.to_string()),
        agent: share.agent,
        good: share.good,
        refused: share.refused,
        last: When::at(share.last, now),
    });
    let callers: Vec<ShareRow> = callers.collect();
    let more_callers = all - callers.len() as i64;
    Ok(UsageModel { span, bars: bars.collect(), good, refused, callers, more_callers, codes })
}

/// When each bar begins: on whole hours or days in UTC, the last of them the one that is now.
fn begins(span: Span, now: OffsetDateTime) -> Vec<OffsetDateTime> {
    let (count, step, _) = span.bars();
    let last = now.unix_timestamp().div_euclid(step) * step;
    let at = |back: u16| OffsetDateTime::from_unix_timestamp(last - i64::from(back) * step).unwrap_or(now);
    (0..count).rev().map(at).collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn bars_begin_on_whole_hours_and_the_last_is_now() {
        let now = datetime!(2026-11-24 13:20:05 UTC);
        for (span, count, first, last) in [
            (Span::Day, 24, datetime!(2026-11-23 14:00 UTC), datetime!(2026-11-24 13:00 UTC)),
            (Span::Week, 28, datetime!(2026-11-17 18:00 UTC), datetime!(2026-11-24 12:00 UTC)),
            (Span::Month, 30, datetime!(2026-10-26 00:00 UTC), datetime!(2026-11-24 00:00 UTC)),
        ] {
            let begins = begins(span, now);
            assert_eq!((begins.len(), begins[0], begins[count - 1]), (count, first, last));
        }
    }
}
