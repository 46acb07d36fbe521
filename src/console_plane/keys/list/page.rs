//! The list of keys: filters, table, pager.

use leptos::prelude::*;

use super::{
    load::KeysPageModel,
    view::{self, ListView, ORDERS, UNUSED_DAYS},
};
use crate::{
    catalog::grouped,
    console_plane::{
        keys::{
            list::load::KeysPanel,
            load::choice,
            page::{CreateForm, RevokeAllForm, expiry, issued_panel, revoke_dialog},
            row::KeyRow,
        },
        ui::{
            Choice, Empty, EndNote, LastUsed, Moment, NoticeLine, PageHead, RevokeButton, ScopeTags, StatusBadge,
            dialog::{FormDialog, OpenButton},
            hidden,
            live::{Picks, SearchShortcut},
        },
    },
    keys::{list::Column, model::KeyState, store::Progress},
};

/// The keys of the organization that the page's address asks for.
#[component]
pub fn KeysPage(model: KeysPageModel) -> impl IntoView {
    let here = model.view.address("/keys");
    // An open panel is about something else; what could be ticked below it would only be in the way.
    let may_pick = model.may_revoke && model.panel == KeysPanel::Closed;
    let filters = (model.total > 0).then(|| filters(&model));
    let mut create = None;
    let mut revoke = None;
    let mut revoke_all = None;
    let mut issued = None;
    match model.panel {
        KeysPanel::Closed => {}
        KeysPanel::Create(refill) => create = Some(refill),
        KeysPanel::Revoke(target, refill) => revoke = Some((target, refill)),
        KeysPanel::RevokeAll(refill) => revoke_all = Some(refill),
        KeysPanel::Issued(key) => issued = Some(issued_panel(key, "/keys".to_owned())),
    }
    let dialogs = (
        model.may_create.then(|| {
            view! {
                <FormDialog title="create-title".to_owned() drawn_open=create.is_some() back="/keys".to_owned()>
                    <CreateForm options=model.options idempotency_key=model.idempotency_key refill=create.unwrap_or_default() />
                </FormDialog>
            }
            .into_any()
        }),
        model.may_revoke.then(|| revoke_dialog(revoke, here).into_any()),
        model.may_revoke_all.then(|| {
            view! {
                <FormDialog title="revoke-all-title".to_owned() drawn_open=revoke_all.is_some() back="/keys".to_owned()>
                    <RevokeAllForm org_name=model.org_name count=model.revocable refill=revoke_all.unwrap_or_default() />
                </FormDialog>
            }
            .into_any()
        }),
    );
    let none = model.total == 0;
    let checklist = model.progress.map(|progress| checklist(progress, !none, &model.key_header, &model.keys_url));
    let create_button = move || {
        model.may_create.then(|| {
            view! {
                <form method="get" action="/keys">
                    <input type="hidden" name="new" value="1" />
                    <OpenButton
                        opens="create-title".to_owned()
                        class="button primary".to_owned()
                        label="Create key".to_owned()
                    />
                </form>
            }
            .into_any()
        })
    };
    let revoke_all = (model.may_revoke_all && model.revocable > 0).then(|| {
        view! {
            <form method="get" action="/keys">
                <input type="hidden" name="revoke-all" value="1" />
                <OpenButton
                    opens="revoke-all-title".to_owned()
                    class="button quiet-danger".to_owned()
                    label="Revoke all keys".to_owned()
                />
            </form>
        }
        .into_any()
    });
    let content = if none {
        view! {
            <Empty
                title="No keys yet"
                text=if model.may_create {
                    "A key lets a program call your API in the name of this organization. The first takes half a minute."
                } else {
                    "Your role may look at keys. Ask an owner, an admin or a developer to create one."
                }
            >
                {create_button()}
            </Empty>
        }
        .into_any()
    } else if model.rows.is_empty() {
        view! { <Empty title="No key matches" text="Search for less of the name, or take away a filter: the keys are still there." /> }
            .into_any()
    } else {
        view! {
            <KeysTable rows=model.rows may_revoke=model.may_revoke may_pick view=model.view.clone() />
            <Pager pages=model.pages view=model.view />
        }
        .into_any()
    };
    view! {
        <PageHead title="API keys".to_owned() text="What programs use to call your API. Give each program a key of its own.">
            {revoke_all}
            {(!none).then(create_button)}
        </PageHead>
        <NoticeLine notice=model.notice />
        {issued}
        {dialogs}
        {checklist}
        {filters}
        {content}
        <SearchShortcut />
    }
}

