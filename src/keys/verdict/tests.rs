//! The verdict's tables.

use time::{Duration, macros::datetime};
use uuid::Uuid;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-24 12:00 UTC);

/// `receipts:write` and the like, with wildcards, and a tier that allows reading only.
fn catalog() -> Catalog {
    let text = include_str!("../../catalog/presets/default.toml")
        .replace("name = \"high\"\nlabel = \"High\"", "name = \"high\"\nlabel = \"High\"\nscopes = [\"read\"]");
    Catalog::parse(&text).unwrap()
}

fn key() -> KeyRecord {
    KeyRecord {
        id: KeyId(Uuid::from_u128(1)),
        org_id: OrgId(Uuid::from_u128(2)),
        org: "acme".into(),
        name: "CI".into(),
        environment: "live".into(),
        tier: "standard".into(),
        scopes: vec!["read".into(), "write".into()],
        namespaces: Vec::new(),
        ip_allowlist: Vec::new(),
        expires_at: None,
        disabled_at: None,
        revoked_at: None,
        overlap_ends_at: None,
        overlap_ended: false,
        successor: None,
        org_suspended: false,
        created_by: None,
        creator: Creator::Operator,
    }
}

fn judge(catalog: &Catalog, key: &KeyRecord, asked: &Requirements<'_>) -> Verdict {
    let mut evaluation = Evaluation::of_key(key, asked, catalog, NOW);
    evaluation.add_limits(LimitState::Within);
    evaluation.verdict()
}

fn on(change: impl FnOnce(&mut KeyRecord), asked: Requirements<'_>) -> Code {
    let mut key = key();
    change(&mut key);
    judge(&catalog(), &key, &asked).code()
}

#[test]
fn what_was_not_found_is_told_apart() {
    for (verdict, code) in [
        (Verdict::Missing("Send your API key."), Code::Missing),
        (Verdict::Malformed(Malformed::Shape), Code::Malformed),
        (Verdict::NotFound, Code::NotFound),
        (Verdict::Unavailable, Code::Unavailable),
    ] {
        assert_eq!(Evaluation::without_key(verdict).verdict().code(), code);
    }
}

#[test]
fn each_gate_refuses_with_its_own_word() {
    let any = Requirements::default;
    assert_eq!(on(|_| (), any()), Code::Valid);
    assert_eq!(on(|k| k.revoked_at = Some(NOW), any()), Code::Revoked);
    assert_eq!(on(|k| k.overlap_ends_at = Some(NOW), any()), Code::Rotated);
    assert_eq!(on(|k| k.disabled_at = Some(NOW), any()), Code::Disabled);
    assert_eq!(on(|k| k.expires_at = Some(NOW - Duration::SECOND), any()), Code::Expired);
    assert_eq!(on(|k| k.org_suspended = true, any()), Code::Suspended);
    assert_eq!(on(|_| (), Requirements { orgs: [Some("other"), None], ..any() }), Code::NotFound);
    assert_eq!(on(|_| (), Requirements { environment: Some("test"), ..any() }), Code::WrongEnvironment);
    assert_eq!(on(|_| (), Requirements { scopes: &["admin".into()], ..any() }), Code::InsufficientScope);
    assert_eq!(on(|k| k.tier = "gone".into(), any()), Code::Unavailable);
}

#[test]
fn a_key_expires_exactly_at_its_time() {
    for (at, code) in [
        (NOW + Duration::microseconds(1), Code::Valid),
        (NOW, Code::Expired),
        (NOW - Duration::microseconds(1), Code::Expired),
        (NOW + Duration::days(3650), Code::Valid),
        (OffsetDateTime::UNIX_EPOCH, Code::Expired),
        (NOW.to_offset(time::UtcOffset::from_hms(9, 0, 0).unwrap()), Code::Expired),
    ] {
        assert_eq!(on(|k| k.expires_at = Some(at), Requirements::default()), code, "{at}");
    }
}

#[test]
fn a_replaced_key_goes_on_exactly_until_its_time_unless_it_was_ended_before() {
    let successor = Some(KeyId(Uuid::from_u128(3)));
    for (at, overlap_ended, valid) in [
        (NOW + Duration::microseconds(1), false, true),
        (NOW, false, false),
        (NOW - Duration::microseconds(1), false, false),
        // Ended at once: a clock that is behind does not bring it back.
        (NOW + Duration::microseconds(1), true, false),
        (NOW + Duration::seconds(5), true, false),
    ] {
        let key = KeyRecord { overlap_ends_at: Some(at), overlap_ended, successor, ..key() };
        let expected = if valid { Verdict::Valid } else { Verdict::Rotated { successor } };
        assert_eq!(judge(&catalog(), &key, &Requirements::default()), expected, "{at} {overlap_ended}");
    }
    let told = Verdict::Rotated { successor }.detail();
    assert!(told.contains("replaced by the key 00000000-0000-0000-0000-000000000003"), "{told}");
}

