//! Whatever was done to the file by another hand is noticed, and called by its name.

use proptest::prelude::*;

use super::*;
use crate::{daemon::store::database::tamper, home::HEADER};

/// A vault with the notes a and b, a at its second version, and a secret.
fn with_notes() -> Place {
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.add(note("a", "one")).unwrap();
    vault.add(note("b", "two")).unwrap();
    vault.edit(1, note("a", "uno")).unwrap();
    vault.keep_secret("a", &Secret::new(b"hunter2".to_vec())).unwrap();
    place
}

#[track_caller]
fn refused(place: &Place, sql: &str, why: &str) {
    let before = fs::read(place.file()).unwrap();
    tamper(&place.file(), sql);
    let tampered = fs::read(place.file()).unwrap();
    assert_ne!(tampered, before, "{sql}");
    assert_eq!(place.damage(), why, "{sql}");
    assert_eq!(fs::read(place.file()).unwrap(), tampered, "nothing is mended by itself");
    fs::write(place.file(), before).unwrap();
    place.open().unwrap();
}

#[test]
fn a_record_that_was_edited_swapped_copied_or_dropped_is_named() {
    let place = with_notes();
    let changed = "it was changed, or is another record's";
    refused(
        &place,
        "UPDATE record SET sealed = CAST(x'00' || substr(sealed, 2) AS BLOB) WHERE kind = 'note' AND id = 'a'",
        &format!("note a: {changed}"),
    );
    refused(
        &place,
        "UPDATE record SET sealed = x'' WHERE kind = 'note' AND id = 'b'",
        &format!("note b: {changed}"),
    );
    refused(
        &place,
        "UPDATE record SET sealed = (SELECT sealed FROM record WHERE id = 'b') WHERE kind = 'note' AND id = 'a'",
        &format!("note a: {changed}"),
    );
    refused(
        &place,
        "UPDATE record SET id = 'c' WHERE id = 'b'",
        "note c: it was added by somebody else",
    );
    refused(
        &place,
        "INSERT INTO record SELECT 'note', 'c', version, sealed FROM record WHERE id = 'b'",
        "note c: it was added by somebody else",
    );
    refused(
        &place,
        "INSERT INTO record SELECT 'grant', 'a\u{1b}', version, sealed FROM record WHERE id = 'b'",
        r"grant a\x1b: it was added by somebody else",
    );
    refused(&place, "DELETE FROM record WHERE id = 'b'", "note b: it is missing");
    refused(&place, "DELETE FROM record WHERE kind = 'note'", "note a: it is missing");
    refused(
        &place,
        "UPDATE record SET version = 3 WHERE id = 'b'",
        "note b: an older one was put back",
    );
    refused(
        &place,
        "UPDATE record SET sealed = x'00' WHERE kind = 'secret-value'",
        &format!("secret-value a: {changed}"),
    );
    refused(
        &place,
        "UPDATE record SET version = -1 WHERE id = 'b'",
        "note b: it has values of another type",
    );
    refused(
        &place,
        "UPDATE record SET sealed = 'text' WHERE id = 'b'",
        "note b: it has values of another type",
    );
}

#[test]
fn an_older_version_of_one_record_is_refused() {
    let place = Place::new();
    let vault = place.open().unwrap();
    vault.add(note("a", "one")).unwrap();
    let older = fs::read(place.file()).unwrap();
    vault.edit(1, note("a", "uno")).unwrap();
    drop(vault);
    let aside = place.home.path().join("older.db");
    fs::write(&aside, older).unwrap();
    let from = format!("ATTACH '{}' AS older;", aside.display());
    refused(
        &place,
        &format!("{from} DELETE FROM record; INSERT INTO record SELECT * FROM older.record"),
        "note a: an older one was put back",
    );
    refused(
        &place,
        &format!(
            "{from} UPDATE record SET sealed = (SELECT sealed FROM older.record WHERE id = 'a')"
        ),
        "note a: it was changed, or is another record's",
    );
    refused(
        &place,
        &format!("{from} DELETE FROM root; INSERT INTO root SELECT * FROM older.root"),
        "note a: an older one was put back",
    );
}

#[test]
fn the_root_is_one_and_its_own() {
    let place = with_notes();
    refused(&place, "DELETE FROM root", "it has 0 roots");
    refused(&place, "INSERT INTO root SELECT 2, revision, sealed FROM root", "it has 2 roots");
    let changed = "its root was changed, or is another vault's";
    refused(&place, "UPDATE root SET revision = revision + 1", changed);
    refused(&place, "UPDATE root SET sealed = CAST(x'00' || substr(sealed, 2) AS BLOB)", changed);
}

#[test]
fn another_schema_is_refused() {
    let place = with_notes();
    for (sql, what) in [
        ("CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END", "the trigger t"),
        ("CREATE VIEW v AS SELECT 1", "the view v"),
        ("CREATE TABLE another (a)", "the table another"),
        ("CREATE INDEX i ON record (version)", "the index i"),
        ("ALTER TABLE record ADD COLUMN c TEXT", "the table record"),
        ("ALTER TABLE root RENAME TO stem", "the table stem"),
        (
            "UPDATE sqlite_schema SET sql = replace(sql, 'TEXT NOT NULL', 'TEXT') WHERE name = 'record'",
            "the table record",
        ),
    ] {
        refused(&place, sql, &format!("{what} in it is not sgw's"));
    }
    refused(&place, "DROP TABLE root", "it has no table root");
}

