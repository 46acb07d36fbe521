//! How a key was used: a chart that the server draws, and the same numbers as a table.

use leptos::prelude::*;

use super::view::{Bar, ShareRow, Span, UsageModel};
use crate::{catalog::grouped, console_plane::ui::Moment};

#[component]
pub fn UsageSection(
    model: UsageModel,
    /// The page's address.
    here: String,
) -> impl IntoView {
    let span = model.span;
    let switch = Span::ALL.map(|one| {
        let current = (one == span).then_some("true");
        view! {
            <a href=one.of(&here) aria-current=current>
                {one.label()}
            </a>
        }
    });
    let total = model.good + model.refused;
    let content = if total == 0 {
        view! {
            <p class="card-body muted">{format!("Nobody has called with this key in the last {}.", span.label())}</p>
        }
        .into_any()
    } else {
        let tables = (callers(model.callers, model.more_callers), codes(model.codes));
        view! {
            {chart(span, &model.bars, model.good, model.refused)}
            {numbers(model.bars)}
            <div class="usage-tables">{tables}</div>
        }
        .into_any()
    };
    view! {
        <section aria-labelledby="usage-title">
            <div class="section-row">
                <h2 id="usage-title">"Usage"</h2>
                <nav class="switch" aria-label="How far back">
                    {switch}
                </nav>
            </div>
            <div class="card">{content}</div>
        </section>
    }
}

fn count(calls: i64) -> String {
    grouped(u64::try_from(calls).unwrap_or_default())
}

/// Bars in a box of ten for each and a hundred high; words are around it, since they would be squeezed with it.
fn chart(span: Span, bars: &[Bar], good: i64, refused: i64) -> AnyView {
    let (_, _, stretch) = span.bars();
    let most = bars.iter().map(|bar| bar.good + bar.refused).max().unwrap_or_default().max(1);
    // What is there is seen, however little it is.
    let height = |calls: i64| if calls == 0 { 0. } else { (calls as f64 / most as f64 * 100.).max(1.5) };
    let drawn = bars
        .iter()
        .enumerate()
        .map(|(index, bar)| {
            let x = format!("{:.1}", index as f64 * 10. + 1.5);
            let (tall, bad) = (height(bar.good), height(bar.refused));
            let title = format!("{}: {} let in, {} refused", bar.when.exact, count(bar.good), count(bar.refused));
            let rect = |class, top: f64, tall: f64| {
                view! { <rect class=class x=x.clone() width="7" y=format!("{top:.2}") height=format!("{tall:.2}") /> }
            };
            view! {
                <g>
                    <title>{title}</title>
                    <rect class="chart-ground" x=x.clone() width="7" y="0" height="100" />
                    {rect("chart-good", (100. - tall - bad).max(0.), tall)}
                    {rect("chart-bad", 100. - bad, bad)}
                </g>
            }
        })
        .collect::<Vec<_>>();
    let label = format!(
        "Calls with this key in the last {}: {} let in, {} refused; at most {} in {stretch}.",
        span.label(),
        count(good),
        count(refused),
        count(most)
    );
    let (first, last) = (bars.first().map(day_of), bars.last().map(day_of));
    view! {
        <div class="chart">
            <p class="chart-legend">
                <span class="key good">{format!("{} let in", count(good))}</span>
                <span class="key bad">{format!("{} refused", count(refused))}</span>
                <span class="muted">{format!("at most {} in {stretch}", count(most))}</span>
            </p>
            <svg viewBox=format!("0 0 {} 100", bars.len() * 10) preserveAspectRatio="none" role="img" aria-label=label>
                {drawn}
            </svg>
            <p class="chart-axis" aria-hidden="true">
                <span>{first}</span>
                <span>{last}</span>
            </p>
        </div>
    }
    .into_any()
}

/// `24 Nov 2026, 13:00`
fn day_of(bar: &Bar) -> String {
    bar.when.exact.rsplit_once(':').map_or_else(String::new, |(minute, _)| format!("{minute} UTC"))
}

fn numbers(bars: Vec<Bar>) -> AnyView {
    let row = |bar: Bar| (day_of(&bar).into_any(), vec![bar.good, bar.refused]);
    let rows = bars.into_iter().rev().map(row).collect();
    view! {
        <details class="more">
            <summary>"The same as a table"</summary>
            {table("Calls by time", "From", &["Let in", "Refused"], rows)}
        </details>
    }
    .into_any()
}

fn callers(callers: Vec<ShareRow>, more: i64) -> AnyView {
    let row = |caller: ShareRow| {
        let who = view! {
            <span class="first">{caller.address}</span>
            <span class="second">
                {(!caller.agent.is_empty()).then(|| format!("{} · ", caller.agent))} <Moment when=caller.last />
            </span>
        };
        (who.into_any(), vec![caller.good, caller.refused])
    };
    let rows = callers.into_iter().map(row).collect();
    let more = (more > 0).then(|| view! { <p class="card-foot muted">{format!("And {} more.", count(more))}</p> });
    view! {
        <div>
            {table("Calls by address and agent", "Caller", &["Let in", "Refused"], rows)}
            {more}
        </div>
    }
    .into_any()
}

fn codes(codes: Vec<(String, i64)>) -> AnyView {
    let row = |(code, calls)| (view! { <code class="mono">{code}</code> }.into_any(), vec![calls]);
    let rows = codes.into_iter().map(row).collect();
    view! { <div>{table("Calls by verdict", "Verdict", &["Calls"], rows)}</div> }.into_any()
}

/// What is counted, and the counts of it.
fn table(
    caption: &'static str,
    head: &'static str,
    counted: &'static [&'static str],
    rows: Vec<(AnyView, Vec<i64>)>,
) -> AnyView {
    let heads = counted.iter().map(|head| view! { <th scope="col" class="number">{*head}</th> }).collect::<Vec<_>>();
    let row = |(what, counts): (AnyView, Vec<i64>)| {
        let counts = counts.into_iter().map(|calls| view! { <td class="number">{count(calls)}</td> });
        view! {
            <tr>
                <th scope="row">{what}</th>
                {counts.collect::<Vec<_>>()}
            </tr>
        }
    };
    let rows = rows.into_iter().map(row).collect::<Vec<_>>();
    view! {
        <table class="table">
            <caption class="sr-only">{caption}</caption>
            <thead>
                <tr>
                    <th scope="col">{head}</th>
                    {heads}
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}