/// What somebody does first; gone once a program has called.
fn checklist(progress: Progress, created: bool, header: &str, keys_url: &str) -> AnyView {
    let step = |done: bool, title: &'static str, text: AnyView| {
        let said = if done { "Done: " } else { "To do: " };
        view! {
            <li class:done=done>
                <p class="first">
                    <span class="sr-only">{said}</span>
                    {title}
                </p>
                <p class="second">{text}</p>
            </li>
        }
    };
    let call = format!("curl -H '{header}: KEY' {keys_url}/v1/whoami");
    view! {
        <section class="card checklist" aria-labelledby="start-title">
            <h2 id="start-title">"Three steps to the first call"</h2>
            <ol>
                {step(created, "Create a key", "One for each program, so that each can be replaced alone.".into_any())}
                {step(
                    progress.stored,
                    "Store it",
                    "Where the program reads its settings. Type its last four characters to say that you did.".into_any(),
                )}
                {step(
                    progress.used,
                    "Call with it",
                    view! { <code class="mono">{call}</code> " Seconds later this page shows when, and from where." }.into_any(),
                )}
            </ol>
        </section>
    }
    .into_any()
}

/// One form that leads to another address of this page. Its fields are not called as those of the create panel are: on one
/// page a name means one thing.
fn filters(model: &KeysPageModel) -> AnyView {
    let KeysPageModel { view, options, .. } = model;
    let filter = view.filter.clone();
    let hits = grouped(model.hits.into());
    let keys = if model.total == 1 { "key" } else { "keys" };
    let count = if view.is_filtered() {
        format!("{hits} of {} {keys}", grouped(model.total.into()))
    } else {
        format!("{hits} {keys}")
    };
    let clear = view.is_filtered().then(|| {
        let unfiltered = ListView { filter: Default::default(), page: 1, ..view.clone() };
        view! {
            <a class="button quiet" href=unfiltered.address("/keys")>
                "Clear filters"
            </a>
        }
    });
    let revoke = (view.is_filtered() && model.may_revoke && model.hits > 0).then(|| {
        let matching = view.at_page(1).address("/keys/revoke");
        view! {
            <a class="button quiet" href=format!("{matching}&matching=1")>
                "Revoke what matches"
            </a>
        }
    });
    let statuses = KeyState::ALL.into_iter().map(|status| choice(status.as_str(), status.label(), "")).collect();
    let mut days = UNUSED_DAYS.to_vec();
    days.extend(filter.unused_days.filter(|days| !UNUSED_DAYS.contains(days)));
    let days = days.into_iter().map(|days| {
        let label = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
        choice(&days.to_string(), &label, "")
    });
    let orders = ORDERS.into_iter().map(|(_, value, label)| choice(value, label, "")).collect();
    view! {
        // On the way back browsers would fill in what was chosen last, beside a list that is of something else.
        <form method="get" action="/keys" role="search" class="card filters" autocomplete="off">
            <div class="field find-text">
                <label for="filter-q">"Search keys"</label>
                <input
                    id="filter-q"
                    name="q"
                    type="search"
                    class="input"
                    value=filter.text
                    placeholder="Name or hint"
                    maxlength="256"
                    autocomplete="off"
                    autocapitalize="off"
                    spellcheck="false"
                    aria-keyshortcuts="/"
                />
            </div>
            <div class="filter-fields">
                {filter_field("environment", "Env", "Any", options.environments.clone(), filter.environment)}
                {filter_field("tier", "Limit", "Any tier", options.tiers.clone(), filter.tier)}
                {filter_field("status", "Status", "Any status", statuses, filter.status.map(|s| s.as_str().to_owned()))}
                {filter_field("scope", "Scope", "Any scope", options.scopes.clone(), filter.scope)}
                {filter_field(
                    "creator",
                    "Creator",
                    "Anybody",
                    model.creators.clone(),
                    filter.creator.map(view::creator_word),
                )}
                {filter_field(
                    "unused",
                    "Unused for",
                    "Any time",
                    days.collect(),
                    filter.unused_days.map(|days| days.to_string()),
                )}
                {filter_field("sort", "Sort by", "", orders, Some(view::order_word(view.order).to_owned()))}
            </div>
            <div class="filter-foot">
                <p class="muted">{count}</p>
                <a class="button quiet" href=view.at_page(1).address("/keys.csv") download>
                    "Download as CSV"
                </a>
                {revoke}
                {clear}
                <button class="button">"Apply"</button>
            </div>
        </form>
    }
    .into_any()
}

/// `any` is what no choice is called; empty where there always is one.
fn filter_field(
    name: &'static str,
    label: &'static str,
    any: &'static str,
    choices: Vec<Choice>,
    chosen: Option<String>,
) -> AnyView {
    let id = format!("filter-{name}");
    let options = choices
        .into_iter()
        .map(|choice| {
            let selected = chosen.as_ref() == Some(&choice.value);
            view! {
                <option value=choice.value selected=selected>
                    {choice.label}
                </option>
            }
        })
        .collect::<Vec<_>>();
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select id=id name=name class="input select">
                {(!any.is_empty()).then(|| view! { <option value="">{any}</option> })}
                {options}
            </select>
        </div>
    }
    .into_any()
}