#[test]
fn an_organization_is_expected_by_slug_or_id_exactly() {
    let id = OrgId(Uuid::from_u128(2)).to_string();
    for (org, code) in [
        ("acme", Code::Valid),
        (id.as_str(), Code::Valid),
        (&id.to_uppercase(), Code::NotFound),
        (&id.replace('-', ""), Code::NotFound),
        ("Acme", Code::NotFound),
        (" acme", Code::NotFound),
        ("acm", Code::NotFound),
        ("acmee", Code::NotFound),
        ("", Code::NotFound),
        ("*", Code::NotFound),
    ] {
        // Digits alone have no case.
        let code = if org == id { Code::Valid } else { code };
        assert_eq!(on(|_| (), Requirements { orgs: [Some(org), None], ..Requirements::default() }), code, "{org}");
    }
}

#[test]
fn an_environment_is_expected_exactly() {
    for (environment, code) in [
        ("live", Code::Valid),
        ("Live", Code::WrongEnvironment),
        ("test", Code::WrongEnvironment),
        ("", Code::WrongEnvironment),
    ] {
        assert_eq!(
            on(|_| (), Requirements { environment: Some(environment), ..Requirements::default() }),
            code,
            "{environment}"
        );
    }
}

#[test]
fn where_two_organizations_are_required_the_key_is_of_both() {
    let id = OrgId(Uuid::from_u128(2)).to_string();
    for (orgs, code) in [
        ([Some("acme"), Some("acme")], Code::Valid),
        ([Some("acme"), Some(id.as_str())], Code::Valid),
        ([None, Some("acme")], Code::Valid),
        ([Some("acme"), Some("other")], Code::NotFound),
        ([Some("other"), Some("acme")], Code::NotFound),
        ([None, Some("other")], Code::NotFound),
    ] {
        assert_eq!(on(|_| (), Requirements { orgs, ..Requirements::default() }), code, "{orgs:?}");
    }
}

#[test]
fn scopes() {
    let cases: &[(&str, &str, &str, &[&str])] = &[
        // has, tier, asked, missing
        ("read write", "standard", "", &[]),
        ("read write", "standard", "read", &[]),
        ("read write", "standard", "write", &[]),
        ("read write", "standard", "read write", &[]),
        ("read write", "standard", "write read", &[]),
        ("read write", "standard", "read read", &[]),
        ("read write", "standard", "admin", &["admin"]),
        ("read write", "standard", "read admin", &["admin"]),
        ("read write", "standard", "admin other", &["admin", "other"]),
        ("read", "standard", "READ", &["READ"]),
        ("read", "standard", "Read", &["Read"]),
        ("read", "standard", "rea", &["rea"]),
        ("read", "standard", "reads", &["reads"]),
        ("read", "standard", "*", &["*"]),
        ("read", "standard", "read:*", &["read:*"]),
        ("", "standard", "read", &["read"]),
        ("", "standard", "", &[]),
        ("*", "standard", "read", &["read"]),
        ("read*", "standard", "read", &["read"]),
        // The tier allows reading only, whatever the key has.
        ("read write", "high", "read", &[]),
        ("read write", "high", "write", &["write"]),
        ("read write", "high", "read write", &["write"]),
        ("write", "high", "read", &["read"]),
        ("read write admin", "unlimited", "admin write read", &[]),
    ];
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let catalog = catalog();
    for (has, tier, asked, missing) in cases {
        let key = KeyRecord { scopes: words(has), tier: (*tier).to_owned(), ..key() };
        let scopes = words(asked);
        let verdict = judge(&catalog, &key, &Requirements { scopes: &scopes, ..Requirements::default() });
        let expected = match missing {
            [] => Verdict::Valid,
            missing => Verdict::InsufficientScope { missing: missing.iter().map(|s| (*s).to_owned()).collect() },
        };
        assert_eq!(verdict, expected, "has {has:?} of {tier}, asked {asked:?}");
    }
    // An empty scope is one that no key has.
    assert_eq!(
        on(|_| (), Requirements { scopes: &[String::new()], ..Requirements::default() }),
        Code::InsufficientScope
    );
    assert_eq!(
        on(|_| (), Requirements { scopes: &["read ".to_owned()], ..Requirements::default() }),
        Code::InsufficientScope
    );
}

