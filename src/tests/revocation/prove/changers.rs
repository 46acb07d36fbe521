//! Those who change keys and organizations at random, through any line, and wait for the receipt.

use std::{error::Error, ops::Range, sync::Arc, time::Duration};

use keydesk::{
    actor::{Actor, Principal, Role},
    clock::Clock,
    database::RlsScope,
    ids::UserId,
    keys::{
        lifecycle::{self, Edit},
        model::Reason,
    },
    mutation::Mutation,
    orgs,
    revocation::{Receipt, Revision},
    secrets::Digest,
};
use uuid::Uuid;

use super::{
    fleet::{Fleet, SCOPE},
    history::{Change, Gate},
    run::{Dice, Run},
};

/// Whoever has no answer after this long has none: the line is silent.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// Only small organizations lose all their keys at once.
pub const SMALL: usize = 5;

/// A change to be made.
#[derive(Clone, Debug)]
pub struct Wish {
    pub gate: Gate,
    pub closes: bool,
    pub org: usize,
    /// `None`: all of the organization.
    pub key: Option<usize>,
}

impl Wish {
    fn keys(&self, fleet: &Fleet) -> Range<usize> {
        self.key.map_or_else(|| fleet.orgs[self.org].keys.clone(), |key| key..key + 1)
    }
}

/// Changes organizations that nobody else changes, until the run is over. With the command line it cannot do everything.
pub async fn changer(run: Arc<Run>, mine: Vec<usize>, by_command: bool) {
    let (mut dice, fleet) = (Dice::new(), &run.fleet);
    let keys: Vec<usize> = mine.iter().flat_map(|org| fleet.orgs[*org].keys.clone()).collect();
    // By key: which gates are closed, as far as is known.
    let mut closed = vec![[false; Gate::ALL.len()]; fleet.keys.len()];
    // Some keys must be left to be changed.
    let mut left = keys.len() * 3 / 5;
    while !run.is_over() {
        // Not everything that is rolled can be done, and others want to run.
        tokio::task::yield_now().await;
        let (key, org) = (keys[dice.roll(keys.len())], mine[dice.roll(mine.len())]);
        let (gate, key) = match dice.roll(100) {
            0..55 => (Gate::Disabled, Some(key)),
            55..75 if !by_command => (Gate::Scope, Some(key)),
            75..85 => (Gate::Suspended, None),
            85..95 if left > 0 => (Gate::Revoked, Some(key)),
            95.. if !by_command && fleet.orgs[org].keys.len() <= left.min(SMALL) => (Gate::Revoked, None),
            _ => continue,
        };
        let org = key.map_or(org, |key| fleet.keys[key].org);
        let first = key.unwrap_or(fleet.orgs[org].keys.start);
        if closed[first][Gate::Revoked as usize] {
            continue;
        }
        let wish = Wish { gate, closes: !closed[first][gate as usize], org, key };
        let (line, other) = (dice.roll(fleet.consoles.len()), dice.roll(fleet.consoles.len()));
        // Two who ask for the same at once: neither may be told "already" before it holds.
        let twice = wish.closes && !by_command && dice.roll(8) == 0;
        let again = async {
            if twice {
                attempt(&run, &wish, other, false).await;
            }
        };
        let (acknowledged, ()) = tokio::join!(attempt(&run, &wish, line, by_command), again);
        // What is not known to have been made is sometimes tried again, and sometimes taken back.
        if acknowledged || dice.roll(2) == 0 {
            for key in wish.keys(fleet) {
                closed[key][gate as usize] = wish.closes;
                left -= usize::from(gate == Gate::Revoked && left > 0);
            }
        }
        let rest = if acknowledged { dice.ms(0, 60) } else { dice.ms(50, 200) };
        tokio::time::sleep(rest).await;
    }
}

/// Makes a change and notes it. Answers whether it was acknowledged.
pub async fn attempt(run: &Run, wish: &Wish, line: usize, by_command: bool) -> bool {
    let keys = wish.keys(&run.fleet);
    let begun = run.begins(&keys);
    let made =
        async { if by_command { command(&run.fleet, wish, line).await } else { make(&run.fleet, wish, line).await } };
    let made = tokio::time::timeout(ATTEMPT_TIMEOUT, made).await;
    let acknowledged = matches!(made, Ok(Ok(_)));
    let ended = acknowledged.then(|| run.now());
    run.note(Change { gate: wish.gate, keys, closes: wish.closes, begun, ended });
    if let Ok(Ok(Some(receipt))) = made {
        run.receipts.lock().unwrap().push(receipt);
    }
    acknowledged
}

