//! How far a rotation has come: the old key and the new one side by side, and who calls with which.

use leptos::{prelude::*, server_fn::ServerFn};

use super::{
    forms::PostButton,
    view::{CallerRow, RotationModel},
};
use crate::{
    console_plane::{
        form::FormState,
        keys::{
            forms::{ExtendRotation, FinishRotation},
            row::KeyRow,
        },
        moment::When,
        ui::{
            LastUsed, Moment, StatusBadge,
            dialog::{FormDialog, OpenButton},
            field_note, form_problem,
            note::SubmitButton,
        },
    },
    keys::callers::CallerProgress,
};

/// More callers than these are counted, not shown.
const SHOWN: usize = 20;

/// `2 callers are still on the old key: 10.0.4.7 curl, 3 minutes ago; …`
pub fn callers_words(still: &[CallerRow]) -> String {
    const NAMED: usize = 3;
    let named = still.iter().take(NAMED).map(|caller| {
        let last = caller.old.as_ref().map_or("", |when| when.relative.as_str());
        format!("{}, {last}", caller.name())
    });
    let named = named.collect::<Vec<_>>().join("; ");
    let more = if still.len() > NAMED { format!(" and {} more", still.len() - NAMED) } else { String::new() };
    let (callers, are) = if still.len() == 1 { ("caller", "is") } else { ("callers", "are") };
    format!("{} {callers} {are} still on the old key: {named}{more}.", still.len())
}

#[component]
pub fn RotationSection(
    model: RotationModel,
    /// The page's key.
    key_id: String,
    back: String,
) -> impl IntoView {
    let count = |progress| model.callers.iter().filter(|caller| caller.progress == progress).count();
    let (still, unseen, moved) =
        (count(CallerProgress::OnOldKey), count(CallerProgress::NotSeenSince), count(CallerProgress::OnNewKey));
    let still_rows: Vec<CallerRow> =
        model.callers.iter().filter(|c| c.progress == CallerProgress::OnOldKey).cloned().collect();
    let moved_words = match moved {
        0 => String::new(),
        1 => " 1 caller has moved over.".to_owned(),
        moved => format!(" {moved} callers have moved over."),
    };
    let (class, words) = match (still, unseen, model.lives) {
        (1.., _, true) => ("callout warn", callers_words(&still_rows)),
        (1.., _, false) => ("callout warn", format!("{} It has ended: they are refused.", callers_words(&still_rows))),
        (0, 1, true) => ("callout", "1 caller of the week before has called with neither key since.".to_owned()),
        (0, 2.., true) => {
            ("callout", format!("{unseen} callers of the week before have called with neither key since."))
        }
        (0, _, true) => ("callout good", "Nobody is left on the old key: it can be ended.".to_owned()),
        (0, _, false) => ("callout good", "The old key has ended.".to_owned()),
    };
    let words = format!("{words}{moved_words}");
    let more = model.callers.len().saturating_sub(SHOWN);
    let callers = (!model.callers.is_empty()).then(|| {
        let rows = model.callers.iter().take(SHOWN).cloned().map(caller_row).collect::<Vec<_>>();
        view! {
            <table role="table" class="table cards">
                <caption class="sr-only">"Callers of the old and the new key"</caption>
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Caller"</th>
                        <th role="columnheader" scope="col">"Last with the old key"</th>
                        <th role="columnheader" scope="col">"Last with the new key"</th>
                        <th role="columnheader" scope="col">"Progress"</th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
            {(more > 0).then(|| view! { <p class="card-foot muted">{format!("And {more} more, who matter less.")}</p> })}
        }
        .into_any()
    });
    let old_id = model.old.id.clone();
    let actions = model.may_act.then(|| {
        let extend = model.may_extend.then(|| {
            let (action, key_id, back) = (ExtendRotation::PATH, old_id.clone(), back.clone());
            view! { <PostButton action key_id label="Give it more time" back /> }
        });
        view! {
            <div class="card-foot">
                <p class="muted">{model.extend_words}</p>
                <div class="page-actions">
                    {extend}
                    <form method="get" action=back.clone()>
                        <input type="hidden" name="finish" value="1" />
                        <OpenButton
                            opens="finish-title".to_owned()
                            class="button quiet-danger".to_owned()
                            label="End the old key".to_owned()
                        />
                    </form>
                </div>
            </div>
        }
        .into_any()
    });
    let finish = model.may_act.then(|| {
        let asked = (still > 0).then(|| callers_words(&still_rows));
        finish_dialog(old_id.clone(), asked, model.finish_refill, model.finish_open, back).into_any()
    });
    view! {
        {finish}
        <section aria-labelledby="rotation-title">
            <h2 id="rotation-title" class="section-title">
                "Rotation"
            </h2>
            <div class="card">
                <div class="pair">
                    {side("Old key", model.old, &key_id, Some(model.ends)).into_any()}
                    {side("New key", model.new, &key_id, None).into_any()}
                </div>
                <p class=format!("{class} rotation-words")>{words}</p>
                {callers}
                {actions}
            </div>
        </section>
    }
}

