//! The verdict on a presented key: a closed vocabulary, and one pure function that asks gate by gate.

pub mod store;

use crate::actor::Role;
use crate::ids::{KeyId, OrgId, UserId};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{lifespan::KeyLifespan, model::KeyState, secret::Malformed};
use crate::catalog::Catalog;

/// Everything about a key that a verdict depends on.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    pub id: KeyId,
    pub org_id: OrgId,
    /// The organization's slug.
    pub org: String,
    pub name: String,
    pub environment: String,
    pub tier: String,
    pub scopes: Vec<String>,
    pub namespaces: Vec<String>,
    /// From where it may be used. Empty: from anywhere.
    pub ip_allowlist: Vec<IpNet>,
    pub expires_at: Option<OffsetDateTime>,
    pub disabled_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
    /// When it ends, if it was replaced.
    pub overlap_ends_at: Option<OffsetDateTime>,
    /// It was replaced and ended at once or before its time, so it is over whatever this node's clock says.
    pub overlap_ended: bool,
    /// The key that replaced it.
    pub successor: Option<KeyId>,
    pub org_suspended: bool,
    /// `None`: the operator.
    pub created_by: Option<UserId>,
    /// What its creator is to the organization today.
    pub creator: Creator,
}

impl KeyRecord {
    fn lifespan(&self) -> KeyLifespan {
        KeyLifespan {
            revoked_at: self.revoked_at,
            overlap_ended: self.overlap_ended,
            overlap_ends_at: self.overlap_ends_at,
            disabled_at: self.disabled_at,
            expires_at: self.expires_at,
        }
    }
}

/// What a key's creator is to its organization today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creator {
    /// The command line or a back office, which cannot leave.
    Operator,
    Member(Role),
    /// No member any more, or their account is shut.
    Gone,
}

/// What the caller requires of the key. What is not required is not checked.
#[derive(Clone, Debug, Default)]
pub struct Requirements<'a> {
    /// Slugs or ids: the key has to be of each of these organizations. A proxy and its route may both require one.
    pub orgs: [Option<&'a str>; 2],
    pub environment: Option<&'a str>,
    pub namespace: Option<&'a str>,
    /// All of them are required.
    pub scopes: &'a [String],
    /// The client's address. A key with an allowlist does not accept an unknown one (`None`).
    pub address: Option<IpAddr>,
}

/// What the counters say, for the last two gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitState {
    Within,
    /// The tier's rate is spent. Seconds until there is room again.
    OverRate(u64),
    /// The month's quota is spent. Seconds until the next month.
    OverQuota(u64),
    /// The limiter could not be asked, and the tier does not go on without it.
    Unknown,
}

/// A verdict's stable word, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
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

/// The answer, with what explains it. [`crate::machine_http`] words it for whoever presented the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    /// No key was presented. The sentence says where one belongs.
    Missing(&'static str),
    Malformed(Malformed),
    NotFound,
    /// The key is good, but not of the organization that is required.
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
    /// The key has the scopes, but its creator may not use these today, and the catalog binds keys to their creators.
    BeyondCreator {
        missing: Vec<String>,
    },
    RateLimited {
        retry_after: u64,
    },
    UsageExceeded {
        retry_after: u64,
    },
    /// Keydesk cannot know whether the key is good.
    Unavailable,
}

impl Verdict {
    pub fn code(&self) -> Code {
        match self {
            Self::Valid => Code::Valid,
            Self::Missing(_) => Code::Missing,
            Self::Malformed(_) => Code::Malformed,
            // For a caller that requires another organization, this key does not exist.
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
}

/// What a key has to pass, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// What each gate says of one presented credential, under one set of requirements, at one moment.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The gates after this one had nothing to judge by.
    last: Gate,
    /// The gates that refuse, in their order. Empty for a key that is good, so that nothing is allocated for it.
    refusals: Vec<(Gate, Verdict)>,
}

impl Evaluation {
    /// Of a credential that led to no key, for the reason that the verdict tells.
    pub fn without_key(verdict: Verdict) -> Self {
        let gate = match verdict {
            Verdict::Missing(_) | Verdict::Malformed(_) => Gate::Shape,
            _ => Gate::Found,
        };
        Self { last: gate, refusals: vec![(gate, verdict)] }
    }

    /// Of a key that was found: every gate but its limits, each asked once. A key that is refused here spends nothing.
    pub fn of_key(key: &KeyRecord, requirements: &Requirements<'_>, catalog: &Catalog, now: OffsetDateTime) -> Self {
        let inputs = Inputs { key, requirements, catalog, now };
        let answers = [
            (Gate::Found, inputs.org()),
            (Gate::State, inputs.state()),
            (Gate::Standing, inputs.standing()),
            (Gate::Environment, inputs.environment()),
            (Gate::Address, inputs.address()),
            (Gate::Namespace, inputs.namespace()),
            (Gate::Scope, inputs.scope()),
        ];
        let refusals = answers.into_iter().filter_map(|(gate, refusal)| Some((gate, refusal?)));
        Self { last: Gate::Scope, refusals: refusals.collect() }
    }

