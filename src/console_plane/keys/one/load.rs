//! What a key's own page shows, read from the domain.

use sqlx::PgConnection;
use strum::VariantArray;
use time::{Duration, OffsetDateTime};

use super::{
    explain, figures,
    rotate::callers,
    view::{EditModel, KeyPageModel, Looks, Panel, RotateModel, RotationModel},
};
use crate::{
    catalog::Catalog,
    console_plane::{
        audit_log::load::audit_row,
        authorize::Authorized,
        error::ConsoleError,
        form::FormState,
        keys::load::{choice, key_row},
        moment::When,
        ui::{Choice, Notice},
    },
    database::{self, RlsScope},
    ids::KeyId,
    keys::{
        lifecycle,
        model::{KeyState, Lifetime, OverlapWindow, Reason},
        store::{self, KeyDetails},
    },
    permissions::{Action, permit::ViewKeys},
};

/// Of a key's history, no more rows are shown on its page.
const HISTORY: i64 = 50;
/// A key that nothing has used for so long after it was made may have been made for nothing.
const UNUSED: Duration = Duration::days(7);

/// One key of the organization; `None` if there is no such.
pub async fn page(
    entry: &Authorized<ViewKeys>,
    id: KeyId,
    panel: Panel,
    looks: &Looks,
    notice: Option<Notice>,
) -> Result<Option<KeyPageModel>, ConsoleError> {
    let console = &entry.cx.console;
    let (org, role) = (entry.permit.org(), entry.who.role);
    let now = console.clock.now();
    let mut tx = database::read(&console.db, RlsScope::Org(org)).await?;
    let Some(listed) = store::find(&mut tx, org, id).await? else { return Ok(None) };
    let history = if role.may(Action::ViewAudit) {
        let rows = lifecycle::history(&mut tx, org, id, listed.predecessor, HISTORY).await?;
        Some(rows.into_iter().map(|row| audit_row(row, now)).collect())
    } else {
        None
    };
    let status = listed.state(now);
    let may_rotate = role.may(Action::RotateKey);
    let rotation = rotation(&mut tx, &listed, &panel, may_rotate, now).await?;
    let usage = figures::usage(&mut tx, org, id, looks.span, now).await?;
    let refused = explain::refused(&mut tx, &listed, looks.request.as_deref(), now).await?;
    // Of a name there are two good keys at a time, not a chain of them.
    let pair_lives = rotation.as_ref().is_some_and(|rotation| rotation.lives);
    let rotatable = may_rotate && status == KeyState::Active && listed.successor.is_none() && !pair_lives;
    let editable = role.may(Action::EditKey) && !matches!(status, KeyState::Revoked | KeyState::Rotated);
    let address = entry.cx.address.to_canonical().to_string();
    let edit = editable.then(|| edit_form(&listed, &console.catalog, &panel, address, now));
    let may_revoke = role.may(Action::RevokeKey) && status != KeyState::Revoked;
    let age = now - listed.created_at;
    let unused = listed.last_used.is_none() && status == KeyState::Active;
    let key = key_row(listed.clone(), now);
    // While it is shown, nobody is asked about it beside it.
    let asks = key.unconfirmed && role.may(Action::IssueKey) && !matches!(panel, Panel::Issued(_));
    let limit =
        console.catalog.tier(&listed.tier).and_then(|tier| tier.limit).map(|limit| limit.words()).unwrap_or_default();
    Ok(Some(KeyPageModel {
        limit,
        namespaces: listed.namespaces.clone(),
        ip_allowlist: listed.ip_allowlist.iter().map(ToString::to_string).collect(),
        unused_days: (unused && age >= UNUSED).then(|| age.whole_days()),
        unconfirmed: asks.then(|| match &panel {
            Panel::Confirm(refill) => refill.clone(),
            _ => FormState::default(),
        }),
        edit,
        rotate: rotatable.then(|| rotate_form(&panel)),
        ends: listed.overlap_ends_at.filter(|_| pair_lives && listed.successor.is_some()).map(|at| When::at(at, now)),
        rotation,
        usage,
        refused,
        may_revoke,
        revoke_open: may_revoke && matches!(panel, Panel::Revoke),
        // Of a form that is not there any more, too.
        problem: match &panel {
            Panel::Edit(_) if editable => None,
            Panel::Rotate(_) if rotatable => None,
            Panel::Finish(_) if pair_lives => None,
            Panel::Confirm(refill) if asks && refill.message().is_none() => None,
            Panel::Refused(refill)
            | Panel::Edit(refill)
            | Panel::Rotate(refill)
            | Panel::Finish(refill)
            | Panel::Confirm(refill) => refill.message(),
            _ => None,
        },
        issued: match panel {
            Panel::Issued(key) => Some(key),
            _ => None,
        },
        key,
        history,
        notice,
    }))
}

