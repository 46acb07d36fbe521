//! The callers of a rotated key, and how far each has changed over to the new key. A caller is an address with an
//! agent's family. Usage is counted by the minute, so the order of calls within a minute is not known.

use std::net::IpAddr;

use time::{Duration, OffsetDateTime};

/// The time before a rotation whose callers are expected to call again.
pub const LOOKBACK: Duration = Duration::days(7);

/// One caller of a rotated key or of its successor.
#[derive(Clone, Debug)]
pub struct KeyCaller {
    /// `None`: the address is not known.
    pub address: Option<IpAddr>,
    pub agent: String,
    /// The minute of the last call with the old key.
    pub old: Option<OffsetDateTime>,
    /// The minute of the last call with the new key.
    pub new: Option<OffsetDateTime>,
}

/// How far a caller has changed over. Callers that need attention sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallerProgress {
    /// Its last call was with the old key, after the rotation.
    OnOldKey,
    /// It called with the old key before the rotation, and has not called since.
    NotSeenSince,
    /// Its last call was with the new key.
    OnNewKey,
}

impl KeyCaller {
    /// If the last call with the old key was in the same minute as the rotation or as the last call with the new key,
    /// the caller counts as being on the old key, because ending that key too early may hurt and waiting does not.
    pub fn progress(&self, rotated_at: OffsetDateTime) -> CallerProgress {
        let rotated = super::minute_of(rotated_at);
        match (self.old, self.new) {
            (Some(old), new) if old >= rotated && new.is_none_or(|new| new <= old) => CallerProgress::OnOldKey,
            (_, Some(_)) => CallerProgress::OnNewKey,
            _ => CallerProgress::NotSeenSince,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn how_far_a_caller_has_come() {
        let rotated_at = datetime!(2026-11-24 12:00:30 UTC);
        let minute = |offset: i64| Some(datetime!(2026-11-24 12:00 UTC) + Duration::minutes(offset));
        for (old, new, progress) in [
            (minute(-1), None, CallerProgress::NotSeenSince),
            (minute(0), None, CallerProgress::OnOldKey),
            (minute(5), None, CallerProgress::OnOldKey),
            (minute(5), minute(5), CallerProgress::OnOldKey),
            (minute(5), minute(4), CallerProgress::OnOldKey),
            (minute(5), minute(6), CallerProgress::OnNewKey),
            (minute(-1), minute(0), CallerProgress::OnNewKey),
            (None, minute(3), CallerProgress::OnNewKey),
        ] {
            let caller = KeyCaller { address: None, agent: String::new(), old, new };
            assert_eq!(caller.progress(rotated_at), progress, "{old:?} {new:?}");
        }
    }
}
