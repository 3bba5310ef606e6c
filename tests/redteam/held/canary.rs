//! A day's work with secrets of every kind in the vault: none of them is anywhere that an agent could look.

use std::fs;

use sgw::demo::server::Oddness;

use super::super::ordinary;
use crate::support::{OddServer, PASSWORD, Sshd};

#[test]
fn none_of_the_secrets_of_a_days_work_is_anywhere_that_an_agent_could_look() {
    let (sgw, sshd) = (ordinary(), Sshd::start());
    let odd = OddServer::start(Oddness::None);
    let secret = "canary-glpat-d41f-of-the-registry";
    let phrase = "violet-canary-phrase-of-an-export-5150";
    [PASSWORD, secret, phrase].iter().for_each(|one| sgw.plant(one.as_bytes()));
    let private = |name: &str, content: &str| {
        let path = sgw.write_private(name, content);
        path.to_str().unwrap().to_owned()
    };
    // A key, a password, a secret, a token.
    sgw.target("keyed", &sshd);
    let (to, fingerprint) = (odd.destination(), odd.seen().fingerprint());
    let password = private("password", PASSWORD);
    let with = ["--password-file", &password, "--accept-host-key", &fingerprint];
    sgw.operator(["target", "add", "passed", &to].iter().chain(&with)).ok();
    let value = private("value", secret);
    sgw.operator(["secret", "add", "registry", "--value-file", &value]).ok();
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "*"]);
    // Work of every kind, also what goes wrong.
    sgw.by(&token, ["exec", "keyed", "--", "env"]).ok();
    sgw.by(&token, ["input", "keyed", "echo one"]).ok();
    sgw.by(&token, ["exec", "passed", "--wait", "5s", "--", "true"]);
    sgw.by(&token, ["exec", "nowhere", "--wait", "1s", "--", "true"]);
    sgw.by(&token, ["show", "registry"]);
    let words = ["request", "passed", "--only", "sudo", "--reason", "more", "--no-wait", "--json"];
    let request = sgw.by(&token, words).fails(75, "request.pending").waits_on();
    sgw.operator(["approve", &request, "--yes", "--json"]);
    sgw.agent(["status", "--json"]);
    // All that the operator can have shown is searched, too.
    for words in [
        &["target", "show", "keyed"][..],
        &["target", "show", "passed", "--json"],
        &["target", "test", "keyed"],
        &["secret", "list", "--json"],
        &["token", "list", "--json"],
        &["audit", "list", "--json"],
        &["config", "list"],
        &["vault", "rotate"],
    ] {
        sgw.operator(words).ok();
    }
    let export = sgw.path("operator/export");
    let phrase = private("phrase", phrase);
    let words = ["vault", "export", export.to_str().unwrap(), "--export-passphrase-file", &phrase];
    sgw.operator(words).ok();
    sgw.assert_clean(&fs::read(&export).unwrap(), "an export");
    let daemon = sgw.daemon().unwrap();
    let limits = fs::read_to_string(format!("/proc/{daemon}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}
