//! An export is the whole vault, comes in whole or not at all, and is nobody's without its passphrase.

use super::*;
use crate::domain::seal::{Key, seal};

const HEAD: &[u8] = b"sgw export 1\n{}\n";

fn key() -> Key {
    Key::new([3; 32])
}

fn filled() -> (Place, Vec<u8>) {
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.add(note("a", "CANARYTEXT")).unwrap();
    vault.add(note("b", "two")).unwrap();
    vault.keep_secret("a", &Secret::new(b"CANARYSECRET\xff".to_vec())).unwrap();
    vault.set("notify", "/bin/true").unwrap();
    vault.pin("web1:22", pin("ssh-ed25519 AAAA")).unwrap();
    vault.reserve_ids(100).unwrap();
    let (sealed, count) = vault.export(&key(), HEAD).unwrap();
    assert_eq!(count, Count { records: 2, secrets: 1 });
    (place, sealed)
}

#[test]
fn another_vault_takes_it_in() {
    let (_, sealed) = filled();
    for canary in ["CANARY", "web1", "notify"] {
        assert!(!sealed.windows(canary.len()).any(|window| window == canary.as_bytes()));
    }
    let place = Place::new();
    let vault = place.open().unwrap();
    let count = vault.import(&key(), HEAD, &sealed, false).unwrap();
    assert_eq!(count, Count { records: 2, secrets: 1 });
    // Again brings nothing new.
    assert_eq!(vault.import(&key(), HEAD, &sealed, false).unwrap(), Count::default());
    drop(vault);
    let vault = place.open().unwrap();
    assert_eq!(vault.get::<Note>("a").unwrap().record.text, "CANARYTEXT");
    assert_eq!(vault.open_secret("a").unwrap().expose(), b"CANARYSECRET\xff");
    assert_eq!(vault.pins("web1:22"), [pin("ssh-ed25519 AAAA")]);
    assert_eq!(vault.reserve_ids(1).unwrap(), 100..101);
    // Settings could weaken this one; only a replacement takes them.
    assert!(vault.settings().notify.is_empty());
}

#[test]
fn what_is_here_and_other_stops_all_of_it() {
    let (_, sealed) = filled();
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.add(note("b", "another two")).unwrap();
    let revision = vault.revision();
    let error = vault.import(&key(), HEAD, &sealed, false).unwrap_err();
    assert_eq!(error.to_string(), "there is a note b already");
    assert!(vault.get::<Note>("a").is_none() && vault.revision() == revision);
    vault.remove::<Note>("b", None).unwrap();
    vault.keep_secret("a", &Secret::new(b"other".to_vec())).unwrap();
    let error = vault.import(&key(), HEAD, &sealed, false).unwrap_err();
    assert!(matches!(error, VaultError::Exists { .. }), "{error}");
    assert!(vault.all::<Note>().is_empty());
}

#[test]
fn a_replacement_leaves_nothing_else() {
    let (_, sealed) = filled();
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.add(note("b", "another two")).unwrap();
    vault.add(note("c", "three")).unwrap();
    vault.keep_secret("c", &Secret::new(b"other".to_vec())).unwrap();
    vault.pin("web2:22", pin("ssh-ed25519 BBBB")).unwrap();
    vault.set_pin(Some(&Secret::new(b"7314".to_vec()))).unwrap();
    vault.reserve_ids(1000).unwrap();
    vault.import(&key(), HEAD, &sealed, true).unwrap();
    drop(vault);
    let vault = place.open().unwrap();
    let ids: Vec<_> = vault.all::<Note>().iter().map(|note| note.record.id.clone()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(vault.get::<Note>("b").unwrap().record.text, "two");
    assert!(vault.open_secret("c").is_err() && vault.pins("web2:22").is_empty());
    assert_eq!(vault.settings().notify, ["/bin/true"]);
    // This home's own.
    assert!(vault.has_pin());
    assert_eq!(vault.reserve_ids(1).unwrap().start, 1000);
}

#[test]
fn a_damaged_foreign_or_newer_export_changes_nothing() {
    let (_, sealed) = filled();
    let place = Place::new();
    let vault = place.open().unwrap();
    let mut flipped = sealed.clone();
    flipped[40] ^= 1;
    for (key, head, sealed) in [
        (Key::new([4; 32]), HEAD, &sealed[..]),
        (key(), b"another head", &sealed),
        (key(), HEAD, &flipped),
        (key(), HEAD, &sealed[..30]),
        (key(), HEAD, b""),
    ] {
        let error = vault.import(&key, head, sealed, true).unwrap_err();
        assert!(matches!(error, VaultError::WrongPassphrase), "{error}");
    }
    let export = |records: &str, secrets: &str| {
        format!(
            r#"{{"made_at":"2026-01-01T00:00:00Z","revision":1,"settings":{{}},"pins":{{}},"next_id":1,
                "records":{records},"secrets":{secrets}}}"#
        )
    };
    for plain in [
        "junk".to_owned(),
        export("{}", "{}").replace("revision", "version"),
        export(r#"{"unheard":{"a":{}}}"#, "{}"),
        export(r#"{"note":{"a":{"id":"a","text":"x"},"b":{"id":"b","text":"x","more":1}}}"#, "{}"),
        export(r#"{"note":{"a":{"id":"b","text":"x"}}}"#, "{}"),
        export(r#"{"note":{"a":{"id":"a","text":"x"}}}"#, r#"{"a":"*"}"#),
    ] {
        let sealed = seal(&key(), random().unwrap(), HEAD, plain.as_bytes());
        let error = vault.import(&key(), HEAD, &sealed, true).unwrap_err();
        assert!(matches!(error, VaultError::Foreign(_)), "{error}");
    }
    assert_eq!(vault.revision(), 0);
    assert!(vault.all::<Note>().is_empty());
}
