//! The verdict on a presented key: a closed vocabulary and one pure function, gate by gate.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use super::secret::Malformed;
use crate::{
    actor::Role,
    catalog::Catalog,
    ids::{KeyId, OrgId, UserId},
};

/// Everything about a key that a verdict depends on.
#[derive(Clone, Debug)]
pub struct Record {
    pub id: KeyId,
    pub org_id: OrgId,
    /// The organization's slug.
    pub org: String,
    pub name: String,
    pub environment: String,
    pub tier: String,
    pub scopes: Vec<String>,
    pub namespaces: Vec<String>,
    /// Empty: from anywhere.
    pub addresses: Vec<IpNet>,
    pub expires_at: Option<OffsetDateTime>,
    pub disabled_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
    /// When it ends, if it was replaced.
    pub overlap_ends_at: Option<OffsetDateTime>,
    /// Replaced and ended at once, or before its time: whatever this node's clock says.
    pub overlap_ended: bool,
    /// The key that replaced it.
    pub successor: Option<KeyId>,
    pub org_suspended: bool,
    /// `None`: the operator.
    pub created_by: Option<UserId>,
    /// What who made it is to the organization today.
    pub creator: Creator,
}

/// What who made a key is to its organization today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creator {
    /// On the command line, or a back office: nobody who could leave.
    Operator,
    Member(Role),
    /// Removed, or their account is shut.
    Gone,
}

/// What looking a credential up came to.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// Nothing was sent where a key counts.
    Missing,
    /// A Bearer was sent where only `x-api-key` counts.
    WrongHeader,
    Malformed(Malformed),
    /// The database did not answer.
    Unreachable,
    Unknown,
    Found(&'a Record),
}

/// What the caller expects of the key; nothing expected, nothing checked.
#[derive(Clone, Debug, Default)]
pub struct Asked<'a> {
    /// An organization's slug or id.
    pub org: Option<&'a str>,
    pub environment: Option<&'a str>,
    pub namespace: Option<&'a str>,
    /// All of them are needed.
    pub scopes: &'a [String],
    /// The client's address; `None`: not known, which a key with an allowlist does not accept.
    pub address: Option<IpAddr>,
}

/// What the counters say: the last two gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// Not asked yet: whoever is refused before must spend nothing.
    NotYet,
    Within,
    /// Seconds until there is room again.
    OverRate(u64),
    OverQuota(u64),
    /// The limiter could not be asked, and the tier does not go on without it.
    Unknown,
}

/// The answer's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    Valid,
    Missing,
    Malformed,
    NotFound,
    Revoked,
    Rotated,
    Disabled,
    Expired,
    Suspended,
    WrongEnvironment,
    IpNotAllowed,
    NamespaceNotAllowed,
    InsufficientScope,
    RateLimited,
    UsageExceeded,
    Unavailable,
}

impl Code {
    pub const ALL: [Self; 16] = [
        Self::Valid,
        Self::Missing,
        Self::Malformed,
        Self::NotFound,
        Self::Revoked,
        Self::Rotated,
        Self::Disabled,
        Self::Expired,
        Self::Suspended,
        Self::WrongEnvironment,
        Self::IpNotAllowed,
        Self::NamespaceNotAllowed,
        Self::InsufficientScope,
        Self::RateLimited,
        Self::UsageExceeded,
        Self::Unavailable,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::Missing => "MISSING",
            Self::Malformed => "MALFORMED",
            Self::NotFound => "NOT_FOUND",
            Self::Revoked => "REVOKED",
            Self::Rotated => "ROTATED",
            Self::Disabled => "DISABLED",
            Self::Expired => "EXPIRED",
            Self::Suspended => "SUSPENDED",
            Self::WrongEnvironment => "WRONG_ENVIRONMENT",
            Self::IpNotAllowed => "IP_NOT_ALLOWED",
            Self::NamespaceNotAllowed => "NAMESPACE_NOT_ALLOWED",
            Self::InsufficientScope => "INSUFFICIENT_SCOPE",
            Self::RateLimited => "RATE_LIMITED",
            Self::UsageExceeded => "USAGE_EXCEEDED",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// The answer, with what explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    Missing {
        /// Whether a Bearer would have counted too.
        bearer: bool,
    },
    WrongHeader,
    Malformed(Malformed),
    NotFound,
    /// The key is good, but not of the organization that was asked for.
    WrongOrg,
    Revoked,
    /// Another key replaced it, and its time is over.
    Rotated {
        successor: Option<KeyId>,
    },
    Disabled,
    Expired,
    Suspended,
    WrongEnvironment,
    IpNotAllowed,
    NamespaceNotAllowed {
        namespace: String,
        org: String,
    },
    InsufficientScope {
        missing: Vec<String>,
    },
    /// The key has the scopes, but who made it may not use these themself today, where the catalog binds keys to that.
    BeyondCreator {
        missing: Vec<String>,
    },
    RateLimited {
        retry_after: u64,
    },
    UsageExceeded {
        retry_after: u64,
    },
    /// Keydesk cannot know.
    Unavailable,
}

