//! However far a first start came, the next one finds a vault.

use super::*;
use crate::home::NEW_VAULT;

#[test]
fn the_first_start_goes_on_wherever_it_was_ended() {
    let done = Place::new();
    let state = fs::read(done.home.path_of(STATE)).unwrap();
    done.open().unwrap().set("notify", "/bin/true").unwrap();
    let vault = fs::read(done.file()).unwrap();
    let put = |name: &str, content: &[u8]| done.home.replace(name, content).unwrap();
    let notify = || done.open().unwrap().settings().notify;
    // Nothing, half, and all of the new file written: it begins again.
    for new in [&b""[..], &vault[..5000], &vault] {
        fs::remove_file(done.file()).unwrap();
        put(STATE, &state);
        put(NEW_VAULT, new);
        assert!(notify().is_empty());
        assert!(done.file().exists() && !done.home.has(NEW_VAULT).unwrap());
    }
    // In its place, and what it was made of still there.
    put(VAULT, &vault);
    put(STATE, &state);
    assert_eq!(notify(), ["/bin/true"]);
    assert!(!done.home.has(STATE).unwrap());
}

#[test]
fn what_the_old_state_held_is_in_the_vault() {
    let place = Place::new();
    let old = br#"{"revision":7,"changed_at":"2026-01-02T03:04:05Z","settings":{"notify":["/bin/true"]},
        "pins":{"web1:22":[{"key":"ssh-ed25519 AAAA","accepted_at":"1970-01-01T00:00:00Z","how":"approved r-7k3"}]},
        "next_id":4096,"anchor":{"seq":3,"hash":"0101010101010101010101010101010101010101010101010101010101010101"}}"#;
    let file = seal_file("state", &place.key.derive("state"), random().unwrap(), old);
    place.home.replace(STATE, &file).unwrap();
    let vault = place.open().unwrap();
    assert_eq!(vault.revision(), 7);
    assert_eq!(vault.summary().changed_at.unwrap().to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(vault.settings().notify, ["/bin/true"]);
    assert_eq!(vault.pins("web1:22"), [pin("ssh-ed25519 AAAA")]);
    assert_eq!(vault.anchored(), Tip { seq: 3, hash: Hash([1; 32]) });
    assert_eq!(vault.reserve_ids(1).unwrap(), 4096..4097);
}
