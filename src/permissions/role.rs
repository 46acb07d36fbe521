//! Who may do what, in one table.

use crate::actor::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum Action {
    ViewKeys,
    IssueKey,
    /// Rename, change scopes, namespaces, addresses and expiry, disable and enable.
    EditKey,
    RotateKey,
    RevokeKey,
    RevokeAllKeys,
    ViewWebhooks,
    ManageWebhooks,
    ViewAudit,
    ViewMembers,
    /// Remove members and change their roles; owners only by owners.
    ManageMembers,
    /// Look for a key in every organization.
    FindAnyKey,
    /// Revoke a key of an organization one does not belong to.
    RevokeAnyKey,
    /// See the key planes, and the last refusals of all organizations.
    ViewNodes,
    CreateOrg,
    /// Stop serving an organization, and serve it again.
    SuspendOrg,
    /// See every organization and how much it calls.
    ViewOrgs,
    /// Let an organization's keys into one more namespace.
    AddNamespace,
    AddMember,
    AddStaff,
    /// Set somebody's password, or shut their account.
    ManagePeople,
    IssueServiceKey,
    RevokeServiceKey,
}

impl Role {
    /// The table.
    pub fn may(self, action: Action) -> bool {
        use Action::*;
        match self {
            Self::Owner | Self::Admin => matches!(
                action,
                ViewKeys
                    | IssueKey
                    | EditKey
                    | RotateKey
                    | RevokeKey
                    | RevokeAllKeys
                    | ViewWebhooks
                    | ManageWebhooks
                    | ViewAudit
                    | ViewMembers
                    | ManageMembers
            ),
            Self::Developer => {
                matches!(
                    action,
                    ViewKeys | IssueKey | EditKey | RotateKey | RevokeKey | ViewWebhooks | ViewAudit | ViewMembers
                )
            }
            Self::Viewer => matches!(action, ViewKeys | ViewWebhooks | ViewMembers),
            Self::Support => matches!(action, FindAnyKey | RevokeAnyKey | ViewNodes),
            Self::Operator => matches!(
                action,
                IssueKey
                    | EditKey
                    | RotateKey
                    | FindAnyKey
                    | RevokeAnyKey
                    | ViewNodes
                    | CreateOrg
                    | SuspendOrg
                    | AddMember
                    | AddStaff
                    | ManagePeople
                    | IssueServiceKey
                    | RevokeServiceKey
            ),
            Self::Service => {
                matches!(action, IssueKey | RotateKey | CreateOrg | SuspendOrg | ViewOrgs | AddNamespace)
            }
            Self::Anonymous => false,
        }
    }
}

impl Action {
    /// For a refusal: "Your role, viewer, may not …".
    pub fn words(self) -> &'static str {
        match self {
            Self::ViewKeys => "see API keys",
            Self::IssueKey => "create API keys",
            Self::EditKey => "change API keys",
            Self::RotateKey => "rotate API keys",
            Self::RevokeKey => "revoke API keys",
            Self::RevokeAllKeys => "revoke all API keys",
            Self::ViewWebhooks => "see webhook settings",
            Self::ManageWebhooks => "change webhook secrets",
            Self::ViewAudit => "read the audit log",
            Self::ViewMembers => "see members",
            Self::ManageMembers => "change members",
            Self::FindAnyKey | Self::RevokeAnyKey => "work at the support desk",
            Self::ViewNodes => "see the nodes",
            Self::CreateOrg => "create organizations",
            Self::SuspendOrg => "suspend organizations",
            Self::ViewOrgs => "see all organizations",
            Self::AddNamespace => "add namespaces",
            Self::AddMember => "add members",
            Self::AddStaff => "add support staff",
            Self::ManagePeople => "set passwords and disable people",
            Self::IssueServiceKey => "create service keys",
            Self::RevokeServiceKey => "revoke service keys",
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    /// Printed whole, so that a change of the table is read as a change of the table.
    #[test]
    fn the_table() {
        let mut table = format!("{:<17}", "");
        for role in Role::VARIANTS {
            table += &format!("{:<10}", role.as_str());
        }
        for action in Action::VARIANTS {
            table += &format!("\n{:<17}", format!("{action:?}"));
            for role in Role::VARIANTS {
                table += &format!("{:<10}", if role.may(*action) { "yes" } else { "-" });
            }
        }
        let table: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        insta::assert_snapshot!(table);
    }
}
