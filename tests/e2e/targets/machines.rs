//! Which machine answers: pins, authorities, and passwords that are bound to them.

use super::*;
use crate::support::{Key, OddServer, PASSWORD};

#[test]
fn a_key_that_differs_from_the_pin_is_refused_with_both_fingerprints() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let other = Key::ed25519(&sgw.path("other")).fingerprint();
    let identity = text(&sgw.write_private("identity", fs::read(&sshd.key.path).unwrap()));
    let with = ["--identity", &identity, "--accept-host-key", &other];
    try_add(&sgw, "web1", &sshd.destination(), &with).ok();
    let request = ask(&sgw, "web1");
    let key = sshd.host_key_fingerprint();
    for more in [&[][..], &["--accept-host-key", &key]] {
        let arguments = [&["approve", &request, "--yes", "--json"][..], more].concat();
        let refused = sgw.operator(arguments).fails(77, "hostkey.changed").stdout();
        assert!(refused.contains(&other) && refused.contains(&key), "{refused}");
    }
    assert_eq!(sshd.logins(), 0);
    let bad = try_add(&sgw, "x", "me@x", &["--accept-host-key", "MD5:00"]);
    bad.fails(2, "target.unfit");
}

#[test]
fn a_rebuilt_machine_is_taken_once_its_new_key_was_compared() {
    let (sgw, mut sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &[]);
    session(&sgw, "web1");
    let old = sshd.host_key_fingerprint();
    sshd.change_host_key();
    let (new, logins) = (sshd.host_key_fingerprint(), sshd.logins());
    let request = ask(&sgw, "web1");
    yes(&sgw, &request).fails(77, "hostkey.changed");
    // Looking alone changes nothing.
    let looked = sgw.operator(["target", "accept-key", "web1", "--json"]);
    let looked = looked.fails(77, "hostkey.changed").stdout();
    assert!(looked.contains(&old) && looked.contains(&new), "{looked}");
    assert_eq!(show(&sgw, "web1")["host_keys"], serde_json::json!([old]));
    assert_eq!(sshd.logins(), logins, "nobody logged in to look");
    sgw.operator(["target", "accept-key", "web1", &new]).ok();
    yes(&sgw, &request).ok();
}

#[test]
fn a_host_key_is_taken_as_people_have_it_at_hand() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let key = sshd.host_key_fingerprint();
    let bare = key.trim_start_matches("SHA256:");
    try_add(&sgw, "web1", &sshd.destination(), &["--accept-host-key", bare]).ok();
    assert_eq!(show(&sgw, "web1")["host_keys"], serde_json::json!([key]));
    let other = Key::ed25519(&sgw.path("other"));
    for said in [other.line(), format!("web1 {}", other.line()), other.fingerprint() + "="] {
        sgw.operator(["target", "accept-key", "web1", &key]).ok();
        sgw.operator(["target", "accept-key", "web1", &said]).ok();
        let shown = show(&sgw, "web1");
        assert_eq!(shown["host_keys"], serde_json::json!([other.fingerprint()]), "{said}");
    }
    for wrong in ["ssh-ed25519", "ed25519", "SHA256:abc", "MD5:00"] {
        let refused = sgw.operator(["target", "accept-key", "web1", wrong, "--json"]);
        refused.fails(2, "target.unfit");
    }
    assert_eq!(show(&sgw, "web1")["host_keys"], serde_json::json!([other.fingerprint()]));
}

#[test]
fn the_operator_compares_keys_at_the_terminal() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let identity = text(&sgw.write_private("identity", fs::read(&sshd.key.path).unwrap()));
    try_add(&sgw, "web1", &sshd.destination(), &["--identity", &identity]).ok();
    yes(&sgw, &ask(&sgw, "web1")).fails(77, "hostkey.unknown");
    let proof = text(&sgw.passphrase_file());
    let mut terminal = sgw.terminal(["target", "accept-key", "web1", "--passphrase-file", &proof]);
    terminal.wait_for("right machine");
    assert!(terminal.screen().contains(&sshd.host_key_fingerprint()[..30]));
    terminal.send("y");
    assert_eq!(terminal.ends().0, 0);
    let session = session(&sgw, "web1");
    works(&sgw, &session);
}