fn edit_form(key: &KeyDetails, catalog: &Catalog, panel: &Panel, address: String, now: OffsetDateTime) -> EditModel {
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
        _ => (FormState::default(), false),
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
fn as_it_is(key: &KeyDetails) -> FormState {
    let lines = |texts: &mut dyn Iterator<Item = String>| texts.collect::<Vec<_>>().join("\n");
    let mut values = vec![
        ("version".to_owned(), key.fields().version()),
        ("name".to_owned(), key.name.clone()),
        ("namespaces".to_owned(), lines(&mut key.namespaces.iter().cloned())),
        ("ip_allowlist".to_owned(), lines(&mut key.ip_allowlist.iter().map(|net| bare(&net.to_string())))),
    ];
    values.extend(key.scopes.iter().map(|scope| ("scopes[]".to_owned(), scope.clone())));
    FormState { values, error: None }
}

/// One address without the length of its prefix, as people write it.
fn bare(net: &str) -> String {
    net.strip_suffix("/32").or(net.strip_suffix("/128")).unwrap_or(net).to_owned()
}

fn rotate_form(panel: &Panel) -> RotateModel {
    let windows = OverlapWindow::VARIANTS.iter().map(|window| match window {
        OverlapWindow::Now => choice(window.as_str(), "no time: it ends at once", ""),
        _ => choice(window.as_str(), window.label(), ""),
    });
    // What is no longer needed is not rotated.
    let reasons = [Reason::Superseded, Reason::KeyCompromise, Reason::AffiliationChanged, Reason::Other];
    let reasons = reasons.map(|reason| match reason {
        Reason::Superseded => choice(reason.as_str(), "Routine", ""),
        _ => choice(reason.as_str(), reason.label(), ""),
    });
    let (typed, open) = match panel {
        Panel::Rotate(refill) => (refill.clone(), true),
        _ => (FormState::default(), false),
    };
    let refill = if typed.values.is_empty() {
        FormState { values: vec![("window".to_owned(), OverlapWindow::default().as_str().to_owned())], error: None }
    } else {
        typed
    };
    RotateModel {
        // The form's own, if it was sent: it makes one key, however often it is sent.
        idempotency_key: refill.value("idempotency_key").unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        windows: windows.collect(),
        reasons: reasons.to_vec(),
        refill,
        open,
    }
}

/// The rotation that a key is part of: as the old key, or else as the new one.
async fn rotation(
    db: &mut PgConnection,
    key: &KeyDetails,
    panel: &Panel,
    may_rotate: bool,
    now: OffsetDateTime,
) -> Result<Option<RotationModel>, ConsoleError> {
    let Some(other) = key.successor.or(key.predecessor) else { return Ok(None) };
    let Some(other) = store::find(db, key.org, other).await? else { return Ok(None) };
    let (old, new) = if key.successor.is_some() { (key.clone(), other) } else { (other, key.clone()) };
    let Some(overlap_ends_at) = old.overlap_ends_at else { return Ok(None) };
    let callers = callers(db, key.org, (old.id, new.id), new.created_at, now).await?;
    let lives = !old.state(now).is_over();
    let with_its_expiry = old.expires_at.is_some_and(|at| at <= overlap_ends_at);
    let may_act = may_rotate && lives;
    let (finish_refill, finish_open) = match panel {
        Panel::Finish(refill) => (refill.clone(), may_act),
        _ => (FormState::default(), false),
    };
    Ok(Some(RotationModel {
        lives,
        ends: When::at(overlap_ends_at, now),
        callers,
        may_act,
        may_extend: may_act && !old.overlap_extended && !with_its_expiry,
        extend_words: match (old.overlap_extended, with_its_expiry) {
            (true, _) => "It was given more time once already.",
            (false, true) => "It ends with its own expiry.",
            (false, false) => "More time is as long again as it was given, once.",
        },
        finish_refill,
        finish_open,
        old: key_row(old, now),
        new: key_row(new, now),
    }))
}
