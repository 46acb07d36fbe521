//! DOMAIN: organizations, their members, what each role may do, and the permit that proves it.

pub mod lifecycle;
pub mod permit;
pub mod role;
pub mod standing;
pub mod store;

use uuid::Uuid;

use crate::accounts::UserId;
pub use permit::{Denied, Permit};
pub use role::{Action, Role};

/// Which organization: a UUID v7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct OrgId(pub Uuid);

impl From<Uuid> for OrgId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl OrgId {
    /// For what concerns no organization: staff and the deployment's own log.
    pub const NONE: OrgId = OrgId(Uuid::nil());
}

impl std::fmt::Display for OrgId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What an organization is called: 1 to 80 visible characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgName(String);

impl OrgName {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        crate::keys::model::line(text, "Say what the organization is called.").map(Self)
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

/// Who acts.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A person signed in, in the organization they are looking at.
    Member { user: UserId, name: String, org: OrgId, role: Role },
    /// One of the provider's support people, signed in.
    Staff { user: UserId, name: String },
    /// Whoever runs the deployment: on its command line, or with the set-up link it printed.
    Operator,
    /// A program of the provider's back office, with a service key that may operate.
    Service { name: String },
    /// Somebody who has not proved who they are.
    Anonymous,
}

/// Who acts, from where, in which request: what the audit log says of them.
#[derive(Clone, Debug)]
pub struct Actor {
    pub principal: Principal,
    /// The client's address; empty on the command line.
    pub address: String,
    pub agent: String,
    pub request_id: Uuid,
}

impl Actor {
    pub fn operator() -> Self {
        Self {
            principal: Principal::Operator,
            address: String::new(),
            agent: "keydesk".to_owned(),
            request_id: Uuid::new_v4(),
        }
    }

    /// As the organization they acted upon may know them.
    pub fn name(&self) -> String {
        match &self.principal {
            Principal::Member { name, .. } | Principal::Service { name } => name.clone(),
            Principal::Staff { name, .. } => format!("{name} (support)"),
            Principal::Operator => "Operator".to_owned(),
            Principal::Anonymous => "Somebody".to_owned(),
        }
    }

    pub fn user(&self) -> Option<UserId> {
        match &self.principal {
            Principal::Member { user, .. } | Principal::Staff { user, .. } => Some(*user),
            Principal::Operator | Principal::Service { .. } | Principal::Anonymous => None,
        }
    }

    pub fn kind(&self) -> &'static str {
        match &self.principal {
            Principal::Member { .. } => "member",
            Principal::Staff { .. } => "support",
            Principal::Operator => "operator",
            Principal::Service { .. } => "service",
            Principal::Anonymous => "anonymous",
        }
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
