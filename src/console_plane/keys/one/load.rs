//! What a key's own page shows, read from the domain.

use time::{Duration, OffsetDateTime};

use super::view::{EditModel, KeyPageModel, Panel};
use crate::{
    audit::{self, Chain},
    catalog::Catalog,
    console_plane::{
        audit_log::load::audit_row,
        door::Entry,
        error::ConsoleError,
        keys::load::{choice, key_row},
        model::{Choice, Notice, Refill, When},
    },
    database::{self, Reach},
    keys::{
        lifecycle::subject,
        model::{KeyId, Lifetime, Status},
        store::{self, Listed},
    },
    orgs::{Action, permit::ViewKeys},
};

/// Of a key's history, no more rows are shown on its page.
const HISTORY: i64 = 50;
/// A key that nothing has used for so long after it was made may have been made for nothing.
const UNUSED: Duration = Duration::days(7);

/// One key of the organization; `None` if there is no such.
pub async fn page(
    entry: &Entry<ViewKeys>,
    id: KeyId,
    panel: Panel,
    notice: Option<Notice>,
) -> Result<Option<KeyPageModel>, ConsoleError> {
    let console = &entry.visit.console;
    let (org, role) = (entry.permit.org(), entry.who.role);
    let now = console.clock.now();
    let mut tx = database::begin(&console.db, Reach::Org(org)).await?;
    let Some(listed) = store::one(&mut tx, org, id).await? else { return Ok(None) };
    let history = if role.may(Action::ViewAudit) {
        let rows = audit::store::of_subject(&mut tx, Chain::Org(org), &subject(id), HISTORY).await?;
        Some(rows.into_iter().map(|row| audit_row(row, now)).collect())
    } else {
        None
    };
    tx.commit().await?;
    let status = listed.status(now);
    let editable = role.may(Action::EditKey) && !matches!(status, Status::Revoked | Status::Rotated);
    let address = entry.visit.address.to_canonical().to_string();
    let edit = editable.then(|| edit_form(&listed, &console.catalog, &panel, address, now));
    let may_revoke = role.may(Action::RevokeKey) && status != Status::Revoked;
    let age = now - listed.created_at;
    let unused = listed.last_used.is_none() && status == Status::Active && age >= UNUSED;
    let limit =
        console.catalog.tier(&listed.tier).and_then(|tier| tier.limit).map(|limit| limit.words()).unwrap_or_default();
    Ok(Some(KeyPageModel {
        limit,
        namespaces: listed.namespaces.clone(),
        addresses: listed.addresses.iter().map(ToString::to_string).collect(),
        unused_days: unused.then(|| age.whole_days()),
        edit,
        may_revoke,
        revoke_open: may_revoke && matches!(panel, Panel::Revoke),
        problem: match panel {
            Panel::Refused(refill) => refill.message(),
            // The form that could say it is not there any more.
            Panel::Edit(refill) if !editable => refill.message(),
            _ => None,
        },
        key: key_row(listed, now),
        history,
        notice,
    }))
}

fn edit_form(key: &Listed, catalog: &Catalog, panel: &Panel, address: String, now: OffsetDateTime) -> EditModel {
    let tier = catalog.tier(&key.tier);
    // Where the tier is gone from the catalog, no scope could be chosen.
    let allowed = catalog.scopes.iter().filter(|scope| tier.is_some_and(|tier| tier.allows(&scope.name)));
    let scopes = allowed.map(|scope| choice(&scope.name, &scope.name, &scope.note)).collect();
    let now_is = key.expires_at.map_or_else(|| "no expiry".to_owned(), |at| When::at(at, now).relative);
    let expiry = [choice("", &format!("As it is: {now_is}"), "")].into_iter().chain(Lifetime::CHOICES.iter().map(
        |(value, label)| match Lifetime::parse(value) {
            Ok(Lifetime::Days(_)) => choice(value, &format!("{label} from now"), ""),
            _ => choice(value, label, ""),
        },
    ));
    let (typed, open) = match panel {
        Panel::Edit(refill) => (refill.clone(), true),
        _ => (Refill::default(), false),
    };
    let refill = if typed.values.is_empty() { as_it_is(key) } else { typed };
    let namespaces_hint = if catalog.namespaces_required {
        "One on each line. None: it may enter none."
    } else {
        "One on each line. None: it may enter all."
    };
    EditModel { scopes, refill, expiry: expiry.collect::<Vec<Choice>>(), namespaces_hint, address, open }
}

/// The edit form of a key that nobody has typed into.
fn as_it_is(key: &Listed) -> Refill {
    let lines = |texts: &mut dyn Iterator<Item = String>| texts.collect::<Vec<_>>().join("\n");
    let mut values = vec![
        ("seen".to_owned(), key.parts().mark()),
        ("name".to_owned(), key.name.clone()),
        ("namespaces".to_owned(), lines(&mut key.namespaces.iter().cloned())),
        ("addresses".to_owned(), lines(&mut key.addresses.iter().map(|net| bare(&net.to_string())))),
    ];
    values.extend(key.scopes.iter().map(|scope| ("scopes[]".to_owned(), scope.clone())));
    Refill { values, error: None }
}

/// One address without the length of its prefix, as people write it.
fn bare(net: &str) -> String {
    net.strip_suffix("/32").or(net.strip_suffix("/128")).unwrap_or(net).to_owned()
}
