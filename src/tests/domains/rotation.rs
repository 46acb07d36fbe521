//! Keys are replaced without a gap: what the successor inherits, how long the old key goes on, and that there is one
//! successor whatever happens at once.

use keydesk::{
    actor::Role,
    database::{self, RlsScope},
    ids::{KeyId, OrgId, UserId},
    keys::{
        error::KeyError,
        lifecycle::{self, Changed, CreateKeyInput, Edit, Rotated, Rotation},
        model::{KeyState, OverlapWindow, Reason},
        store,
    },
    mutation::Mutation,
    permissions::{Permit, permit::Act},
};
use time::Duration;
use uuid::Uuid;

use crate::world::{TestKey, World};

const DAY: Rotation = Rotation { overlap: OverlapWindow::Day, reason: Reason::Superseded, idempotency_key: None };

/// A developer of `acme` and what they do to keys.
#[derive(Clone)]
struct Hand {
    world: World,
    org: OrgId,
    user: UserId,
}

impl Hand {
    async fn new(world: &World) -> Self {
        let (org, user) = (world.org("acme").await, world.member("acme", Role::Developer).await.user);
        Self { world: world.clone(), org, user }
    }

    async fn begin<A: Act>(&self) -> (Mutation, Permit<A>) {
        let m = self.world.mutation_of(self.org, self.user, Role::Developer).await;
        let permit = m.permit().unwrap();
        (m, permit)
    }

    async fn rotate(&self, id: KeyId, rotation: &Rotation) -> Result<Rotated, KeyError> {
        let (mut m, permit) = self.begin().await;
        let rotated = lifecycle::rotate(&mut m, &permit, id, rotation, &self.world.catalog).await?;
        assert_eq!(self.world.commit(m).await, rotated.ended);
        Ok(rotated)
    }

    async fn finish(&self, id: KeyId) -> Result<Changed, KeyError> {
        let (mut m, permit) = self.begin().await;
        let done = lifecycle::finish_rotation(&mut m, &permit, id, false).await?;
        assert!(self.world.commit(m).await);
        Ok(done)
    }

    async fn extend(&self, id: KeyId) -> Result<Duration, KeyError> {
        let (mut m, permit) = self.begin().await;
        let until = lifecycle::extend_rotation(&mut m, &permit, id).await?;
        self.world.commit(m).await;
        Ok(until - self.world.clock.now())
    }

    async fn listed(&self, id: KeyId) -> store::KeyDetails {
        let mut tx = self.world.begin(RlsScope::Org(self.org)).await;
        store::find(&mut tx, self.org, id).await.unwrap().unwrap()
    }

    async fn disable(&self, id: KeyId) {
        let (mut m, permit) = self.begin().await;
        lifecycle::disable(&mut m, &permit, id).await.unwrap();
        self.world.commit(m).await;
    }

    async fn revoke(&self, id: KeyId) {
        let (mut m, permit) = self.begin().await;
        lifecycle::revoke(&mut m, &permit, id, Reason::Other).await.unwrap();
        self.world.commit(m).await;
    }
}

