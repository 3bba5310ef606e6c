//! rsync and git for who was given files and no commands: held to the rules for paths, asked about where those
//! can't hold by themselves.

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Output,
};

use super::{Both, noise, ran, stderr, tree};

const READS: &[&str] = &["--only", "files:read"];
const WRITES: &[&str] = &["--only", "files:read,files:write"];
/// The operator trusts the clients.
const TRUSTED: &str = "[[file]]\nid = \"files.rsync\"\ndecision = \"allow\"\n";

fn fill(directory: &Path) {
    fs::create_dir_all(directory.join("deep/er")).unwrap();
    fs::write(directory.join("text"), b"one\ntwo\n").unwrap();
    fs::write(directory.join("deep/noise"), noise(300_000)).unwrap();
    fs::write(directory.join("deep/er/na me 'quoted' \u{e4}"), b"odd").unwrap();
}

#[track_caller]
fn fine(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{said}", stderr(output));
}

#[track_caller]
fn refused(output: &Output, word: &str) {
    assert!(!output.status.success());
    let said = stderr(output);
    assert!(said.contains(&format!("sgw: error[{word}]")), "{said}");
    assert!(said.contains("sgw: hint: "), "{said}");
}

fn rsync(both: &Both, words: &[&str]) -> Output {
    let shell = format!("ssh -F {}", both.through.display());
    let mut all = vec!["-e", &shell];
    all.extend(words);
    ran(&mut both.program("rsync", &all), b"")
}

fn git(both: &Both, words: &[&str]) -> Output {
    let mut command = both.program("git", words);
    command.env("GIT_SSH_COMMAND", format!("ssh -F {}", both.through.display()));
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "a test");
        command.env(format!("GIT_{who}_EMAIL"), "test@example.org");
    }
    ran(&mut command, b"")
}

fn yes_for_the_session(both: &Both) {
    yes(both, "session");
}

/// Says yes to all that waits.
fn yes(both: &Both, remember: &str) {
    let waits = both.sgw.operator(["requests", "--json"]).ok().json();
    let waits = waits["requests"].as_array().unwrap().clone();
    assert!(!waits.is_empty());
    for one in waits {
        let id = one["id"].as_str().unwrap();
        both.sgw.operator(["approve", id, "--remember", remember, "--yes", "--json"]).ok();
    }
}

fn there(both: &Both, name: &str) -> (PathBuf, String) {
    let path = both.directory(name);
    let remote = format!("web1:{}/", path.display());
    (path, remote)
}

#[test]
fn rsync_is_asked_about_and_a_yes_for_the_session_is_for_the_direction_and_the_path() {
    let both = Both::granted(WRITES);
    let here = both.directory("here");
    fill(&here);
    let local = format!("{}/", here.display());
    let (path, remote) = there(&both, "there");
    refused(&rsync(&both, &["-a", &local, &remote]), "approval.pending");
    assert_eq!(tree(&path).len(), 0);
    yes_for_the_session(&both);
    fine(&rsync(&both, &["-a", &local, &remote]));
    assert_eq!(tree(&path), tree(&here));
    fs::write(path.join("deep/noise"), noise(200_000)).unwrap();
    fine(&rsync(&both, &["-rltpz", "--partial", "--checksum", "--inplace", &local, &remote]));
    assert_eq!(tree(&path), tree(&here));
    // It was not for removing, nor for another directory, nor for reading.
    let (_, other) = there(&both, "other");
    refused(&rsync(&both, &["-a", &local, &other]), "approval.pending");
    let back = both.directory("back");
    let back = format!("{}/", back.display());
    refused(&rsync(&both, &["-a", &remote, &back]), "approval.pending");
    yes_for_the_session(&both);
    fine(&rsync(&both, &["-a", &remote, &back]));
    assert_eq!(tree(Path::new(&back)), tree(&here));
    // What removes is asked about each time, as rm is.
    fs::write(path.join("more"), "more").unwrap();
    let delete = || rsync(&both, &["-a", "--delete", &local, &remote]);
    refused(&delete(), "approval.pending");
    assert!(path.join("more").exists());
    yes(&both, "once");
    fine(&delete());
    assert_eq!(tree(&path), tree(&here));
    refused(&delete(), "approval.pending");
    let history = both.sgw.by(&both.token, ["history", "web1", "--json"]).ok().json();
    let ran = history["history"].to_string();
    assert!(ran.contains("rsync --server"), "{ran}");
}

