//! What state a key is in at a moment.

use time::OffsetDateTime;

use super::model::KeyState;

/// The columns of a key that decide its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLifespan {
    pub revoked_at: Option<OffsetDateTime>,
    pub overlap_ended: bool,
    pub overlap_ends_at: Option<OffsetDateTime>,
    pub disabled_at: Option<OffsetDateTime>,
    pub expires_at: Option<OffsetDateTime>,
}

impl KeyLifespan {
    /// Of several states that apply, the first of this order: what nobody can undo comes before what a person did, and that
    /// before what time did. The SQL function `key_state` is the same rule, and a test ties the two.
    pub fn state(self, now: OffsetDateTime) -> KeyState {
        let reached = |at: Option<OffsetDateTime>| at.is_some_and(|at| at <= now);
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.overlap_ended || reached(self.overlap_ends_at) {
            KeyState::Rotated
        } else if self.disabled_at.is_some() {
            KeyState::Disabled
        } else if reached(self.expires_at) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }
}
