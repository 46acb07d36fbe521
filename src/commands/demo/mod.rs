//! `keydesk seed-demo`: an organization with half a year of history. Its events are put in order and then applied, each
//! at its time, with the functions that the planes use. The calls of the last three months get the verdicts of the key
//! plane.

mod calls;
mod data;

use std::collections::BTreeMap;

use clap::Args;
use secrecy::SecretString;
use serde_json::json;
use strum::VariantArray;
use time::{Duration, OffsetDateTime, Time, Weekday};
use uuid::Uuid;

use super::{CommandContext, CommandError, say, say_json};
use crate::{
    accounts::{self, Email, PersonName, access_token, password::NewPassword},
    actor::{Actor, Principal, Role},
    audit::Event,
    clock,
    config::Origin,
    database::{self, RlsScope},
    ids::{KeyId, OrgId, UserId},
    keys::{
        self,
        lifecycle::{self, CreateKeyInput, Edit, Issued, NewKey, Rotation},
        model::{Lifetime, Reason},
        verdict::Code,
    },
    mutation::Mutation,
    orgs::{self, OrgName, Slug, lifecycle::NewPerson},
    revocation::Revision,
    secrets::{self, Digest},
    usage::{Agent, UsageRecorder, Use, refusals::RefusalRecorder},
    webhooks::{self, Make},
};
use calls::{CallGenerator, CalledKey};
use data::{DEMO_KEYS, DemoKey, KeyChange};

#[derive(Args)]
pub struct SeedDemo {
    /// How many keys the organization gets
    #[arg(long, default_value_t = 24)]
    keys: u32,
    #[arg(long)]
    json: bool,
}

const ORG_SLUG: &str = "acme-demo";
const ORG_NAME: &str = "Acme Demo";
/// The age of the organization. All events are younger.
const AGE_DAYS: i64 = 190;

/// A person of the demo.
struct DemoPerson {
    email: &'static str,
    name: &'static str,
    role: Role,
    address: &'static str,
    agent: &'static str,
    /// The share of days on which they sign in.
    sign_in_share: f64,
}