#[tokio::test]
async fn a_successor_inherits_everything_and_both_keys_work_until_the_window_closes() {
    let world = World::new().await;
    let hand = Hand::new(&world).await;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let wish = CreateKeyInput {
        name: "CI".to_owned(),
        environment: "test".to_owned(),
        tier: "high".to_owned(),
        scopes: texts(&["read", "write"]),
        namespaces: texts(&["default"]),
        ip_allowlist: texts(&["198.51.100.0/24"]),
        expires: "30d".to_owned(),
        ..CreateKeyInput::default()
    };
    let old = world.make("acme", wish).await;
    let rotated = hand.rotate(old.id, &DAY).await.unwrap();
    assert_eq!(rotated.overlap_ends_at, world.clock.now() + Duration::hours(24));
    assert!(!rotated.ended);
    let new = rotated.issued.secret.reveal().to_owned();
    assert!(new.starts_with("kd_test_") && new != old.secret);
    let (was, is) = (hand.listed(old.id).await, hand.listed(rotated.issued.id).await);
    assert_eq!((&was.name, &was.environment, &was.tier), (&is.name, &is.environment, &is.tier));
    assert_eq!((&was.scopes, &was.namespaces, &was.ip_allowlist), (&is.scopes, &is.namespaces, &is.ip_allowlist));
    assert_eq!(was.expires_at, is.expires_at);
    assert_eq!((was.successor, is.predecessor), (Some(rotated.issued.id), Some(old.id)));
    assert_eq!((was.predecessor, is.successor), (None, None));
    // Who rotated is whose it is now.
    assert_eq!((was.created_by, is.created_by.as_deref()), (None, Some("Developer")));
    assert_eq!(
        world.log("acme").await.last().unwrap(),
        &format!("key.rotate: Rotated key “CI” ({}) to {}: the old key goes on for 24 hours", old.hint, is.hint)
    );
    // Its holder is told in time.
    let who = world.program().with("x-api-key", &old.secret).get("/v1/whoami").await.json();
    assert_eq!(who["replaced_by"], rotated.issued.id.to_string());
    assert_eq!(who["retires_at"], "2026-11-25T12:00:00Z");
    world.clock.advance(Duration::hours(24) - Duration::MICROSECOND);
    assert_eq!((world.verdict(&old.secret).await.as_str(), world.verdict(&new).await.as_str()), ("VALID", "VALID"));
    assert_eq!(hand.listed(old.id).await.state(world.clock.now()), KeyState::Active);
    world.clock.advance(Duration::MICROSECOND);
    assert_eq!((world.verdict(&old.secret).await.as_str(), world.verdict(&new).await.as_str()), ("ROTATED", "VALID"));
    assert_eq!(hand.listed(old.id).await.state(world.clock.now()), KeyState::Rotated);
}

#[tokio::test]
async fn an_old_key_ends_with_its_window_or_its_own_expiry_whichever_is_first() {
    let world = World::new().await;
    let hand = Hand::new(&world).await;
    for (window, expires, ends_after, at_once) in [
        (OverlapWindow::Now, "never", Duration::ZERO, true),
        (OverlapWindow::Hour, "never", Duration::hours(1), false),
        (OverlapWindow::Day, "7d", Duration::hours(24), false),
        (OverlapWindow::Week, "1d", Duration::hours(24), false),
        (OverlapWindow::Week, "never", Duration::days(7), false),
    ] {
        let old = world.key("acme", &[], expires).await;
        let rotated = hand.rotate(old.id, &Rotation { overlap: window, ..DAY }).await.unwrap();
        assert_eq!(rotated.overlap_ends_at - world.clock.now(), ends_after, "{window:?} {expires}");
        assert_eq!(rotated.ended, at_once, "{window:?}");
        assert_eq!(world.verdict(&old.secret).await, if at_once { "ROTATED" } else { "VALID" });
        assert_eq!(world.verdict(rotated.issued.secret.reveal()).await, "VALID");
    }
    assert_eq!(OverlapWindow::default(), OverlapWindow::Day);
}