#[component]
fn KeysTable(rows: Vec<KeyRow>, may_revoke: bool, may_pick: bool, view: ListView) -> impl IntoView {
    let may_pick = may_pick && rows.iter().any(|key| key.status != KeyState::Revoked);
    let heads = (
        sorted_head("Name", Column::Name, &view),
        view! {
            <th role="columnheader" scope="col">
                "Environment"
            </th>
            <th role="columnheader" scope="col">
                "Scopes"
            </th>
        },
        sorted_head("Created", Column::Created, &view),
        sorted_head("Last used", Column::LastUsed, &view),
        sorted_head("Expires", Column::Expires, &view),
    );
    let rows = rows.into_iter().map(|key| key_row(key, may_revoke, may_pick, &view)).collect::<Vec<_>>();
    let pick_head = may_pick.then(|| {
        view! {
            <th role="columnheader" scope="col">
                <span class="sr-only">"Selected"</span>
            </th>
        }
    });
    // After the rows, where a keyboard arrives when it has ticked them; in sight once one is ticked.
    let bulk = may_pick.then(|| {
        view! {
            <form id="bulk" method="get" action="/keys/revoke" class="card-foot bulk">
                {hidden(view.pairs())}
                <label class="pick-all">
                    <input type="checkbox" name="all" value="1" data-pick-all="" />
                    "Select all on this page"
                </label>
                <button class="button quiet-danger">"Revoke selected"</button>
            </form>
        }
    });
    view! {
        <Picks>
            <table role="table" class="table cards keys">
                <thead role="rowgroup">
                    <tr role="row">
                        {pick_head}
                        {heads}
                        <th role="columnheader" scope="col">
                            "Status"
                        </th>
                        <th role="columnheader" scope="col">
                            <span class="sr-only">"Action"</span>
                        </th>
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
            {bulk}
        </Picks>
    }
}

fn sorted_head(label: &'static str, by: Column, view: &ListView) -> impl IntoView + use<> {
    let sorted = (view.order.by == by).then_some(if view.order.descending { "descending" } else { "ascending" });
    view! {
        <th role="columnheader" scope="col" aria-sort=sorted>
            <a class="sort" href=view.sorted_by(by).address("/keys")>
                {label}
            </a>
        </th>
    }
}

fn key_row(key: KeyRow, may_revoke: bool, may_pick: bool, view: &ListView) -> impl IntoView + use<> {
    let ended = key.status.is_over();
    let revocable = key.status != KeyState::Revoked;
    let revoke = (may_revoke && revocable)
        .then(|| view! { <RevokeButton key=key.clone() page="/keys".to_owned() keep=view.pairs() /> });
    let pick = may_pick.then(|| {
        let name = format!("Select {}", key.name);
        let id = key.id.clone();
        view! {
            <td role="cell" class="pick">
                {revocable.then(|| {
                    view! { <input type="checkbox" form="bulk" name="key" value=id aria-label=name data-pick="" /> }
                })}
            </td>
        }
    });
    let end_note = view! { <EndNote key=key.clone() /> };
    view! {
        <tr role="row" class:ended=ended>
            {pick}
            <th role="rowheader" scope="row">
                <a class="first" href=format!("/keys/{}", key.id)>
                    {key.name}
                </a>
                <code class="second hint">{key.hint}</code>
                {end_note}
            </th>
            <td role="cell" data-label="Environment">
                <span class="tag">{key.environment}</span>
            </td>
            <td role="cell" data-label="Scopes">
                <ScopeTags scopes=key.scopes />
            </td>
            <td role="cell" data-label="Created">
                <Moment when=key.created />
                <span class="second creator">{format!("by {}", key.created_by)}</span>
            </td>
            <td role="cell" data-label="Last used">
                <LastUsed last_used=key.last_used />
                {key.unconfirmed.then(|| view! { <span class="second flag">"Not confirmed as stored"</span> })}
            </td>
            <td role="cell" data-label="Expires">
                {expiry(key.expires)}
            </td>
            <td role="cell" data-label="Status">
                <StatusBadge status=key.status />
            </td>
            <td role="cell" class="action">
                {revoke}
            </td>
        </tr>
    }
}

#[component]
fn Pager(pages: u32, view: ListView) -> impl IntoView {
    let page = view.page;
    let link = |to: u32, rel: &'static str, label: &'static str| {
        view! {
            <a class="button" href=view.at_page(to).address("/keys") rel=rel>
                {label}
            </a>
        }
    };
    (pages > 1).then(|| {
        view! {
            <nav class="pager" aria-label="Pages">
                <p class="muted">{format!("Page {page} of {pages}")}</p>
                {(page > 1).then(|| link(page - 1, "prev", "Previous"))}
                {(page < pages).then(|| link(page + 1, "next", "Next"))}
            </nav>
        }
    })
}
