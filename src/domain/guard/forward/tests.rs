//! Which forwards pass, which are asked about, and which nobody can let through.

use super::*;

fn policy(text: &str) -> Policy {
    Policy::built_in().over(&format!("version = 1\n{text}")).unwrap()
}

fn said(policy: &Policy, mode: grant::Mode, way: &str) -> (Decision, String) {
    let way = Way::read(way).unwrap_or_else(|| panic!("{way}"));
    let verdict = judge(&way, &Context::default(), mode, policy);
    (verdict.decision, verdict.rule.unwrap_or_default())
}

fn guarded(policy: &Policy, way: &str) -> (Decision, String) {
    said(policy, grant::Mode::Guarded, way)
}

const DB: &str = r#"
[[forward]]
id = "db"
decision = "allow"
host = ["db.internal", "10.0.0.0/24", "!10.0.0.9"]
port = [5432, "8000-8009"]
match = ["local db.internal:5432", "local 10.0.0.1:8009"]
no_match = ["local db.internal:22", "local 10.0.0.9:5432", "local 10.0.0.1.nip.io:5432"]
"#;

#[test]
fn there_are_no_default_destinations() {
    let policy = Policy::built_in();
    for way in ["local db:5432", "local localhost:80", "remote localhost:8080", "local /run/x.sock"]
    {
        assert_eq!(guarded(&policy, way), (Decision::Approve, UNMATCHED.to_owned()), "{way}");
    }
    let strict = self::policy("[defaults]\nunmatched = \"block\"");
    assert_eq!(guarded(&strict, "local db:1").0, Decision::Block);
    let open = self::policy("[defaults]\nunmatched = \"allow\"");
    assert_eq!(guarded(&open, "local db:1").0, Decision::Approve, "it says nothing of forwards");
}

#[test]
fn an_allowed_destination_passes_and_no_other_does() {
    let policy = policy(DB);
    assert_eq!(crate::domain::guard::policy::check(&policy), []);
    for way in ["local db.internal:5432", "local DB.internal.:5432", "local 10.1:8000"] {
        assert_eq!(guarded(&policy, way).0, Decision::Allow, "{way}");
    }
    for way in [
        "local db.internal.evil.example:5432",
        "local xdb.internal:5432",
        "local db.internal:5433",
        "remote db.internal:5432",
        "local 10.0.0.9:5432",
        "local ::ffff:10.0.0.9:5432",
        "local /run/db.internal:5432",
    ] {
        assert_ne!(guarded(&policy, way).0, Decision::Allow, "{way}");
    }
    assert_eq!(guarded(&policy, "local [::ffff:10.0.0.5]:5432").0, Decision::Allow);
}

#[test]
fn a_block_beats_every_allow_in_every_form_of_the_address() {
    let policy = policy(
        "[[forward]]\nid = \"all\"\ndecision = \"allow\"\nhost = [\"*\"]\n\
         [[forward]]\nid = \"no-self\"\ndecision = \"block\"\nhost = [\"127.0.0.0/8\"]\n",
    );
    for way in [
        "local 127.0.0.1:80",
        "local 127.1:80",
        "local 2130706433:80",
        "local 0x7f.1:80",
        "local [::ffff:127.0.0.1]:80",
        "local localhost:80",
        "local LOCALHOST.:80",
        "local 0.0.0.0:80",
        "local [::1]:80",
        "local x.localhost:80",
        "local 127.0.0.1.nip.io:80",
    ] {
        assert_eq!(guarded(&policy, way), (Decision::Block, "no-self".to_owned()), "{way}");
    }
    assert_eq!(guarded(&policy, "local db:1").0, Decision::Allow);
    let metadata = guarded(&policy, "local 169.254.169.254:80");
    assert_eq!(metadata, (Decision::Block, "forward.metadata".to_owned()));
}

#[test]
fn modes_ask_whatever_is_allowed() {
    let policy = policy(DB);
    let way = "local db.internal:5432";
    assert_eq!(said(&policy, grant::Mode::Each, way), (Decision::Approve, EACH.to_owned()));
    assert_eq!(said(&policy, grant::Mode::Read, way), (Decision::Approve, READ_ONLY.to_owned()));
}

