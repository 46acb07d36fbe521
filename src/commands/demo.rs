//! `keydesk seed-demo`: half a year of an organization. What happened is put in order first, and then done with the
//! functions that do it for people, at its time; the calls of three months are judged like the key plane judges them.

mod calls;
mod cast;

use std::collections::BTreeMap;

use clap::Args;
use secrecy::SecretString;
use serde_json::json;
use sqlx::{Postgres, Transaction};
use strum::VariantArray;
use time::{Duration, OffsetDateTime, Time, Weekday};
use uuid::Uuid;

use super::{CommandError, Desk, say, say_json};
use crate::{
    accounts::{self, Email, PersonName, access_token, password::NewPassword},
    actor::{Actor, Principal, Role},
    audit::{self, Chain, Event},
    clock,
    config::Origin,
    database::RlsScope,
    ids::{KeyId, OrgId, UserId},
    keys::{
        self,
        lifecycle::{self, Edit, Issued, NewKey, Rotation, Wish},
        model::{Lifetime, Reason},
        verdict::Code,
    },
    orgs::{self, OrgName, Permit, Slug, lifecycle::NewPerson},
    secrets::{self, Digest},
    usage::{Agent, Recorder, Use, refusals::Refusals},
    webhooks::{self, Make},
};
use calls::{Called, Teller};
use cast::{CAST, Fate, Part};

#[derive(Args)]
pub struct SeedDemo {
    /// How many keys the organization gets
    #[arg(long, default_value_t = 24)]
    keys: u32,
    #[arg(long)]
    json: bool,
}

const ORG: (&str, &str) = ("acme-demo", "Acme Demo");
/// How long the organization is there. All history is younger.
const AGE: i64 = 190;

/// A person of the demo.
struct Played {
    email: &'static str,
    name: &'static str,
    role: Role,
    /// Where they sit, and with what.
    address: &'static str,
    agent: &'static str,
    /// On which share of days they sign in.
    days: f64,
}

/// The first is printed.
const PEOPLE: [Played; 4] = [
    Played {
        email: "dana@demo.example",
        name: "Dana Whitfield",
        role: Role::Owner,
        address: "203.0.113.24",
        agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        days: 0.08,
    },
    Played {
        email: "ines@demo.example",
        name: "Inés Okafor",
        role: Role::Admin,
        address: "203.0.113.24",
        agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.6 Safari/605.1.15",
        days: 0.17,
    },
    Played {
        email: "tomas@demo.example",
        name: "Tomáš Lindqvist",
        role: Role::Developer,
        address: "2001:db8:9c::51",
        agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36",
        days: 0.24,
    },
    Played {
        email: "ruth@demo.example",
        name: "Ruth Abara",
        role: Role::Viewer,
        address: "198.51.100.73",
        agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
        days: 0.05,
    },
];
const DANA: usize = 0;
/// Came as a viewer, and was made a developer before anything else he does.
const TOMAS: usize = 2;
/// Of the keys that have no story.
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

/// What happened.
#[derive(Clone, Copy)]
enum Step {
    Join(usize),
    Promote(usize),
    SignIn(usize),
    /// With a wrong password.
    Mistype(usize),
    Token(usize),
    Webhook(Make),
    /// A key with a story, by its place in the cast.
    Make(usize),
    Befall(usize, Fate),
    /// A key without one.
    More(u32),
    /// It is revoked.
    NoMore(u32),
}

