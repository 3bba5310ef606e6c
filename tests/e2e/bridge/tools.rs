//! scp, rsync and git over ssh commands: the files that they leave are the same.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Output,
};

use super::{Both, noise, ran, stderr, tree};

/// Files of several kinds.
fn fill(directory: &Path) {
    fs::create_dir_all(directory.join("deep/er")).unwrap();
    fs::write(directory.join("empty"), b"").unwrap();
    fs::write(directory.join("text"), b"one\ntwo\n").unwrap();
    fs::write(directory.join("deep/noise"), noise(700_000)).unwrap();
    fs::write(directory.join("deep/er/na me 'quoted' \u{e4}"), b"odd").unwrap();
    fs::write(directory.join("script"), b"#!/bin/sh\n").unwrap();
    fs::set_permissions(directory.join("script"), fs::Permissions::from_mode(0o751)).unwrap();
}

#[track_caller]
fn fine(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_old_scp_copies_both_ways() {
    let both = Both::new();
    let here = both.directory("here");
    fill(&here);
    let from = here.to_str().unwrap().to_owned();
    for (number, config) in [&both.direct, &both.through].into_iter().enumerate() {
        let there = both.directory(&format!("there{number}"));
        let back = both.directory(&format!("back{number}"));
        let config = config.to_str().unwrap();
        let up = format!("web1:{}", there.display());
        fine(&ran(&mut both.program("scp", &["-O", "-r", "-p", "-F", config, &from, &up]), b""));
        let down = format!("web1:{}/here/deep", there.display());
        let words = ["-O", "-r", "-p", "-F", config, &down, back.to_str().unwrap()];
        fine(&ran(&mut both.program("scp", &words), b""));
        assert_eq!(tree(&there.join("here")), tree(&here));
        assert_eq!(tree(&back.join("deep")), tree(&here.join("deep")));
        let missing = format!("web1:{}/missing", there.display());
        let words = ["-O", "-F", config, &missing, back.to_str().unwrap()];
        assert_eq!(ran(&mut both.program("scp", &words), b"").status.code(), Some(1));
    }
}

#[test]
fn rsync_goes_both_ways_and_only_sends_what_differs() {
    let both = Both::new();
    let here = both.directory("here");
    fill(&here);
    symlink("text", here.join("link")).unwrap();
    let mut said: Vec<Vec<String>> = Vec::new();
    for (number, config) in [&both.direct, &both.through].into_iter().enumerate() {
        let there = both.directory(&format!("there{number}"));
        let back = both.directory(&format!("back{number}"));
        let shell = format!("ssh -F {}", config.display());
        let (local, remote) =
            (format!("{}/", here.display()), format!("web1:{}/", there.display()));
        let rsync = |words: &[&str]| {
            let mut all = vec!["-e", &shell];
            all.extend(words);
            ran(&mut both.program("rsync", &all), b"")
        };
        let first = rsync(&["-a", "-i", &local, &remote]);
        fine(&first);
        assert_eq!(tree(&there), tree(&here));
        let again = rsync(&["-a", "-i", &local, &remote]);
        fine(&again);
        assert_eq!(again.stdout, b"", "nothing differs");
        fs::write(there.join("deep/noise"), noise(600_000)).unwrap();
        fine(&rsync(&["-a", "--partial", "--checksum", &local, &remote]));
        fine(&rsync(&["-a", &remote, &format!("{}/", back.display())]));
        assert_eq!(tree(&back), tree(&here));
        // Whether the directory itself has another time depends on the second.
        let lines = String::from_utf8(first.stdout).unwrap();
        said.push(lines.lines().filter(|line| !line.ends_with(" ./")).map(str::to_owned).collect());
    }
    assert_eq!(said[0], said[1]);
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

#[test]
fn git_clones_fetches_and_pushes() {
    let both = Both::new();
    let bare = both.directory("bare.git");
    let git = |config: &Path, words: &[&str]| {
        let mut command = both.program("git", words);
        command.env("GIT_SSH_COMMAND", format!("ssh -F {}", config.display()));
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a test");
            command.env(format!("GIT_{who}_EMAIL"), "test@example.org");
        }
        let output = ran(&mut command, b"");
        assert!(output.status.success(), "{words:?}\n{}", stderr(&output));
        output
    };
    let config = both.through.clone();
    git(&config, &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
    let url = format!("web1:{}", bare.display());
    let (one, two) = (both.sgw.path("one"), both.sgw.path("two"));
    let (first, second) = (one.to_str().unwrap(), two.to_str().unwrap());
    git(&config, &["clone", "-q", &url, first]);
    fs::write(one.join("file"), noise(400_000)).unwrap();
    git(&config, &["-C", first, "add", "."]);
    git(&config, &["-C", first, "commit", "-qm", "one"]);
    git(&config, &["-C", first, "push", "-q", "origin", "HEAD:main"]);
    git(&config, &["clone", "-q", &url, second]);
    assert_eq!(fs::read(two.join("file")).unwrap(), noise(400_000));
    git(&config, &["-C", first, "commit", "-q", "--allow-empty", "-m", "two"]);
    git(&config, &["-C", first, "push", "-q", "origin", "HEAD:main"]);
    git(&config, &["-C", second, "fetch", "-q"]);
    let through = git(&config, &["ls-remote", &url]);
    let direct = git(&both.direct, &["ls-remote", &url]);
    assert_eq!(through.stdout, direct.stdout);
}
