//! What ssh is told: a configuration for one's own targets, the daemon's host key, a line that can be
//! taken out again.

use std::fs;

use super::{Both, ran, stderr};
use crate::support::Sgw;

#[test]
fn sgw_ssh_runs_ssh_as_it_is() {
    let both = Both::new();
    let by = |words: &[&str]| both.sgw.by(&both.token, ["ssh"].iter().chain(words));
    by(&["web1", "echo hi"]).ok().prints("hi\n");
    by(&["-v", "web1.sgw", "exit 3"]).exits(3);
    by(&["-o", "ConnectTimeout=20", "web1", "--", "echo", "-n", "x"]).ok().prints("x");
    by(&[]).fails(125, "usage.arguments");
    by(&["-G", "web1"]).ok();
    both.sgw.agent(["ssh", "--help"]).ok();
}

#[test]
fn variables_lead_other_programs_through_sgw() {
    let both = Both::new();
    let told = both.sgw.by(&both.token, ["ssh", "--env", "--json"]).ok().json();
    let ssh = told["GIT_SSH_COMMAND"].as_str().unwrap();
    assert_eq!(told["RSYNC_RSH"], ssh);
    let run = |script: &str| ran(&mut both.program("sh", &["-c", script]), b"");
    let output = run(&format!("{ssh} web1 'echo by the variable'"));
    assert_eq!(output.stdout, b"by the variable\n", "{}", stderr(&output));
    let sgw = both.sgw.command([""; 0]).get_program().to_owned();
    let sgw = sgw.to_str().unwrap();
    let output = run(&format!("eval \"$({sgw} ssh --env)\"; $RSYNC_RSH -G web1 >/dev/null; env"));
    let env = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        env.contains("ANSIBLE_SSH_ARGS=-F \"") && env.contains("GIT_SSH_COMMAND=ssh -F"),
        "{env}"
    );
}

#[test]
fn another_servers_key_is_not_the_daemons() {
    let both = Both::new();
    let known = both.through.parent().unwrap().join("known_hosts");
    let right = fs::read_to_string(&known).unwrap();
    fs::write(&known, format!("sgw {}\n", both.sshd.host_key_line())).unwrap();
    let output = ran(&mut both.ssh(&both.through, &["web1", "true"]), b"");
    assert_eq!(output.status.code(), Some(255), "{}", stderr(&output));
    // The next asking writes it anew; the key is the same after a restart of the daemon.
    both.sgw.lock();
    both.sgw.unlock();
    both.sgw.by(&both.token, ["ssh-config"]).ok();
    assert_eq!(fs::read_to_string(&known).unwrap(), right);
    both.same(&["web1", "true"], b"");
}

#[test]
fn the_host_key_outlives_a_rotation_and_is_another_vaults_not() {
    let both = Both::new();
    let key = |sgw: &Sgw| sgw.agent(["ssh-config", "--json"]).ok().json()["host_key"].clone();
    let before = key(&both.sgw);
    both.sgw.operator(["vault", "rotate"]).ok();
    assert_eq!(key(&both.sgw), before);
    both.sgw.lock();
    both.sgw.unlock();
    assert_eq!(key(&both.sgw), before);
    assert_ne!(key(&Sgw::unlocked()), before);
}

#[test]
fn the_line_is_put_in_once_and_taken_out_again() {
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let own = "Host mine\n    User me\n";
    let config = sgw.write_in_user_home(".ssh/config", own);
    let text = || fs::read_to_string(&config).unwrap();
    sgw.agent(["ssh-config", "--install"]).ok();
    let installed = text();
    assert!(installed.ends_with(own) && installed.matches("Include ").count() == 1, "{installed}");
    sgw.agent(["ssh-config", "--install"]).ok();
    assert_eq!(text(), installed);
    let told = sgw.agent(["ssh-config", "--json"]).ok().json();
    assert_eq!(told["installed"], true, "{told}");
    sgw.agent(["ssh-config", "--uninstall"]).ok();
    assert_eq!(text(), own);
    sgw.agent(["ssh-config", "--uninstall"]).ok();
    assert_eq!(text(), own);
}
