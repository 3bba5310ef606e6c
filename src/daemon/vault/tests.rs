//! The vault survives, and changes happen whole or not at all.

mod crashes;
mod tampering;

use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::daemon::store::database::hold;
use crate::domain::{
    record::Hash,
    seal::{Cost, Header, HeaderSeed, seal_file},
    secret::Secret,
};
use crate::home::{STATE, random};

/// A record of the tests' own.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    id: String,
    text: String,
}

impl Record for Note {
    const TABLE: &'static str = "note";

    fn id(&self) -> &str {
        &self.id
    }
}

fn note(id: &str, text: &str) -> Note {
    Note { id: id.into(), text: text.into() }
}

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

    fn open(&self) -> Result<Vault, VaultError> {
        Vault::open(self.home.clone(), &self.key)
    }

    /// Opened once, so that it has the file that it keeps.
    fn moved_in() -> Self {
        let place = Self::new();
        place.open().unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.home.path_of(VAULT)
    }

    fn damage(&self) -> String {
        match self.open() {
            Err(VaultError::Damaged { why, .. }) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it opened"),
        }
    }
}

fn pin(key: &str) -> Pin {
    Pin { key: key.into(), accepted_at: Timestamp::UNIX_EPOCH, how: "approved r-7k3".into() }
}

#[test]
fn everything_is_there_again_after_a_restart() {
    let place = Place::new();
    let vault = place.open().unwrap();
    assert_eq!(vault.summary(), Summary { revision: 0, changed_at: None, anchor: Tip::default() });
    vault.pin("web1:22", pin("ssh-ed25519 AAAA")).unwrap();
    vault.pin("web1:22", pin("ssh-rsa BBBB")).unwrap();
    vault.set("notify", "/bin/true").unwrap();
    assert_eq!(vault.reserve_ids(100).unwrap(), 0..100);
    let tip = Tip { seq: 7, hash: Hash([1; 32]) };
    vault.anchor(tip).unwrap();
    drop(vault);
    let vault = place.open().unwrap();
    assert_eq!(vault.pins("web1:22"), [pin("ssh-ed25519 AAAA"), pin("ssh-rsa BBBB")]);
    assert!(vault.pins("web2:22").is_empty());
    assert_eq!(vault.settings().notify, ["/bin/true"]);
    assert_eq!(vault.reserve_ids(1).unwrap(), 100..101);
    assert_eq!((vault.anchored(), vault.revision()), (tip, 6));
    assert!(vault.summary().changed_at.is_some());
}

#[test]
fn nothing_of_it_can_be_read_on_the_disk() {
    let place = Place::new();
    place.open().unwrap().pin("canary-host:22", pin("ssh-ed25519 CANARYKEY")).unwrap();
    let secret = Secret::new(b"CANARYSECRET".to_vec());
    let vault = place.open().unwrap();
    vault.add(note("a", "CANARYTEXT")).unwrap();
    vault.keep_secret("a", &secret).unwrap();
    let file = fs::read(place.file()).unwrap();
    for canary in ["canary-host", "CANARYKEY", "r-7k3", "CANARYTEXT", "CANARYSECRET"] {
        assert!(!file.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary}");
    }
}

#[test]
fn what_is_no_change_writes_nothing() {
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.pin("web1:22", pin("ssh-ed25519 AAAA")).unwrap();
    vault.anchor(Tip { seq: 7, hash: Hash([1; 32]) }).unwrap();
    let revision = vault.revision();
    vault.pin("web1:22", pin("ssh-ed25519 AAAA")).unwrap();
    vault.anchor(Tip { seq: 6, hash: Hash([2; 32]) }).unwrap();
    assert!(vault.set("notfy", "x").is_err());
    assert!(vault.set("notify", "it's").is_err());
    assert_eq!((vault.revision(), vault.anchored().seq), (revision, 7));
}

#[test]
fn an_address_has_a_bounded_number_of_keys() {
    let place = Place::new();
    let vault = place.open().unwrap();
    for number in 0..MAX_PINS {
        vault.pin("web1:22", pin(&format!("ssh-ed25519 {number}"))).unwrap();
    }
    let error = vault.pin("web1:22", pin("one more")).unwrap_err();
    assert!(matches!(error, VaultError::Limit(_)));
    assert_eq!(vault.pins("web1:22").len(), MAX_PINS);
}

#[test]
fn a_change_that_can_t_be_written_did_not_happen() {
    let place = Place::new();
    let vault = place.open().unwrap();
    let held = hold(&place.file());
    let error = vault.reserve_ids(5).unwrap_err();
    assert!(matches!(error, VaultError::Unwritten { .. }), "{error}");
    assert_eq!(vault.revision(), 0);
    drop(held);
    assert_eq!(vault.reserve_ids(5).unwrap(), 0..5);
    drop(vault);
    assert_eq!(place.open().unwrap().revision(), 1);
}

