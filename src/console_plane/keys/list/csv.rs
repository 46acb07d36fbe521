//! The list as a file for spreadsheets: no secrets, and nothing that a spreadsheet would take for a formula.

use serde_json::json;

use super::view::ListView;
use crate::{
    audit::Event,
    console_plane::{
        authorize::Authorized,
        error::ConsoleError,
        keys::{load::key_row, row::KeyRow},
    },
    keys::{list, store},
    permissions::permit::ViewKeys,
};

/// More than fits a page, and little enough to be put together in memory.
pub const MOST: u32 = 50_000;
const HEAD: [&str; 17] = [
    "Name",
    "Hint",
    "Environment",
    "Tier",
    "Status",
    "Scopes",
    "Created",
    "Created by",
    "Expires",
    "Last used",
    "Last used from",
    "Last used by",
    "Last used via",
    "Revoked",
    "Revoked by",
    "Reason",
    "ID",
];

/// Every key that the view's filters let through, in its order. That it was taken is in the audit log.
/// `None`: they are more than [`MOST`].
pub async fn file(entry: &Authorized<ViewKeys>, view: &ListView) -> Result<Option<String>, ConsoleError> {
    let (mut m, permit) = entry.cx.begin::<ViewKeys>().await?;
    let (org, now) = (permit.org(), m.now());
    let ids = list::store::page(&mut m, org, &view.filter, view.order, now, 0, i64::from(MOST) + 1).await?;
    if ids.len() > MOST as usize {
        return Ok(None);
    }
    let mut file = line(HEAD.map(str::to_owned));
    for some in ids.chunks(1000) {
        for key in store::find_many(&mut m, org, some).await? {
            file += &row(key_row(key, now));
        }
    }
    m.record(Event {
        action: "key.export",
        subject: String::new(),
        summary: format!("Downloaded the list of keys ({})", ids.len()),
        details: json!({ "query": view.query() }),
    })
    .await?;
    m.commit().await?;
    Ok(Some(file))
}

fn row(key: KeyRow) -> String {
    let (used, from, agent, via) = key
        .last_used
        .map(|last| (last.when.iso, last.address, last.agent, last.via.unwrap_or_default()))
        .unwrap_or_default();
    let (revoked, by, reason) = key.revoked.map(|end| (end.when.iso, end.by, end.reason)).unwrap_or_default();
    line([
        key.name,
        key.hint,
        key.environment,
        key.tier,
        key.status.label().to_owned(),
        key.scopes.join(" "),
        key.created.iso,
        key.created_by,
        key.expires.map(|when| when.iso).unwrap_or_default(),
        used,
        from,
        agent,
        via,
        revoked,
        by,
        reason,
        key.id,
    ])
}

/// As RFC 4180 has it, every cell quoted.
fn line(cells: [String; HEAD.len()]) -> String {
    cells.map(|cell| format!("\"{}\"", harmless(&cell).replace('"', "\"\""))).join(",") + "\r\n"
}

/// What spreadsheets would compute is text once an apostrophe stands before it.
fn harmless(cell: &str) -> String {
    let computed = cell.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '|', '%']);
    if computed || cell.starts_with(['\t', '\r', '\n']) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_computed_and_quotes_stay_inside() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "＝1", "|calc", "%0A=1"] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        for plain in ["CI deploys", "a=b", "", "203.0.113.7", "é"] {
            assert_eq!(harmless(plain), plain);
        }
        let mut cells = HEAD.map(str::to_owned);
        cells[0] = "say \"hi\", =x".to_owned();
        assert!(line(cells).starts_with("\"say \"\"hi\"\", =x\",\"Hint\","));
    }
}
