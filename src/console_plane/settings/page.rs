//! One's own account: sessions, access tokens, password.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::console_plane::{
    appearance::{Appearance, DENSITIES, THEMES},
    form::FormState,
    moment::When,
    settings::forms::{
        ChangePassword, CreateAccessToken, EndAllSessions, EndSession, IssuedAccessToken, SetAppearance,
    },
    shell::Viewer,
    ui::{
        Choice, Moment, Notice, NoticeLine, PageHead, SelectField, TextField, fact, form_problem, issued::SecretField,
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: String,
    pub agent: String,
    pub address: String,
    pub started: When,
    pub last_seen: When,
    pub this_one: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsPageModel {
    pub sessions: Vec<SessionRow>,
    /// A token just minted, shown once.
    pub token: Option<IssuedAccessToken>,
    pub refill: FormState,
    pub notice: Option<Notice>,
}

#[component]
pub fn SettingsPage(model: SettingsPageModel, viewer: Viewer, look: Appearance) -> impl IntoView {
    let refill = model.refill;
    let sessions = model.sessions.into_iter().map(session_row).collect::<Vec<_>>();
    view! {
        <PageHead title="Settings" text="Your account. It is yours alone: nobody else sees this page." />
        <NoticeLine notice=model.notice />
        <div class="sections">
            <section class="section" aria-labelledby="account-title">
                <div class="section-head">
                    <h2 id="account-title">"Account"</h2>
                    <p class="muted">"The operator of this console changes these."</p>
                </div>
                <dl class="card facts">
                    {fact("Name", viewer.name)}
                    {fact("Email", viewer.email.clone())}
                    {fact("Role", viewer.role)}
                    {viewer
                        .org
                        .map(|org| {
                            view! {
                                {fact("Organization", org)}
                            }
                        })}
                </dl>
            </section>
            {appearance(look, &refill)}
            <section class="section" aria-labelledby="sessions-title">
                <div class="section-head">
                    <h2 id="sessions-title">"Sessions"</h2>
                    <p class="muted">"Where you are signed in. End what you do not recognise, then change your password."</p>
                </div>
                <div class="card">
                    <ul class="rows">{sessions}</ul>
                    <form class="card-foot" method="post" action=EndAllSessions::PATH>
                        <p class="muted">"Ends every session, this one too."</p>
                        <button class="button quiet-danger">"Sign out everywhere"</button>
                    </form>
                </div>
            </section>
            {(!viewer.staff).then(|| access_tokens(model.token))}
            <section class="section" aria-labelledby="password-title">
                <div class="section-head">
                    <h2 id="password-title">"Password"</h2>
                    <p class="muted">"Changing it ends all your other sessions."</p>
                </div>
                <form class="card stack" method="post" action=ChangePassword::PATH novalidate>
                    {form_problem(&refill, &["current", "new"])}
                    // Password managers want to know whose password it is.
                    <input type="hidden" autocomplete="username" value=viewer.email />
                    <TextField name="current" label="Current password" kind="password" refill=refill.clone() autocomplete="current-password" />
                    <TextField
                        name="new"
                        label="New password"
                        kind="password"
                        refill=refill.clone()
                        hint="A long phrase that you use nowhere else."
                        autocomplete="new-password"
                    />
                    <div>
                        <button class="button primary">"Change password"</button>
                    </div>
                </form>
            </section>
        </div>
    }
}

fn appearance(look: Appearance, refill: &FormState) -> AnyView {
    let choices = |words: &[(&str, &str)]| {
        let choice = |(value, label): &(&str, &str)| Choice {
            value: (*value).to_owned(),
            label: (*label).to_owned(),
            note: String::new(),
        };
        words.iter().map(choice).collect::<Vec<_>>()
    };
    let typed = refill.value("theme").is_some();
    let refill = if typed {
        refill.clone()
    } else {
        let now = [("theme", look.theme), ("density", look.density)];
        FormState { values: now.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(), error: None }
    };
    view! {
        <section class="section" aria-labelledby="look-title">
            <div class="section-head">
                <h2 id="look-title">"Appearance"</h2>
                <p class="muted">"Of this browser. Compact shows more rows."</p>
            </div>
            <form class="card stack" method="post" action=SetAppearance::PATH>
                <div class="field-pair">
                    <SelectField name="theme" label="Colours" choices=choices(&THEMES) refill=refill.clone() />
                    <SelectField name="density" label="Density" choices=choices(&DENSITIES) refill />
                </div>
                <div>
                    <button class="button">"Save appearance"</button>
                </div>
            </form>
        </section>
    }
    .into_any()
}

fn access_tokens(issued: Option<IssuedAccessToken>) -> impl IntoView {
    let issued = issued.map(|issued| {
        view! {
            <p class="callout warn">"This token is shown only once. Copy it now."</p>
            <SecretField id="issued-token" label="Your access token" copy="Copy token" value=issued.token />
            <SecretField id="issued-token-curl" label="Try it" copy="Copy command" value=issued.curl />
        }
    });
    view! {
        <section class="section" aria-labelledby="tokens-title">
            <div class="section-head">
                <h2 id="tokens-title">"Access tokens"</h2>
                <p class="muted">
                    "For scripts that call the " <a class="link" href="/api/v1/docs">"management API"</a>
                    " as you. A token lives for 15 minutes, and ends at once when this session does."
                </p>
            </div>
            <form class="card stack" method="post" action=CreateAccessToken::PATH>
                {issued}
                <div>
                    <button class="button">"Create access token"</button>
                </div>
            </form>
        </section>
    }
}

fn session_row(session: SessionRow) -> impl IntoView {
    let label = format!("End session on {}, {}", session.agent, session.address);
    let end = if session.this_one {
        view! { <span class="badge good">"This session"</span> }.into_any()
    } else {
        view! {
            <form method="post" action=EndSession::PATH>
                <input type="hidden" name="session_id" value=session.id />
                <button class="button" aria-label=label>
                    "End"
                </button>
            </form>
        }
        .into_any()
    };
    view! {
        <li>
            <div>
                <span class="first">{session.agent}</span>
                <span class="second">
                    {session.address} " · seen " <Moment when=session.last_seen /> " · signed in "
                    <Moment when=session.started />
                </span>
            </div>
            {end}
        </li>
    }
}