impl Verdict {
    pub fn code(&self) -> Code {
        match self {
            Self::Valid => Code::Valid,
            Self::Missing { .. } | Self::WrongHeader => Code::Missing,
            Self::Malformed(_) => Code::Malformed,
            // To whoever expects another organization, this key does not exist.
            Self::NotFound | Self::WrongOrg => Code::NotFound,
            Self::Revoked => Code::Revoked,
            Self::Rotated { .. } => Code::Rotated,
            Self::Disabled => Code::Disabled,
            Self::Expired => Code::Expired,
            Self::Suspended => Code::Suspended,
            Self::WrongEnvironment => Code::WrongEnvironment,
            Self::IpNotAllowed => Code::IpNotAllowed,
            Self::NamespaceNotAllowed { .. } => Code::NamespaceNotAllowed,
            Self::InsufficientScope { .. } | Self::BeyondCreator { .. } => Code::InsufficientScope,
            Self::RateLimited { .. } => Code::RateLimited,
            Self::UsageExceeded { .. } => Code::UsageExceeded,
            Self::Unavailable => Code::Unavailable,
        }
    }

    /// What to tell whoever presented the key. Safe: what is true of a key is told only once its full secret matched.
    pub fn detail(&self) -> String {
        match self {
            Self::Valid => "The key is good.".to_owned(),
            Self::Missing { bearer: true } => {
                "Send your API key in the x-api-key header, or as Authorization: Bearer.".to_owned()
            }
            Self::Missing { bearer: false } => "Send your API key in the x-api-key header.".to_owned(),
            Self::WrongHeader => {
                "Send your API key in the x-api-key header: Authorization: Bearer does not count here.".to_owned()
            }
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

/// What a key has to pass, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    Shape,
    Found,
    State,
    Standing,
    Environment,
    Address,
    Namespace,
    Scope,
    Rate,
    Quota,
}

impl Gate {
    pub const ALL: [Gate; 10] = [
        Self::Shape,
        Self::Found,
        Self::State,
        Self::Standing,
        Self::Environment,
        Self::Address,
        Self::Namespace,
        Self::Scope,
        Self::Rate,
        Self::Quota,
    ];
}

/// One key, one question, one moment.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub catalog: &'a Catalog,
    pub lookup: Lookup<'a>,
    pub asked: &'a Asked<'a>,
    pub spending: Spending,
    pub now: OffsetDateTime,
}

/// What a gate said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub gate: Gate,
    /// `None`: passed.
    pub refused: Option<Verdict>,
}

/// The verdict: the first gate that refuses.
pub fn decide(case: Case<'_>) -> Verdict {
    Gate::ALL.into_iter().find_map(|gate| case.refuses(gate)).unwrap_or(Verdict::Valid)
}

/// What every gate says, also those after the one that refused; up to the last that has something to judge by.
pub fn trace(case: Case<'_>) -> Vec<Step> {
    let judged = |gate: &Gate| match case.lookup {
        Lookup::Missing | Lookup::WrongHeader | Lookup::Malformed(_) => *gate == Gate::Shape,
        Lookup::Unknown | Lookup::Unreachable => matches!(gate, Gate::Shape | Gate::Found),
        Lookup::Found(_) => case.spending != Spending::NotYet || !matches!(gate, Gate::Rate | Gate::Quota),
    };
    Gate::ALL.into_iter().filter(judged).map(|gate| Step { gate, refused: case.refuses(gate) }).collect()
}

/// Gate by gate, for people and programs.
pub fn steps_json(steps: &[Step]) -> serde_json::Value {
    let step = |step: &Step| match &step.refused {
        None => json!({ "gate": step.gate, "passed": true }),
        Some(verdict) => {
            json!({ "gate": step.gate, "passed": false, "code": verdict.code(), "detail": verdict.detail() })
        }
    };
    steps.iter().map(step).collect()
}