#[tokio::test]
async fn a_compromised_key_ends_at_once_whatever_window_was_asked_for_and_whatever_a_nodes_clock_says() {
    let world = World::new().await;
    let hand = Hand::new(&world).await;
    let old = world.key("acme", &[], "never").await;
    let rotation = Rotation { overlap: OverlapWindow::Week, reason: Reason::KeyCompromise, idempotency_key: None };
    let rotated = hand.rotate(old.id, &rotation).await.unwrap();
    assert_eq!((rotated.overlap_ends_at, rotated.ended), (world.clock.now(), true));
    let refused = world.program().with("x-api-key", &old.secret).get("/v1/whoami").await;
    refused.is(401).says(&format!("replaced by the key {}", rotated.issued.id));
    // On a node whose clock is behind.
    world.clock.advance(-Duration::SECOND);
    assert_eq!(world.verdict(&old.secret).await, "ROTATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_rotate_a_key_at_once_make_one_successor() {
    let mut world = World::new().await;
    // A connection for each of them.
    world.db = database::pool((*world.db.connect_options()).clone(), 20);
    let hand = Hand::new(&world).await;
    let old = world.key("acme", &["read"], "never").await;
    let mut connections = Vec::new();
    while connections.len() < 20 {
        connections.push(world.db.acquire().await.unwrap());
    }
    drop(connections);
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(20));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (hand, id, start) = (hand.clone(), old.id, std::sync::Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                hand.rotate(id, &DAY).await
            })
        })
        .collect();
    let mut made = Vec::new();
    for call in calls {
        match call.await.unwrap() {
            Ok(rotated) => made.push(rotated),
            Err(KeyError::HasSuccessor { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(world.count("acme").await, (2, 2));
    assert_eq!(world.verdict(made[0].issued.secret.reveal()).await, "VALID");
    assert_eq!(world.log("acme").await.iter().filter(|line| line.starts_with("key.rotate:")).count(), 1);
}

#[tokio::test]
async fn a_form_sent_twice_rotates_once() {
    let world = World::new().await;
    let hand = Hand::new(&world).await;
    let old = world.key("acme", &[], "never").await;
    let rotation = Rotation { idempotency_key: Some(Uuid::from_u128(7)), ..DAY };
    let (first, second) = tokio::join!(hand.rotate(old.id, &rotation), hand.rotate(old.id, &rotation));
    let (made, refused) = if first.is_ok() { (first, second) } else { (second, first) };
    let made = made.unwrap();
    let is_made = |refused: Result<Rotated, KeyError>| match refused {
        Err(KeyError::AlreadyIssued { name, hint }) => name == "Test key" && hint == made.issued.secret.hint,
        _ => false,
    };
    assert!(is_made(refused));
    // Also once the old key has ended.
    world.clock.advance(Duration::days(2));
    assert!(is_made(hand.rotate(old.id, &rotation).await));
    assert_eq!(world.count("acme").await, (2, 2));
}

#[tokio::test]
async fn what_cannot_be_rotated_says_why() {
    let world = World::new().await;
    let hand = Hand::new(&world).await;
    let key = async || world.key("acme", &[], "7d").await;
    let (revoked, disabled, expired) = (key().await, key().await, key().await);
    hand.revoke(revoked.id).await;
    hand.disable(disabled.id).await;
    assert!(matches!(hand.rotate(revoked.id, &DAY).await, Err(KeyError::Revoked)));
    assert!(matches!(hand.rotate(disabled.id, &DAY).await, Err(KeyError::Disabled)));
    world.clock.advance(Duration::days(7));
    assert!(matches!(hand.rotate(expired.id, &DAY).await, Err(KeyError::Expired)));
    // Two good keys at a time, not a chain.
    let first = key().await;
    let second = hand.rotate(first.id, &DAY).await.unwrap().issued;
    let refused = hand.rotate(first.id, &DAY).await;
    assert!(matches!(refused, Err(KeyError::HasSuccessor { hint }) if hint == second.secret.hint));
    assert!(matches!(hand.rotate(second.id, &DAY).await, Err(KeyError::PredecessorLives)));
    world.clock.advance(Duration::hours(24));
    assert!(matches!(hand.rotate(first.id, &DAY).await, Err(KeyError::Replaced)));
    let third = hand.rotate(second.id, &DAY).await.unwrap().issued;
    // A predecessor that was revoked lives no more.
    hand.revoke(second.id).await;
    hand.rotate(third.id, &DAY).await.unwrap();
    // A key whose time is over is not edited either.
    let (mut m, permit) = hand.begin().await;
    let edited = lifecycle::edit(&mut m, &permit, first.id, &Edit::default(), &world.catalog).await;
    assert!(matches!(edited, Err(KeyError::Replaced)));
}

#[tokio::test]
async fn a_rotation_is_ended_early_or_given_more_time_once() {
    let world = World::new().await;
    let hand = Hand::new(&world).await;
    let rotated = async |expires: &str, window| -> TestKey {
        let old = world.key("acme", &[], expires).await;
        hand.rotate(old.id, &Rotation { overlap: window, ..DAY }).await.unwrap();
        old
    };
    let plain = world.key("acme", &[], "never").await;
    assert!(matches!(hand.finish(plain.id).await, Err(KeyError::NotReplaced)));
    assert!(matches!(hand.extend(plain.id).await, Err(KeyError::NotReplaced)));
    // Ended early, for every node's clock.
    let old = rotated("never", OverlapWindow::Day).await;
    let done = hand.finish(old.id).await.unwrap();
    assert_eq!(done, Changed { name: "Test key".to_owned(), changed: true });
    world.clock.advance(-Duration::SECOND);
    assert_eq!(world.verdict(&old.secret).await, "ROTATED");
    world.clock.advance(Duration::SECOND);
    assert!(!hand.finish(old.id).await.unwrap().changed);
    assert!(matches!(hand.extend(old.id).await, Err(KeyError::Replaced)));
    // As much again, once.
    let old = rotated("never", OverlapWindow::Hour).await;
    world.clock.advance(Duration::minutes(59));
    assert_eq!(hand.extend(old.id).await.unwrap(), Duration::minutes(61));
    assert!(matches!(hand.extend(old.id).await, Err(KeyError::Extended)));
    world.clock.advance(Duration::minutes(61) - Duration::MICROSECOND);
    assert_eq!(world.verdict(&old.secret).await, "VALID");
    world.clock.advance(Duration::MICROSECOND);
    assert_eq!(world.verdict(&old.secret).await, "ROTATED");
    // Never beyond its own expiry.
    let old = rotated("1d", OverlapWindow::Day).await;
    assert!(matches!(hand.extend(old.id).await, Err(KeyError::EndsByItself)));
    let old = rotated("10d", OverlapWindow::Week).await;
    assert_eq!(hand.extend(old.id).await.unwrap(), Duration::days(10));
    hand.revoke(old.id).await;
    assert!(matches!(hand.finish(old.id).await, Err(KeyError::Revoked)));
    let rows = world.log("acme").await;
    let count = |action: &str| rows.iter().filter(|line| line.starts_with(action)).count();
    assert_eq!((count("key.rotate_finish"), count("key.rotate_extend")), (1, 2));
}

#[tokio::test]
async fn revoking_all_keys_hits_old_and_new_alike_and_anothers_key_is_none() {
    let world = World::new().await;
    let hand = Hand::new(&world).await;
    let old = world.key("acme", &[], "never").await;
    let new = hand.rotate(old.id, &DAY).await.unwrap().issued;
    let form = [("confirmation", "acme")];
    world.owner_of("acme").await.post("/console/fn/keys/revoke-all", &form).await.is(200).says("Revoked 2 keys.");
    assert_eq!(world.verdict(&old.secret).await, "REVOKED");
    assert_eq!(world.verdict(new.secret.reveal()).await, "REVOKED");
    let theirs = world.key("other", &[], "never").await;
    // By the database's rules, and then by the queries alone.
    for guarded in [true, false] {
        if !guarded {
            let off = "alter table api_keys no force row level security, disable row level security";
            sqlx::raw_sql(off).execute(&world.owner).await.unwrap();
        }
        assert!(matches!(hand.rotate(theirs.id, &DAY).await, Err(KeyError::NotFound)));
        assert!(matches!(hand.finish(theirs.id).await, Err(KeyError::NotFound)));
        assert!(matches!(hand.extend(theirs.id).await, Err(KeyError::NotFound)));
    }
    assert_eq!(world.count("other").await, (1, 1));
}
