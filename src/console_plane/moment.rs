//! Moments, as both halves tell them to people.

use serde::{Deserialize, Serialize};

/// A moment: exact for machines and tooltips, relative for reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// RFC 3339, UTC.
    pub iso: String,
    /// `24 Nov 2026, 13:20:05 UTC`.
    pub exact: String,
    /// `3 minutes ago`, `in 29 days`.
    pub relative: String,
}

/// `just now`, `3 minutes ago`, `in 29 days`: the largest unit that fits, rounded down. `away` is in seconds, and negative
/// for what is past.
pub fn relative(away: i64) -> String {
    let units = [
        (365 * 86_400, "year"),
        // "in 30 days" tells more than "in 1 month".
        (30 * 86_400, "month"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ];
    let Some((count, unit)) = units.into_iter().find_map(|(length, unit)| {
        let count = away.abs() / length;
        let least = if unit == "month" { 2 } else { 1 };
        (count >= least).then_some((count, unit))
    }) else {
        return if away > 0 { "in less than a minute" } else { "just now" }.to_owned();
    };
    let plural = if count == 1 { "" } else { "s" };
    if away > 0 { format!("in {count} {unit}{plural}") } else { format!("{count} {unit}{plural} ago") }
}
