//! What would be hit, before some keys are revoked.

use leptos::{prelude::*, server_fn::ServerFn};

use super::load::PreviewModel;
use crate::{
    catalog::grouped,
    console_plane::{
        keys::{forms::RevokeSomeKeys, load::choice, row::KeyRow},
        ui::{LastUsed, PageHead, SelectField, StatusBadge, form_problem},
    },
    keys::model::Reason,
};

/// More keys than these are counted, not shown.
const SHOWN: usize = 100;

#[component]
pub fn RevokeSomePage(model: PreviewModel) -> impl IntoView {
    let count = model.keys.len();
    let many = grouped(count as u64);
    let (title, button) = match count {
        1 => ("Revoke 1 key?".to_owned(), "Revoke 1 key".to_owned()),
        _ => (format!("Revoke {many} keys?"), format!("Revoke {many} keys")),
    };
    let busy = model.keys.iter().filter(|(_, calls)| *calls > 0).count();
    let warning = match busy {
        0 => "None of them was called in the last day.".to_owned(),
        1 if count == 1 => "It was called in the last day: whatever uses it will be refused.".to_owned(),
        1 => format!("1 of {many} was called in the last day: whatever uses it will be refused."),
        busy => format!(
            "{} of {many} were called in the last day: whatever uses them will be refused.",
            grouped(busy as u64)
        ),
    };
    let back = model.view.address("/keys");
    let reasons = Reason::ALL.into_iter().map(|reason| choice(reason.as_str(), reason.label(), "")).collect::<Vec<_>>();
    let more = count.saturating_sub(SHOWN);
    let more = (more > 0).then(|| {
        let more = grouped(more as u64);
        view! { <p class="card-foot muted">{format!("And {more} more, none of them called more often.")}</p> }
    });
    let ids = model.keys.iter().map(|(key, _)| key.id.clone());
    let ids = ids.map(|id| view! { <input type="hidden" name="key_ids[]" value=id /> }).collect::<Vec<_>>();
    let rows = model.keys.into_iter().take(SHOWN).map(|(key, calls)| row(key, calls)).collect::<Vec<_>>();
    view! {
        <a class="back" href=back.clone()>
            "API keys"
        </a>
        <PageHead title text="Every call with these keys will be refused. This cannot be undone." />
        <p class="callout note" class:warn=(busy > 0)>
            {warning}
        </p>
        <div class="card table-card">
            <table role="table" class="table cards keys">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Name"</th>
                        <th role="columnheader" scope="col">"Environment"</th>
                        <th role="columnheader" scope="col">"Status"</th>
                        <th role="columnheader" scope="col">"Last used"</th>
                        <th role="columnheader" scope="col" class="number">"Calls in the last day"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
            {more}
        </div>
        <form method="post" action=RevokeSomeKeys::PATH class="card aside" novalidate>
            {form_problem(&model.refill, &["reason"])}
            {ids}
            <input type="hidden" name="back" value=back.clone() />
            <SelectField name="reason" label="Reason" choices=reasons refill=model.refill />
            <div class="dialog-actions">
                <a class="button" href=back>
                    "Cancel"
                </a>
                <button class="button danger">{button}</button>
            </div>
        </form>
    }
}

fn row(key: KeyRow, calls: i64) -> impl IntoView {
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <a class="first" href=format!("/keys/{}", key.id)>
                    {key.name}
                </a>
                <code class="second hint">{key.hint}</code>
            </th>
            <td role="cell" data-label="Environment">
                <span class="tag">{key.environment}</span>
            </td>
            <td role="cell" data-label="Status">
                <StatusBadge status=key.status />
            </td>
            <td role="cell" data-label="Last used">
                <LastUsed last_used=key.last_used />
            </td>
            <td role="cell" data-label="Calls, last day" class="number">
                {grouped(u64::try_from(calls).unwrap_or_default())}
            </td>
        </tr>
    }
}
