//! Who belongs to the organization.

use leptos::prelude::*;

use crate::console_plane::{
    model::MemberRow,
    ui::{Moment, PageHead},
};

/// A list to read: people are added at the server's command line.
#[component]
pub fn MembersPage(rows: Vec<MemberRow>, slug: String) -> impl IntoView {
    let rows = rows.into_iter().map(member_row).collect::<Vec<_>>();
    let command = format!(
        "keydesk user create --email ada@example.com --name \"Ada Lovelace\" --org {slug} --role developer --password-stdin"
    );
    view! {
        <PageHead title="Members".to_owned() text="Who can sign in to this organization, and what their role allows." />
        <div class="card table-card">
            <table role="table" class="table cards">
                <thead role="rowgroup">
                    <tr role="row">
                        <th role="columnheader" scope="col">"Name"</th>
                        <th role="columnheader" scope="col">"Role"</th>
                        <th role="columnheader" scope="col">"Member since"</th>
                        <th role="columnheader" scope="col">"Last sign-in"</th>
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
                "Owners and admins manage keys and webhook secrets, developers create and revoke keys, viewers only look."
            </p>
        </section>
    }
}

fn member_row(member: MemberRow) -> impl IntoView {
    view! {
        <tr role="row">
            <th role="rowheader" scope="row">
                <span class="first">
                    {member.name} {member.you.then(|| view! { <span class="tag">"You"</span> })}
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
        </tr>
    }
}
