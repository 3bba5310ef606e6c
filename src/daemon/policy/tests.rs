//! What is in force changes by sealing alone, and what can't be read lets nothing pass.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use jiff::civil::date;
use tempfile::TempDir;

use super::*;
use crate::{
    domain::{
        guard::Decision,
        seal::{Cost, DataKey, Header, HeaderSeed},
        secret::Secret,
    },
    home::{POLICY, random},
};

const BLOCKS: &str =
    "version = 1\n[[rule]]\nid = \"own.x\"\ndecision = \"block\"\nprogram = [\"x\"]\n";

struct Place {
    _outer: TempDir,
    home: Arc<Home>,
    key: DataKey,
}

impl Place {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open_or_create(&outer.path().join("home")).unwrap());
        let seed = HeaderSeed {
            data_key: random().unwrap(),
            salt: random().unwrap(),
            nonce: random().unwrap(),
        };
        let cheap = Cost { m_kib: 64, t: 1, p: 1 };
        let (header, key) = Header::create(&Secret::new("x".into()), cheap, seed).unwrap();
        home.create_vault(&header, &key, random().unwrap(), None).unwrap();
        Self { _outer: outer, home, key }
    }

    fn open(&self) -> Policies {
        let vault = Arc::new(Vault::open(self.home.clone(), &self.key).unwrap());
        Policies::new(vault, Some(self.home.clone()))
    }

    fn file(&self) -> PathBuf {
        self.home.path_of(POLICY)
    }
}

fn notes(policies: &Policies) -> String {
    policies.notes(date(2027, 6, 1)).join("; ")
}

fn seal(policies: &Policies, text: &str) -> Arc<InForce> {
    let before = policies.in_force();
    policies.seal(&before, text.to_owned(), Timestamp::UNIX_EPOCH).unwrap()
}

#[test]
fn what_is_sealed_is_in_force_from_then_on_and_after_the_next_start() {
    let place = Place::new();
    let policies = place.open();
    let before = policies.in_force();
    assert!(before.own.is_none() && before.policy().unwrap().rule("own.x").is_none());
    let after = seal(&policies, BLOCKS);
    assert_ne!(before.revision, after.revision);
    assert_eq!(
        policies.in_force().policy().unwrap().rule("own.x").unwrap().decision,
        Decision::Block
    );
    // Who still holds what was before seals nothing.
    let late = policies.seal(&before, "version = 1\n".to_owned(), Timestamp::UNIX_EPOCH);
    assert!(matches!(late, Err(VaultError::Exists { .. })), "{:?}", late.err());
    let again = seal(&policies, "version = 1\n");
    let late = policies.seal(&after, BLOCKS.to_owned(), Timestamp::UNIX_EPOCH);
    assert!(matches!(late, Err(VaultError::Changed { .. })), "{:?}", late.err());
    drop(policies);
    let policies = place.open();
    assert_eq!(policies.in_force().revision, again.revision);
    assert_eq!(policies.in_force().own.as_ref().unwrap().record.text, "version = 1\n");
}

#[test]
fn what_this_sgw_cannot_read_lets_nothing_pass_until_another_is_sealed() {
    let place = Place::new();
    let policies = place.open();
    seal(&policies, "version = 2\n[novel]\n");
    drop(policies);
    let policies = place.open();
    let in_force = policies.in_force();
    assert_eq!(in_force.policy().unwrap_err().code, Code::PolicySealed);
    assert!(notes(&policies).contains("version 2 is newer than this sgw"), "{}", notes(&policies));
    assert!(seal(&policies, BLOCKS).policy().is_ok());
}

#[test]
fn a_file_that_differs_is_told_and_changes_nothing() {
    let place = Place::new();
    let policies = place.open();
    let revision = policies.in_force().revision;
    assert_eq!(notes(&policies), "");
    fs::write(place.file(), BLOCKS).unwrap();
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(notes(&policies).contains("differs from what is in force: sgw policy accept"));
    fs::write(place.file(), b"version = 1 # \xff").unwrap();
    assert!(notes(&policies).contains("not UTF-8"));
    fs::write(place.file(), "#".repeat(own::MAX_BYTES + 1)).unwrap();
    assert!(notes(&policies).contains("can't be read"));
    fs::remove_file(place.file()).unwrap();
    let elsewhere = place._outer.path().join("elsewhere");
    fs::write(&elsewhere, BLOCKS).unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.file()).unwrap();
    assert!(notes(&policies).contains("is a symbolic link"));
    assert_eq!(policies.in_force().revision, revision);
    fs::remove_file(place.file()).unwrap();
    seal(&policies, BLOCKS);
    assert!(notes(&policies).contains("there is no policy.toml"));
}

#[test]
fn a_service_reads_and_writes_no_file_beside_the_seal() {
    let place = Place::new();
    let vault = Arc::new(Vault::open(place.home.clone(), &place.key).unwrap());
    let policies = Policies::new(vault, None);
    fs::write(place.file(), "# somebody's").unwrap();
    seal(&policies, BLOCKS);
    assert_eq!(notes(&policies), "");
    policies.follow(Some(&own::digest("# somebody's")));
    assert_eq!(fs::read_to_string(place.file()).unwrap(), "# somebody's");
}

#[test]
fn a_file_follows_only_where_it_is_what_the_sealed_text_was_made_of() {
    let place = Place::new();
    let policies = place.open();
    let read = || fs::read_to_string(place.file()).unwrap();
    seal(&policies, BLOCKS);
    policies.follow(Some(&own::digest("something else")));
    assert!(!place.file().exists());
    policies.follow(None);
    assert_eq!(read(), BLOCKS);
    seal(&policies, "version = 1\n");
    policies.follow(Some(&own::digest(BLOCKS)));
    assert_eq!(read(), "version = 1\n");
    fs::write(place.file(), "# somebody's work").unwrap();
    seal(&policies, BLOCKS);
    policies.follow(Some(&own::digest("version = 1\n")));
    assert_eq!(read(), "# somebody's work");
}

#[test]
fn dated_rules_that_are_over_are_told() {
    let place = Place::new();
    let policies = place.open();
    let allow = |day: &str| {
        format!("[[allow]]\nrule = \"fs.rm\"\nargv = [\"rm\", \"x\"]\nexpires = \"{day}\"\n")
    };
    let text = format!("version = 1\n{}{}", allow("2027-06-01"), allow("2027-06-02"));
    seal(&policies, &text);
    policies.follow(None);
    assert_eq!(
        notes(&policies),
        "1 [[allow]] rule is over, and lifts nothing any more: sgw policy edit"
    );
}