pub async fn run(desk: &Desk, command: SeedDemo) -> Result<(), CommandError> {
    let founded = desk.now - Duration::days(AGE);
    let org = OrgId(clock::id(founded));
    let password = secrets::random_token().map_err(|error| CommandError::said(error.to_string()))?;
    let mut tx = desk.begin(RlsScope::Org(org)).await?;
    let slug = Slug::parse(ORG.0).map_err(CommandError::said)?;
    let name = OrgName::parse(ORG.1).map_err(CommandError::said)?;
    let permit = Permit::grant(&Actor::operator(), org)?;
    orgs::lifecycle::create_org(&mut tx, &desk.server_keys.audit, &permit, &slug, &name, founded).await?;
    let mut demo = Demo { desk, org, password: &password, people: Vec::new(), cast: BTreeMap::new(), more: Vec::new() };
    let (parts, more) = casting(command.keys);
    for (at, step) in story(desk.now, &parts, more) {
        demo.happen(&mut tx, step, at).await?;
    }
    tx.commit().await?;
    demo.call().await?;
    let email = PEOPLE[DANA].email;
    let password = secrets::reveal(&password);
    if command.json {
        return say_json(&json!({ "org": ORG.0, "email": email, "password": password, "keys": command.keys }));
    }
    let people: Vec<String> =
        PEOPLE.iter().map(|person| format!("  {}  {}", person.email, person.role.as_str())).collect();
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

/// Which of the cast are in a demo of so many keys, and how many keys it has besides.
fn casting(keys: u32) -> (Vec<usize>, u32) {
    let mut left = keys;
    let mut parts = Vec::new();
    for (index, part) in CAST.iter().enumerate() {
        if part.keys() <= left {
            left -= part.keys();
            parts.push(index);
        }
    }
    (parts, left)
}

/// All that happened, in the order in which it did, as the audit log has to tell it.
fn story(now: OffsetDateTime, parts: &[usize], more: u32) -> Vec<(OffsetDateTime, Step)> {
    let founded = now - Duration::days(AGE);
    let mut steps = vec![
        (founded, Step::Join(0)),
        (founded + Duration::minutes(4), Step::Join(1)),
        (founded + Duration::minutes(9), Step::Join(2)),
        (founded + Duration::minutes(11), Step::Join(3)),
        (founded + Duration::minutes(40), Step::Promote(TOMAS)),
        (moment(now, 174, 1), Step::Webhook(Make::First)),
        (moment(now, 51, 1), Step::Webhook(Make::Replacement)),
        (moment(now, 118, 3), Step::Mistype(1)),
        (moment(now, 26, 4), Step::Mistype(TOMAS)),
        (moment(now, 26, 4) + Duration::seconds(31), Step::Mistype(TOMAS)),
        (moment(now, 72, 5), Step::Token(TOMAS)),
        (moment(now, 17, 6), Step::Token(TOMAS)),
        (moment(now, 17, 6) + Duration::minutes(13), Step::Token(TOMAS)),
        (moment(now, 3, 7), Step::Token(1)),
    ];
    for (seed, (index, person)) in (100..).zip(PEOPLE.iter().enumerate()) {
        for day in 1..AGE - 1 {
            if noise(seed, day) < person.days {
                steps.push((moment(now, day, seed + 10), Step::SignIn(index)));
            }
        }
    }
    for (seed, index) in (200..).zip(parts) {
        let Some(part) = CAST.get(*index) else { continue };
        steps.push((moment(now, part.made, seed), Step::Make(*index)));
        steps.extend(part.fate.iter().map(|(day, fate)| (moment(now, *day, seed), Step::Befall(*index, *fate))));
    }
    let from = founded + Duration::HOUR;
    for n in 0..more {
        let at = from + (now - from) * (f64::from(n + 1) / f64::from(more + 1));
        steps.push((at, Step::More(n)));
        let ended = at + Duration::minutes(5);
        if n % 6 == 4 && ended < now {
            steps.push((ended, Step::NoMore(n)));
        }
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}

/// Some time in the working hours of the day so many days ago, or of the Friday before.
fn moment(now: OffsetDateTime, days: i64, seed: u64) -> OffsetDateTime {
    let day = now - Duration::days(days);
    let back = match day.weekday() {
        Weekday::Saturday => 1,
        Weekday::Sunday => 2,
        _ => 0,
    };
    let seconds = 8. * 3_600. + 9. * 3_600. * noise(seed, days);
    // Whole seconds would look made up.
    let at = (day - Duration::days(back)).replace_time(Time::MIDNIGHT) + Duration::seconds_f64(seconds);
    // What was founded within the day is not older than that.
    clock::storable(at.max(now - Duration::days(AGE) + Duration::HOUR))
}

/// From 0 to 1. Looks irregular, and is the same each time.
fn noise(seed: u64, n: i64) -> f64 {
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.cast_unsigned().wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

struct Demo<'a> {
    desk: &'a Desk,
    org: OrgId,
    password: &'a SecretString,
    people: Vec<Actor>,
    /// Of the cast: the keys that a part has had, the newest last.
    cast: BTreeMap<usize, Vec<Made>>,
    /// The others, in the order in which they were made.
    more: Vec<One>,
}

struct One {
    key: KeyId,
    by: usize,
    made: OffsetDateTime,
    /// Until when it is or was good, or now.
    until: OffsetDateTime,
}

struct Made {
    id: KeyId,
    digest: Digest,
    at: OffsetDateTime,
}

impl Made {
    fn new(issued: &Issued, at: OffsetDateTime) -> Self {
        Self { id: issued.id, digest: issued.secret.digest, at }
    }
}

impl Demo<'_> {
    async fn happen(
        &mut self,
        tx: &mut Transaction<'static, Postgres>,
        step: Step,
        at: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let (desk, org) = (self.desk, self.org);
        let audit_key = &desk.server_keys.audit;
        match step {
            Step::Join(who) => self.join(tx, who, at).await?,
            Step::Promote(who) => {
                let permit = Permit::grant(self.actor(DANA)?, org)?;
                let user = self.actor(who)?.user().ok_or_else(unplayed)?;
                orgs::lifecycle::set_role(tx, audit_key, &permit, user, Role::Developer, at).await?;
            }
            Step::SignIn(who) => self.sign_in(tx, who, true, at).await?,
            Step::Mistype(who) => self.sign_in(tx, who, false, at).await?,
            Step::Token(who) => {
                // Long expired, and nobody gets to see it.
                let origin = Origin::parse("http://localhost:3000").map_err(CommandError::said)?;
                let keys = &desk.server_keys.tokens;
                access_token::mint(tx, audit_key, keys, &origin, self.actor(who)?, Uuid::new_v4(), at)
                    .await
                    .map_err(|error| CommandError::said(error.to_string()))?;
            }
            Step::Webhook(make) => {
                let permit = Permit::grant(self.actor(DANA)?, org)?;
                let (environment, sealer) = (self.environment(true), &desk.server_keys.sealer);
                webhooks::make(tx, audit_key, sealer, &permit, make, &environment, Uuid::new_v4(), at)
                    .await
                    .map_err(|error| CommandError::said(error.to_string()))?;
            }
            Step::Make(index) => {
                let part = CAST.get(index).ok_or_else(unplayed)?;
                let issued = self.issue(tx, part.by, self.wish(part), at).await?;
                self.cast.insert(index, vec![Made::new(&issued, at)]);
            }
            Step::Befall(index, fate) => self.befall(tx, index, fate, at).await?,
            Step::More(n) => self.one_more(tx, n, at).await?,
            Step::NoMore(n) => self.no_more(tx, n, at).await?,
        }
        Ok(())
    }

    async fn join(
        &mut self,
        tx: &mut Transaction<'static, Postgres>,
        who: usize,
        at: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let person = PEOPLE.get(who).ok_or_else(unplayed)?;
        let added = self::person(self.desk, person.email, person.name, self.password).await?;
        let permit = Permit::grant(&Actor::operator(), self.org)?;
        let role = if who == TOMAS { Role::Viewer } else { person.role };
        let user = orgs::lifecycle::add_member(tx, &self.desk.server_keys.audit, &permit, &added, role, at).await?;
        self.people.push(member(self.org, user, person));
        Ok(())
    }

    /// As the sign-in page notes it.
    async fn sign_in(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        who: usize,
        accepted: bool,
        at: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let actor = self.actor(who)?;
        let user = actor.user().ok_or_else(unplayed)?;
        let (summary, principal) = if accepted {
            accounts::store::signed_in(tx, user, at).await?;
            ("Signed in".to_owned(), actor.principal.clone())
        } else {
            (format!("Refused a sign-in as {}", actor.name()), Principal::Anonymous)
        };
        let event = Event {
            action: "sign_in",
            subject: format!("user:{}", user.0),
            summary,
            details: json!({}),
            refused: !accepted,
            actor: &Actor { principal, request_id: clock::id(at), ..actor.clone() },
            at,
        };
        Ok(audit::record(tx, &self.desk.server_keys.audit, Chain::Org(self.org), event).await?)
    }

    async fn befall(
        &mut self,
        tx: &mut Transaction<'static, Postgres>,
        index: usize,
        fate: Fate,
        at: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let (desk, org) = (self.desk, self.org);
        let (audit_key, catalog) = (&desk.server_keys.audit, &desk.catalog);
        let (part, made) = CAST.get(index).zip(self.cast.get(&index)).ok_or_else(unplayed)?;
        let actor = self.actor(part.by)?;
        let key = made.first().ok_or_else(unplayed)?.id;
        match fate {
            Fate::Revoke(reason) => {
                lifecycle::revoke(tx, audit_key, &Permit::grant(actor, org)?, key, reason, at).await?;
            }
            Fate::Disable => {
                lifecycle::disable(tx, audit_key, &Permit::grant(actor, org)?, key, at).await?;
            }
            Fate::Narrow => {
                let left = self.wish(part).scopes.into_iter().take(1).collect();
                let edit = Edit { scopes: Some(left), ..Edit::default() };
                lifecycle::edit(tx, audit_key, &Permit::grant(actor, org)?, key, &edit, catalog, at).await?;
            }
            Fate::Bind(addresses) => {
                let addresses = addresses.lines().map(str::to_owned).collect();
                let edit = Edit { addresses: Some(addresses), ..Edit::default() };
                lifecycle::edit(tx, audit_key, &Permit::grant(actor, org)?, key, &edit, catalog, at).await?;
            }
            Fate::Rotate(window) => {
                let rotation = Rotation { window, reason: Reason::Superseded, idempotency_key: None };
                let permit = Permit::grant(actor, org)?;
                let rotated = lifecycle::rotate(tx, audit_key, &permit, key, &rotation, catalog, at).await?;
                let made = Made::new(&rotated.issued, at);
                self.cast.entry(index).or_default().push(made);
            }
            Fate::Finish => {
                lifecycle::finish_rotation(tx, audit_key, &Permit::grant(actor, org)?, key, at).await?;
            }
        }
        Ok(())
    }

    /// A key like many.
    async fn one_more(
        &mut self,
        tx: &mut Transaction<'static, Postgres>,
        n: u32,
        at: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let catalog = &self.desk.catalog;
        let expires = ["never", "never", "365d", "90d", "30d"].get(pick(n + 7, 5)).copied().unwrap_or("never");
        let name = NAMES.get(n as usize % NAMES.len()).copied().unwrap_or_default();
        let wish = Wish {
            name: format!("{name} {}", n as usize / NAMES.len() + 2),
            environment: catalog.environments.get(usize::from(n % 4 == 3)).map(|e| e.name.clone()).unwrap_or_default(),
            tier: catalog.tiers.get(usize::from(n % 7 == 6)).map(|t| t.name.clone()).unwrap_or_default(),
            expires: expires.to_owned(),
            ..self.wish(&Part { scopes: 1 + pick(n + 3, 3), ..CAST[0] })
        };
        let by = pick(n, 3);
        let key = self.issue(tx, by, wish, at).await?.id;
        let until = match Lifetime::parse(expires) {
            Ok(Lifetime::Days(days)) => at + Duration::days(i64::from(days)),
            _ => self.desk.now,
        };
        self.more.push(One { key, by, made: at, until: until.min(self.desk.now) });
        Ok(())
    }

    async fn no_more(
        &mut self,
        tx: &mut Transaction<'static, Postgres>,
        n: u32,
        at: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let reason = Reason::VARIANTS.get(pick(n, Reason::VARIANTS.len())).copied().unwrap_or_default();
        let one = self.more.get_mut(n as usize).ok_or_else(unplayed)?;
        one.until = at;
        let (key, by) = (one.key, one.by);
        let permit = Permit::grant(self.actor(by)?, self.org)?;
        lifecycle::revoke(tx, &self.desk.server_keys.audit, &permit, key, reason, at).await?;
        Ok(())
    }

    async fn issue(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        by: usize,
        wish: Wish,
        at: OffsetDateTime,
    ) -> Result<Issued, CommandError> {
        let new =
            NewKey::parse(wish, &self.desk.catalog).map_err(|_| CommandError::said("this catalog has no demo"))?;
        let permit = Permit::grant(self.actor(by)?, self.org)?;
        Ok(lifecycle::issue(tx, &self.desk.server_keys.audit, &permit, &new, at).await?)
    }

    /// A part, as far as the catalog has what it wants.
    fn wish(&self, part: &Part) -> Wish {
        let catalog = &self.desk.catalog;
        let tier = catalog.tiers.get(part.tier).or(catalog.tiers.first());
        let allowed = catalog.scopes.iter().filter(|scope| tier.is_some_and(|tier| tier.allows(&scope.name)));
        Wish {
            name: part.name.to_owned(),
            environment: self.environment(part.live),
            tier: tier.map(|tier| tier.name.clone()).unwrap_or_default(),
            scopes: allowed.take(part.scopes).map(|scope| scope.name.clone()).collect(),
            namespaces: if catalog.namespaces_required { vec!["default".to_owned()] } else { Vec::new() },
            expires: part.expires.to_owned(),
            ..Wish::default()
        }
    }

    /// The one for real traffic, or another.
    fn environment(&self, live: bool) -> String {
        let environments = &self.desk.catalog.environments;
        let real = |name: &str| ["live", "production"].contains(&name);
        let found = environments.iter().find(|one| real(&one.name) == live).or(environments.first());
        found.map(|one| one.name.clone()).unwrap_or_default()
    }

    fn actor(&self, who: usize) -> Result<&Actor, CommandError> {
        self.people.get(who).ok_or_else(unplayed)
    }

    /// Who called with the keys, and what came of it.
    async fn call(&self) -> Result<(), CommandError> {
        let (catalog, now, pool) = (&self.desk.catalog, self.desk.now, &self.desk.database.keys);
        let (recorder, refusals) = (Recorder::default(), Refusals::default());
        let teller = Teller { catalog, recorder: &recorder, refusals: &refusals, now };
        for (index, made) in &self.cast {
            let Some(part) = CAST.get(*index) else { continue };
            for (nth, made) in made.iter().enumerate() {
                let Some(record) = keys::store::find_for_verification(pool, made.digest).await? else { continue };
                let called = Called::new(&record, made.at, part.traffic, catalog);
                for (seed, stream) in (*index as u64 * 100..).zip(part.traffic) {
                    if stream.successor == (nth > 0) {
                        teller.tell(&called, stream, seed);
                    }
                }
            }
        }
        for (n, one) in (0..).zip(&self.more) {
            if let Some(used) = use_of(one.key, self.org, n, one.made, one.until) {
                recorder.note(used);
            }
        }
        while recorder.waiting() > 0 {
            recorder.flush(pool).await?;
        }
        Ok(refusals.flush(pool).await?)
    }
}

/// The cast is one list; nobody in it is missing.
fn unplayed() -> CommandError {
    CommandError::said("the demo's story does not fit together")
}

async fn person(desk: &Desk, email: &str, name: &str, password: &SecretString) -> Result<NewPerson, CommandError> {
    let password = NewPassword::parse(password, &[]).map_err(CommandError::said)?;
    Ok(NewPerson {
        email: Email::parse(email).map_err(CommandError::said)?,
        name: PersonName::parse(name).map_err(CommandError::said)?,
        password_hash: desk.hasher()?.hash(password).await?,
    })
}

fn member(org: OrgId, user: UserId, person: &Played) -> Actor {
    Actor {
        principal: Principal::Member { user, name: person.name.to_owned(), org, role: person.role },
        address: person.address.to_owned(),
        agent: person.agent.to_owned(),
        ..Actor::operator()
    }
}

/// Looks irregular, and is the same each time.
fn pick(index: u32, of: usize) -> usize {
    (index.wrapping_mul(2_654_435_761) >> 16) as usize % of.max(1)
}

/// Most keys are in use as long as they are good, some never were, and some have gone quiet.
fn use_of(key: KeyId, org: OrgId, index: u32, made: OffsetDateTime, until: OffsetDateTime) -> Option<Use> {
    if index % 5 == 2 {
        return None;
    }
    let quiet =
        if index.is_multiple_of(3) { (until - made) / 2 } else { Duration::seconds(40 + i64::from(index) * 173) };
    Some(Use {
        key,
        org,
        at: (until - quiet).max(made),
        address: Some(std::net::Ipv4Addr::new(203, 0, 113, (10 + index % 200) as u8).into()),
        agent: Agent::parse(AGENTS.get(pick(index, AGENTS.len())).copied().unwrap_or_default()),
        via: (index % 4 == 1).then(|| "edge-gateway".to_owned()),
        code: Code::Valid,
    })
}