#[test]
fn listening_is_allowed_apart_and_on_all_addresses_never_by_a_host() {
    let policy = policy(
        "[[forward]]\nid = \"back\"\ndecision = \"allow\"\ndirection = \"remote\"\n\
         host = [\"localhost\"]\nport = [8080]\n",
    );
    assert_eq!(guarded(&policy, "remote localhost:8080").0, Decision::Allow);
    assert_eq!(guarded(&policy, "remote 127.0.0.1:8080").0, Decision::Allow);
    for way in [
        "local localhost:8080",
        "remote *:8080",
        "remote :8080",
        "remote 0.0.0.0:8080",
        "remote localhost:0",
        "remote 10.0.0.1:8080",
    ] {
        assert_ne!(guarded(&policy, way).0, Decision::Allow, "{way}");
    }
}

#[test]
fn sockets_have_rules_of_their_own() {
    let policy = policy(
        "[[forward]]\nid = \"app\"\ndecision = \"allow\"\nsocket = [\"/run/app/*.sock\"]\n\
         [[forward]]\nid = \"any-host\"\ndecision = \"allow\"\nhost = [\"*\"]\n",
    );
    assert_eq!(guarded(&policy, "local /run/app/a.sock").0, Decision::Allow);
    for way in ["local /run/app/x/a.sock", "local /run/other.sock"] {
        assert_eq!(guarded(&policy, way).0, Decision::Approve, "{way}");
    }
    let docker = guarded(&policy, "local /var/run/Docker.sock");
    assert_eq!(docker, (Decision::Approve, "forward.control-socket".to_owned()));
    assert!(Way::read("local /run/../etc/x").is_none() && Way::to_socket("run/x").is_err());
    assert!(Way::to_socket("/run/x\n").is_err());
}

#[test]
fn an_allow_until_a_day_lifts_what_no_rule_allows_for_one_end() {
    let policy = policy(
        "[[allow]]\nrule = \"forward.unmatched\"\nargv = [\"local\", \"db:5432\"]\nexpires = \"2030-01-01\"\n",
    );
    let on = |day: &str, way: &str| {
        let context = Context { today: Some(day.parse().unwrap()), ..Context::default() };
        judge(&Way::read(way).unwrap(), &context, grant::Mode::Guarded, &policy).decision
    };
    assert_eq!(on("2029-12-31", "local db:5432"), Decision::Allow);
    assert_eq!(on("2030-01-01", "local db:5432"), Decision::Approve);
    assert_eq!(on("2029-12-31", "local db:5433"), Decision::Approve);
    assert_eq!(on("2029-12-31", "remote db:5432"), Decision::Approve);
}

#[test]
fn a_file_that_is_wrong_is_refused_where_it_is_wrong() {
    let refused = |text: &str| {
        let text = format!("version = 1\n[[forward]]\nid = \"x\"\ndecision = \"allow\"\n{text}");
        Policy::built_in().over(&text).unwrap_err().to_string()
    };
    for (text, why) in [
        ("", "no host, port or socket"),
        ("host = [\"10.0.*\"]", "give its network"),
        ("host = [\"a b\"]", "letters"),
        ("port = [\"x\"]", "is no port"),
        ("port = [70000]", "port"),
        ("socket = [\"x\"]", "does not begin with /"),
        ("socket = [\"/x\"]\nhost = [\"a\"]", "make two of it"),
        ("host = [\"a\"]\nmatch = [\"a:1\"]", "an example is"),
        ("host = [\"a\"]\nports = [1]", "unknown field"),
        ("host = [\"a\"]\ndirection = \"both\"", "unknown variant"),
    ] {
        assert!(refused(text).contains(why), "{text}: {}", refused(text));
    }
    let over = |text: &str| Policy::built_in().over(&format!("version = 1\n{text}"));
    let anew = over("[[forward]]\nid = \"forward.metadata\"\ndecision = \"approve\"\n").unwrap();
    assert_eq!(guarded(&anew, "local 169.254.169.254:80").0, Decision::Approve);
    assert!(
        over("[[rule]]\nid = \"forward.metadata\"\ndecision = \"allow\"\nprogram = [\"x\"]\n")
            .is_err()
    );
    assert!(over("[[forward]]\nid = \"fs.rm\"\ndecision = \"allow\"\nhost = [\"x\"]\n").is_err());
}

#[test]
fn a_way_is_read_as_it_shows_itself() {
    for way in [
        "local db:5432",
        "local [::1]:80",
        "remote *:0",
        "remote localhost:8080",
        "local /run/x.sock",
        "local 10.0.0.1:1",
    ] {
        assert_eq!(Way::read(way).unwrap().to_string(), way);
    }
    for odd in [
        "db:1",
        "local db",
        "local db:0",
        "local db:65536",
        "remote /run/x",
        "up db:1",
        "local *:1",
    ] {
        assert!(Way::read(odd).is_none(), "{odd}");
    }
}
