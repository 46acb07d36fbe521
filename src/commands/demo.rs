//! `keydesk seed-demo`

use clap::Args;
use secrecy::SecretString;
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{CommandError, Desk, say, say_json};
use crate::{
    accounts::{Email, PersonName, UserId, password::NewPassword},
    clock,
    database::Reach,
    keys::{
        lifecycle::{self, NewKey, Wish},
        model::{KeyId, Reason},
        verdict::Code,
    },
    orgs::{self, Actor, OrgId, OrgName, Permit, Principal, Role, Slug, lifecycle::NewPerson},
    secrets,
    usage::{Agent, Recorder, Use},
};

#[derive(Args)]
pub struct SeedDemo {
    /// How many keys the organization gets
    #[arg(long, default_value_t = 24)]
    keys: u32,
    #[arg(long)]
    json: bool,
}

const ORG: (&str, &str) = ("acme-demo", "Acme Demo");
/// Address, name, role; the first is printed.
const PEOPLE: [(&str, &str, Role); 4] = [
    ("dana@demo.example", "Dana Whitfield", Role::Owner),
    ("ines@demo.example", "Inés Okafor", Role::Admin),
    ("tomas@demo.example", "Tomáš Lindqvist", Role::Developer),
    ("ruth@demo.example", "Ruth Abara", Role::Viewer),
];
const NAMES: [&str; 12] = [
    "Checkout service",
    "CI deploys",
    "Mobile app",
    "Nightly export",
    "Warehouse sync",
    "Fraud scoring",
    "Status page",
    "Partner portal",
    "Invoice worker",
    "Data science notebook",
    "Email digest",
    "Load test",
];
const AGENTS: [&str; 6] =
    ["curl/8.5.0", "python-httpx/0.28.1", "okhttp/5.1.0", "node-fetch/3.3.2", "Go-http-client/2.0", "axios/1.12.2"];

pub async fn run(desk: &Desk, command: SeedDemo) -> Result<(), CommandError> {
    // Half a year of history, which the organization is older than.
    let founded = desk.now - Duration::days(190);
    let org = OrgId(clock::id(founded));
    let password = secrets::random_token().map_err(|error| CommandError::said(error.to_string()))?;
    let mut tx = desk.begin(Reach::Org(org)).await?;
    let (audit_key, operator) = (&desk.server_keys.audit, Actor::operator());
    let slug = Slug::parse(ORG.0).map_err(CommandError::said)?;
    let name = OrgName::parse(ORG.1).map_err(CommandError::said)?;
    orgs::lifecycle::create_org(&mut tx, audit_key, &Permit::grant(&operator, org)?, &slug, &name, founded).await?;
    let mut people = Vec::new();
    for (email, name, role) in PEOPLE {
        let person = person(desk, email, name, &password).await?;
        let permit = Permit::grant(&operator, org)?;
        let user = orgs::lifecycle::add_member(&mut tx, audit_key, &permit, &person, role, founded).await?;
        people.push(member(org, user, name, role));
    }
    let mut uses = Vec::new();
    for index in 0..command.keys {
        // Spread over the half year, oldest first, as the audit chain has to tell it.
        let at = founded + (desk.now - founded) * (f64::from(index + 1) / f64::from(command.keys + 1));
        let Some(creator) = people.get(pick(index, 3)) else { continue };
        let key = issue(desk, &mut tx, creator, index, at).await?;
        uses.extend(use_of(key, org, index, at, desk.now));
    }
    tx.commit().await?;
    let recorder = Recorder::default();
    uses.into_iter().for_each(|used| recorder.note(used));
    recorder.flush(&desk.database.keys).await?;
    let (email, ..) = PEOPLE[0];
    let password = secrets::shown_once(&password);
    if command.json {
        return say_json(&json!({ "org": ORG.0, "email": email, "password": password, "keys": command.keys }));
    }
    let people: Vec<String> = PEOPLE.iter().map(|(email, _, role)| format!("  {email}  {}", role.as_str())).collect();
    say(&[
        &format!(
            "Made {} with {} keys. Sign in as {email} with this password, which is not shown again:",
            ORG.1, command.keys
        ),
        &password,
        "The others have the same one:",
        &people.join("\n"),
    ])
}

