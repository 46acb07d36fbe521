//! What the settings page shows.

use crate::{
    accounts::{self, session},
    console_plane::{
        context::{CurrentUser, RequestContext},
        error::ConsoleError,
        form::FormState,
        moment::When,
        settings::page::{SessionRow, SettingsPageModel},
        ui::Notice,
    },
    usage,
};

pub async fn page(
    cx: &RequestContext,
    who: &CurrentUser,
    refill: FormState,
    notice: Option<Notice>,
) -> Result<SettingsPageModel, ConsoleError> {
    let now = cx.console.clock.now();
    let (idle_since, begun_since) = session::bounds(now);
    let mut db = cx.console.db.acquire().await?;
    let sessions = accounts::store::sessions_of(&mut db, who.user, idle_since, begun_since).await?;
    let sessions = sessions
        .into_iter()
        .map(|session| SessionRow {
            this_one: session.id == who.session_id,
            id: session.id.to_string(),
            agent: browser_of(&session.agent),
            address: session.address.map(|address| address.to_string()).unwrap_or_default(),
            started: When::at(session.created_at, now),
            last_seen: When::at(session.last_seen_at, now),
        })
        .collect();
    Ok(SettingsPageModel { sessions, token: None, refill, notice })
}

/// `Firefox on Linux` where it can be told; otherwise the beginning of what the browser said of itself.
fn browser_of(agent: &str) -> String {
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let system = SYSTEMS.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    match (usage::browser(agent), system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ if agent.is_empty() => "Unknown browser".to_owned(),
        _ => agent.chars().take(40).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_recognised_by_what_they_say() {
        for (agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36 Edg/142.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/18.0 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl/8.5.0"),
            ("", "Unknown browser"),
        ] {
            assert_eq!(browser_of(agent), name);
        }
    }
}
