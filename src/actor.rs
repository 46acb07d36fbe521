//! Who acts: a person or a program, in which role. What they may do is the table in [`crate::permissions::role`].

use uuid::Uuid;

use crate::ids::{OrgId, UserId};

/// What somebody is to an organization, or to the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    Owner,
    Admin,
    Developer,
    Viewer,
    /// The provider's support people.
    Support,
    /// The command line.
    Operator,
    /// The provider's back office: a service key that may operate.
    Service,
    /// Not signed in.
    Anonymous,
}

impl Role {
    /// Those that a member can have.
    pub const MEMBERS: [Role; 4] = [Self::Owner, Self::Admin, Self::Developer, Self::Viewer];

    /// A member's role by its stored word.
    pub fn member(word: &str) -> Option<Self> {
        Self::MEMBERS.into_iter().find(|role| role.as_str() == word)
    }

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Admin => "Admin",
            Self::Developer => "Developer",
            Self::Viewer => "Viewer",
            Self::Support => "Support",
            Self::Operator => "Operator",
            Self::Service => "Service",
            Self::Anonymous => "Anonymous",
        }
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
