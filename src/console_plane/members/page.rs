//! Who belongs to the organization.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    actor::Role,
    console_plane::{
        form::FormState,
        members::forms::{RemoveMember, SetRole},
        moment::When,
        ui::{Choice, Moment, Notice, NoticeLine, PageHead, SelectField, form_problem},
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    pub id: String,
    pub name: String,
    pub email: String,
    /// As it is shown, and as forms send it.
    pub role: &'static str,
    pub role_word: &'static str,
    /// Their account is shut.
    pub disabled: bool,
    /// Whether who looks may change their role or remove them.
    pub manageable: bool,
    pub since: When,
    pub last_sign_in: Option<When>,
    pub you: bool,
}

#[derive(Clone, Debug)]
pub struct MembersPageModel {
    pub rows: Vec<MemberRow>,
    /// Whose panel is open.
    pub managed: Option<MemberRow>,
    /// The organization's.
    pub slug: String,
    pub may_make_owners: bool,
    /// Whether keys do no more than who made them may.
    pub bound: bool,
    pub refill: FormState,
    pub notice: Option<Notice>,
}

const MEMBERS: [(Role, &str); 4] = [
    (Role::Owner, "everything, and makes owners"),
    (Role::Admin, "keys, webhook secrets and members"),
    (Role::Developer, "creates and revokes keys"),
    (Role::Viewer, "only looks"),
];

/// Accounts are added at the server's command line; here roles change and memberships end.
#[component]
pub fn MembersPage(model: MembersPageModel) -> impl IntoView {
    let MembersPageModel { rows, managed, slug, may_make_owners, bound, refill, notice } = model;
    let manages = rows.iter().any(|row| row.manageable);
    let rows = rows.into_iter().map(|row| member_row(row, manages)).collect::<Vec<_>>();
    let command = format!(
        "keydesk user create --email ada@example.com --name \"Ada Lovelace\" --org {slug} --role developer --password-stdin"
    );
    let problem = managed.is_none().then(|| view! { {form_problem(&refill, &[])} });
    view! {
        <PageHead title="Members" text="Who can sign in to this organization, and what their role allows." />
        <NoticeLine notice />
        {problem}
        {managed.map(|member| manage_panel(member, may_make_owners, bound, refill))}
        <div class="card table-card">
            <table role="table" class="table cards">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Name"</th>
                        <th role="columnheader" scope="col">"Role"</th>
                        <th role="columnheader" scope="col">"Member since"</th>
                        <th role="columnheader" scope="col">"Last sign-in"</th>
                        {manages
                            .then(|| {
                                view! {
                                    <th role="columnheader" scope="col">
                                        <span class="sr-only">"Action"</span>
                                    </th>
                                }
                            })}
                    </tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
        <section class="card aside" aria-labelledby="add-title">
            <h2 id="add-title">"Adding someone"</h2>
            <p class="muted">"The operator of this console adds people at the server’s command line:"</p>
            <pre class="code" tabindex="0" role="region" aria-label="Command">
                <code>{command}</code>
            </pre>
            <p class="muted">
                "Owners and admins manage keys, webhook secrets and members, developers create and revoke keys, viewers only look."
            </p>
        </section>
    }
}

/// One member's role, and the end of their membership. A page of its own address, so that it works by itself.
fn manage_panel(member: MemberRow, may_make_owners: bool, bound: bool, refill: FormState) -> impl IntoView {
    let choices = MEMBERS
        .into_iter()
        .filter(|(role, _)| may_make_owners || *role != Role::Owner)
        .map(|(role, may)| Choice {
            value: role.as_str().to_owned(),
            label: role.label().to_owned(),
            note: may.to_owned(),
        })
        .collect();
    let mut refill = refill;
    if refill.value("role").is_none() {
        refill.values.push(("role".to_owned(), member.role_word.to_owned()));
    }
    let keys = if bound {
        "They lose access at once, and keys they made stop working."
    } else {
        "They lose access at once. Keys they made stay the organization’s and go on: revoke those that they know."
    };
    let remove = format!("Remove {}", member.name);
    view! {
        <section class="card panel" aria-labelledby="manage-title" id="manage">
            <div class="panel-head">
                <h2 id="manage-title">{format!("Manage {}", member.name)}</h2>
                <a class="button quiet" href="/members">
                    "Close"
                </a>
            </div>
            {form_problem(&refill, &["role"])}
            <form class="panel-form" method="post" action=SetRole::PATH novalidate>
                <input type="hidden" name="user_id" value=member.id.clone() />
                <SelectField name="role" label="Role" choices refill />
                <div>
                    <button class="button primary">"Change role"</button>
                </div>
            </form>
            <form class="panel-foot" method="post" action=RemoveMember::PATH>
                <input type="hidden" name="user_id" value=member.id />
                <p class="muted">{keys}</p>
                <button class="button quiet-danger">{remove}</button>
            </form>
        </section>
    }
}

fn member_row(member: MemberRow, manages: bool) -> impl IntoView {
    let label = format!("Manage {}", member.name);
    let address = format!("/members?manage={}", member.id);
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <span class="first">
                    {member.name} " " {member.you.then(|| view! { <span class="tag">"You"</span> })}
                    {member.disabled.then(|| view! { <span class="tag">"Account shut"</span> })}
                </span>
                <span class="second">{member.email}</span>
            </th>
            <td role="cell" data-label="Role">
                {member.role}
            </td>
            <td role="cell" data-label="Member since">
                <Moment when=member.since />
            </td>
            <td role="cell" data-label="Last sign-in">
                {match member.last_sign_in {
                    Some(when) => view! { <Moment when /> }.into_any(),
                    None => view! { <span class="muted">"Never"</span> }.into_any(),
                }}
            </td>
            {manages
                .then(|| {
                    view! {
                        <td role="cell" class="action">
                            {member
                                .manageable
                                .then(|| {
                                    view! {
                                        <a class="button" href=address aria-label=label>
                                            "Manage"
                                        </a>
                                    }
                                })}
                        </td>
                    }
                })}
        </tr>
    }
}
