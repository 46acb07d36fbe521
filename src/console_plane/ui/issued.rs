//! A key just made, shown this once: in a dialog, or on the page that answers a form without JavaScript.

use leptos::{prelude::*, server_fn::ServerFn};

use super::{
    copy::CopyButton,
    note::{FieldNote, FormProblem, SubmitButton},
};
use crate::console_plane::keys::forms::{ConfirmKey, IssuedKey, Snippet};

#[component]
pub fn Issued(
    key: IssuedKey,
    /// The id of its heading.
    title: &'static str,
    /// Whether a wrong answer would cost the page that shows the key, as it does without JavaScript.
    #[prop(optional)]
    is_page: bool,
) -> impl IntoView {
    let last_four = key.hint.rsplit('…').next().filter(|_| is_page).map(str::to_owned);
    view! {
        <h2 id=title>{format!("“{}” is ready", key.name)}</h2>
        <p class="callout warn">
            "This key is shown only once. Copy it now: what is kept of it is a fingerprint, not the key."
        </p>
        {key.old_key.map(|text| view! { <p>{text}</p> })}
        <SecretField id="issued-secret" label="Your new key" copy="Copy key" value=key.secret />
        <SecretField id="issued-env" label="For your .env file" copy="Copy .env line" value=key.env_line />
        <SecretField id="issued-curl" label="Try it" copy="Copy curl command" value=key.curl />
        <Snippets snippets=key.snippets />
        <form method="post" action=ConfirmKey::PATH class="confirm">
            <FormProblem error=None fields="last_four".to_owned() />
            <input type="hidden" name="key_id" value=key.id />
            <LastFourField id="issued-last-four" pattern=last_four typed=None error=None />
            <SubmitButton class="button".to_owned() label="I have stored it".to_owned() sending="Confirming…".to_owned() />
        </form>
    }
}

/// Where a key's last four characters are typed: whoever can type them has it before their eyes somewhere else. With a
/// `pattern`, the browser holds back what does not match, so that a slip does not cost the page that shows the key.
#[component]
pub fn LastFourField(
    id: &'static str,
    pattern: Option<String>,
    typed: Option<String>,
    error: Option<String>,
) -> impl IntoView {
    let note = format!("{id}-note");
    view! {
        <div class="field">
            <label for=id>"Its last four characters"</label>
            <input
                id=id
                name="last_four"
                class="input mono"
                maxlength="4"
                required
                pattern=pattern
                title="The last four characters of the key"
                value=typed
                autocomplete="off"
                autocapitalize="off"
                spellcheck="false"
                aria-describedby=note.clone()
                aria-invalid=error.is_some().then_some("true")
            />
            <FieldNote
                name="last_four".to_owned()
                id=note
                hint="As you stored it. Then nobody has to wonder whether it got lost.".to_owned()
                error
            />
        </div>
    }
}

/// A value shown once, with a button that copies it.
#[component]
pub fn SecretField(id: &'static str, label: &'static str, copy: &'static str, value: String) -> impl IntoView {
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <div class="secret">
                <input id=id class="input mono" readonly value=value spellcheck="false" autocomplete="off" />
                <CopyButton field=id.to_owned() label=copy.to_owned() />
            </div>
        </div>
    }
}

/// Examples in several languages, one of them seen at a time. The tabs are radio buttons, so they work before the browser
/// half arrives, or without it, and with the arrow keys.
#[component]
fn Snippets(snippets: Vec<Snippet>) -> impl IntoView {
    let tabs = snippets
        .into_iter()
        .enumerate()
        .map(|(index, Snippet { language, code })| {
            let tab = format!("snippet-{index}");
            let field = format!("snippet-{index}-code");
            let rows = code.lines().count().to_string();
            view! {
                <input type="radio" name="snippet" id=tab.clone() checked=index == 0 />
                <label for=tab>{language.clone()}</label>
                <div class="snippet">
                    <textarea
                        id=field.clone()
                        class="input mono"
                        readonly
                        rows=rows
                        wrap="off"
                        spellcheck="false"
                        autocomplete="off"
                        aria-label=format!("{language} example")
                    >
                        {code}
                    </textarea>
                    <CopyButton field label=format!("Copy {language} example") />
                </div>
            }
        })
        .collect::<Vec<_>>();
    view! {
        <fieldset class="field">
            <legend>"In your program"</legend>
            <div class="snippets">{tabs}</div>
        </fieldset>
    }
}
