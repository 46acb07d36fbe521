//! The demo: every catalog gets one that is alive, and that adds up.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    process::{Folder, ran},
    world::{self, TestDatabase},
};

/// A demo of a catalog, on a database of its own.
async fn demo(catalog: &str, keys: u32) -> (TestDatabase, Folder) {
    let (database, data) = world::plain_owners_database().await;
    let folder = Folder::new();
    let run = |arguments: &[&str]| {
        let mut command = folder.command(arguments);
        command.env("DATABASE_URL", &database.url).env("KEYDESK_DATA_DIR", &data).env("KEYDESK_CATALOG", catalog);
        ran(&mut command, "")
    };
    let seeded = run(&["seed-demo", "--keys", &keys.to_string(), "--json"]);
    let seeded: serde_json::Value = serde_json::from_str(seeded.ok()).unwrap();
    assert_eq!(seeded["keys"], keys);
    assert!(seeded["password"].as_str().unwrap().len() >= 40);
    run(&["seed-demo"]).fails("there is an organization acme-demo already");
    assert!(run(&["audit", "verify"]).ok().starts_with("The audit log is whole: "));
    (database, folder)
}

/// What a query answers, a line for each row.
async fn lines(database: &TestDatabase, sql: &str) -> Vec<String> {
    let mut db = PgConnection::connect_with(&database.all_seeing).await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut db).await.unwrap()
}

#[track_caller]
fn none(found: &[String]) {
    assert!(found.is_empty(), "{found:?}");
}

/// What holds of every demo.
async fn adds_up(database: &TestDatabase, keys: u32) {
    let count = lines(database, "select count(*)::text from api_keys").await;
    assert_eq!(count, [keys.to_string()]);
    // The log tells it in the order in which it happened, and nothing of it is to come.
    none(
        &lines(
            database,
            "select b.summary from audit_events a join audit_events b on b.chain = a.chain and b.seq = a.seq + 1
                           where a.at > b.at or b.at > now()",
        )
        .await,
    );
    // Nobody was let in by a key that was not there yet, or not any more; nor refused by one that was good.
    none(
        &lines(
            database,
            "select k.name || ' ' || u.code || ' ' || u.minute from key_usage u join api_keys k on k.id = u.key_id
        where u.minute > now() or u.minute < date_trunc('minute', k.created_at)
           or u.code = 'VALID' and u.minute > least(k.revoked_at, k.expires_at, k.disabled_at, k.overlap_ends_at)
           or u.code in ('REVOKED', 'EXPIRED', 'DISABLED', 'ROTATED')
              and u.minute < date_trunc('minute', least(k.revoked_at, k.expires_at, k.disabled_at, k.overlap_ends_at))",
        )
        .await,
    );
    // A key that is said to have been used was used, and last then.
    none(
        &lines(
            database,
            "select k.name from api_keys k left join key_last_used l on l.key_id = k.id
        where date_trunc('minute', l.used_at) is distinct from
              (select max(minute) from key_usage u where u.key_id = k.id and u.code = 'VALID')",
        )
        .await,
    );
    // Each refusal that is counted of the last days can be looked up.
    none(&lines(database, "select k.name || ' ' || u.code from api_keys k
        join (select key_id, code, sum(calls) as calls from key_usage
              where code <> 'VALID' and minute > date_trunc('minute', now()) - interval '6 days' group by key_id, code) u on u.key_id = k.id
        where u.calls <> (select count(*) from refusals r where r.key_id = u.key_id and r.code = u.code
                          and r.at >= date_trunc('minute', now()) - interval '6 days' + interval '1 minute')").await);
}

#[tokio::test]
async fn every_catalog_has_a_demo_that_is_alive() {
    for (catalog, refused) in [
        ("default", "DISABLED EXPIRED INSUFFICIENT_SCOPE IP_NOT_ALLOWED RATE_LIMITED REVOKED ROTATED"),
        ("heso", "DISABLED EXPIRED INSUFFICIENT_SCOPE IP_NOT_ALLOWED REVOKED ROTATED"),
        ("heir", "DISABLED EXPIRED INSUFFICIENT_SCOPE IP_NOT_ALLOWED RATE_LIMITED REVOKED ROTATED"),
        ("holonomix", "DISABLED EXPIRED IP_NOT_ALLOWED NAMESPACE_NOT_ALLOWED REVOKED ROTATED"),
        ("helios", "DISABLED EXPIRED IP_NOT_ALLOWED REVOKED ROTATED"),
        ("heffl", "DISABLED EXPIRED IP_NOT_ALLOWED REVOKED ROTATED"),
    ] {
        let (database, _folder) = demo(catalog, 24).await;
        adds_up(&database, 24).await;
        let codes = lines(&database, "select distinct code from key_usage where code <> 'VALID' order by 1").await;
        assert_eq!(codes.join(" "), refused, "{catalog}");
        // Every bar of every chart has something in it.
        let hours = lines(
            &database,
            "select k.name from api_keys k join key_usage u on u.key_id = k.id and u.code = 'VALID'
             where u.minute > date_trunc('hour', now()) - interval '23 hours'
             group by 1 having count(distinct date_trunc('hour', u.minute)) >= 23",
        );
        let hours = hours.await;
        assert!(hours.len() >= 6 && hours.contains(&"Checkout service".to_owned()), "{catalog}: {hours:?}");
        let callers =
            "select count(distinct (address, agent))::text from key_usage u join api_keys k on k.id = u.key_id
                       where k.name = 'Checkout service'";
        assert_eq!(lines(&database, callers).await, ["5"], "{catalog}");
        // One rotation is under way, another is over.
        let rotations = "select o.name || case when o.overlap_ends_at > now() then ' goes on' else ' is over' end
                         from api_keys o join api_keys s on s.predecessor = o.id order by 1";
        assert_eq!(
            lines(&database, rotations).await,
            ["Invoice worker is over", "Partner portal goes on"],
            "{catalog}"
        );
        let people = lines(&database, "select name from users where last_sign_in_at > created_at order by email").await;
        assert_eq!(people, ["Dana Whitfield", "Inés Okafor", "Ruth Abara", "Tomáš Lindqvist"], "{catalog}");
        let actions = lines(&database, "select distinct action from audit_events order by 1").await.join(" ");
        let told = "access_token.create key.disable key.edit key.issue key.revoke key.rotate key.rotate_finish member.add \
                    member.role org.create sign_in webhook_secret.generate webhook_secret.regenerate";
        assert_eq!(actions, told, "{catalog}");
    }
}

#[tokio::test]
async fn a_demo_can_be_small_or_large() {
    for keys in [1, 3, 130] {
        let (database, _folder) = demo("default", keys).await;
        adds_up(&database, keys).await;
    }
}