#[test]
fn a_password_goes_to_the_machine_that_it_was_given_for_and_to_no_other() {
    let (first, second) =
        (OddServer::start(Default::default()), OddServer::start(Default::default()));
    let sgw = Sgw::unlocked();
    sgw.plant(PASSWORD.as_bytes());
    let file = text(&first.password_file);
    let (one, other) = (first.seen().fingerprint(), second.seen().fingerprint());
    try_add(&sgw, "odd", &first.destination(), &["--password-file", &file]).ok();
    // Given before any key was known: bound to the one that is accepted first.
    assert_eq!(show(&sgw, "odd")["credential"]["bound"], serde_json::json!([]));
    let request = ask(&sgw, "odd");
    let accept = |request: &str, key: &str| {
        sgw.operator(["approve", request, "--yes", "--json", "--accept-host-key", key])
    };
    accept(&request, &one).ok();
    assert_eq!(show(&sgw, "odd")["credential"]["bound"], serde_json::json!([one]));
    // It moves, and its new key is accepted: the password stays with the old one.
    sgw.operator(["target", "edit", "odd", "--dest", &second.destination()]).ok();
    let moved = ask(&sgw, "odd");
    let refused = accept(&moved, &other).fails(77, "target.bound");
    assert!(refused.stdout().contains(&one) && refused.stdout().contains(&other), "{refused:?}");
    sgw.operator(["target", "accept-key", "odd", &other]).ok();
    yes(&sgw, &moved).fails(77, "target.bound");
    assert_eq!(second.seen().credentials(), 0, "the password was offered");
    // Given again, it is for this one.
    sgw.operator(["target", "edit", "odd", "--password-file", &file]).ok();
    yes(&sgw, &moved).ok();
    assert_eq!(show(&sgw, "odd")["credential"]["bound"], serde_json::json!([other]));
}

#[test]
fn an_authority_vouches_for_its_hosts_and_for_no_others() {
    let sgw = Sgw::unlocked();
    let authority = Key::ed25519(&sgw.path("authority"));
    let stranger = Key::ed25519(&sgw.path("stranger"));
    let public = text(&authority.path.with_extension("pub"));
    let certified = Sshd::with().host_ca(&authority, "127.0.0.1,web1").start();
    let elsewhere = Sshd::with().host_ca(&authority, "elsewhere").start();
    let strange = Sshd::with().host_ca(&stranger, "127.0.0.1").start();
    let plain = Sshd::start();
    for (name, sshd, code) in [
        ("certified", &certified, None),
        ("elsewhere", &elsewhere, Some("hostkey.changed")),
        ("strange", &strange, Some("hostkey.changed")),
        ("plain", &plain, Some("hostkey.unknown")),
    ] {
        let identity = text(&sgw.write_private(name, fs::read(&sshd.key.path).unwrap()));
        let with = ["--identity", &identity, "--host-ca", &public];
        try_add(&sgw, name, &sshd.destination(), &with).ok();
        let outcome = yes(&sgw, &ask(&sgw, name));
        assert_eq!(outcome.error_code().as_deref(), code, "{name} {outcome:?}");
        assert_eq!(sshd.logins() > 0, code.is_none(), "{name}");
    }
    works(&sgw, "certified");
    let bad = ["--host-ca", &text(&sgw.write_private("nonsense", "x y z"))].map(str::to_owned);
    let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
    try_add(&sgw, "x", "me@x", &bad).fails(1, "target.credential");
}

#[test]
fn a_certificate_that_is_over_vouches_for_nobody() {
    let sgw = Sgw::unlocked();
    let authority = Key::ed25519(&sgw.path("authority"));
    let sshd = Sshd::with()
        .host_ca_for(&authority, &["-n", "127.0.0.1", "-V", "20200101:20200102"])
        .start();
    let identity = text(&sgw.write_private("identity", fs::read(&sshd.key.path).unwrap()));
    let public = text(&authority.path.with_extension("pub"));
    let with = ["--identity", &identity, "--host-ca", &public];
    try_add(&sgw, "web1", &sshd.destination(), &with).ok();
    let refused = yes(&sgw, &ask(&sgw, "web1")).fails(77, "hostkey.changed");
    assert!(refused.stdout().contains("not valid now"), "{refused:?}");
    assert_eq!(sshd.logins(), 0);
}
