//! The Hosts of an ssh_config become targets.

use super::*;

#[test]
fn hosts_are_shown_first_and_added_on_a_yes() {
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let (jump, inner) = (Sshd::start(), Sshd::start());
    [&jump, &inner].into_iter().for_each(|sshd| sgw.give(&sshd.key.path));
    let block = |name: &str, sshd: &Sshd, more: &str| {
        let (port, user, key) = (sshd.port(), &sshd.user, sshd.key.path.display());
        format!(
            "Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  \
             IdentityFile {key}\n{more}\n"
        )
    };
    let config = [
        block("inner", &inner, "  ProxyJump Bastion"),
        block("Bastion", &jump, ""),
        "Host *.example.org !x\n  User nobody\n".into(),
        "Host proxied\n  ProxyCommand touch /tmp/never\n".into(),
        "Host s-like-an-id\n  HostName x\n".into(),
    ]
    .concat();
    let file = sgw.write_in_user_home("config-to-import", &config);
    let file = text(&file);
    let import = |more: &[&str]| {
        let all = [&["target", "import", &file, "--json"][..], more].concat();
        sgw.operator(all).ok().json()
    };
    let proposed = import(&[]);
    assert_eq!(proposed["added"], false);
    let names = |json: &Value| -> Vec<String> {
        let all = json["targets"].as_array().unwrap();
        all.iter().map(|target| target["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&proposed), ["bastion", "inner"]);
    let left_out = proposed["left_out"].as_array().unwrap();
    let hosts: Vec<_> = left_out.iter().map(|one| one["host"].as_str().unwrap()).collect();
    assert_eq!(hosts, ["proxied", "s-like-an-id"], "{left_out:?}");
    assert!(left_out[0]["why"].as_str().unwrap().contains("ProxyCommand"));
    let list = sgw.operator(["target", "list", "--json"]).ok().json();
    assert_eq!(list["targets"], serde_json::json!([]));

    assert_eq!(import(&["--yes"])["added"], true);
    let inner_shown = show(&sgw, "inner");
    assert_eq!(inner_shown["jump"], "bastion");
    assert_eq!(inner_shown["credential"]["kind"], "key-file");
    assert_eq!(inner_shown["credential"]["fingerprint"], inner.key.fingerprint());
    assert_eq!(names(&import(&["--yes"])), Vec::<String>::new());
    for (name, sshd) in [("bastion", &jump), ("inner", &inner)] {
        sgw.operator(["target", "accept-key", name, &sshd.host_key_fingerprint()]).ok();
    }
    let session = session(&sgw, "inner");
    works(&sgw, &session);
}

#[test]
fn a_config_that_would_run_something_is_not_imported() {
    let sgw = Sgw::unlocked();
    let proof = sgw.path("ran");
    let config = format!("Match exec \"touch {}\"\n  User x\nHost web1\n", proof.display());
    let file = text(&sgw.write_private("config", config));
    sgw.operator(["target", "import", &file, "--yes", "--json"]).fails(77, "target.config");
    assert!(!proof.exists());
    sgw.operator(["target", "import", "/nonexistent", "--json"]).fails(77, "target.config");
}