#[test]
fn with_a_grant_to_read_rsync_reads_and_a_write_is_refused_in_a_sentence() {
    let both = Both::granted(READS);
    both.sgw.accepts_policy(TRUSTED);
    let here = both.directory("here");
    fill(&here);
    let remote = format!("web1:{}/", here.display());
    let back = both.directory("back");
    let to = format!("{}/", back.display());
    fine(&rsync(&both, &["-az", "--partial", &remote, &to]));
    assert_eq!(tree(&back), tree(&here));
    let one = both.directory("one");
    let file = format!("web1:{}/deep/er/na me 'quoted' \u{e4}", here.display());
    fine(&rsync(&both, &["-a", &file, one.to_str().unwrap()]));
    assert_eq!(tree(&one).len(), 1);
    let listed = rsync(&both, &[&remote]);
    fine(&listed);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("deep"));
    refused(&rsync(&both, &["-a", &to, &remote]), "grant.missing");
    refused(&rsync(&both, &["-a", "--remove-source-files", &remote, &to]), "grant.missing");
    assert_eq!(tree(&here).len(), 5);
    let missing = rsync(&both, &["-a", "web1:/no/such/place", &to]);
    refused(&missing, "files.not_found");
    // What is not in the grammar is a command like any other.
    for odd in [
        &["-aL", &remote, &to][..],
        &["-a", "-s", &remote, &to],
        &["-a", "-M--log-file=/tmp/x", &remote, &to],
        &["-a", "--rsync-path=rsync", "-M--debug=ALL", &remote, &to],
        &["-aR", &remote, &to],
        &["-a", &format!("{remote}*"), &to],
    ] {
        refused(&rsync(&both, odd), "grant.missing");
    }
    refused(&ran(&mut both.ssh(&both.through, &["web1", "id"]), b""), "grant.missing");
}

#[test]
fn what_a_rule_blocks_beneath_a_path_is_not_read_on_the_way() {
    let both = Both::granted(READS);
    let here = both.directory("here");
    fill(&here);
    let keys = here.join("deep/keys");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("id_rsa"), "secret").unwrap();
    both.sgw.accepts_policy(TRUSTED);
    let remote = |path: &str| format!("web1:{}/{path}", here.display());
    let to = both.directory("back");
    let to = to.to_str().unwrap();
    for path in ["", "deep/../deep", "deep/keys/id_rsa"] {
        let output = rsync(&both, &["-a", &remote(path), to]);
        refused(&output, "guard.blocked");
    }
    assert_eq!(fs::read_dir(to).unwrap().count(), 0);
    fine(&rsync(&both, &["-a", &remote("deep/er"), to]));
    fine(&rsync(&both, &["-a", &remote("text"), to]));
    // A link is what it leads to where its content is asked for, and itself where not.
    std::os::unix::fs::symlink(&keys, here.join("link")).unwrap();
    refused(&rsync(&both, &["-a", &remote("link/"), to]), "guard.blocked");
    fine(&rsync(&both, &["-a", &remote("link"), to]));
    assert!(fs::read_link(Path::new(to).join("link")).is_ok());
    // What is asked about beneath is asked about.
    fs::write(here.join("deep/er/.env"), "A=1").unwrap();
    refused(&rsync(&both, &["-a", &remote("deep/er"), to]), "approval.pending");
}

