//! The pages before one is signed in.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::console_plane::{
    form::FormState,
    sign_in::forms::{SetUp, SignIn},
    ui::{Notice, NoticeLine, TextField, form_problem},
};

/// Email and password; `next` is where the person was going.
#[component]
pub fn SignInPage(brand: String, refill: FormState, next: String, notice: Option<Notice>) -> impl IntoView {
    let known = refill.value("email").is_some();
    view! {
        <h1>{format!("Sign in to {brand}")}</h1>
        <NoticeLine notice />
        <form method="post" action=SignIn::PATH class="card stack" novalidate>
            {form_problem(&refill, &["email", "password"])}
            <input type="hidden" name="next" value=next />
            <TextField
                name="email"
                label="Email"
                kind="email"
                refill=refill.clone()
                autocomplete="username"
                autofocus=!known
            />
            <TextField
                name="password"
                label="Password"
                kind="password"
                refill=refill.clone()
                autocomplete="current-password"
                autofocus=known
            />
            <button class="button primary wide">"Sign in"</button>
        </form>
        <p class="muted outside-foot">"No account, or a lost password? Whoever runs this console can help."</p>
    }
}

/// The first organization and its owner.
#[component]
pub fn SetupPage(brand: String, token: String, refill: FormState) -> impl IntoView {
    view! {
        <h1>{format!("Set up {brand}")}</h1>
        <p class="muted">"You become the owner of its first organization. More people can be added later."</p>
        <form method="post" action=SetUp::PATH class="card stack" novalidate>
            {form_problem(&refill, &["organization", "name", "email", "password"])}
            <input type="hidden" name="token" value=token />
            <TextField
                name="organization"
                label="Organization"
                refill=refill.clone()
                autocomplete="organization"
                autofocus=true
            />
            <TextField name="name" label="Your name" refill=refill.clone() autocomplete="name" />
            <TextField name="email" label="Email" kind="email" refill=refill.clone() autocomplete="username" />
            <TextField
                name="password"
                label="Password"
                kind="password"
                refill=refill.clone()
                hint="A long phrase that you use nowhere else."
                autocomplete="new-password"
            />
            <button class="button primary wide">"Create organization"</button>
        </form>
    }
}