/// As a handler does it. No receipt for what opens.
async fn make(fleet: &Fleet, wish: &Wish, line: usize) -> Result<Option<Receipt>, Box<dyn Error + Send + Sync>> {
    let (console, audit, org) = (&fleet.consoles[line], &fleet.server_keys.audit, fleet.orgs[wish.org].id);
    let id = wish.key.map(|key| fleet.keys[key].id);
    let mut actor = Actor::operator();
    if wish.gate != Gate::Suspended {
        let (user, name) = (UserId(Uuid::nil()), "Ada".to_owned());
        actor.principal = Principal::Member { user, name, org, role: Role::Owner };
    }
    let mut m = Mutation::begin(console, audit, RlsScope::Org(org), actor, Clock::System.now()).await?;
    match (wish.gate, id, wish.closes) {
        (Gate::Revoked, Some(id), _) => {
            let permit = m.permit()?;
            lifecycle::revoke(&mut m, &permit, id, Reason::Other).await?;
        }
        (Gate::Revoked, None, _) => {
            let permit = m.permit()?;
            lifecycle::revoke_all(&mut m, &permit).await?;
        }
        (Gate::Disabled, Some(id), true) => {
            let permit = m.permit()?;
            lifecycle::disable(&mut m, &permit, id).await?;
        }
        (Gate::Disabled, Some(id), false) => {
            let permit = m.permit()?;
            lifecycle::enable(&mut m, &permit, id).await?;
        }
        (Gate::Scope, Some(id), closes) => {
            let scopes = if closes { vec!["read"] } else { vec!["read", SCOPE] };
            let scopes = Some(scopes.into_iter().map(str::to_owned).collect());
            let permit = m.permit()?;
            lifecycle::edit(&mut m, &permit, id, &Edit { scopes, ..Edit::default() }, &fleet.catalog).await?;
        }
        (Gate::Suspended, _, true) => {
            let permit = m.permit()?;
            orgs::lifecycle::suspend(&mut m, &permit).await?;
        }
        (Gate::Suspended, _, false) => {
            let permit = m.permit()?;
            orgs::lifecycle::resume(&mut m, &permit).await?;
        }
        (Gate::Disabled | Gate::Scope, None, _) => unreachable!("of single keys only"),
    }
    Ok(m.commit().await?)
}

/// As an operator does it, by a node's line.
async fn command(fleet: &Fleet, wish: &Wish, line: usize) -> Result<Option<Receipt>, Box<dyn Error + Send + Sync>> {
    let slug = &fleet.orgs[wish.org].slug;
    let digest = wish.key.map(|key| Digest::of(fleet.keys[key].secret.as_bytes()).to_hex()).unwrap_or_default();
    let arguments = match (wish.gate, wish.closes) {
        (Gate::Revoked, _) => vec!["key", "revoke", "--digest", &digest, "--reason", "other", "--json"],
        (Gate::Disabled, true) => vec!["key", "disable", "--digest", &digest, "--json"],
        (Gate::Disabled, false) => vec!["key", "enable", "--digest", &digest, "--json"],
        (Gate::Suspended, true) => vec!["org", "suspend", "--org", slug, "--json"],
        (Gate::Suspended, false) => vec!["org", "resume", "--org", slug, "--json"],
        (Gate::Scope, _) => unreachable!("there is no such command"),
    };
    let mut command = fleet.folder.command(&arguments);
    command.env("DATABASE_URL", fleet.url(line % fleet.lines.len())).env("RUST_LOG", "error");
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let receipt = &said["receipt"];
    let cut_off = receipt["cut_off"].as_array().into_iter().flatten().map(|name| name.to_string()).collect();
    let nodes = receipt["nodes"].as_u64().unwrap_or(0) as u32;
    let (revision, took_ms) = (Revision(receipt["revision"].as_i64().unwrap_or(0)), receipt["took_ms"].as_u64());
    let receipt = receipt.is_object();
    Ok(receipt.then_some(Receipt { revision, nodes, cut_off, waiting_for: Vec::new(), at_most_ms: 0, took_ms }))
}