    /// Adds the last two gates.
    pub fn add_limits(&mut self, state: LimitState) {
        self.last = Gate::Quota;
        self.refusals.extend(match state {
            LimitState::Within => None,
            LimitState::OverRate(retry_after) => Some((Gate::Rate, Verdict::RateLimited { retry_after })),
            LimitState::OverQuota(retry_after) => Some((Gate::Quota, Verdict::UsageExceeded { retry_after })),
            LimitState::Unknown => Some((Gate::Rate, Verdict::Unavailable)),
        });
    }

    /// The first refusal, if there is one.
    pub fn verdict(&self) -> Verdict {
        self.refusals.first().map_or(Verdict::Valid, |(_, verdict)| verdict.clone())
    }

    /// Every gate that had something to judge by, also those after the first that refused, and what it says. `None`: it
    /// lets the key pass.
    pub fn gates(&self) -> impl Iterator<Item = (Gate, Option<&Verdict>)> {
        Gate::ALL.into_iter().take_while(|gate| *gate <= self.last).map(|gate| {
            let refusal = self.refusals.iter().find(|(refusing, _)| *refusing == gate);
            (gate, refusal.map(|(_, verdict)| verdict))
        })
    }
}

/// What the gates judge by. Each of its functions is a gate and answers its refusal.
struct Inputs<'a> {
    key: &'a KeyRecord,
    requirements: &'a Requirements<'a>,
    catalog: &'a Catalog,
    now: OffsetDateTime,
}

impl Inputs<'_> {
    fn org(&self) -> Option<Verdict> {
        let is_of = |org: &str| org == self.key.org || org == self.key.org_id.to_string();
        let right = self.requirements.orgs.iter().flatten().all(|org| is_of(org));
        (!right).then_some(Verdict::WrongOrg)
    }

    fn state(&self) -> Option<Verdict> {
        let key = self.key;
        match key.lifespan().state(self.now) {
            KeyState::Active => None,
            KeyState::Revoked => Some(Verdict::Revoked),
            KeyState::Rotated => Some(Verdict::Rotated { successor: key.successor }),
            KeyState::Disabled => Some(Verdict::Disabled),
            KeyState::Expired => Some(Verdict::Expired),
        }
    }

    fn standing(&self) -> Option<Verdict> {
        let creator_stands = self.key.creator != Creator::Gone || !self.catalog.bound_to_creator;
        (self.key.org_suspended || !creator_stands).then_some(Verdict::Suspended)
    }

    fn environment(&self) -> Option<Verdict> {
        let wrong = self.requirements.environment.is_some_and(|environment| environment != self.key.environment);
        wrong.then_some(Verdict::WrongEnvironment)
    }

    fn address(&self) -> Option<Verdict> {
        let inside = |address: IpAddr| {
            let address = address.to_canonical();
            self.key.ip_allowlist.iter().any(|net| net.contains(&address))
        };
        let allowed = self.key.ip_allowlist.is_empty() || self.requirements.address.is_some_and(inside);
        (!allowed).then_some(Verdict::IpNotAllowed)
    }

    fn namespace(&self) -> Option<Verdict> {
        let (key, namespace) = (self.key, self.requirements.namespace?);
        let open = key.namespaces.is_empty() && !self.catalog.namespaces_required;
        if open || key.namespaces.iter().any(|known| known == namespace) {
            return None;
        }
        Some(Verdict::NamespaceNotAllowed { namespace: namespace.to_owned(), org: key.org.clone() })
    }

    /// A scope counts if the key has it and its tier allows it today. What a tier allows that the catalog does not know
    /// any more cannot be known.
    fn scope(&self) -> Option<Verdict> {
        let (key, asked) = (self.key, self.requirements.scopes);
        let Some(tier) = self.catalog.tier(&key.tier) else { return Some(Verdict::Unavailable) };
        let covered = |scope: &str| tier.allows(scope) && key.scopes.iter().any(|has| self.catalog.covers(has, scope));
        let missing: Vec<String> = asked.iter().filter(|scope| !covered(scope)).cloned().collect();
        if !missing.is_empty() {
            return Some(Verdict::InsufficientScope { missing });
        }
        let missing: Vec<String> =
            asked.iter().filter(|scope| !creator_may(self.catalog, key, scope)).cloned().collect();
        (!missing.is_empty()).then_some(Verdict::BeyondCreator { missing })
    }
}

/// Whether a key's creator may use a scope today; true where the catalog does not bind keys to that.
fn creator_may(catalog: &Catalog, key: &KeyRecord, scope: &str) -> bool {
    !catalog.bound_to_creator
        || match key.creator {
            Creator::Operator => true,
            Creator::Member(role) => catalog.role_allows(role, scope),
            Creator::Gone => false,
        }
}

/// The scopes of a key that count today: its tier allows them, and so does what its creator may. Only these are told to
/// services and proxies, which may decide by them.
pub fn effective_scopes<'a>(catalog: &'a Catalog, key: &'a KeyRecord) -> impl Iterator<Item = &'a str> {
    let tier = catalog.tier(&key.tier);
    let counts = move |scope: &&str| tier.is_none_or(|tier| tier.allows(scope)) && creator_may(catalog, key, scope);
    key.scopes.iter().map(String::as_str).filter(counts)
}

#[cfg(test)]
mod tests;