#[test]
fn its_file_is_for_one_reader_and_alone() {
    let place = Place::moved_in();
    place.open().unwrap().add(note("a", "one")).unwrap();
    assert_eq!(fs::metadata(place.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let mut files: Vec<_> =
        fs::read_dir(place.home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["vault.db", "vault.json"]);
}

#[test]
fn ids_are_given_out_once_whoever_asks_at_once() {
    let place = Place::new();
    let vault = place.open().unwrap();
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..8).map(|_| scope.spawn(|| vault.reserve_ids(3).unwrap())).collect();
        asking.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (0..24).collect::<Vec<_>>());
}

#[test]
fn records_are_added_edited_and_removed_and_survive() {
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.add(note("b", "two")).unwrap();
    vault.add(note("a", "one")).unwrap();
    let texts = |vault: &Vault| -> Vec<String> {
        vault.all::<Note>().iter().map(|stored| stored.record.text.clone()).collect()
    };
    assert_eq!(texts(&vault), ["one", "two"]);
    let read = vault.get::<Note>("a").unwrap();
    vault.edit(read.version, note("a", "uno")).unwrap();
    let again = vault.edit(read.version, note("a", "eins")).unwrap_err();
    assert!(matches!(again, VaultError::Changed { table: "note", .. }), "{again}");
    let taken = vault.add(note("a", "one")).unwrap_err();
    assert!(matches!(taken, VaultError::Exists { .. }), "{taken}");
    let missing = vault.edit(1, note("c", "three")).unwrap_err();
    assert!(matches!(missing, VaultError::Missing { .. }), "{missing}");
    assert!(matches!(
        vault.remove::<Note>("a", Some(read.version)).unwrap_err(),
        VaultError::Changed { .. }
    ));
    drop(vault);
    let vault = place.open().unwrap();
    assert_eq!(texts(&vault), ["uno", "two"]);
    vault.remove::<Note>("a", None).unwrap();
    vault.remove::<Note>("b", Some(vault.get::<Note>("b").unwrap().version)).unwrap();
    assert!(vault.remove::<Note>("b", None).is_err());
    assert!(place.open().unwrap().all::<Note>().is_empty());
}

#[test]
fn an_id_that_is_taken_again_has_another_version() {
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.add(note("a", "one")).unwrap();
    let first = vault.get::<Note>("a").unwrap().version;
    vault.remove::<Note>("a", None).unwrap();
    vault.add(note("a", "one")).unwrap();
    assert!(vault.get::<Note>("a").unwrap().version > first);
    assert_eq!(vault.changed::<Note>(), vault.revision());
}

#[test]
fn several_changes_are_one_or_none() {
    let place = Place::new();
    let vault = place.open().unwrap();
    let secret = Secret::new(b"hunter2".to_vec());
    let refused = vault.change(|change| {
        change.add(note("a", "one"))?;
        change.keep_secret("a", &secret)?;
        assert_eq!(change.all::<Note>().len(), 1);
        assert_eq!(change.open_secret("a")?.expose(), b"hunter2");
        change.add(note("a", "again"))
    });
    assert!(matches!(refused, Err(VaultError::Exists { .. })));
    assert!(vault.get::<Note>("a").is_none() && vault.open_secret("a").is_err());
    assert_eq!(vault.revision(), 0);
    vault
        .change(|change| {
            change.add(note("a", "one"))?;
            change.keep_secret("a", &secret)
        })
        .unwrap();
    let vault = place.open().unwrap();
    assert_eq!(vault.get::<Note>("a").unwrap().record.text, "one");
    assert_eq!(vault.open_secret("a").unwrap().expose(), b"hunter2");
    assert_eq!(vault.revision(), 1);
    vault.remove_secret("a").unwrap();
    assert!(vault.open_secret("a").is_err() && vault.remove_secret("a").is_err());
}

#[test]
fn what_is_too_large_is_refused() {
    let vault = Place::new().open().unwrap();
    let long = "x".repeat(tables::MAX_RECORD_BYTES);
    for record in [note("a", &long), note("", "x"), note(&"a".repeat(256), "x")] {
        assert!(matches!(vault.add(record).unwrap_err(), VaultError::Limit(_)));
    }
    let value = Secret::new(vec![0; tables::MAX_RECORD_BYTES + 1]);
    assert!(vault.keep_secret("a", &value).is_err());
    assert_eq!(vault.revision(), 0);
}
