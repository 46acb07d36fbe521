//! Small things that are alive on a page.

use std::time::Duration;

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, HtmlInputElement, HtmlTextAreaElement, js_sys::Date};

use crate::console_plane::moment::relative;

/// The last island of every page. Relative times stay true while a page is open: one island for all of them, since a list
/// has hundreds. They go by the server's clock, whatever this one says.
#[island]
pub fn Clock(
    /// What time the server has.
    now: String,
) -> impl IntoView {
    if is_browser() {
        // Every island before this one works by now, which tests wait for.
        let _ = document().document_element().map(|page| page.set_attribute("data-alive", ""));
        let ahead = Date::parse(&now) - Date::now();
        let tick = move || {
            for time in all("time") {
                let at = time.get_attribute("datetime").map(|at| Date::parse(&at)).unwrap_or_default();
                let words = relative(((at - Date::now() - ahead) / 1000.) as i64);
                if time.text_content().as_ref() != Some(&words) {
                    time.set_text_content(Some(&words));
                }
            }
        };
        set_interval(tick, Duration::from_secs(15));
        window_event_listener_untyped("visibilitychange", move |_| tick());
    }
}

/// All elements of the page that match.
fn all(selector: &str) -> impl Iterator<Item = Element> + use<> {
    let found = document().query_selector_all(selector).ok();
    let count = found.as_ref().map(|found| found.length()).unwrap_or_default();
    (0..count).filter_map(move |index| found.as_ref()?.item(index)?.dyn_into().ok())
}

/// What was just done, over the page's edge, where it can be taken away again.
#[island]
pub fn Toast(text: String, detail: Option<String>) -> impl IntoView {
    let (shown, alive, dismissed) = (RwSignal::new(true), RwSignal::new(false), RwSignal::new(false));
    // A screen reader says what is put into a status, not what was in it when the page came.
    if is_browser() {
        queue_microtask(move || shown.set(false));
        let say = move || {
            alive.set(true);
            shown.set(true);
        };
        set_timeout(say, Duration::from_millis(50));
    }
    let quiet = detail.is_none();
    let said = |text: Option<String>| move || text.clone().filter(|_| shown.get());
    view! {
        <div class="callout good toast" hidden=move || dismissed.get()>
            <div role="status">
                <p>
                    <strong>{said(Some(text))}</strong>
                </p>
                <p hidden=quiet>{said(detail)}</p>
            </div>
            <button
                type="button"
                class="button quiet"
                aria-label="Dismiss"
                hidden=move || !alive.get()
                on:click=move |_| dismissed.set(true)
            >
                "×"
            </button>
        </div>
    }
}

/// One box ticks all of a table's, and is ticked when all of them are. Boxes have `data-pick`, and this one `data-pick-all`.
#[island]
pub fn Picks(children: Children) -> impl IntoView {
    let changed = move |event: ev::Event| {
        let boxes = || all("[data-pick]").filter_map(|pick| pick.dyn_into::<HtmlInputElement>().ok());
        let every = all("[data-pick-all]").find_map(|every| every.dyn_into::<HtmlInputElement>().ok());
        let target = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
        let (Some(every), Some(target)) = (every, target) else { return };
        if target == every {
            boxes().for_each(|pick| pick.set_checked(every.checked()));
        } else {
            every.set_checked(boxes().all(|pick| pick.checked()));
        }
    };
    view! {
        <div class="card table-card" on:change=changed>
            {children()}
        </div>
    }
}

/// "/" leads to the search field of the list, unless somebody is typing.
#[island]
pub fn SearchShortcut() -> impl IntoView {
    if is_browser() {
        window_event_listener(ev::keydown, move |event| {
            let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
            let typing = target.is_some_and(|target| {
                target.closest("input:not([type=checkbox]), select, textarea, dialog").ok().flatten().is_some()
            });
            let other = event.key() != "/" || event.ctrl_key() || event.meta_key() || event.alt_key();
            if other || typing || all(":modal").next().is_some() {
                return;
            }
            let search =
                document().get_element_by_id("filter-q").and_then(|field| field.dyn_into::<HtmlInputElement>().ok());
            if let Some(search) = search {
                event.prevent_default();
                // It throws for nothing that is in the page.
                let _ = search.focus();
                search.select();
            }
        });
    }
}

/// Adds one's own address to the list of them above, once.
#[island]
pub fn AddAddress(address: String) -> impl IntoView {
    let alive = RwSignal::new(false);
    if is_browser() {
        queue_microtask(move || alive.set(true));
    }
    let add = move |_| {
        let list =
            document().get_element_by_id("addresses").and_then(|list| list.dyn_into::<HtmlTextAreaElement>().ok());
        let Some(list) = list else { return };
        let text = list.value();
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        if !lines.contains(&address.as_str()) {
            lines.push(&address);
        }
        list.set_value(&lines.join("\n"));
        // It throws for nothing that is in the page.
        let _ = list.unchecked_into::<HtmlElement>().focus();
    };
    view! {
        <button type="button" class="button quiet" hidden=move || !alive.get() on:click=add>
            "Add it"
        </button>
    }
}