#[test]
fn scopes_with_wildcards() {
    let mut catalog = catalog();
    catalog.wildcards = true;
    for (has, asked, valid) in [
        ("*", "read", true),
        ("*", "a:b:c", true),
        ("receipts:*", "receipts:write", true),
        ("receipts:*", "receipts:", true),
        ("receipts:*", "receipts", false),
        ("receipts:*", "receiptsx:write", false),
        ("receipts:*", "policy:read", false),
        ("receipts:*", "RECEIPTS:write", false),
        ("*:write", "receipts:write", false),
        ("re*pts:write", "receipts:write", false),
        ("receipts:**", "receipts:*x", true),
        ("read", "read", true),
        ("read", "*", false),
        ("rea*", "read", true),
        ("", "read", false),
    ] {
        let key = KeyRecord { scopes: vec![has.to_owned()], ..key() };
        let scopes = [asked.to_owned()];
        let verdict = judge(&catalog, &key, &Requirements { scopes: &scopes, ..Requirements::default() });
        assert_eq!(verdict == Verdict::Valid, valid, "{has} {asked}");
    }
    // A wildcard does not reach beyond the tier.
    let key = KeyRecord { scopes: vec!["*".to_owned()], tier: "high".into(), ..key() };
    assert_eq!(
        judge(&catalog, &key, &Requirements { scopes: &["write".to_owned()], ..Requirements::default() }).code(),
        Code::InsufficientScope
    );
    assert_eq!(
        judge(&catalog, &key, &Requirements { scopes: &["read".to_owned()], ..Requirements::default() }),
        Verdict::Valid
    );
}

#[test]
fn addresses() {
    let cases: &[(&str, Option<&str>, bool)] = &[
        ("", Some("203.0.113.9"), true),
        ("", Some("2001:db8::1"), true),
        ("", None, true),
        ("203.0.113.9/32", Some("203.0.113.9"), true),
        ("203.0.113.9/32", Some("203.0.113.10"), false),
        ("203.0.113.9/32", None, false),
        ("203.0.113.0/24", Some("203.0.113.0"), true),
        ("203.0.113.0/24", Some("203.0.113.255"), true),
        ("203.0.113.0/24", Some("203.0.112.255"), false),
        ("203.0.113.0/24", Some("203.0.114.0"), false),
        ("203.0.113.128/25", Some("203.0.113.127"), false),
        ("203.0.113.128/25", Some("203.0.113.128"), true),
        ("0.0.0.0/0", Some("8.8.8.8"), true),
        ("0.0.0.0/0", Some("2001:db8::1"), false),
        ("0.0.0.0/0", None, false),
        ("::/0", Some("2001:db8::1"), true),
        ("::/0", Some("8.8.8.8"), false),
        // An IPv4 address in IPv6 clothes is that IPv4 address.
        ("203.0.113.9/32", Some("::ffff:203.0.113.9"), true),
        ("203.0.113.9/32", Some("::ffff:203.0.113.10"), false),
        ("::/0", Some("::ffff:203.0.113.9"), false),
        ("2001:db8::/32", Some("2001:db8:ffff::1"), true),
        ("2001:db8::/32", Some("2001:db9::1"), false),
        ("2001:db8::1/128", Some("2001:db8::1"), true),
        ("2001:db8::1/128", Some("2001:db8::2"), false),
        ("10.0.0.0/8 203.0.113.9/32", Some("10.255.255.255"), true),
        ("10.0.0.0/8 203.0.113.9/32", Some("203.0.113.9"), true),
        ("10.0.0.0/8 203.0.113.9/32", Some("11.0.0.0"), false),
        ("127.0.0.0/8", Some("127.0.0.1"), true),
        ("127.0.0.0/8", Some("::1"), false),
        ("::1/128", Some("::1"), true),
    ];
    for (allowed, address, valid) in cases {
        let addresses = allowed.split_whitespace().map(|net| net.parse().unwrap()).collect();
        let code = on(
            |k| k.ip_allowlist = addresses,
            Requirements { address: address.map(|a| a.parse().unwrap()), ..Requirements::default() },
        );
        let expected = if *valid { Code::Valid } else { Code::IpNotAllowed };
        assert_eq!(code, expected, "{allowed:?} from {address:?}");
    }
}

