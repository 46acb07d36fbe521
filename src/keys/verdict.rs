//! The verdict on a presented key: a closed vocabulary and one pure function.

use serde::Serialize;
use time::OffsetDateTime;

use super::{model::KeyId, secret::Malformed};
use crate::orgs::OrgId;

/// Everything about a key that a verdict depends on.
#[derive(Clone, Debug)]
pub struct Record {
    pub id: KeyId,
    pub org_id: OrgId,
    /// The organization's slug.
    pub org: String,
    pub name: String,
    pub environment: String,
    pub tier: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<OffsetDateTime>,
    pub disabled_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
}

/// What the caller expects of the key; nothing expected, nothing checked.
#[derive(Clone, Debug, Default)]
pub struct Expected<'a> {
    /// An organization's slug or id.
    pub org: Option<&'a str>,
    pub environment: Option<&'a str>,
    /// All of them are needed.
    pub scopes: &'a [String],
}

/// The answer's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    Valid,
    Missing,
    Malformed,
    NotFound,
    Revoked,
    Disabled,
    Expired,
    WrongEnvironment,
    InsufficientScope,
    Unavailable,
}

/// The answer, with what explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    /// Nothing was sent where a key counts.
    Missing,
    Malformed(Malformed),
    NotFound,
    Revoked,
    Disabled,
    Expired,
    WrongEnvironment,
    InsufficientScope {
        missing: Vec<String>,
    },
    /// Keydesk cannot know.
    Unavailable,
}

impl Verdict {
    pub fn code(&self) -> Code {
        match self {
            Self::Valid => Code::Valid,
            Self::Missing => Code::Missing,
            Self::Malformed(_) => Code::Malformed,
            Self::NotFound => Code::NotFound,
            Self::Revoked => Code::Revoked,
            Self::Disabled => Code::Disabled,
            Self::Expired => Code::Expired,
            Self::WrongEnvironment => Code::WrongEnvironment,
            Self::InsufficientScope { .. } => Code::InsufficientScope,
            Self::Unavailable => Code::Unavailable,
        }
    }

    /// What to tell whoever presented the key. Safe: what is true of a key is told only once its full secret matched.
    pub fn detail(&self) -> String {
        match self {
            Self::Valid => "The key is good.".to_owned(),
            Self::Missing => "Send your API key in the x-api-key header, or as Authorization: Bearer.".to_owned(),
            Self::Malformed(why) => why.detail().to_owned(),
            Self::NotFound => "There is no such key.".to_owned(),
            Self::Revoked => "The key has been revoked. Create a new one in the console.".to_owned(),
            Self::Disabled => "The key is disabled. Its owner can enable it in the console.".to_owned(),
            Self::Expired => "The key has expired. Create a new one in the console.".to_owned(),
            Self::WrongEnvironment => "The key belongs to another environment.".to_owned(),
            Self::InsufficientScope { missing } => format!("The key lacks the scope {}.", missing.join(", ")),
            Self::Unavailable => "Keydesk cannot check keys right now. Try again in a moment.".to_owned(),
        }
    }
}