async fn person(desk: &Desk, email: &str, name: &str, password: &SecretString) -> Result<NewPerson, CommandError> {
    let password = NewPassword::parse(password, &[]).map_err(CommandError::said)?;
    Ok(NewPerson {
        email: Email::parse(email).map_err(CommandError::said)?,
        name: PersonName::parse(name).map_err(CommandError::said)?,
        password_hash: desk.hasher()?.hash(password).await?,
    })
}

fn member(org: OrgId, user: UserId, name: &str, role: Role) -> Actor {
    Actor {
        principal: Principal::Member { user, name: name.to_owned(), org, role },
        address: "203.0.113.24".to_owned(),
        agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
        ..Actor::operator()
    }
}

/// Looks irregular, and is the same each time.
fn pick(index: u32, of: usize) -> usize {
    (index.wrapping_mul(2_654_435_761) >> 16) as usize % of.max(1)
}

async fn issue(
    desk: &Desk,
    tx: &mut sqlx::PgConnection,
    creator: &Actor,
    index: u32,
    at: OffsetDateTime,
) -> Result<KeyId, CommandError> {
    let org = match &creator.principal {
        Principal::Member { org, .. } => *org,
        _ => OrgId::NONE,
    };
    let catalog = &desk.catalog;
    let round = index as usize / NAMES.len();
    let name = NAMES.get(index as usize % NAMES.len()).copied().unwrap_or_default();
    let expires = ["never", "never", "365d", "90d", "30d"].get(pick(index + 7, 5)).copied().unwrap_or("never");
    let wish = Wish {
        name: if round == 0 { name.to_owned() } else { format!("{name} {}", round + 1) },
        environment: catalog.environments.get(usize::from(index % 4 == 3)).map(|e| e.name.clone()).unwrap_or_default(),
        tier: catalog.tiers.get(usize::from(index % 7 == 6)).map(|t| t.name.clone()).unwrap_or_default(),
        scopes: catalog.scopes.iter().take(1 + pick(index + 3, 3)).map(|scope| scope.name.clone()).collect(),
        expires: expires.to_owned(),
        ..Wish::default()
    };
    let new = NewKey::parse(wish, catalog).map_err(|_| CommandError::said("this catalog has no demo"))?;
    let audit_key = &desk.server_keys.audit;
    let key = lifecycle::issue(tx, audit_key, &Permit::grant(creator, org)?, &new, at).await?.id;
    if index % 6 == 4 {
        let reason = Reason::ALL.get(pick(index, Reason::ALL.len())).copied().unwrap_or_default();
        lifecycle::revoke(tx, audit_key, &Permit::grant(creator, org)?, key, reason, at + Duration::minutes(5)).await?;
    }
    Ok(key)
}

/// Most keys are in use, some never were, and some have gone quiet.
fn use_of(key: KeyId, org: OrgId, index: u32, made: OffsetDateTime, now: OffsetDateTime) -> Option<Use> {
    if index % 5 == 2 {
        return None;
    }
    let quiet = if index.is_multiple_of(3) { (now - made) / 2 } else { Duration::seconds(40 + i64::from(index) * 173) };
    Some(Use {
        key,
        org,
        at: (now - quiet).max(made),
        address: Some(std::net::Ipv4Addr::new(203, 0, 113, (10 + index % 200) as u8).into()),
        agent: Agent::parse(AGENTS.get(pick(index, AGENTS.len())).copied().unwrap_or_default()),
        via: (index % 4 == 1).then(|| "edge-gateway".to_owned()),
        code: Code::Valid,
    })
}
