//! Homes that must be refused, and files that must be whole.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
};

use tempfile::TempDir;

use super::*;
use crate::domain::{
    seal::{Cost, HeaderSeed},
    secret::Secret,
};

fn fresh() -> (TempDir, Home) {
    let outer = tempfile::tempdir().unwrap();
    let home = Home::open_or_create(&outer.path().join("deep/home")).unwrap();
    (outer, home)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn root() -> bool {
    geteuid().is_root()
}

#[test]
fn a_new_home_is_closed_to_others() {
    let (_outer, home) = fresh();
    assert_eq!(fs::metadata(home.path()).unwrap().mode() & 0o7777, 0o700);
    let run = home.make_run().unwrap();
    assert_eq!(fs::metadata(run).unwrap().mode() & 0o7777, 0o700);
    assert!(home.header().unwrap().is_none());
}

#[test]
fn an_open_home_is_refused_with_the_mend() {
    let (_outer, home) = fresh();
    for mode in [0o701, 0o710, 0o720, 0o702, 0o777, 0o500] {
        chmod(home.path(), mode);
        let error = Home::open(home.path()).unwrap_err();
        assert!(matches!(&error, HomeError::Mode { mode: found, .. } if *found == mode), "{error}");
        assert_eq!(error.hint().unwrap(), format!("chmod 700 {}", home.path().display()));
    }
}

#[test]
fn a_home_that_is_a_link_or_a_file_or_nothing_is_refused() {
    let (outer, home) = fresh();
    let link = outer.path().join("link");
    symlink(home.path(), &link).unwrap();
    assert!(matches!(Home::open(&link).unwrap_err(), HomeError::Symlink(_)));
    assert!(matches!(Home::open_or_create(&link).unwrap_err(), HomeError::Symlink(_)));
    assert!(matches!(Home::open(&link.join("")).unwrap_err(), HomeError::Symlink(_)));
    let file = outer.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Home::open_or_create(&file).unwrap_err(), HomeError::Type { .. }));
    let none = outer.path().join("none");
    assert!(matches!(Home::open(&none).unwrap_err(), HomeError::Missing(_)));
    assert!(matches!(
        Home::open_or_create(&file.join("below")).unwrap_err(),
        HomeError::Io { action: "create", .. }
    ));
}

#[test]
fn a_home_of_another_user_is_refused() {
    let (_outer, home) = fresh();
    if root() {
        chown(home.path(), Some(12_345), None).unwrap();
        let error = Home::open(home.path()).unwrap_err();
        assert!(matches!(error, HomeError::Owner { uid: 12_345, .. }), "{error}");
    } else {
        assert!(matches!(Home::open(Path::new("/")).unwrap_err(), HomeError::Owner { uid: 0, .. }));
    }
}

#[test]
fn the_run_directory_is_checked_too() {
    let (outer, home) = fresh();
    symlink(outer.path(), home.path().join(RUN)).unwrap();
    assert!(matches!(home.make_run().unwrap_err(), HomeError::Symlink(_)));
}

#[test]
fn a_socket_path_that_the_kernel_would_cut_is_refused() {
    let outer = tempfile::tempdir().unwrap();
    let room = MAX_SOCKET_PATH - outer.path().as_os_str().len() - "//run/operator.sock".len();
    let fits = Home::open_or_create(&outer.path().join("h".repeat(room))).unwrap();
    assert_eq!(fits.operator_socket().unwrap().as_os_str().len(), MAX_SOCKET_PATH);
    std::os::unix::net::UnixListener::bind(fits.make_run().unwrap().join("operator.sock")).unwrap();
    let long = Home::open_or_create(&outer.path().join("h".repeat(room + 1))).unwrap();
    let error = long.make_run().unwrap_err();
    assert!(matches!(error, HomeError::SocketPath { length: 108, .. }), "{error}");
}

#[test]
fn places_come_from_sgw_home_or_the_platform() {
    let path = Home::locate(Some("/some/where".into())).unwrap();
    assert_eq!(path, Path::new("/some/where"));
    assert!(Home::locate(Some("relative".into())).unwrap().is_absolute());
    if let Ok(path) = Home::locate(Some("".into())) {
        assert!(path.ends_with("sgw"), "{}", path.display());
    }
}

