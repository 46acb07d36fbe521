//! What changes of a key while it lives: its name, scopes, namespaces, addresses and expiry; disabled and enabled.

use ipnet::IpNet;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{addresses, end_of, namespaces, scopes, subject};
use crate::{
    audit::Event,
    catalog::Catalog,
    ids::KeyId,
    keys::{
        error::KeyError,
        model::{KeyName, KeyState, Lifetime},
        store::{self, EditableFields, LockedKey},
    },
    mutation::Mutation,
    permissions::{Permit, permit::EditKey},
};

/// What somebody asks a key to become, as they typed it, by the rules of [`super::CreateKeyInput`]. `None` leaves a part as it is.
#[derive(Default)]
pub struct Edit {
    pub name: Option<String>,
    pub scopes: Option<Vec<String>>,
    pub namespaces: Option<Vec<String>>,
    pub ip_allowlist: Option<Vec<String>>,
    /// Counted from now, as at [`super::issue`].
    pub expires: Option<String>,
    /// The [`EditableFields::version`] of the key that was looked at: another one is not changed.
    pub version: Option<String>,
}

/// A key as a change left it.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    pub name: String,
    /// Whether anything is other than before.
    pub changed: bool,
}

/// Changes a key. Asking for what is so already changes nothing, and leaves no trace in the audit log.
pub async fn edit(
    m: &mut Mutation,
    permit: &Permit<EditKey>,
    id: KeyId,
    edit: &Edit,
    catalog: &Catalog,
) -> Result<Changed, KeyError> {
    let key = editable(m, permit, id).await?;
    let before = &key.fields;
    let meanwhile = edit.version.as_ref().is_some_and(|version| *version != before.version());
    let after = parse(edit, &key, catalog, m.now()).map_err(KeyError::Fields)?;
    let Some(difference) = Difference::between(before, &after) else {
        // Somebody may just have changed it to this, which may have restricted it: whoever repeats that is told so only once
        // it holds everywhere, too.
        m.restricts_access();
        return Ok(Changed { name: after.name, changed: false });
    };
    if meanwhile {
        return Err(KeyError::ChangedMeanwhile);
    }
    store::set_fields(m, permit.org(), id, &after).await?;
    if restricts(before, &after, catalog) {
        m.restricts_access();
    }
    m.record(Event {
        action: "key.edit",
        subject: subject(id),
        summary: format!("Changed key “{}” ({}): {}", before.name, key.hint, difference.fields.join(", ")),
        details: json!({ "before": difference.before, "after": difference.after }),
    })
    .await?;
    Ok(Changed { name: after.name, changed: true })
}

/// Stops a key until it is enabled again.
pub async fn disable(m: &mut Mutation, permit: &Permit<EditKey>, id: KeyId) -> Result<Changed, KeyError> {
    // Whoever disables what is disabled already is told so only once that holds everywhere, too.
    m.restricts_access();
    let since = Some(m.now());
    set_disabled(m, permit, id, since, ("key.disable", "Disabled")).await
}

/// Lets a disabled key go on.
pub async fn enable(m: &mut Mutation, permit: &Permit<EditKey>, id: KeyId) -> Result<Changed, KeyError> {
    set_disabled(m, permit, id, None, ("key.enable", "Enabled")).await
}