impl Case<'_> {
    fn refuses(&self, gate: Gate) -> Option<Verdict> {
        let key = match (gate, self.lookup) {
            (Gate::Shape, Lookup::Missing) => return Some(Verdict::Missing { bearer: self.catalog.headers.bearer }),
            (Gate::Shape, Lookup::WrongHeader) => return Some(Verdict::WrongHeader),
            (Gate::Shape, Lookup::Malformed(why)) => return Some(Verdict::Malformed(why)),
            (Gate::Shape, _) => return None,
            (_, Lookup::Found(key)) => key,
            (_, Lookup::Unreachable) => return Some(Verdict::Unavailable),
            (_, Lookup::Unknown | Lookup::Missing | Lookup::WrongHeader | Lookup::Malformed(_)) => {
                return Some(Verdict::NotFound);
            }
        };
        match gate {
            Gate::Shape => None,
            Gate::Found => self.wrong_org(key),
            Gate::State => self.state(key),
            Gate::Standing => self.standing(key),
            Gate::Environment => {
                let wrong = self.asked.environment.is_some_and(|environment| environment != key.environment);
                wrong.then_some(Verdict::WrongEnvironment)
            }
            Gate::Address => self.address(key),
            Gate::Namespace => self.namespace(key),
            Gate::Scope => self.scope(key),
            Gate::Rate => match self.spending {
                Spending::OverRate(retry_after) => Some(Verdict::RateLimited { retry_after }),
                Spending::Unknown => Some(Verdict::Unavailable),
                _ => None,
            },
            Gate::Quota => match self.spending {
                Spending::OverQuota(retry_after) => Some(Verdict::UsageExceeded { retry_after }),
                _ => None,
            },
        }
    }

    fn wrong_org(&self, key: &Record) -> Option<Verdict> {
        let wrong = self.asked.org.is_some_and(|org| org != key.org && org != key.org_id.to_string());
        wrong.then_some(Verdict::WrongOrg)
    }

    fn state(&self, key: &Record) -> Option<Verdict> {
        if key.revoked_at.is_some() {
            Some(Verdict::Revoked)
        } else if key.overlap_ended || key.overlap_ends_at.is_some_and(|at| at <= self.now) {
            Some(Verdict::Rotated { successor: key.successor })
        } else if key.disabled_at.is_some() {
            Some(Verdict::Disabled)
        } else if key.expires_at.is_some_and(|at| at <= self.now) {
            Some(Verdict::Expired)
        } else {
            None
        }
    }

    fn standing(&self, key: &Record) -> Option<Verdict> {
        let stands = !key.org_suspended && (key.creator != Creator::Gone || !self.catalog.bound_to_creator);
        (!stands).then_some(Verdict::Suspended)
    }

    fn address(&self, key: &Record) -> Option<Verdict> {
        let inside = |address: IpAddr| {
            let address = address.to_canonical();
            key.addresses.iter().any(|net| net.contains(&address))
        };
        let allowed = key.addresses.is_empty() || self.asked.address.is_some_and(inside);
        (!allowed).then_some(Verdict::IpNotAllowed)
    }

    fn namespace(&self, key: &Record) -> Option<Verdict> {
        let namespace = self.asked.namespace?;
        let open = key.namespaces.is_empty() && !self.catalog.namespaces_required;
        if open || key.namespaces.iter().any(|known| known == namespace) {
            return None;
        }
        Some(Verdict::NamespaceNotAllowed { namespace: namespace.to_owned(), org: key.org.clone() })
    }

    /// A scope counts if the key has it and its tier allows it today. A tier that the catalog does not know any more
    /// allows nothing that can be known.
    fn scope(&self, key: &Record) -> Option<Verdict> {
        let Some(tier) = self.catalog.tier(&key.tier) else { return Some(Verdict::Unavailable) };
        let covered =
            |asked: &String| tier.allows(asked) && key.scopes.iter().any(|has| self.catalog.covers(has, asked));
        let missing: Vec<String> = self.asked.scopes.iter().filter(|asked| !covered(asked)).cloned().collect();
        if !missing.is_empty() {
            return Some(Verdict::InsufficientScope { missing });
        }
        let beyond = |asked: &&String| !creator_may(self.catalog, key, asked);
        let missing: Vec<String> = self.asked.scopes.iter().filter(beyond).cloned().collect();
        (!missing.is_empty()).then_some(Verdict::BeyondCreator { missing })
    }
}

/// Whether a key's creator may use a scope themself today; true where the catalog does not bind keys to that.
fn creator_may(catalog: &Catalog, key: &Record, scope: &str) -> bool {
    !catalog.bound_to_creator
        || match key.creator {
            Creator::Operator => true,
            Creator::Member(role) => catalog.role_allows(role, scope),
            Creator::Gone => false,
        }
}

/// Whether a scope that a key has counts today: its tier allows it, and so does what its creator may. Only such scopes are
/// told to services and proxies, which may judge by them themselves.
pub fn counts(catalog: &Catalog, key: &Record, scope: &str) -> bool {
    catalog.tier(&key.tier).is_none_or(|tier| tier.allows(scope)) && creator_may(catalog, key, scope)
}

#[cfg(test)]
mod tests;