#[test]
fn a_file_that_others_could_have_written_is_not_read() {
    let (outer, home) = fresh();
    home.replace(STATE, b"content").unwrap();
    let path = home.path_of(STATE);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(home.read(STATE, 7).unwrap().unwrap(), b"content");
    assert!(matches!(home.read(STATE, 6).unwrap_err(), HomeError::TooLarge { limit: 6, .. }));
    chmod(&path, 0o640);
    let error = home.read(STATE, 100).unwrap_err();
    assert_eq!(error.hint().unwrap(), format!("chmod 600 {}", path.display()));
    chmod(&path, 0o600);
    fs::hard_link(&path, outer.path().join("other")).unwrap();
    assert!(matches!(home.read(STATE, 100).unwrap_err(), HomeError::Links { links: 2, .. }));
    fs::remove_file(&path).unwrap();
    symlink(outer.path().join("other"), &path).unwrap();
    assert!(matches!(home.read(STATE, 100).unwrap_err(), HomeError::Symlink(_)));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(home.read(STATE, 100).unwrap_err(), HomeError::Type { .. }));
    fs::remove_dir(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        .unwrap();
    assert!(matches!(home.read(STATE, 100).unwrap_err(), HomeError::Type { .. }));
    assert!(matches!(home.open_file(STATE, OFlags::WRONLY).unwrap_err(), HomeError::Type { .. }));
    if root() {
        home.replace(STATE, b"content").unwrap();
        chown(&path, Some(12_345), None).unwrap();
        assert!(matches!(home.read(STATE, 100).unwrap_err(), HomeError::Owner { .. }));
    }
}

#[test]
fn replace_is_whole_and_clears_what_a_crash_left() {
    let (_outer, home) = fresh();
    fs::write(home.path().join(".state.sealed.new"), "half").unwrap();
    home.replace(STATE, b"one").unwrap();
    home.replace(STATE, b"two").unwrap();
    assert_eq!(home.read(STATE, 100).unwrap().unwrap(), b"two");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    // A name planted in the way of the new file is replaced itself, not what it points to.
    let victim = home.path().join("victim");
    fs::write(&victim, "kept").unwrap();
    symlink(&victim, home.path().join(".state.sealed.new")).unwrap();
    home.replace(STATE, b"three").unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"kept");
}

#[test]
fn create_never_replaces() {
    let (_outer, home) = fresh();
    home.create(HEADER, b"one").unwrap();
    assert!(matches!(home.create(HEADER, b"two").unwrap_err(), HomeError::Exists(_)));
    assert_eq!(home.read(HEADER, 100).unwrap().unwrap(), b"one");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_vault_is_made_once_and_not_beside_remains() {
    let (_outer, home) = fresh();
    let make = || {
        let seed = HeaderSeed {
            data_key: random().unwrap(),
            salt: random().unwrap(),
            nonce: random().unwrap(),
        };
        let cheap = Cost { m_kib: 64, t: 1, p: 1 };
        let (header, key) = Header::create(&Secret::new("x".into()), cheap, seed).unwrap();
        home.create_vault(&header, &key, random().unwrap(), None)
    };
    for remains in [STATE, AUDIT] {
        fs::write(home.path_of(remains), "").unwrap();
        assert!(matches!(make().unwrap_err(), HomeError::Leftover(_)), "{remains}");
        fs::remove_file(home.path_of(remains)).unwrap();
    }
    make().unwrap();
    let header = home.header().unwrap().unwrap();
    assert!(matches!(make().unwrap_err(), HomeError::Exists(_)));
    assert_eq!(home.header().unwrap().unwrap(), header);
}

#[test]
fn one_lock_a_home() {
    let (_outer, home) = fresh();
    let other = Home::open(home.path()).unwrap();
    let lock = home.lock().unwrap();
    let error = other.lock().unwrap_err();
    assert!(matches!(error, LockError::Held { pid: Some(pid) } if pid == std::process::id()));
    drop(lock);
    let _lock = other.lock().unwrap();
    assert!(matches!(home.lock().unwrap_err(), LockError::Held { .. }));
}

#[test]
fn randomness_differs() {
    assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
}
