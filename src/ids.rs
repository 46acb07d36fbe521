//! Which person, which organization (or the whole deployment), which key: UUIDs that the compiler tells apart. They are v7, so they sort by creation.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}
ids!(
    /// Which person.
    UserId,
    /// Which organization.
    OrgId,
    /// Which key.
    KeyId,
);

/// Where something happens: in one organization, or in the deployment as a whole. Each has an audit log of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Org(OrgId),
    Deployment,
}

/// The deployment as a whole, where no organization can be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment;

impl From<OrgId> for Scope {
    fn from(org: OrgId) -> Self {
        Self::Org(org)
    }
}

impl From<Deployment> for Scope {
    fn from(_: Deployment) -> Self {
        Self::Deployment
    }
}

/// The error is the scope that was expected not to be.
impl TryFrom<Scope> for OrgId {
    type Error = Scope;

    fn try_from(scope: Scope) -> Result<Self, Scope> {
        match scope {
            Scope::Org(org) => Ok(org),
            Scope::Deployment => Err(scope),
        }
    }
}

impl TryFrom<Scope> for Deployment {
    type Error = Scope;

    fn try_from(scope: Scope) -> Result<Self, Scope> {
        match scope {
            Scope::Deployment => Ok(Self),
            Scope::Org(_) => Err(scope),
        }
    }
}