const PEOPLE: [DemoPerson; 4] = [
    DemoPerson {
        email: "dana@demo.example",
        name: "Dana Whitfield",
        role: Role::Owner,
        address: "203.0.113.24",
        agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        sign_in_share: 0.08,
    },
    DemoPerson {
        email: "ines@demo.example",
        name: "Inés Okafor",
        role: Role::Admin,
        address: "203.0.113.24",
        agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.6 Safari/605.1.15",
        sign_in_share: 0.17,
    },
    DemoPerson {
        email: "tomas@demo.example",
        name: "Tomáš Lindqvist",
        role: Role::Developer,
        address: "2001:db8:9c::51",
        agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36",
        sign_in_share: 0.24,
    },
    DemoPerson {
        email: "ruth@demo.example",
        name: "Ruth Abara",
        role: Role::Viewer,
        address: "198.51.100.73",
        agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
        sign_in_share: 0.05,
    },
];
/// The index of the owner, whose sign-in is printed.
const DANA: usize = 0;
/// The index of the person who joins as a viewer and becomes a developer.
const TOMAS: usize = 2;
/// The names of the extra keys, each with a number.
const EXTRA_KEY_NAMES: [&str; 12] = [
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
const EXTRA_KEY_AGENTS: [&str; 6] =
    ["curl/8.5.0", "python-httpx/0.28.1", "okhttp/5.1.0", "node-fetch/3.3.2", "Go-http-client/2.0", "axios/1.12.2"];

/// An event of the demo. People are given by their index in [`PEOPLE`], keys by theirs in [`DEMO_KEYS`].
#[derive(Clone, Copy)]
enum DemoEvent {
    Join(usize),
    Promote(usize),
    SignIn(usize),
    /// A sign-in with a wrong password.
    FailSignIn(usize),
    MintToken(usize),
    MakeWebhook(Make),
    CreateKey(usize),
    ChangeKey(usize, KeyChange),
    /// Creates one of the extra keys, which fill the organization up to the wanted number.
    CreateExtraKey(u32),
    RevokeExtraKey(u32),
}

pub async fn run(cx: &CommandContext<'_>, command: SeedDemo) -> Result<(), CommandError> {
    let founded = cx.now - Duration::days(AGE_DAYS);
    let org = OrgId(clock::id(founded));
    let password = secrets::random_token().map_err(|error| CommandError::said(error.to_string()))?;
    let mut m = cx.begin(RlsScope::Org(org)).await?;
    m.set_scene(Actor::operator(), founded);
    let slug = Slug::parse(ORG_SLUG).map_err(CommandError::said)?;
    let name = OrgName::parse(ORG_NAME).map_err(CommandError::said)?;
    let permit = m.permit()?;
    orgs::lifecycle::create_org(&mut m, &permit, &slug, &name).await?;
    let mut demo =
        Demo { cx, org, password: &password, people: Vec::new(), created: BTreeMap::new(), extra_keys: Vec::new() };
    let (chosen, extra_keys) = choose_keys(command.keys);
    for (at, event) in schedule(cx.now, &chosen, extra_keys) {
        demo.apply(&mut m, event, at).await?;
    }
    m.commit().await?;
    demo.record_calls().await?;
    let email = PEOPLE[DANA].email;
    let password = secrets::reveal(&password);
    if command.json {
        return say_json(&json!({ "org": ORG_SLUG, "email": email, "password": password, "keys": command.keys }));
    }
    let people: Vec<String> =
        PEOPLE.iter().map(|person| format!("  {}  {}", person.email, person.role.as_str())).collect();
    say(&[
        &format!(
            "Made {ORG_NAME} with {} keys. Sign in as {email} with this password, which is not shown again:",
            command.keys
        ),
        &password,
        "The others have the same one:",
        &people.join("\n"),
    ])
}

/// The demo keys that fit into a number of keys, and the number of extra keys besides them.
fn choose_keys(count: u32) -> (Vec<usize>, u32) {
    let mut left = count;
    let mut chosen = Vec::new();
    for (index, key) in DEMO_KEYS.iter().enumerate() {
        if key.key_count() <= left {
            left -= key.key_count();
            chosen.push(index);
        }
    }
    (chosen, left)
}

/// All events in the order of their times, which the audit log must have too.
fn schedule(now: OffsetDateTime, chosen: &[usize], extra_keys: u32) -> Vec<(OffsetDateTime, DemoEvent)> {
    let founded = now - Duration::days(AGE_DAYS);
    let mut events = vec![
        (founded, DemoEvent::Join(0)),
        (founded + Duration::minutes(4), DemoEvent::Join(1)),
        (founded + Duration::minutes(9), DemoEvent::Join(2)),
        (founded + Duration::minutes(11), DemoEvent::Join(3)),
        (founded + Duration::minutes(40), DemoEvent::Promote(TOMAS)),
        (working_time(now, 174, 1), DemoEvent::MakeWebhook(Make::First)),
        (working_time(now, 51, 1), DemoEvent::MakeWebhook(Make::Replacement)),
        (working_time(now, 118, 3), DemoEvent::FailSignIn(1)),
        (working_time(now, 26, 4), DemoEvent::FailSignIn(TOMAS)),
        (working_time(now, 26, 4) + Duration::seconds(31), DemoEvent::FailSignIn(TOMAS)),
        (working_time(now, 72, 5), DemoEvent::MintToken(TOMAS)),
        (working_time(now, 17, 6), DemoEvent::MintToken(TOMAS)),
        (working_time(now, 17, 6) + Duration::minutes(13), DemoEvent::MintToken(TOMAS)),
        (working_time(now, 3, 7), DemoEvent::MintToken(1)),
    ];
    for (seed, (index, person)) in (100..).zip(PEOPLE.iter().enumerate()) {
        for day in 1..AGE_DAYS - 1 {
            if noise(seed, day) < person.sign_in_share {
                events.push((working_time(now, day, seed + 10), DemoEvent::SignIn(index)));
            }
        }
    }
    for (seed, index) in (200..).zip(chosen) {
        let Some(key) = DEMO_KEYS.get(*index) else { continue };
        events.push((working_time(now, key.age_days, seed), DemoEvent::CreateKey(*index)));
        let changes = key.changes.iter();
        events.extend(
            changes.map(|(day, change)| (working_time(now, *day, seed), DemoEvent::ChangeKey(*index, *change))),
        );
    }
    let from = founded + Duration::HOUR;
    for n in 0..extra_keys {
        let at = from + (now - from) * (f64::from(n + 1) / f64::from(extra_keys + 1));
        events.push((at, DemoEvent::CreateExtraKey(n)));
        let ended = at + Duration::minutes(5);
        if n % 6 == 4 && ended < now {
            events.push((ended, DemoEvent::RevokeExtraKey(n)));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// A time in the working hours of a day, which is given in days ago. A day at a weekend is replaced by the Friday
/// before.
fn working_time(now: OffsetDateTime, days: i64, seed: u64) -> OffsetDateTime {
    let day = now - Duration::days(days);
    let back = match day.weekday() {
        Weekday::Saturday => 1,
        Weekday::Sunday => 2,
        _ => 0,
    };
    let seconds = 8. * 3_600. + 9. * 3_600. * noise(seed, days);
    // The fraction of a second stays, since whole seconds would look made up.
    let at = (day - Duration::days(back)).replace_time(Time::MIDNIGHT) + Duration::seconds_f64(seconds);
    // No event may be older than the organization and its people.
    clock::storable(at.max(now - Duration::days(AGE_DAYS) + Duration::HOUR))
}

/// A number from 0 to 1 that looks irregular and is the same each time.
fn noise(seed: u64, n: i64) -> f64 {
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.cast_unsigned().wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

struct Demo<'a> {
    cx: &'a CommandContext<'a>,
    org: OrgId,
    /// The password of all people.
    password: &'a SecretString,
    people: Vec<Actor>,
    /// The keys that were created for each of [`DEMO_KEYS`]: the first, and the one that replaced it.
    created: BTreeMap<usize, Vec<CreatedKey>>,
    extra_keys: Vec<ExtraKey>,
}

struct ExtraKey {
    id: KeyId,
    creator: usize,
    created_at: OffsetDateTime,
    /// The end of its validity, or now.
    until: OffsetDateTime,
}

struct CreatedKey {
    id: KeyId,
    digest: Digest,
    created_at: OffsetDateTime,
}

impl CreatedKey {
    fn new(issued: &Issued, created_at: OffsetDateTime) -> Self {
        Self { id: issued.id, digest: issued.secret.digest, created_at }
    }
}

impl Demo<'_> {
    async fn apply(&mut self, m: &mut Mutation, event: DemoEvent, at: OffsetDateTime) -> Result<(), CommandError> {
        let cx = self.cx;
        match event {
            DemoEvent::Join(who) => self.join(m, who, at).await?,
            DemoEvent::Promote(who) => {
                m.set_scene(self.actor(DANA)?.clone(), at);
                let (permit, user) = (m.permit()?, self.actor(who)?.user().ok_or_else(inconsistent)?);
                orgs::lifecycle::set_role(m, &permit, user, Role::Developer).await?;
            }
            DemoEvent::SignIn(who) => self.sign_in(m, who, true, at).await?,
            DemoEvent::FailSignIn(who) => self.sign_in(m, who, false, at).await?,
            DemoEvent::MintToken(who) => {
                // The token is for the audit log only. It is not shown, and has expired.
                let origin = Origin::parse("http://localhost:3000").map_err(CommandError::said)?;
                m.set_scene(self.actor(who)?.clone(), at);
                access_token::mint(m, &cx.server_keys.tokens, &origin, Uuid::new_v4())
                    .await
                    .map_err(|error| CommandError::said(error.to_string()))?;
            }
            DemoEvent::MakeWebhook(make) => {
                m.set_scene(self.actor(DANA)?.clone(), at);
                let (permit, environment) = (m.permit()?, self.environment(true));
                webhooks::make(m, &permit, &cx.server_keys.sealer, make, &environment, Uuid::new_v4())
                    .await
                    .map_err(|error| CommandError::said(error.to_string()))?;
            }
            DemoEvent::CreateKey(index) => {
                let key = DEMO_KEYS.get(index).ok_or_else(inconsistent)?;
                let issued = self.issue(m, key.creator, self.input(key), at).await?;
                self.created.insert(index, vec![CreatedKey::new(&issued, at)]);
            }
            DemoEvent::ChangeKey(index, change) => self.change_key(m, index, change, at).await?,
            DemoEvent::CreateExtraKey(n) => self.create_extra_key(m, n, at).await?,
            DemoEvent::RevokeExtraKey(n) => self.revoke_extra_key(m, n, at).await?,
        }
        Ok(())
    }

    async fn join(&mut self, m: &mut Mutation, who: usize, at: OffsetDateTime) -> Result<(), CommandError> {
        let person = PEOPLE.get(who).ok_or_else(inconsistent)?;
        let added = new_person(self.cx, person.email, person.name, self.password).await?;
        m.set_scene(Actor::operator(), at);
        let (permit, role) = (m.permit()?, if who == TOMAS { Role::Viewer } else { person.role });
        let user = orgs::lifecycle::add_member(m, &permit, &added, role).await?;
        self.people.push(member_actor(self.org, user, person));
        Ok(())
    }

    /// Writes the audit row that the sign-in page writes.
    async fn sign_in(
        &self,
        m: &mut Mutation,
        who: usize,
        accepted: bool,
        at: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let actor = self.actor(who)?;
        let user = actor.user().ok_or_else(inconsistent)?;
        let (summary, principal) = if accepted {
            accounts::store::signed_in(m, user, at).await?;
            ("Signed in".to_owned(), actor.principal.clone())
        } else {
            (format!("Refused a sign-in as {}", actor.name()), Principal::Anonymous)
        };
        m.set_scene(Actor { principal, request_id: clock::id(at), ..actor.clone() }, at);
        let event = Event { action: "sign_in", subject: accounts::subject(user), summary, details: json!({}) };
        let recorded = if accepted { m.record(event).await } else { m.record_refusal(event).await };
        Ok(recorded?)
    }

    async fn change_key(
        &mut self,
        m: &mut Mutation,
        index: usize,
        change: KeyChange,
        at: OffsetDateTime,
    ) -> Result<(), CommandError> {
        let catalog = &self.cx.catalog;
        let (demo_key, created) = DEMO_KEYS.get(index).zip(self.created.get(&index)).ok_or_else(inconsistent)?;
        m.set_scene(self.actor(demo_key.creator)?.clone(), at);
        let key = created.first().ok_or_else(inconsistent)?.id;
        match change {
            KeyChange::Revoke(reason) => {
                let permit = m.permit()?;
                lifecycle::revoke(m, &permit, key, reason).await?;
            }
            KeyChange::Disable => {
                let permit = m.permit()?;
                lifecycle::disable(m, &permit, key).await?;
            }
            KeyChange::RemoveScopes => {
                let left = self.input(demo_key).scopes.into_iter().take(1).collect();
                let edit = Edit { scopes: Some(left), ..Edit::default() };
                let permit = m.permit()?;
                lifecycle::edit(m, &permit, key, &edit, catalog).await?;
            }
            KeyChange::LimitAddresses(addresses) => {
                let addresses = addresses.lines().map(str::to_owned).collect();
                let edit = Edit { ip_allowlist: Some(addresses), ..Edit::default() };
                let permit = m.permit()?;
                lifecycle::edit(m, &permit, key, &edit, catalog).await?;
            }
            KeyChange::Rotate(overlap) => {
                let rotation = Rotation { overlap, reason: Reason::Superseded, idempotency_key: None };
                let permit = m.permit()?;
                let rotated = lifecycle::rotate(m, &permit, key, &rotation, catalog).await?;
                let successor = CreatedKey::new(&rotated.issued, at);
                self.created.entry(index).or_default().push(successor);
            }
            KeyChange::FinishRotation => {
                let permit = m.permit()?;
                lifecycle::finish_rotation(m, &permit, key, false).await?;
            }
        }
        Ok(())
    }

    async fn create_extra_key(&mut self, m: &mut Mutation, n: u32, at: OffsetDateTime) -> Result<(), CommandError> {
        let catalog = &self.cx.catalog;
        let expires = ["never", "never", "365d", "90d", "30d"].get(pick(n + 7, 5)).copied().unwrap_or("never");
        let name = EXTRA_KEY_NAMES.get(n as usize % EXTRA_KEY_NAMES.len()).copied().unwrap_or_default();
        let input = CreateKeyInput {
            name: format!("{name} {}", n as usize / EXTRA_KEY_NAMES.len() + 2),
            environment: catalog.environments.get(usize::from(n % 4 == 3)).map(|e| e.name.clone()).unwrap_or_default(),
            tier: catalog.tiers.get(usize::from(n % 7 == 6)).map(|t| t.name.clone()).unwrap_or_default(),
            expires: expires.to_owned(),
            ..self.input(&DemoKey { scopes: 1 + pick(n + 3, 3), ..DEMO_KEYS[0] })
        };
        let creator = pick(n, 3);
        let id = self.issue(m, creator, input, at).await?.id;
        let until = match Lifetime::parse(expires) {
            Ok(Lifetime::Days(days)) => at + Duration::days(i64::from(days)),
            _ => self.cx.now,
        };
        self.extra_keys.push(ExtraKey { id, creator, created_at: at, until: until.min(self.cx.now) });
        Ok(())
    }

    async fn revoke_extra_key(&mut self, m: &mut Mutation, n: u32, at: OffsetDateTime) -> Result<(), CommandError> {
        let reason = Reason::VARIANTS.get(pick(n, Reason::VARIANTS.len())).copied().unwrap_or_default();
        let key = self.extra_keys.get_mut(n as usize).ok_or_else(inconsistent)?;
        key.until = at;
        let (id, creator) = (key.id, key.creator);
        m.set_scene(self.actor(creator)?.clone(), at);
        let permit = m.permit()?;
        lifecycle::revoke(m, &permit, id, reason).await?;
        Ok(())
    }

    async fn issue(
        &self,
        m: &mut Mutation,
        creator: usize,
        input: CreateKeyInput,
        at: OffsetDateTime,
    ) -> Result<Issued, CommandError> {
        let new = NewKey::parse(input, &self.cx.catalog).map_err(|_| CommandError::said("this catalog has no demo"))?;
        m.set_scene(self.actor(creator)?.clone(), at);
        let permit = m.permit()?;
        Ok(lifecycle::issue(m, &permit, &new).await?)
    }

    /// The input for a demo key, with the parts of it that the catalog has.
    fn input(&self, key: &DemoKey) -> CreateKeyInput {
        let catalog = &self.cx.catalog;
        let tier = catalog.tiers.get(key.tier).or(catalog.tiers.first());
        let allowed = catalog.scopes.iter().filter(|scope| tier.is_some_and(|tier| tier.allows(&scope.name)));
        CreateKeyInput {
            name: key.name.to_owned(),
            environment: self.environment(key.live),
            tier: tier.map(|tier| tier.name.clone()).unwrap_or_default(),
            scopes: allowed.take(key.scopes).map(|scope| scope.name.clone()).collect(),
            namespaces: if catalog.namespaces_required { vec!["default".to_owned()] } else { Vec::new() },
            expires: key.expires.to_owned(),
            ..CreateKeyInput::default()
        }
    }

    /// The environment for real traffic, or another one. A catalog with only one has no choice.
    fn environment(&self, live: bool) -> String {
        let environments = &self.cx.catalog.environments;
        let real = |name: &str| ["live", "production"].contains(&name);
        let found = environments.iter().find(|one| real(&one.name) == live).or(environments.first());
        found.map(|one| one.name.clone()).unwrap_or_default()
    }

    fn actor(&self, who: usize) -> Result<&Actor, CommandError> {
        self.people.get(who).ok_or_else(inconsistent)
    }

    /// Records the calls with all keys.
    async fn record_calls(&self) -> Result<(), CommandError> {
        let (catalog, now, pool) = (&self.cx.catalog, self.cx.now, &self.cx.database.keys);
        let (recorder, refusals) = (UsageRecorder::default(), RefusalRecorder::default());
        let mut db = database::read(pool, RlsScope::Nothing).await?;
        let generator = CallGenerator { catalog, recorder: &recorder, refusals: &refusals, now };
        for (index, created) in &self.created {
            let Some(demo_key) = DEMO_KEYS.get(*index) else { continue };
            for (nth, key) in created.iter().enumerate() {
                let read = keys::verdict::store::find_by_digest(&mut db, key.digest, Revision(0)).await?;
                let Some(record) = read.found else { continue };
                let called = CalledKey::new(&record, key.created_at, demo_key.traffic, catalog);
                for (seed, pattern) in (*index as u64 * 100..).zip(demo_key.traffic) {
                    if pattern.successor == (nth > 0) {
                        generator.generate(&called, pattern, seed);
                    }
                }
            }
        }
        for (n, key) in (0..).zip(&self.extra_keys) {
            if let Some(used) = last_use(key, self.org, n) {
                recorder.record(used);
            }
        }
        while recorder.waiting() > 0 {
            recorder.flush(pool).await?;
        }
        Ok(refusals.flush(pool).await?)
    }
}

/// The error of an index that the demo's lists do not have, which would be a mistake in them.
fn inconsistent() -> CommandError {
    CommandError::said("the demo's story does not fit together")
}

async fn new_person(
    cx: &CommandContext<'_>,
    email: &str,
    name: &str,
    password: &SecretString,
) -> Result<NewPerson, CommandError> {
    let password = NewPassword::parse(password, &[]).map_err(CommandError::said)?;
    Ok(NewPerson {
        email: Email::parse(email).map_err(CommandError::said)?,
        name: PersonName::parse(name).map_err(CommandError::said)?,
        password_hash: cx.hasher()?.hash(password).await?,
    })
}

fn member_actor(org: OrgId, user: UserId, person: &DemoPerson) -> Actor {
    Actor {
        principal: Principal::Member { user, name: person.name.to_owned(), org, role: person.role },
        address: person.address.to_owned(),
        agent: person.agent.to_owned(),
        ..Actor::operator()
    }
}

/// A number below `bound` that looks irregular and is the same each time.
fn pick(index: u32, bound: usize) -> usize {
    (index.wrapping_mul(2_654_435_761) >> 16) as usize % bound.max(1)
}

/// The last use of an extra key. Most keys are used until they end, some have not been used for long, and some never
/// were.
fn last_use(key: &ExtraKey, org: OrgId, index: u32) -> Option<Use> {
    if index % 5 == 2 {
        return None;
    }
    let unused_for = if index.is_multiple_of(3) {
        (key.until - key.created_at) / 2
    } else {
        Duration::seconds(40 + i64::from(index) * 173)
    };
    let agent = EXTRA_KEY_AGENTS.get(pick(index, EXTRA_KEY_AGENTS.len())).copied().unwrap_or_default();
    Some(Use {
        key: key.id,
        org,
        at: (key.until - unused_for).max(key.created_at),
        address: Some(std::net::Ipv4Addr::new(203, 0, 113, (10 + index % 200) as u8).into()),
        agent: Agent::parse(agent),
        via: (index % 4 == 1).then(|| "edge-gateway".to_owned()),
        code: Code::Valid,
    })
}