async fn set_disabled(
    m: &mut Mutation,
    permit: &Permit<EditKey>,
    id: KeyId,
    since: Option<OffsetDateTime>,
    (action, verb): (&'static str, &str),
) -> Result<Changed, KeyError> {
    let LockedKey { hint, fields: EditableFields { name, .. }, disabled_at, .. } = editable(m, permit, id).await?;
    let changed = disabled_at.is_some() != since.is_some();
    if changed {
        store::set_disabled(m, permit.org(), id, since).await?;
        m.record(Event {
            action,
            subject: subject(id),
            summary: format!("{verb} key “{name}” ({hint})"),
            details: json!({ "disabled_since": disabled_at.map(OffsetDateTime::unix_timestamp) }),
        })
        .await?;
    }
    Ok(Changed { name, changed })
}

/// Locks a key that can still be changed.
async fn editable(m: &mut Mutation, permit: &Permit<EditKey>, id: KeyId) -> Result<LockedKey, KeyError> {
    let key = store::lock(m, permit.org(), id).await?.ok_or(KeyError::NotFound)?;
    match key.state(m.now()) {
        KeyState::Revoked => Err(KeyError::Revoked),
        KeyState::Rotated => Err(KeyError::Replaced),
        KeyState::Active | KeyState::Disabled | KeyState::Expired => Ok(key),
    }
}

/// The fields as they are to be. Errors: which field, and what to do, for every field that needs mending.
fn parse(
    edit: &Edit,
    key: &LockedKey,
    catalog: &Catalog,
    now: OffsetDateTime,
) -> Result<EditableFields, Vec<(&'static str, String)>> {
    let mut errors = Vec::new();
    let mut after = key.fields.clone();
    if let Some(name) = &edit.name {
        match KeyName::parse(name) {
            Ok(name) => name.as_str().clone_into(&mut after.name),
            Err(message) => errors.push(("name", message.to_owned())),
        }
    }
    if let Some(wished) = &edit.scopes {
        let parsed = match catalog.tier(&key.tier) {
            None => Err(format!("The key's tier, {}, is not in the catalog any more. Create a new key.", key.tier)),
            tier => scopes(wished, tier, catalog),
        };
        match parsed {
            Ok(scopes) => put(&mut after.scopes, scopes),
            Err(message) => errors.push(("scopes", message)),
        }
    }
    if let Some(wished) = &edit.namespaces {
        match namespaces(wished) {
            Ok(namespaces) => put(&mut after.namespaces, namespaces),
            Err(message) => errors.push(("namespaces", message.to_owned())),
        }
    }
    if let Some(wished) = &edit.ip_allowlist {
        match addresses(wished) {
            Ok(addresses) => put(&mut after.ip_allowlist, addresses),
            Err(message) => errors.push(("ip_allowlist", message)),
        }
    }
    if let Some(expires) = &edit.expires {
        match Lifetime::parse(expires) {
            Ok(lifetime) => after.expires_at = end_of(lifetime, now),
            Err(message) => errors.push(("expires", message.to_owned())),
        }
    }
    if errors.is_empty() { Ok(after) } else { Err(errors) }
}

/// The same in another order is the same.
fn put<T: PartialEq>(list: &mut Vec<T>, wished: Vec<T>) {
    if list.len() != wished.len() || !wished.iter().all(|one| list.contains(one)) {
        *list = wished;
    }
}

/// What a change changed, for the audit log.
struct Difference {
    /// As people call them.
    fields: Vec<&'static str>,
    before: Map<String, Value>,
    after: Map<String, Value>,
}

impl Difference {
    /// `None`: nothing differs.
    fn between(before: &EditableFields, after: &EditableFields) -> Option<Self> {
        let texts = |nets: &[IpNet]| nets.iter().map(IpNet::to_string).collect::<Vec<_>>();
        let values = |fields: &EditableFields| {
            [
                ("name", "name", json!(fields.name)),
                ("scopes", "scopes", json!(fields.scopes)),
                ("namespaces", "namespaces", json!(fields.namespaces)),
                ("ip_allowlist", "addresses", json!(texts(&fields.ip_allowlist))),
                ("expires_at", "expiry", json!(fields.expires_at.map(OffsetDateTime::unix_timestamp))),
            ]
        };
        let mut difference = Self { fields: Vec::new(), before: Map::new(), after: Map::new() };
        for ((field, part, was), (_, _, is)) in values(before).into_iter().zip(values(after)) {
            if was != is {
                difference.fields.push(part);
                difference.before.insert(field.to_owned(), was);
                difference.after.insert(field.to_owned(), is);
            }
        }
        (!difference.fields.is_empty()).then_some(difference)
    }
}

/// Whether a key may do less after a change, in any respect. Where that is hard to tell, yes: waiting for no reason costs
/// a moment, not waiting for a reason lets somebody in.
fn restricts(before: &EditableFields, after: &EditableFields, catalog: &Catalog) -> bool {
    let lost = |had: &[String], has: &[String]| had.iter().any(|one| !has.contains(one));
    let scopes = lost(&before.scopes, &after.scopes);
    // None of them may mean all of them.
    let namespaces = match (before.namespaces.is_empty(), after.namespaces.is_empty()) {
        (true, false) => !catalog.namespaces_required,
        (false, true) => catalog.namespaces_required,
        _ => lost(&before.namespaces, &after.namespaces),
    };
    let inside = |net: &IpNet| after.ip_allowlist.iter().any(|wider| wider.contains(net));
    let addresses = match (before.ip_allowlist.is_empty(), after.ip_allowlist.is_empty()) {
        (true, false) => true,
        (_, true) => false,
        _ => !before.ip_allowlist.iter().all(inside),
    };
    let expiry = match (before.expires_at, after.expires_at) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(was), Some(is)) => is < was,
    };
    scopes || namespaces || addresses || expiry
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn fields(scopes: &str, namespaces: &str, addresses: &str, days: Option<i64>) -> EditableFields {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        EditableFields {
            name: "CI".to_owned(),
            scopes: words(scopes),
            namespaces: words(namespaces),
            ip_allowlist: addresses.split_whitespace().map(|net| net.parse().unwrap()).collect(),
            expires_at: days.map(|days| datetime!(2026-11-24 12:00 UTC) + time::Duration::days(days)),
        }
    }

    #[test]
    fn what_restricts() {
        let mut catalog = Catalog::load("default").unwrap();
        // before, after, restricts where no namespace means all, restricts where it means none
        for (before, after, open, required) in [
            (fields("read", "", "", None), fields("read", "", "", None), false, false),
            (fields("read write", "", "", None), fields("read", "", "", None), true, true),
            (fields("read", "", "", None), fields("read write", "", "", None), false, false),
            (fields("read", "", "", None), fields("write", "", "", None), true, true),
            (fields("", "", "", None), fields("", "a", "", None), true, false),
            (fields("", "a", "", None), fields("", "", "", None), false, true),
            (fields("", "a b", "", None), fields("", "b", "", None), true, true),
            (fields("", "a", "", None), fields("", "b a", "", None), false, false),
            (fields("", "", "", None), fields("", "", "10.0.0.0/8", None), true, true),
            (fields("", "", "10.0.0.0/8", None), fields("", "", "", None), false, false),
            (fields("", "", "10.0.0.0/8", None), fields("", "", "10.1.0.0/16", None), true, true),
            (fields("", "", "10.1.0.0/16", None), fields("", "", "10.0.0.0/8", None), false, false),
            (fields("", "", "10.1.0.0/16 ::1/128", None), fields("", "", "10.0.0.0/8", None), true, true),
            (fields("", "", "10.1.0.0/16", None), fields("", "", "::/0", None), true, true),
            (fields("", "", "", None), fields("", "", "", Some(7)), true, true),
            (fields("", "", "", Some(7)), fields("", "", "", None), false, false),
            (fields("", "", "", Some(7)), fields("", "", "", Some(6)), true, true),
            (fields("", "", "", Some(7)), fields("", "", "", Some(8)), false, false),
            // One respect is enough.
            (fields("read", "", "", Some(7)), fields("read write", "", "", Some(6)), true, true),
        ] {
            for (namespaces_required, expected) in [(false, open), (true, required)] {
                catalog.namespaces_required = namespaces_required;
                assert_eq!(restricts(&before, &after, &catalog), expected, "{before:?} → {after:?}");
            }
        }
    }

    #[test]
    fn only_what_differs_is_told() {
        let (was, is) = (fields("read", "", "10.0.0.0/8", None), fields("read", "a", "10.0.0.0/8", Some(1)));
        assert!(Difference::between(&was, &was).is_none());
        let difference = Difference::between(&was, &is).unwrap();
        assert_eq!(difference.fields, ["namespaces", "expiry"]);
        assert_eq!(json!(difference.before), json!({ "namespaces": [], "expires_at": null }));
        assert_eq!(json!(difference.after), json!({ "namespaces": ["a"], "expires_at": 1_795_608_000 }));
    }
}