#[test]
fn a_missing_or_foreign_vault_is_damage_and_stays_as_it_is() {
    let place = Place::moved_in();
    let path = place.file();
    fs::copy(Place::moved_in().file(), &path).unwrap();
    let swapped = fs::read(&path).unwrap();
    assert_eq!(place.damage(), "its root was changed, or is another vault's");
    assert_eq!(fs::read(&path).unwrap(), swapped);
    fs::write(&path, "").unwrap();
    assert_eq!(place.damage(), "it has no table record");
    fs::write(&path, "x".repeat(8192)).unwrap();
    assert_eq!(place.damage(), "file is not a database");
    fs::remove_file(&path).unwrap();
    assert_eq!(place.damage(), "it is missing");
    assert!(!path.exists());
}

#[test]
fn a_vault_that_others_can_reach_is_refused() {
    let place = Place::moved_in();
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(place.open(), Err(VaultError::Home(HomeError::Mode { .. }))));
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(place.file(), place.home.path().join("another")).unwrap();
    assert!(matches!(place.open(), Err(VaultError::Home(HomeError::Links { .. }))));
    fs::remove_file(place.file()).unwrap();
    std::os::unix::fs::symlink("another", place.file()).unwrap();
    assert!(matches!(place.open(), Err(VaultError::Home(HomeError::Symlink(_)))));
}

#[test]
fn a_vault_of_a_newer_sgw_is_not_written_over() {
    let place = Place::new();
    let newer = br#"{"revision":3,"grants":[1]}"#;
    let file = seal_file("state", &place.key.derive("state"), random().unwrap(), newer);
    place.home.replace(STATE, &file).unwrap();
    assert!(place.damage().contains("newer"));
}

#[test]
fn a_file_that_was_put_back_while_the_daemon_ran_stops_changes() {
    let place = Place::new();
    let vault = place.open().unwrap();
    let old = fs::read(place.file()).unwrap();
    vault.set("notify", "/bin/true").unwrap();
    place.home.replace(VAULT, &old).unwrap();
    let error = vault.set("notify", "").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} is damaged: it was replaced while the daemon ran", place.file().display())
    );
    fs::remove_file(place.file()).unwrap();
    assert!(matches!(vault.reserve_ids(1).unwrap_err(), VaultError::Damaged { .. }));
    assert_eq!(vault.settings().notify, ["/bin/true"]);
}

#[test]
fn a_row_that_is_gone_while_the_daemon_runs_stops_its_change_alone() {
    let place = with_notes();
    let vault = place.open().unwrap();
    assert_eq!(tamper(&place.file(), "DELETE FROM record WHERE id = 'b'"), 1);
    let version = vault.get::<Note>("b").unwrap().version;
    let error = vault.edit(version, note("b", "due")).unwrap_err();
    assert!(error.to_string().ends_with("a write changed 0 rows in place of one"), "{error}");
    assert_eq!(vault.get::<Note>("b").unwrap().record.text, "two");
    let error = vault.remove::<Note>("b", None).unwrap_err();
    assert!(matches!(error, VaultError::Damaged { .. }), "{error}");
    vault.add(note("c", "three")).unwrap();
    drop(vault);
    assert_eq!(place.damage(), "note b: it is missing");
}

#[test]
fn a_trigger_that_comes_while_the_daemon_runs_is_not_run() {
    let place = with_notes();
    let vault = place.open().unwrap();
    tamper(
        &place.file(),
        "CREATE TRIGGER t BEFORE INSERT ON record BEGIN SELECT RAISE(IGNORE); END",
    );
    vault.add(note("c", "three")).unwrap();
    drop(vault);
    tamper(&place.file(), "DROP TRIGGER t");
    assert_eq!(place.open().unwrap().get::<Note>("c").unwrap().record.text, "three");
}

#[test]
fn another_way_of_journaling_changes_nothing() {
    let place = with_notes();
    let log = place.home.path().join("vault.db-wal");
    tamper(&place.file(), "PRAGMA journal_mode = WAL; DELETE FROM record WHERE id = 'b'");
    assert_eq!(place.damage(), "note b: it is missing");
    fs::write(log, "junk").unwrap();
    assert_eq!(place.damage(), "note b: it is missing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Where the file has room that nothing is in, a change says nothing.
    #[test]
    fn a_byte_that_was_changed_changes_nothing(at: prop::sample::Index, flip in 1u8..) {
        let place = with_notes();
        let whole = fs::read(place.file()).unwrap();
        let mut file = whole.clone();
        let at = at.index(file.len());
        file[at] ^= flip;
        fs::write(place.file(), &file).unwrap();
        if let Ok(vault) = place.open() {
            let text = |id| vault.get::<Note>(id).unwrap().record.text.clone();
            prop_assert_eq!((text("a"), text("b")), ("uno".to_owned(), "two".to_owned()));
            prop_assert_eq!(vault.all::<Note>().len(), 2);
        }
        fs::write(place.file(), &whole[..at]).unwrap();
        prop_assert!(place.open().is_err(), "cut at {}", at);
    }
}

#[test]
fn the_header_alone_is_not_a_vault() {
    let place = Place::moved_in();
    fs::remove_file(place.home.path_of(HEADER)).unwrap();
    let again = place.home.create_vault(
        &Header::create(
            &Secret::new("x".into()),
            Cost { m_kib: 64, t: 1, p: 1 },
            HeaderSeed { data_key: [1; 32], salt: [1; 16], nonce: [1; 24] },
        )
        .unwrap()
        .0,
        &place.key,
        random().unwrap(),
        None,
    );
    assert!(matches!(again, Err(HomeError::Leftover(_))));
}
