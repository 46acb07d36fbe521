//! What changes of keys, organizations and members after they were made, and who may change it.

use keydesk::{
    actor::Role,
    catalog::Catalog,
    database::RlsScope,
    ids::{KeyId, UserId},
    keys::{
        error::KeyError,
        lifecycle::{self, Changed, Edit},
    },
    mutation::Mutation,
    orgs::{self, lifecycle::OrgError},
    permissions::{Permit, permit::Act},
};
use serde_json::{Value, json};
use time::Duration;

use crate::world::World;

fn owned(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

async fn begin<A: Act>(world: &World, org: &str) -> (Mutation, Permit<A>) {
    let m = world.mutation_of(world.org(org).await, UserId(uuid::Uuid::from_u128(9)), Role::Owner).await;
    let permit = m.permit().unwrap();
    (m, permit)
}

/// A key as a change left it, and whether the commit waited until that held everywhere.
type Done = Result<(Changed, bool), KeyError>;

async fn edit(world: &World, org: &str, id: KeyId, edit: Edit) -> Done {
    let (mut m, permit) = begin(world, org).await;
    let done = lifecycle::edit(&mut m, &permit, id, &edit, &world.catalog).await?;
    Ok((done, world.commit(m).await))
}

async fn switch(world: &World, org: &str, id: KeyId, on: bool) -> Done {
    let (mut m, permit) = begin(world, org).await;
    let done = match on {
        true => lifecycle::enable(&mut m, &permit, id).await?,
        false => lifecycle::disable(&mut m, &permit, id).await?,
    };
    Ok((done, world.commit(m).await))
}

/// The details of an organization's last audit row.
async fn last_details(world: &World) -> Value {
    let text: String =
        sqlx::query_scalar("select details from audit_events order by chain = $1 desc, seq desc limit 1")
            .bind(world.org("acme").await.0)
            .fetch_one(&world.owner)
            .await
            .unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn an_edited_key_is_judged_by_what_it_is_now() {
    let world = World::new().await;
    let key = world.key("acme", &["read", "write"], "never").await;
    let service = world.program().bearer(&world.service_key(&["verify"]).await);
    let ask = async |more: Value| {
        let mut asked = json!({ "key": key.secret, "address": "203.0.113.9" });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service.post("/v1/keys/verify", &asked).await.json()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask(json!({ "scopes": ["write"], "namespace": "staging" })).await, "VALID");
    let wish = Edit {
        name: Some("  Nightly ".to_owned()),
        scopes: owned(&["read"]),
        namespaces: owned(&["default"]),
        ip_allowlist: owned(&["10.1.2.3/8"]),
        expires: Some("7d".to_owned()),
        version: None,
    };
    let done = edit(&world, "acme", key.id, wish).await.unwrap();
    assert_eq!(done, (Changed { name: "Nightly".to_owned(), changed: true }, true));
    assert_eq!(
        world.log("acme").await.last().unwrap(),
        &format!("key.edit: Changed key “Test key” ({}): name, scopes, namespaces, addresses, expiry", key.hint)
    );
    assert_eq!(
        last_details(&world).await,
        json!({
            "before": { "name": "Test key", "scopes": ["read", "write"], "namespaces": [], "ip_allowlist": [], "expires_at": null },
            "after": {
                "name": "Nightly", "scopes": ["read"], "namespaces": ["default"], "ip_allowlist": ["10.0.0.0/8"],
                "expires_at": (world.clock.now() + Duration::days(7)).unix_timestamp(),
            },
        })
    );
    assert_eq!(ask(json!({})).await, "IP_NOT_ALLOWED");
    assert_eq!(ask(json!({ "address": "10.9.9.9", "namespace": "staging" })).await, "NAMESPACE_NOT_ALLOWED");
    assert_eq!(ask(json!({ "address": "10.9.9.9", "scopes": ["write"] })).await, "INSUFFICIENT_SCOPE");
    assert_eq!(ask(json!({ "address": "10.9.9.9", "scopes": ["read"], "namespace": "default" })).await, "VALID");
    // Wider again: each in its own right.
    for (wish, waited) in [
        (Edit { ip_allowlist: owned(&[]), ..Edit::default() }, false),
        (Edit { namespaces: owned(&["default", "staging"]), ..Edit::default() }, false),
        (Edit { scopes: owned(&["write", "read"]), ..Edit::default() }, false),
        (Edit { expires: Some("30d".to_owned()), ..Edit::default() }, false),
        (Edit { expires: Some("8d".to_owned()), ..Edit::default() }, true),
    ] {
        let done = edit(&world, "acme", key.id, wish).await.unwrap();
        assert_eq!((done.0.changed, done.1), (true, waited));
    }
    assert_eq!(ask(json!({ "scopes": ["write"], "namespace": "staging" })).await, "VALID");
    world.clock.advance(Duration::days(8));
    assert_eq!(ask(json!({})).await, "EXPIRED");
}

#[tokio::test]
async fn what_is_so_already_is_no_change_and_no_row() {
    let world = World::new().await;
    let key = world.key_from("acme", &["10.0.0.0/8", "::1"], &["a", "b"]).await;
    let rows = world.log("acme").await.len();
    for wish in [
        Edit::default(),
        Edit {
            name: Some("Test key".to_owned()),
            scopes: owned(&["read", "read"]),
            namespaces: owned(&["b", "a"]),
            ip_allowlist: owned(&["::1", "10.9.9.9/8"]),
            expires: Some("never".to_owned()),
            version: None,
        },
    ] {
        let done = edit(&world, "acme", key.id, wish).await.unwrap();
        // It is waited for all the same: whoever made it so may be waiting still.
        assert_eq!(done, (Changed { name: "Test key".to_owned(), changed: false }, true));
    }
    assert!(!switch(&world, "acme", key.id, true).await.unwrap().0.changed);
    assert_eq!(world.log("acme").await.len(), rows);
}

#[tokio::test]
async fn an_edit_is_held_to_the_rules_of_a_new_key() {
    let text = include_str!("../../catalog/presets/default.toml")
        .replace("name = \"high\"\nlabel = \"High\"", "name = \"high\"\nlabel = \"High\"\nscopes = [\"read\"]");
    let world = World::of(Catalog::parse(&text).unwrap(), "").await;
    let key = world.key_of("acme", "high", &["read"]).await;
    let wish = Edit {
        name: Some(" ".to_owned()),
        scopes: owned(&["write"]),
        namespaces: owned(&["a b"]),
        ip_allowlist: owned(&["10.0.0"]),
        expires: Some("0d".to_owned()),
        version: None,
    };
    let Err(KeyError::Fields(fields)) = edit(&world, "acme", key.id, wish).await else { panic!("it was let through") };
    let named: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
    assert_eq!(named, ["name", "scopes", "namespaces", "ip_allowlist", "expires"]);
    assert_eq!(fields[1].1, "The tier high does not allow \"write\". It allows: read.");
    // One mistake, and nothing of the rest is done.
    let half = Edit { name: Some("New name".to_owned()), scopes: owned(&["root"]), ..Edit::default() };
    assert!(matches!(edit(&world, "acme", key.id, half).await, Err(KeyError::Fields(_))));
    assert_eq!(world.log("acme").await.iter().filter(|line| line.starts_with("key.edit")).count(), 0);
}

#[tokio::test]
async fn a_disabled_key_is_refused_and_goes_on_where_it_stopped() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let done = switch(&world, "acme", key.id, false).await.unwrap();
    assert_eq!(done, (Changed { name: "Test key".to_owned(), changed: true }, true));
    assert_eq!(world.verdict(&key.secret).await, "DISABLED");
    // Once more: nothing changes, but whoever asks waits as well.
    assert_eq!(switch(&world, "acme", key.id, false).await.unwrap(), (Changed { changed: false, ..done.0 }, true));
    let done = switch(&world, "acme", key.id, true).await.unwrap();
    assert_eq!((done.0.changed, done.1), (true, false));
    assert_eq!(world.verdict(&key.secret).await, "VALID");
    let log = world.log("acme").await;
    let seen: Vec<&str> = log.iter().rev().take(2).rev().map(|line| line.split(" (").next().unwrap()).collect();
    assert_eq!(seen, ["key.disable: Disabled key “Test key”", "key.enable: Enabled key “Test key”"]);
}

#[tokio::test]
async fn a_revoked_key_stays_as_it_is_and_anothers_key_is_none() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let theirs = world.key("other", &["read"], "never").await;
    let mut owner = world.owner_of("acme").await;
    let form = [("key_id", key.id.to_string()), ("reason", "other".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    owner.post("/console/fn/keys/revoke", &form).await.is(200);
    let rename = || Edit { name: Some("x".to_owned()), ..Edit::default() };
    assert!(matches!(edit(&world, "acme", key.id, rename()).await, Err(KeyError::Revoked)));
    assert!(matches!(switch(&world, "acme", key.id, true).await, Err(KeyError::Revoked)));
    assert!(matches!(switch(&world, "acme", key.id, false).await, Err(KeyError::Revoked)));
    // By the database's rules, and then by the query alone.
    for guarded in [true, false] {
        if !guarded {
            let off = "alter table api_keys no force row level security, disable row level security";
            sqlx::raw_sql(off).execute(&world.owner).await.unwrap();
        }
        assert!(matches!(edit(&world, "acme", theirs.id, rename()).await, Err(KeyError::NotFound)));
        assert!(matches!(switch(&world, "acme", theirs.id, false).await, Err(KeyError::NotFound)));
    }
    assert_eq!(world.verdict(&theirs.secret).await, "VALID");
}

#[tokio::test]
async fn a_suspended_organizations_keys_are_refused_until_it_is_served_again() {
    let world = World::new().await;
    let key = world.key("acme", &["read"], "never").await;
    let theirs = world.key("other", &["read"], "never").await;
    let org = world.org("acme").await;
    for (on, changed, verdict) in
        [(false, false, "VALID"), (true, true, "SUSPENDED"), (true, false, "SUSPENDED"), (false, true, "VALID")]
    {
        let mut m = world.mutation(RlsScope::Org(org)).await;
        let permit = m.permit().unwrap();
        let done = match on {
            true => orgs::lifecycle::suspend(&mut m, &permit).await,
            false => orgs::lifecycle::resume(&mut m, &permit).await,
        };
        assert_eq!(done.unwrap(), changed);
        assert_eq!(world.commit(m).await, on);
        assert_eq!(world.verdict(&key.secret).await, verdict);
        assert_eq!(world.verdict(&theirs.secret).await, "VALID");
    }
    let log = world.log("acme").await;
    let rows: Vec<&String> =
        log.iter().filter(|line| line.contains("the organization") && !line.contains("Created")).collect();
    assert_eq!(rows, ["org.suspend: Suspended the organization", "org.resume: Resumed the organization"]);
}

/// Somebody of `acme`, acting as a role.
struct Person {
    user: UserId,
    role: Role,
}

impl Person {
    async fn new(world: &World, role: Role) -> Self {
        Self { user: world.member("acme", role).await.user, role }
    }

    /// Gives somebody a role; `None` removes them.
    async fn puts(&self, world: &World, whom: UserId, role: Option<Role>) -> Result<bool, OrgError> {
        let org = world.org("acme").await;
        let mut m = world.mutation_of(org, self.user, self.role).await;
        let permit = m.permit().unwrap();
        let done = match role {
            Some(role) => orgs::lifecycle::set_role(&mut m, &permit, whom, role).await,
            None => orgs::lifecycle::remove_member(&mut m, &permit, whom).await,
        }?;
        // Also where nothing was other than before.
        assert!(world.commit(m).await);
        Ok(done.changed)
    }
}

#[tokio::test]
async fn owners_are_touched_by_owners_only_and_one_always_stays() {
    let world = World::new().await;
    let owner = Person::new(&world, Role::Owner).await;
    let admin = Person::new(&world, Role::Admin).await;
    let viewer = Person::new(&world, Role::Viewer).await;
    for to in [Some(Role::Viewer), Some(Role::Owner), None] {
        assert!(matches!(admin.puts(&world, owner.user, to).await, Err(OrgError::OwnersOnly)), "{to:?}");
    }
    assert!(matches!(admin.puts(&world, admin.user, Some(Role::Owner)).await, Err(OrgError::OwnersOnly)));
    for to in [Some(Role::Admin), None] {
        assert!(matches!(owner.puts(&world, owner.user, to).await, Err(OrgError::LastOwner)), "{to:?}");
    }
    assert!(admin.puts(&world, viewer.user, Some(Role::Developer)).await.unwrap());
    assert!(!admin.puts(&world, viewer.user, Some(Role::Developer)).await.unwrap());
    assert!(admin.puts(&world, viewer.user, None).await.unwrap());
    assert!(matches!(admin.puts(&world, viewer.user, None).await, Err(OrgError::NoMember)));
    // An owner whose account is shut does not count: nobody could let anybody in.
    let second = Person::new(&world, Role::Owner).await;
    let shut = "update users set disabled_at = $2 where id = $1";
    sqlx::query(shut).bind(second.user.0).bind(world.clock.now()).execute(&world.owner).await.unwrap();
    assert!(matches!(owner.puts(&world, owner.user, None).await, Err(OrgError::LastOwner)));
    assert!(owner.puts(&world, second.user, Some(Role::Admin)).await.unwrap());
    // Another organization's member is none.
    let theirs = world.member("other", Role::Viewer).await.user;
    assert!(matches!(owner.puts(&world, theirs, None).await, Err(OrgError::NoMember)));
    let log = world.log("acme").await;
    let rows: Vec<&str> =
        log.iter().filter(|line| line.starts_with("member.r")).map(|line| line.split(" (").next().unwrap()).collect();
    assert_eq!(rows, ["member.role: Made Viewer", "member.remove: Removed Viewer", "member.role: Made Owner"]);
}

#[tokio::test]
async fn two_owners_who_demote_each_other_at_once_leave_one() {
    let world = World::new().await;
    let (a, b) = (Person::new(&world, Role::Owner).await, Person::new(&world, Role::Owner).await);
    let (first, second) =
        tokio::join!(a.puts(&world, b.user, Some(Role::Admin)), b.puts(&world, a.user, Some(Role::Admin)));
    let (done, refused) = if first.is_ok() { (first, second) } else { (second, first) };
    assert!(done.unwrap());
    // Who was demoted is an owner no more, whatever their permit said when they began.
    assert!(matches!(refused, Err(OrgError::OwnersOnly)), "{refused:?}");
}