/// Judges a found (or not found) key, gate by gate: found, of the expected organization, state, environment, scope.
pub fn decide(record: Option<&Record>, expected: &Expected<'_>, now: OffsetDateTime) -> Verdict {
    let Some(key) = record else { return Verdict::NotFound };
    if expected.org.is_some_and(|org| org != key.org && org != key.org_id.to_string()) {
        // To whoever expects another organization, this key does not exist.
        return Verdict::NotFound;
    }
    if key.revoked_at.is_some() {
        return Verdict::Revoked;
    }
    if key.disabled_at.is_some() {
        return Verdict::Disabled;
    }
    if key.expires_at.is_some_and(|at| at <= now) {
        return Verdict::Expired;
    }
    if expected.environment.is_some_and(|environment| environment != key.environment) {
        return Verdict::WrongEnvironment;
    }
    let missing: Vec<String> = expected.scopes.iter().filter(|scope| !key.scopes.contains(scope)).cloned().collect();
    if !missing.is_empty() {
        return Verdict::InsufficientScope { missing };
    }
    Verdict::Valid
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};
    use uuid::Uuid;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

    fn key() -> Record {
        Record {
            id: KeyId(Uuid::from_u128(1)),
            org_id: OrgId(Uuid::from_u128(2)),
            org: "acme".into(),
            name: "CI".into(),
            environment: "live".into(),
            tier: "standard".into(),
            scopes: vec!["read".into(), "write".into()],
            expires_at: None,
            disabled_at: None,
            revoked_at: None,
        }
    }

    fn on(change: impl FnOnce(&mut Record), expected: Expected<'_>) -> Code {
        let mut key = key();
        change(&mut key);
        decide(Some(&key), &expected, NOW).code()
    }

    #[test]
    fn each_gate_refuses_with_its_own_word() {
        let any = Expected::default;
        assert_eq!(decide(None, &any(), NOW), Verdict::NotFound);
        assert_eq!(on(|_| (), any()), Code::Valid);
        assert_eq!(on(|k| k.revoked_at = Some(NOW), any()), Code::Revoked);
        assert_eq!(on(|k| k.disabled_at = Some(NOW), any()), Code::Disabled);
        assert_eq!(on(|k| k.expires_at = Some(NOW - Duration::SECOND), any()), Code::Expired);
        assert_eq!(on(|_| (), Expected { org: Some("other"), ..any() }), Code::NotFound);
        assert_eq!(on(|_| (), Expected { environment: Some("test"), ..any() }), Code::WrongEnvironment);
        assert_eq!(on(|_| (), Expected { scopes: &["admin".into()], ..any() }), Code::InsufficientScope);
    }

    #[test]
    fn a_key_expires_exactly_at_its_time() {
        assert_eq!(on(|k| k.expires_at = Some(NOW + Duration::microseconds(1)), Expected::default()), Code::Valid);
        assert_eq!(on(|k| k.expires_at = Some(NOW), Expected::default()), Code::Expired);
    }

    #[test]
    fn an_organization_is_expected_by_slug_or_id_exactly() {
        let id = OrgId(Uuid::from_u128(2)).to_string();
        for (org, code) in
            [("acme", Code::Valid), (id.as_str(), Code::Valid), ("Acme", Code::NotFound), ("", Code::NotFound)]
        {
            assert_eq!(on(|_| (), Expected { org: Some(org), ..Expected::default() }), code, "{org}");
        }
    }

    #[test]
    fn every_scope_asked_for_is_needed_and_none_implies_another() {
        let scoped = |scopes: &[&str]| {
            let scopes: Vec<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
            decide(Some(&key()), &Expected { scopes: &scopes, ..Expected::default() }, NOW)
        };
        assert_eq!(scoped(&[]), Verdict::Valid);
        assert_eq!(scoped(&["read"]), Verdict::Valid);
        assert_eq!(scoped(&["write", "read"]), Verdict::Valid);
        for lacking in ["admin", "READ", "rea", "read ", "*", ""] {
            assert_eq!(scoped(&["read", lacking]), Verdict::InsufficientScope { missing: vec![lacking.to_owned()] });
        }
    }

    #[test]
    fn gates_come_in_order() {
        // Everything is wrong at once; mending one at a time shows the next.
        let expected = Expected { org: Some("other"), environment: Some("test"), scopes: &["admin".to_owned()] };
        let mut key = key();
        key.revoked_at = Some(NOW);
        key.disabled_at = Some(NOW);
        key.expires_at = Some(NOW);
        let judge = |key: &Record, expected: &Expected<'_>| decide(Some(key), expected, NOW).code();
        assert_eq!(judge(&key, &expected), Code::NotFound);
        let expected = Expected { org: None, ..expected };
        assert_eq!(judge(&key, &expected), Code::Revoked);
        key.revoked_at = None;
        assert_eq!(judge(&key, &expected), Code::Disabled);
        key.disabled_at = None;
        assert_eq!(judge(&key, &expected), Code::Expired);
        key.expires_at = None;
        assert_eq!(judge(&key, &expected), Code::WrongEnvironment);
        let expected = Expected { environment: None, ..expected };
        assert_eq!(judge(&key, &expected), Code::InsufficientScope);
    }
}
