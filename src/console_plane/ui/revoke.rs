//! What revokes one key: the button that asks for it, and what the dialog says about the key.

use leptos::prelude::*;

use super::dialog::ASKED;
use crate::console_plane::keys::row::RevokeTarget;

/// The key that a revoke dialog is about: the one whose button was pressed, or else the one that the server drew.
#[island]
pub fn RevokeSubject(drawn: Option<RevokeTarget>) -> impl IntoView {
    let target = move || {
        let pressed = ASKED.with(|asked| asked.as_ref().and_then(|(_, about)| about.clone()));
        pressed.or_else(|| drawn.clone()).unwrap_or_default()
    };
    let part = |part: fn(RevokeTarget) -> String| {
        let target = target.clone();
        move || part(target())
    };
    view! {
        <h2 id="revoke-title">{part(|key| format!("Revoke “{}”?", key.name))}</h2>
        <p class="muted">
            <code class="hint">{part(|key| key.hint)}</code>
            " · "
            {part(|key| key.use_note)}
        </p>
        <input type="hidden" name="key_id" value=part(|key| key.id) />
    }
}