fn side(label: &'static str, key: KeyRow, page: &str, ends: Option<When>) -> impl IntoView + use<> {
    let here = key.id == page;
    let hint = view! { <code class="hint">{key.hint}</code> };
    let name = if here {
        view! {
            {hint}
            <span class="tag">"This key"</span>
        }
        .into_any()
    } else {
        view! { <a class="link" href=format!("/keys/{}", key.id)>{hint}</a> }.into_any()
    };
    let when = match ends {
        Some(when) => view! { "Ends " <Moment when /> }.into_any(),
        None => view! { "Created " <Moment when=key.created /> {format!(" by {}", key.created_by)} }.into_any(),
    };
    view! {
        <div>
            <h3>{label}</h3>
            <p class="pair-name">{name} <StatusBadge status=key.status /></p>
            <p class="second">{when}</p>
            <p class="second">"Last used: " <LastUsed last_used=key.last_used /></p>
        </div>
    }
}

fn caller_row(caller: CallerRow) -> impl IntoView {
    let (class, words) = match caller.progress {
        CallerProgress::OnOldKey => ("badge warn", "On the old key"),
        CallerProgress::NotSeenSince => ("badge", "Not seen since"),
        CallerProgress::OnNewKey => ("badge good", "Moved over"),
    };
    let when = |when: Option<When>| match when {
        Some(when) => view! { <Moment when /> }.into_any(),
        None => view! { <span class="muted">"Never"</span> }.into_any(),
    };
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <span class="first">{caller.address}</span>
                <span class="second">{caller.agent}</span>
            </th>
            <td role="cell" data-label="Old key">
                {when(caller.old)}
            </td>
            <td role="cell" data-label="New key">
                {when(caller.new)}
            </td>
            <td role="cell" data-label="Progress">
                <span class=class>{words}</span>
            </td>
        </tr>
    }
}

/// `asked`: who would be cut off.
fn finish_dialog(key_id: String, asked: Option<String>, refill: FormState, open: bool, back: String) -> impl IntoView {
    let shown = asked.is_some();
    view! {
        <FormDialog title="finish-title".to_owned() drawn_open=open back=back.clone()>
            <form method="post" action=FinishRotation::PATH class="dialog-body" novalidate>
                <h2 id="finish-title">"End the old key now?"</h2>
                <p>"Every call with it will be refused. This cannot be undone; the new key goes on."</p>
                {form_problem(&refill, &["force"])}
                <input type="hidden" name="key_id" value=key_id />
                <input type="hidden" name="back" value=back.clone() />
                <div class="field meanwhile" class:shown=shown>
                    {asked.map(|words| view! { <p>{words}</p> })}
                    <div class="check">
                        <input type="checkbox" id="force" name="force" value="true" aria-describedby="force-note" />
                        <label for="force">"Cut them off"</label>
                    </div>
                    {field_note("force", "force", "", &refill)}
                </div>
                <div class="dialog-actions">
                    <a class="button" href=back data-close="">
                        "Cancel"
                    </a>
                    <SubmitButton
                        class="button danger".to_owned()
                        label="End key".to_owned()
                        sending="Ending…".to_owned()
                    />
                </div>
            </form>
        </FormDialog>
    }
    .into_any()
}
