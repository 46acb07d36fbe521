//! The document around every page.

use leptos::{config::LeptosOptions, hydration::HydrationScripts, prelude::*, server_fn::ServerFn};

use super::appearance::Appearance;
use crate::console_plane::{sign_in::forms::SignOut, ui::live::Clock};

/// Who looks at the page, for the banner and the navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub name: String,
    pub email: String,
    /// `None` for staff, who belong to no organization.
    pub org: Option<String>,
    /// `Owner`, `Admin`, `Developer`, `Viewer` or `Support`.
    pub role: &'static str,
    pub staff: bool,
    pub may_view_audit: bool,
}

/// Which entry of the navigation is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    None,
    Keys,
    Webhooks,
    Audit,
    Members,
    Settings,
    Support,
    Nodes,
}

impl Section {
    /// Label and address.
    fn entry(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::None => None,
            Self::Keys => Some(("API keys", "/keys")),
            Self::Webhooks => Some(("Webhooks", "/webhooks")),
            Self::Audit => Some(("Audit log", "/audit")),
            Self::Members => Some(("Members", "/members")),
            Self::Settings => Some(("Settings", "/settings")),
            Self::Support => Some(("Support desk", "/support")),
            Self::Nodes => Some(("Nodes", "/nodes")),
        }
    }

    /// The outline of its icon, in a box of 24.
    fn icon(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Keys => "M14.5 9.5a5 5 0 1 1-2.3-4.2M11 11l9 9m-3-3 2-2m-5-1 2-2",
            Self::Webhooks => "M9 15a4 4 0 1 1-4-4m6 7h6a4 4 0 1 0-3-6.6M12 7l-4 8m2-10a4 4 0 1 1 5 4l2 4",
            Self::Audit => "M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01",
            Self::Members => {
                "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7m-6 9c0-3.3 2.7-6 6-6s6 2.7 6 6m0-15.6a3.5 3.5 0 0 1 0 6.2M21 20c0-2.6-1.6-4.8-4-5.6"
            }
            Self::Settings => {
                "M4 7h9m5 0h2M4 17h2m5 0h9M15.5 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5m-7 10a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5"
            }
            Self::Nodes => "M4 5h16v6H4zm0 8h16v6H4zm4-5h.01M8 16h.01",
            Self::Support => "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14m5-2 4 4",
        }
    }
}

/// The browser half's files of this build, by their names under `/pkg`.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Assets {
    pub js: String,
    pub wasm: String,
    pub css: String,
}

/// A whole page: banner and navigation for who is signed in, a quiet frame for who is not.
#[component]
pub fn Document(
    title: String,
    /// The provider's name.
    brand: String,
    viewer: Option<Viewer>,
    current: Section,
    assets: Assets,
    look: Appearance,
    /// What time the server has.
    now: String,
    content: AnyView,
) -> impl IntoView {
    let stem = assets.js.strip_suffix(".js").unwrap_or(&assets.js);
    let options = LeptosOptions::builder().output_name(stem).site_pkg_dir("pkg").hash_files(false).build();
    let frame = if viewer.is_some() { "app" } else { "outside" };
    let banner = match viewer {
        Some(viewer) => view! { <Banner brand=brand.clone() viewer current /> }.into_any(),
        None => view! {
            <header class="outside-head">
                <Brand brand=brand.clone() href="/sign-in" />
            </header>
        }
        .into_any(),
    };
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=look.theme data-density=look.density>
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <title>{format!("{title} · {brand}")}</title>
                <link rel="stylesheet" href=format!("/pkg/{}", assets.css) />
                <link rel="icon" type="image/svg+xml" href="/favicon.svg" />
                <HydrationScripts options islands=true />
            </head>
            <body class=frame>
                <a class="skip" href="#main">
                    "Skip to content"
                </a>
                {banner}
                <main id="main" tabindex="-1">
                    {content}
                </main>
                <Clock now />
            </body>
        </html>
    }
}

#[component]
fn Banner(brand: String, viewer: Viewer, current: Section) -> impl IntoView {
    let sections: &[Section] = if viewer.staff {
        &[Section::Support, Section::Nodes, Section::Settings]
    } else {
        &[Section::Keys, Section::Webhooks, Section::Audit, Section::Members, Section::Settings]
    };
    // What a role may not see is not offered to it.
    let offered = |section: &&Section| **section != Section::Audit || viewer.may_view_audit;
    let home = if viewer.staff { "/support" } else { "/keys" };
    let entries = sections
        .iter()
        .filter(offered)
        .filter_map(|section| {
            let (label, href) = section.entry()?;
            let here = (*section == current).then_some("page");
            Some(view! {
                <li>
                    <a href=href aria-current=here>
                        <svg viewBox="0 0 24 24" aria-hidden="true">
                            <path d=section.icon() />
                        </svg>
                        {label}
                    </a>
                </li>
            })
        })
        .collect::<Vec<_>>();
    view! {
        <header class="banner">
            <div class="banner-top">
                <Brand brand href=home />
                {viewer.org.map(|org| view! { <span class="banner-org">{org}</span> })}
                <div class="banner-person">
                    <span class="banner-name" title=viewer.email>
                        {viewer.name}
                    </span>
                    <span class="tag">{viewer.role}</span>
                    <form method="post" action=SignOut::PATH>
                        <button class="button quiet">"Sign out"</button>
                    </form>
                </div>
            </div>
            <nav aria-label="Main">
                <ul>{entries}</ul>
            </nav>
        </header>
    }
}

#[component]
fn Brand(brand: String, href: &'static str) -> impl IntoView {
    view! {
        <a class="brand" href=href>
            <svg viewBox="0 0 32 32" aria-hidden="true">
                <rect width="32" height="32" rx="8" />
                <g>
                    <circle cx="11.5" cy="16" r="4.5" />
                    <path d="M16 16h10v4m-4-4v3" />
                </g>
            </svg>
            <span>{brand}</span>
        </a>
    }
}
