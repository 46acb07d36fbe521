//! DOMAIN: people: their names and addresses, passwords, sign-in with its growing delay, browser sessions, and the access
//! tokens minted from them.

pub mod access_token;
pub mod password;
pub mod session;
pub mod sign_in;
pub mod store;

use crate::text;

/// An e-mail address, as a name to sign in with: something, an at sign, something with a dot or `localhost`, at most 254
/// bytes. Whether mail arrives there is not known from its shape, so no more is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let fits = text.len() <= 254
            && !text.chars().any(|c| c.is_whitespace() || text::is_invisible(c))
            && text.rsplit_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.starts_with('.') && !domain.ends_with('.') && !domain.is_empty()
            });
        if fits { Ok(Self(text.to_owned())) } else { Err("Enter an e-mail address, as in ada@example.com.") }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a person is called: 1 to 80 visible characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text::line(text, "Enter a name.").map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in [
            "ada@example.com",
            " ada@example.com ",
            "a.b+c@sub.example.co",
            "ünï@exämple.de",
            "\"a@b\"@example.com",
            "root@localhost",
        ] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a da@example.com",
            "ada@.com",
            "ada@example.",
            "ada\u{200b}@example.com",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(250))).is_err());
    }
}