#[test]
fn namespaces() {
    let mut catalog = catalog();
    for (required, has, asked, valid) in [
        (false, "", Some("staging"), true),
        (true, "", Some("staging"), false),
        (true, "", None, true),
        (false, "staging", Some("staging"), true),
        (true, "staging", Some("staging"), true),
        (false, "staging", Some("Staging"), false),
        (false, "staging", Some("staging2"), false),
        (false, "staging", Some("stag"), false),
        (false, "staging", Some(""), false),
        (false, "staging", Some("*"), false),
        (false, "staging default", Some("default"), true),
        (false, "staging default", Some("other"), false),
        (false, "staging", None, true),
        (false, "*", Some("staging"), false),
    ] {
        catalog.namespaces_required = required;
        let key = KeyRecord { namespaces: has.split_whitespace().map(str::to_owned).collect(), ..key() };
        let verdict = judge(&catalog, &key, &Requirements { namespace: asked, ..Requirements::default() });
        let expected = if valid { Code::Valid } else { Code::NamespaceNotAllowed };
        assert_eq!(verdict.code(), expected, "{required} {has:?} {asked:?}");
    }
    let key = KeyRecord { namespaces: vec!["default".into()], ..key() };
    let verdict = judge(&catalog, &key, &Requirements { namespace: Some("staging"), ..Requirements::default() });
    assert_eq!(verdict.detail(), "Namespace 'staging' not permitted for tenant 'acme'");
}

#[test]
fn standing() {
    let mut catalog = catalog();
    let member = Creator::Member(Role::Developer);
    for (bound, suspended, creator, valid) in [
        (false, false, member, true),
        (false, false, Creator::Gone, true),
        (true, false, member, true),
        (true, false, Creator::Member(Role::Viewer), true),
        (true, false, Creator::Operator, true),
        (true, false, Creator::Gone, false),
        (false, true, member, false),
        (true, true, member, false),
        (true, true, Creator::Operator, false),
    ] {
        catalog.bound_to_creator = bound;
        let key = KeyRecord { org_suspended: suspended, creator, ..key() };
        assert_eq!(
            judge(&catalog, &key, &Requirements::default()) == Verdict::Valid,
            valid,
            "{bound} {suspended} {creator:?}"
        );
    }
}

#[test]
fn a_key_does_no_more_than_who_made_it_may_today() {
    let bound = |roles: &str| {
        let text = include_str!("../../catalog/presets/default.toml")
            .replace("bound_to_creator = false", "bound_to_creator = true")
            .replace("[headers]", &format!("{roles}\n[headers]"));
        Catalog::parse(&text).unwrap()
    };
    let (plain, listed) = (bound(""), bound("[roles]\ndeveloper = [\"read\"]\nviewer = [\"read\"]"));
    let member = Creator::Member;
    // catalog, creator, asked, what is beyond them
    for (catalog, creator, asked, beyond) in [
        (&catalog(), member(Role::Viewer), "read write", ""),
        (&catalog(), Creator::Gone, "read write", ""),
        (&plain, member(Role::Owner), "read write", ""),
        (&plain, member(Role::Admin), "read write", ""),
        (&plain, member(Role::Developer), "read write", ""),
        (&plain, member(Role::Viewer), "read", "read"),
        (&plain, member(Role::Viewer), "", ""),
        (&plain, Creator::Operator, "read write", ""),
        (&listed, member(Role::Owner), "read write", ""),
        (&listed, member(Role::Developer), "read", ""),
        (&listed, member(Role::Developer), "read write", "write"),
        (&listed, member(Role::Viewer), "read", ""),
        (&listed, member(Role::Viewer), "write", "write"),
        (&listed, Creator::Operator, "write", ""),
    ] {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let key = KeyRecord { creator, ..key() };
        let verdict = judge(catalog, &key, &Requirements { scopes: &words(asked), ..Requirements::default() });
        let expected = match beyond {
            "" => Verdict::Valid,
            beyond => Verdict::BeyondCreator { missing: words(beyond) },
        };
        assert_eq!(verdict, expected, "{creator:?} {asked}");
        for scope in words(asked) {
            assert_eq!(
                effective_scopes(catalog, &key).any(|counts| counts == scope),
                !words(beyond).contains(&scope) && creator != Creator::Gone || !catalog.bound_to_creator,
                "{creator:?} {scope}"
            );
        }
    }
    // What the key itself lacks is told first.
    let key = KeyRecord { scopes: vec!["read".into()], creator: member(Role::Viewer), ..key() };
    let asked = ["read".to_owned(), "write".to_owned()];
    let verdict = judge(&plain, &key, &Requirements { scopes: &asked, ..Requirements::default() });
    assert_eq!(verdict, Verdict::InsufficientScope { missing: vec!["write".into()] });
    let told = Verdict::BeyondCreator { missing: vec!["read".into()] };
    assert_eq!(told.code(), Code::InsufficientScope);
    assert_eq!(told.detail(), "Who made the key may not use the scope read any more, so neither may the key.");
}

