//! Moments, for people.

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use super::model::When;

impl When {
    pub fn at(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        let exact = format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]:[second] UTC");
        Self {
            iso: at.format(&Rfc3339).unwrap_or_default(),
            exact: at.format(exact).unwrap_or_default(),
            relative: relative(at, now),
        }
    }
}

/// `just now`, `3 minutes ago`, `in 29 days`: the largest unit that fits, rounded down.
fn relative(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let away = (at - now).abs();
    let units = [
        (Duration::days(365), "year"),
        // "in 30 days" tells more than "in 1 month".
        (Duration::days(30), "month"),
        (Duration::DAY, "day"),
        (Duration::HOUR, "hour"),
        (Duration::MINUTE, "minute"),
    ];
    let Some((count, unit)) = units.into_iter().find_map(|(length, unit)| {
        let count = away.whole_seconds() / length.whole_seconds();
        let least = if unit == "month" { 2 } else { 1 };
        (count >= least).then_some((count, unit))
    }) else {
        return if at > now { "in less than a minute" } else { "just now" }.to_owned();
    };
    let plural = if count == 1 { "" } else { "s" };
    if at > now { format!("in {count} {unit}{plural}") } else { format!("{count} {unit}{plural} ago") }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn moments_read_as_people_say_them() {
        let now = datetime!(2026-11-24 12:00 UTC);
        for (offset, words) in [
            (Duration::ZERO, "just now"),
            (Duration::seconds(-59), "just now"),
            (Duration::seconds(30), "in less than a minute"),
            (Duration::seconds(-60), "1 minute ago"),
            (Duration::minutes(-59), "59 minutes ago"),
            (Duration::hours(-1), "1 hour ago"),
            (Duration::hours(-47), "1 day ago"),
            (Duration::days(29), "in 29 days"),
            (Duration::days(-59), "59 days ago"),
            (Duration::days(60), "in 2 months"),
            (Duration::days(-800), "2 years ago"),
        ] {
            assert_eq!(relative(now + offset, now), words);
        }
        let when = When::at(datetime!(2026-11-04 03:20:05.5 UTC), now);
        assert_eq!((when.iso.as_str(), when.exact.as_str()), ("2026-11-04T03:20:05.5Z", "4 Nov 2026, 03:20:05 UTC"));
    }
}
