//! The words of a key that both halves of Keydesk understand: parsed once, at whichever edge sees them first.
//! Compiled for the browser too, so that a form and the server say the same about the same input.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::text;

/// What people call a key: 1 to 80 characters, no control characters, outer white space removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyName(String);

impl KeyName {
    /// Errors: a sentence that says what to do.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text::line(text, "Give the key a name, so that you recognise it later.").map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a key was revoked. The names are the ones certificate authorities and key scanners use.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    #[default]
    NoLongerNeeded,
    Superseded,
    KeyCompromise,
    AffiliationChanged,
    Other,
}

impl Reason {
    /// The form's value and the stored word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::NoLongerNeeded => "No longer needed",
            Self::Superseded => "Replaced by another key",
            Self::KeyCompromise => "Leaked or compromised",
            Self::AffiliationChanged => "Its user left",
            Self::Other => "Another reason",
        }
    }

    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "Choose one of the reasons in the list.")
    }
}

/// How long a key goes on after it was replaced.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
pub enum OverlapWindow {
    #[serde(rename = "now")]
    #[strum(serialize = "now")]
    Now,
    #[serde(rename = "1h")]
    #[strum(serialize = "1h")]
    Hour,
    #[default]
    #[serde(rename = "24h")]
    #[strum(serialize = "24h")]
    Day,
    #[serde(rename = "7d")]
    #[strum(serialize = "7d")]
    Week,
}

impl OverlapWindow {
    /// The form's value.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Now => "no time",
            Self::Hour => "1 hour",
            Self::Day => "24 hours",
            Self::Week => "7 days",
        }
    }

    pub fn length(self) -> std::time::Duration {
        let hours = match self {
            Self::Now => 0,
            Self::Hour => 1,
            Self::Day => 24,
            Self::Week => 7 * 24,
        };
        std::time::Duration::from_secs(hours * 3600)
    }

    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "Choose one of: now, 1h, 24h, 7d.")
    }
}

/// How long a new key lives: never ends, or a number of whole days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    Unlimited,
    Days(u16),
}

impl Lifetime {
    /// What the create panel offers: form value and label.
    pub const CHOICES: [(&str, &str); 5] =
        [("never", "No expiry"), ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("365d", "1 year")];

    /// `never`, or days such as `30d`, from 1 to 3650.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "never" {
            return Ok(Self::Unlimited);
        }
        text.strip_suffix('d')
            .filter(|days| days.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|days| days.parse::<u16>().ok())
            .filter(|days| (1..=3650).contains(days))
            .map(Self::Days)
            .ok_or("Say for how many days, as in 30d (1d to 3650d), or never.")
    }
}

/// What a key is at a moment: `keys::lifespan` says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    Active,
    Disabled,
    Expired,
    /// Replaced by another, and its time is over.
    Rotated,
    Revoked,
}

impl KeyState {
    pub const ALL: [KeyState; 5] = [Self::Active, Self::Disabled, Self::Expired, Self::Rotated, Self::Revoked];

    /// Whether the key has come to its end, rather than being in use or paused.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Rotated | Self::Revoked)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Rotated => "rotated",
            Self::Revoked => "revoked",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Disabled => "Disabled",
            Self::Expired => "Expired",
            Self::Rotated => "Rotated",
            Self::Revoked => "Revoked",
        }
    }
}