#[test]
fn what_a_rule_blocks_beneath_a_path_is_not_written_either() {
    let both = Both::granted(WRITES);
    let here = both.directory("here");
    fill(&here);
    let local = format!("{}/", here.display());
    let (path, remote) = there(&both, "there");
    fs::create_dir(path.join("kept")).unwrap();
    let rule = |at: &str| {
        format!(
            "{TRUSTED}[[file]]\nid = \"own.kept\"\ndecision = \"block\"\ndirection = \"write\"\n\
             path = [\"{at}\"]\nreason = \"ours\"\nmatch = []\n"
        )
    };
    both.sgw.accepts_policy(&rule(&format!("{}/kept/**", path.display())));
    refused(&rsync(&both, &["-r", &local, &remote]), "guard.blocked");
    refused(&rsync(&both, &["-r", &local, &format!("{remote}kept/")]), "guard.blocked");
    refused(&rsync(&both, &["-r", &local, &format!("{remote}new/")]), "approval.pending");
    // By a name that may come to be anywhere.
    both.sgw.accepts_policy(&rule("**/kept"));
    refused(&rsync(&both, &["-r", &local, &format!("{remote}new/")]), "guard.blocked");
    assert_eq!(tree(&path).len(), 1);
}

fn repository(both: &Both) -> (PathBuf, String) {
    let (work, bare) = (both.directory("work"), both.sgw.path("bare.git"));
    let (first, to) = (work.to_str().unwrap(), bare.to_str().unwrap().to_owned());
    fine(&git(both, &["init", "-q", "-b", "main", first]));
    fs::write(work.join("file"), noise(400_000)).unwrap();
    fine(&git(both, &["-C", first, "add", "."]));
    fine(&git(both, &["-C", first, "commit", "-qm", "one"]));
    fine(&git(both, &["clone", "-q", "--bare", first, &to]));
    let url = format!("web1:{to}");
    (bare, url)
}

#[test]
fn with_a_grant_to_read_git_clones_and_fetches_and_does_not_push() {
    let both = Both::granted(READS);
    let (bare, url) = repository(&both);
    let clone = both.sgw.path("clone");
    let to = clone.to_str().unwrap();
    fine(&git(&both, &["clone", "-q", &url, to]));
    assert_eq!(fs::read(clone.join("file")).unwrap(), noise(400_000));
    fine(&git(&both, &["-C", to, "fetch", "-q"]));
    let short = both.sgw.path("short");
    let without = url.trim_end_matches(".git");
    fine(&git(&both, &["clone", "-q", "--depth", "1", without, short.to_str().unwrap()]));
    let listed = git(&both, &["ls-remote", &url]);
    fine(&listed);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("refs/heads/main"));
    let archived = git(&both, &["archive", "--remote", &url, "HEAD"]);
    fine(&archived);
    fine(&git(&both, &["-C", to, "commit", "-q", "--allow-empty", "-m", "two"]));
    refused(&git(&both, &["-C", to, "push", "-q", "origin", "HEAD:main"]), "grant.missing");
    refused(&git(&both, &["ls-remote", "web1:/no/such.git"]), "files.not_found");
    // Where a rule blocks it, it is blocked.
    let rule = format!(
        "[[file]]\nid = \"own.bare\"\ndecision = \"block\"\npath = [\"{}/config\"]\nreason = \"ours\"\nmatch = []\n",
        bare.display()
    );
    both.sgw.accepts_policy(&rule);
    refused(&git(&both, &["ls-remote", &url]), "guard.blocked");
}

#[test]
fn who_may_write_files_is_asked_about_git_for_what_a_repository_runs() {
    let both = Both::granted(WRITES);
    let (bare, url) = repository(&both);
    let hook = bare.join("hooks/post-receive");
    fs::create_dir_all(bare.join("hooks")).unwrap();
    fs::write(&hook, format!("#!/bin/sh\ntouch {}/ran\n", bare.display())).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let clone = both.sgw.path("clone");
    let to = clone.to_str().unwrap();
    refused(&git(&both, &["clone", "-q", &url, to]), "approval.pending");
    yes_for_the_session(&both);
    fine(&git(&both, &["clone", "-q", &url, to]));
    fs::write(clone.join("large"), noise(3_000_000)).unwrap();
    fine(&git(&both, &["-C", to, "add", "."]));
    fine(&git(&both, &["-C", to, "commit", "-q", "-m", "two"]));
    let push = || git(&both, &["-C", to, "push", "-q", "origin", "HEAD:main"]);
    refused(&push(), "approval.pending");
    assert!(!bare.join("ran").exists());
    yes_for_the_session(&both);
    fine(&push());
    assert!(bare.join("ran").exists(), "the repository's own hooks run as they do elsewhere");
    let here = git(&both, &["-C", to, "rev-parse", "HEAD"]);
    let there = git(&both, &["-C", bare.to_str().unwrap(), "rev-parse", "main"]);
    assert_eq!(here.stdout, there.stdout);
}

