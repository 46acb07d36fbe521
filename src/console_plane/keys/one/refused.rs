//! Requests that were refused, each with why.

use leptos::prelude::*;

use super::view::{GateLine, Refused, RefusedModel, Span};
use crate::console_plane::ui::{Moment, TextField};

#[component]
pub fn RefusedSection(
    model: RefusedModel,
    /// The page's address.
    here: String,
    span: Span,
) -> impl IntoView {
    // With a fragment in the address, a browser would take the same question, asked again, for a jump within the page.
    let asked = model.refill.value("request").is_some();
    let found = model.found.map(|one| view! { <div class="card found-refusal">{explained(one)}</div> }.into_any());
    let rows = model.rows.into_iter().map(row).collect::<Vec<_>>();
    let list = if rows.is_empty() {
        view! { <p class="card card-body muted">"No request with this key was refused in the last 7 days."</p> }
            .into_any()
    } else {
        view! { <ul class="card rows">{rows}</ul> }.into_any()
    };
    view! {
        <section aria-labelledby="refused-title">
            <h2 id="refused-title" class="section-title">
                "Refused requests"
            </h2>
            <form method="get" action=here class="card find refused-find">
                <input type="hidden" name="usage" value=span.as_str() />
                <TextField
                    name="request"
                    label="Request id"
                    hint="Every answer has one: x-request-id. Refusals are kept for 7 days."
                    refill=model.refill
                    autofocus=asked
                />
                <button class="button">"Look up"</button>
            </form>
            {found}
            {list}
        </section>
    }
}

fn row(one: Refused) -> impl IntoView {
    let from = [one.address.clone(), one.agent.clone()].join(" ");
    view! {
        <li>
            <details class="refusal">
                <summary>
                    <code class="mono">{one.code.clone()}</code>
                    <span class="refusal-from">{from}</span>
                    <span class="muted">{one.when.relative.clone()}</span>
                </summary>
                {explained(one)}
            </details>
        </li>
    }
}

fn explained(one: Refused) -> AnyView {
    let asked = one.asked.join(" · ");
    let from = [one.address, one.agent].join(" ");
    let gates = one.gates.into_iter().map(gate).collect::<Vec<_>>();
    let other = one.other_key.map(|href| {
        view! {
            <p>
                "This was another key: " <a class="link" href=href>"see it there"</a> "."
            </p>
        }
    });
    view! {
        <div class="explained">
            {other}
            <p>
                <strong>{one.code}</strong> " · " <Moment when=one.when /> {format!(" · {}", from.trim())}
            </p>
            <p class="muted">{asked}</p>
            <ol class="gates">{gates}</ol>
            {(!one.fix.is_empty()).then(|| view! { <p class="fix">{one.fix}</p> })}
            <p class="muted">"Request " <code class="mono">{one.request_id}</code></p>
        </div>
    }
    .into_any()
}

fn gate(gate: GateLine) -> impl IntoView {
    let (class, said) = match &gate.refused {
        None => ("gate passed", "Yes"),
        Some(_) => ("gate stopped", "No"),
    };
    view! {
        <li class=class>
            <span class="gate-said">{said}</span>
            <span>
                {gate.name}
                {gate.refused.map(|why| view! { <span class="second">{why}</span> })}
            </span>
        </li>
    }
}
