//! Another passphrase and another data key: at every step there is a vault that opens, and the new key's
//! is the old one's in all but the key.

use std::path::Path;

use super::*;
use crate::{
    domain::record::{Keys, Kind, Record as Evident},
    home::{HEADER, NEW_VAULT},
};

const CHEAP: Cost = Cost { m_kib: 64, t: 1, p: 1 };

fn header(passphrase: &str, data_key: [u8; 32]) -> (Vec<u8>, DataKey) {
    let seed = HeaderSeed { data_key, salt: random().unwrap(), nonce: random().unwrap() };
    let (header, key) = Header::create(&Secret::new(passphrase.into()), CHEAP, seed).unwrap();
    (header.to_json(), key)
}

/// A vault with something of everything.
fn filled() -> Place {
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.add(note("a", "one")).unwrap();
    vault.keep_secret("a", &Secret::new(b"hunter2".to_vec())).unwrap();
    vault.set("notify", "/bin/true").unwrap();
    vault.set_pin(Some(&Secret::new(b"7314".to_vec()))).unwrap();
    vault.pin("web1:22", pin("ssh-ed25519 AAAA")).unwrap();
    place
}

#[track_caller]
fn is_whole(vault: &Vault) {
    assert_eq!(vault.get::<Note>("a").unwrap().record.text, "one");
    assert_eq!(vault.open_secret("a").unwrap().expose(), b"hunter2");
    assert_eq!(vault.settings().notify, ["/bin/true"]);
    assert_eq!(vault.is_pin(&Secret::new(b"7314".to_vec())), Some(true));
    assert_eq!(vault.pins("web1:22"), [pin("ssh-ed25519 AAAA")]);
}

fn copy(home: &Home) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(home.path()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn open(path: &Path, key: &DataKey) -> Result<Vault, VaultError> {
    Vault::open(Arc::new(Home::open(path).unwrap()), key)
}

#[test]
fn a_rotated_vault_is_the_same_under_another_key() {
    let place = filled();
    let vault = place.open().unwrap();
    let version = vault.get::<Note>("a").unwrap().version;
    let was = place.home.header().unwrap().unwrap();
    let (new, key) = header("x", [9; 32]);
    vault.rotate(&NewHeader { was: &was, new: &new }, &key, |_| ()).unwrap();
    is_whole(&vault);
    // What was read before can be edited after.
    vault.edit(version, note("a", "one")).unwrap();
    vault.add(note("b", "two")).unwrap();
    drop(vault);
    assert_eq!(place.damage(), "its root was changed, or is another vault's");
    let vault = open(place.home.path(), &key).unwrap();
    is_whole(&vault);
    assert_eq!(vault.get::<Note>("b").unwrap().record.text, "two");
    // And once more.
    let (newer, key) = header("x", [10; 32]);
    vault.rotate(&NewHeader { was: &new, new: &newer }, &key, |_| ()).unwrap();
    drop(vault);
    is_whole(&open(place.home.path(), &key).unwrap());
}

#[test]
fn wherever_a_rotation_is_ended_one_of_the_two_keys_opens_the_vault() {
    let place = filled();
    let vault = place.open().unwrap();
    let was = place.home.header().unwrap().unwrap();
    let (new, key) = header("x", [9; 32]);
    let mut seen = Vec::new();
    let note_step = |step| seen.push((step, copy(&place.home)));
    vault.rotate(&NewHeader { was: &was, new: &new }, &key, note_step).unwrap();
    let steps: Vec<Step> = seen.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [Step::Sealed, Step::Header, Step::InPlace]);
    for (step, home) in seen {
        let now = fs::read(home.path().join(HEADER)).unwrap();
        let (right, wrong) = match step {
            Step::Sealed => (&place.key, &key),
            Step::Header | Step::InPlace => (&key, &place.key),
        };
        assert_eq!(now == new, step != Step::Sealed, "{step:?}");
        if step == Step::InPlace {
            assert!(open(home.path(), wrong).is_err(), "{step:?}");
        }
        let vault = open(home.path(), right).unwrap();
        is_whole(&vault);
        vault.add(note("b", "two")).unwrap();
        drop(vault);
        assert!(!home.path().join(NEW_VAULT).exists(), "{step:?}");
        let vault = open(home.path(), right).unwrap();
        assert_eq!(vault.all::<Note>().len(), 2, "{step:?}");
    }
}

#[test]
fn half_of_a_new_vault_is_not_taken_for_one() {
    let place = filled();
    let whole = fs::read(place.file()).unwrap();
    for cut in [0, 100, 5000, whole.len() - 1] {
        fs::write(place.home.path_of(NEW_VAULT), &whole[..cut]).unwrap();
        fs::set_permissions(place.home.path_of(NEW_VAULT), fs::Permissions::from_mode(0o600))
            .unwrap();
        is_whole(&place.open().unwrap());
        assert!(!place.home.has(NEW_VAULT).unwrap(), "{cut}");
    }
}

#[test]
fn a_rotation_that_can_t_be_written_did_not_happen() {
    let place = filled();
    let vault = place.open().unwrap();
    let was = place.home.header().unwrap().unwrap();
    let (new, key) = header("x", [9; 32]);
    for in_the_way in [".vault.json.new", "vault.db.new"] {
        let in_the_way = place.home.path().join(in_the_way);
        fs::create_dir(&in_the_way).unwrap();
        assert!(vault.rotate(&NewHeader { was: &was, new: &new }, &key, |_| ()).is_err());
        fs::remove_dir(&in_the_way).unwrap();
        is_whole(&vault);
        vault.set("notify", "/bin/true").unwrap();
        assert_eq!(place.home.header().unwrap().unwrap(), was);
        is_whole(&place.open().unwrap());
    }
}

#[test]
fn of_two_operators_one_is_first() {
    let place = filled();
    let vault = place.open().unwrap();
    let was = place.home.header().unwrap().unwrap();
    let (passphrase, _) = header("y", *place.key.expose());
    vault.replace_header(&NewHeader { was: &was, new: &passphrase }).unwrap();
    assert_eq!(place.home.header().unwrap().unwrap(), passphrase);
    let (new, key) = header("x", [9; 32]);
    let late = NewHeader { was: &was, new: &new };
    assert!(matches!(vault.rotate(&late, &key, |_| ()), Err(VaultError::HeaderChanged)));
    assert!(matches!(vault.replace_header(&late), Err(VaultError::HeaderChanged)));
    let junk = NewHeader { was: &passphrase, new: b"{}" };
    assert!(matches!(vault.replace_header(&junk), Err(VaultError::Limit(_))));
    is_whole(&place.open().unwrap());
}

#[test]
fn what_the_audit_was_sealed_and_chained_with_stays() {
    let place = filled();
    let vault = place.open().unwrap();
    let was = place.home.header().unwrap().unwrap();
    let (new, key) = header("x", [9; 32]);
    let line = |keys: &Keys| {
        let record = Evident::new(Kind::Paused, "operator");
        let at = Timestamp::UNIX_EPOCH;
        crate::domain::record::write(keys, &Hash([0; 32]), 1, at, [0; 24], &record).unwrap()
    };
    let before = line(&Keys::derive(&place.key));
    assert_eq!(line(&vault.audit_keys()).0, before.0);
    vault.rotate(&NewHeader { was: &was, new: &new }, &key, |_| ()).unwrap();
    assert_eq!(line(&vault.audit_keys()).0, before.0);
    drop(vault);
    assert_eq!(line(&open(place.home.path(), &key).unwrap().audit_keys()).0, before.0);
    assert_ne!(line(&Keys::derive(&key)).0, before.0);
}
