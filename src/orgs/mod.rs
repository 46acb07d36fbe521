//! DOMAIN: organizations, their members, and what somebody is to them today.

pub mod lifecycle;
pub mod standing;
pub mod store;

use crate::text;

/// What an organization is called: 1 to 80 visible characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgName(String);

impl OrgName {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        text::line(text, "Say what the organization is called.").map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A slug made of the name; `org` if the name has nothing that a slug can hold.
    pub fn slug(&self) -> Slug {
        let mut slug = String::new();
        for c in self.0.to_lowercase().chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.ends_with('-') && !slug.is_empty() {
                slug.push('-');
            }
            if slug.len() == Slug::MAX {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        Slug(if slug.is_empty() { "org".to_owned() } else { slug.to_owned() })
    }
}

/// An organization's name for machines: lower-case letters, digits and inner hyphens, at most 48.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slug(String);

impl Slug {
    const MAX: usize = 48;

    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let fits = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("an organization's slug is 1 to 48 of a-z, 0-9 and inner hyphens, as in acme-corp")
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_makes_a_slug() {
        let slug = |name: &str| OrgName::parse(name).unwrap().slug();
        assert_eq!(slug("Acme Corp.").as_str(), "acme-corp");
        assert_eq!(slug("  -- Ünïcode & Söhne -- ").as_str(), "n-code-s-hne");
        assert_eq!(slug("日本").as_str(), "org");
        for name in ["x".repeat(80), format!("{} y", "x".repeat(47)), "a-".repeat(40)] {
            assert!(Slug::parse(slug(&name).as_str()).is_ok(), "{name}");
        }
    }
}
