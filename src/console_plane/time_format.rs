//! Moments, for people.

use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use super::moment::{When, relative};

impl When {
    pub fn at(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        let exact = format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]:[second] UTC");
        Self {
            iso: at.format(&Rfc3339).unwrap_or_default(),
            exact: at.format(exact).unwrap_or_default(),
            relative: relative((at - now).whole_seconds()),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

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
            assert_eq!(When::at(now + offset, now).relative, words);
        }
        let when = When::at(datetime!(2026-11-04 03:20:05.5 UTC), now);
        assert_eq!((when.iso.as_str(), when.exact.as_str()), ("2026-11-04T03:20:05.5Z", "4 Nov 2026, 03:20:05 UTC"));
    }
}
