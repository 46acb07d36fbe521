//! How pages look in a browser: kept in a cookie of that browser, since it is about a screen and not about a person. The
//! server draws with it, so that no page flashes in the wrong colours first.

use tower_cookies::{
    Cookie, Cookies,
    cookie::{SameSite, time::Duration},
};

const COOKIE: &str = "keydesk_look";

/// The first of each is the default.
pub const THEMES: [(&str, &str); 3] = [("system", "As the system"), ("light", "Light"), ("dark", "Dark")];
pub const DENSITIES: [(&str, &str); 2] = [("comfortable", "Comfortable"), ("compact", "Compact")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appearance {
    pub theme: &'static str,
    pub density: &'static str,
}

impl Default for Appearance {
    fn default() -> Self {
        Self { theme: THEMES[0].0, density: DENSITIES[0].0 }
    }
}

impl Appearance {
    /// Errors: which field does not name anything.
    pub fn parse(theme: &str, density: &str) -> Result<Self, &'static str> {
        let known = |word: &str, words: &[(&'static str, &str)]| {
            words.iter().map(|(known, _)| *known).find(|known| *known == word)
        };
        Ok(Self { theme: known(theme, &THEMES).ok_or("theme")?, density: known(density, &DENSITIES).ok_or("density")? })
    }

    /// As a browser's cookies say; what makes no sense is as if it were not there.
    pub fn of(cookies: &Cookies) -> Self {
        let cookie = cookies.get(COOKIE);
        let look = cookie.as_ref().and_then(|cookie| cookie.value().split_once('.'));
        look.and_then(|(theme, density)| Self::parse(theme, density).ok()).unwrap_or_default()
    }

    /// Has a browser keep it for a year.
    pub fn cookie(self, secure: bool) -> Cookie<'static> {
        Cookie::build((COOKIE, format!("{}.{}", self.theme, self.density)))
            .path("/")
            .max_age(Duration::days(365))
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(secure)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_survives_its_cookie_and_nonsense_is_no_look() {
        let look = Appearance::parse("dark", "compact").unwrap();
        let of = |value: String| {
            let cookies = Cookies::default();
            cookies.add(Cookie::new(COOKIE, value));
            Appearance::of(&cookies)
        };
        assert_eq!(of(look.cookie(true).value().to_owned()), look);
        assert_eq!(Appearance::of(&Cookies::default()), Appearance::default());
        for nonsense in ["", "dark", "dark.\"><script>", "x.compact"] {
            assert_eq!(of(nonsense.to_owned()), Appearance::default(), "{nonsense}");
        }
        assert_eq!(Appearance::parse("pink", "compact"), Err("theme"));
        assert_eq!(Appearance::parse("light", ""), Err("density"));
    }
}