#[test]
fn limits_come_last() {
    let catalog = catalog();
    let (key, asked) = (key(), Requirements::default());
    assert_eq!(Evaluation::of_key(&key, &asked, &catalog, NOW).verdict(), Verdict::Valid, "before they are asked");
    for (limits, verdict) in [
        (LimitState::Within, Verdict::Valid),
        (LimitState::OverRate(7), Verdict::RateLimited { retry_after: 7 }),
        (LimitState::OverQuota(9), Verdict::UsageExceeded { retry_after: 9 }),
        (LimitState::Unknown, Verdict::Unavailable),
    ] {
        let judge = |key: &KeyRecord| {
            let mut evaluation = Evaluation::of_key(key, &asked, &catalog, NOW);
            evaluation.add_limits(limits);
            evaluation.verdict()
        };
        assert_eq!(judge(&key), verdict);
        assert_eq!(judge(&KeyRecord { revoked_at: Some(NOW), ..key.clone() }), Verdict::Revoked);
    }
}

/// Everything is wrong at once; mending one at a time shows the next gate.
#[test]
fn gates_come_in_order() {
    let catalog = catalog();
    let scopes = ["admin".to_owned()];
    let mut asked = Requirements {
        orgs: [Some("other"), None],
        environment: Some("test"),
        namespace: Some("staging"),
        scopes: &scopes,
        address: None,
    };
    let mut key = KeyRecord {
        revoked_at: Some(NOW),
        overlap_ends_at: Some(NOW),
        disabled_at: Some(NOW),
        expires_at: Some(NOW),
        org_suspended: true,
        ip_allowlist: vec!["10.0.0.0/8".parse().unwrap()],
        namespaces: vec!["default".into()],
        ..key()
    };
    let limits = LimitState::OverRate(1);
    let judge = |key: &KeyRecord, asked: &Requirements<'_>, limits| {
        let mut evaluation = Evaluation::of_key(key, asked, &catalog, NOW);
        evaluation.add_limits(limits);
        evaluation.verdict().code()
    };
    assert_eq!(judge(&key, &asked, limits), Code::NotFound);
    asked.orgs = [None; 2];
    assert_eq!(judge(&key, &asked, limits), Code::Revoked);
    key.revoked_at = None;
    assert_eq!(judge(&key, &asked, limits), Code::Rotated);
    key.overlap_ends_at = None;
    assert_eq!(judge(&key, &asked, limits), Code::Disabled);
    key.disabled_at = None;
    assert_eq!(judge(&key, &asked, limits), Code::Expired);
    key.expires_at = None;
    assert_eq!(judge(&key, &asked, limits), Code::Suspended);
    key.org_suspended = false;
    assert_eq!(judge(&key, &asked, limits), Code::WrongEnvironment);
    asked.environment = None;
    assert_eq!(judge(&key, &asked, limits), Code::IpNotAllowed);
    asked.address = Some("10.1.2.3".parse().unwrap());
    assert_eq!(judge(&key, &asked, limits), Code::NamespaceNotAllowed);
    asked.namespace = None;
    assert_eq!(judge(&key, &asked, limits), Code::InsufficientScope);
    asked.scopes = &[];
    assert_eq!(judge(&key, &asked, limits), Code::RateLimited);
    assert_eq!(judge(&key, &asked, LimitState::OverQuota(1)), Code::UsageExceeded);
    assert_eq!(judge(&key, &asked, LimitState::Within), Code::Valid);
}

#[test]
fn a_trace_says_what_every_gate_says() {
    let catalog = catalog();
    let (key, scopes) = (KeyRecord { disabled_at: Some(NOW), ..key() }, ["admin".to_owned()]);
    let asked = Requirements { scopes: &scopes, ..Requirements::default() };
    let evaluation = Evaluation::of_key(&key, &asked, &catalog, NOW);
    let seen: Vec<_> = evaluation.gates().map(|(gate, refused)| (gate, refused.map(Verdict::code))).collect();
    assert_eq!(seen.len(), 8, "rate and quota were not asked");
    assert_eq!(seen[2], (Gate::State, Some(Code::Disabled)));
    assert_eq!(seen[7], (Gate::Scope, Some(Code::InsufficientScope)));
    assert!(seen.iter().filter(|(_, refused)| refused.is_none()).count() == 6);
    let unknown = Evaluation::without_key(Verdict::NotFound);
    assert_eq!(unknown.gates().last().unwrap(), (Gate::Found, Some(&Verdict::NotFound)));
    assert_eq!(Evaluation::without_key(Verdict::Missing("Send your API key.")).gates().count(), 1);
}
