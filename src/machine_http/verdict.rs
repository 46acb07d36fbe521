//! How a verdict is told to programs.

use serde_json::json;

use crate::keys::verdict::{Evaluation, Verdict};

impl Verdict {
    /// The sentence for whoever presented the key. It is safe to tell: what is true of a key is told only once its full
    /// secret matched.
    pub fn detail(&self) -> String {
        match self {
            Self::Valid => "The key is good.".to_owned(),
            Self::Missing(where_keys_belong) => (*where_keys_belong).to_owned(),
            Self::Malformed(why) => why.detail().to_owned(),
            Self::NotFound | Self::WrongOrg => "There is no such key.".to_owned(),
            Self::Revoked => "The key has been revoked. Create a new one in the console.".to_owned(),
            Self::Rotated { successor: Some(id) } => {
                format!("The key has been replaced by the key {id}, and its time is over. Use that one.")
            }
            Self::Rotated { successor: None } => "The key has been replaced, and its time is over.".to_owned(),
            Self::Disabled => "The key is disabled. Its owner can enable it in the console.".to_owned(),
            Self::Expired => "The key has expired. Create a new one in the console.".to_owned(),
            Self::Suspended => {
                "The key's organization, or who made the key, is suspended. Ask the provider.".to_owned()
            }
            Self::WrongEnvironment => "The key belongs to another environment.".to_owned(),
            Self::IpNotAllowed => "The key may not be used from this address. Its owner can change that.".to_owned(),
            Self::NamespaceNotAllowed { namespace, org } => {
                format!("Namespace '{namespace}' not permitted for tenant '{org}'")
            }
            Self::InsufficientScope { missing } => format!("The key lacks the scope {}.", missing.join(", ")),
            Self::BeyondCreator { missing } => {
                format!(
                    "Who made the key may not use the scope {} any more, so neither may the key.",
                    missing.join(", ")
                )
            }
            Self::RateLimited { retry_after } => {
                format!("The key has spent its calls for now. Try again in {retry_after} s.")
            }
            Self::UsageExceeded { .. } => "The key has spent its calls of this month.".to_owned(),
            Self::Unavailable => "Keydesk cannot check keys right now. Try again in a moment.".to_owned(),
        }
    }
}

/// What each gate says, as the refusal log keeps it and a dry run answers it.
pub fn gates_json(evaluation: &Evaluation) -> serde_json::Value {
    let line = |(gate, refusal): (_, Option<&Verdict>)| match refusal {
        None => json!({ "gate": gate, "passed": true }),
        Some(verdict) => json!({ "gate": gate, "passed": false, "code": verdict.code(), "detail": verdict.detail() }),
    };
    evaluation.gates().map(line).collect()
}