fn old_scp(both: &Both, words: &[&str]) -> Output {
    let mut all = vec!["-O", "-F", both.through.to_str().unwrap()];
    all.extend(words);
    ran(&mut both.program("scp", &all), b"")
}

#[test]
fn the_old_scp_reads_a_file_unasked_and_is_asked_about_for_more() {
    let both = Both::granted(WRITES);
    let here = both.directory("here");
    fill(&here);
    fs::create_dir(here.join("linked")).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", here.join("linked/x")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"n\xff\nn");
    fs::write(here.join(odd), "bytes").unwrap();
    let back = both.directory("back");
    let to = back.to_str().unwrap();
    let remote = |path: &str| format!("web1:{}/{path}", here.display());
    fine(&old_scp(&both, &["-p", &remote("deep/noise"), to]));
    assert_eq!(fs::read(back.join("noise")).unwrap(), noise(300_000));
    fine(&old_scp(&both, &[&remote("deep/er/na\\ me\\ \\'quoted\\'\\ \u{e4}"), to]));
    // A link is judged by what it leads to, whatever it is called.
    refused(&old_scp(&both, &[&remote("linked/x"), to]), "guard.blocked");
    refused(&old_scp(&both, &["-r", &remote("linked"), to]), "guard.blocked");
    refused(&old_scp(&both, &["-r", &remote("deep"), to]), "approval.pending");
    yes_for_the_session(&both);
    fine(&old_scp(&both, &["-r", "-p", &remote("deep"), to]));
    assert_eq!(tree(&back.join("deep")), tree(&here.join("deep")));
    let (path, into) = there(&both, "there");
    let from = here.join("deep");
    let up = || old_scp(&both, &["-r", "-p", from.to_str().unwrap(), &into]);
    refused(&up(), "approval.pending");
    yes_for_the_session(&both);
    fine(&up());
    assert_eq!(tree(&path.join("deep")), tree(&from));
    // Not through a link that is there already.
    std::os::unix::fs::symlink("/etc", path.join("etc")).unwrap();
    refused(&up(), "files.kind");
    fs::remove_file(path.join("etc")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("p")).unwrap();
    refused(&up(), "guard.blocked");
}

#[test]
fn with_a_grant_to_read_the_old_scp_does_not_write() {
    let both = Both::granted(READS);
    let here = both.directory("here");
    fill(&here);
    let (path, remote) = there(&both, "there");
    let file = here.join("text");
    let output = old_scp(&both, &[file.to_str().unwrap(), &remote]);
    refused(&output, "grant.missing");
    assert!(stderr(&output).contains("files:write"), "{}", stderr(&output));
    assert_eq!(tree(&path).len(), 0);
    fine(&old_scp(&both, &[&format!("web1:{}", file.display()), path.to_str().unwrap()]));
}

/// As gitolite, GitHub and rrsync are: the account runs one program, and reads its line itself.
#[test]
fn git_works_where_the_account_is_for_git_alone() {
    let both = Both::new();
    let (bare, clone) = (both.directory("bare.git"), both.sgw.path("clone"));
    let git = |words: &[&str]| {
        let mut command = both.program("git", words);
        command.env("GIT_SSH_COMMAND", format!("ssh -F {}", both.through.display()));
        command.env("LANG", "C.UTF-8");
        ran(&mut command, b"")
    };
    fine(&git(&["init", "-q", "--bare", bare.to_str().unwrap()]));
    let forced = format!(
        "command=\"git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\" {}\n",
        both.sshd.key.line()
    );
    fs::write(both.sshd.directory().join("authorized_keys"), forced).unwrap();
    let url = format!("web1:{}", bare.display());
    fine(&git(&["clone", "-q", &url, clone.to_str().unwrap()]));
    // Of anything else the account's shell complains; why, it can't know.
    let output = ran(&mut both.ssh(&both.through, &["web1", "uptime"]), b"");
    assert!(stderr(&output).contains("--shell other"), "{}", stderr(&output));
}
