//! A disk without room stops records and nothing else; the log never fills one.

use std::{
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::{Child, Command, Stdio},
};

use serde_json::json;

use crate::support::{
    Sgw, SmallDisk, Sshd, eventually,
    frames::{JSON, agent_wire, code},
    still_serves,
};

const MIB: u64 = 1024 * 1024;

/// Numbered lines, of which none may be lost or come twice.
fn numbers(most: u64) -> String {
    (1..=most).map(|number| format!("{number}\n")).collect()
}

fn reading(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn output_goes_on_at_its_readers_pace_where_the_spool_has_no_room() {
    let Some((sgw, disk)) = SmallDisk::with_sgw() else { return };
    let sshd = Sshd::start();
    let s = sgw.session(&sshd);
    let most = 3_000_000;
    let line = format!("seq {most}; exit 3");
    let mut call = reading(sgw.command(["exec", &s, "--", &line]));
    let mut output = call.stdout.take().unwrap();
    let mut start = vec![0; 4096];
    output.read_exact(&mut start).unwrap();
    let ballast = disk.fill();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert_eq!(call.wait().unwrap().code(), Some(3));
    assert!([start, rest].concat() == numbers(most).into_bytes(), "output was lost");
    // Others work as soon as there is room for their record.
    fs::remove_file(ballast).unwrap();
    still_serves(&sgw, &s);
    sgw.lock();
}

#[test]
fn what_a_killed_caller_left_is_kept_without_a_disk() {
    let Some((sgw, disk)) = SmallDisk::with_sgw() else { return };
    let sshd = Sshd::start();
    let s = sgw.session(&sshd);
    let go = sshd.directory().join("go");
    let most = 1_000_000;
    let line = format!("until [ -e {} ]; do sleep 0.05; done; seq {most}", go.display());
    let mut call = reading(sgw.command(["exec", &s, "--", &line]));
    let mut id = String::new();
    eventually("it runs", || {
        let sessions = sgw.agent(["sessions", "--json"]).ok().json();
        id = sessions["sessions"][0]["running"][0].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    });
    disk.fill();
    fs::write(go, "").unwrap();
    let mut before = vec![0; 4096];
    call.stdout.as_mut().unwrap().read_exact(&mut before).unwrap();
    call.kill().unwrap();
    call.stdout.take().unwrap().read_to_end(&mut before).unwrap();
    call.wait().unwrap();
    let after = sgw.agent(["wait", &id]).ok();
    let whole = numbers(most).into_bytes();
    assert!(whole.starts_with(&before) && whole.ends_with(after.bytes()), "output was lost");
    // A client killed between writing and acknowledging can see its last chunks twice.
    let covered = before.len() + after.bytes().len();
    assert!((whole.len()..=whole.len() + 256 * 1024).contains(&covered), "{covered} bytes");
    sgw.lock();
}

#[test]
fn the_log_is_two_files_of_a_mebibyte_at_most() {
    let sgw = Sgw::new();
    sgw.init();
    let (log, old) = (sgw.home().join("sgw.log"), sgw.home().join("sgw.log.1"));
    for round in 0..2 {
        // Almost full, by work that nobody wants to wait for.
        let line = format!("{round} {}\n", "x".repeat(100));
        let almost = line.repeat(usize::try_from(MIB).unwrap() / line.len() - 20);
        fs::write(&log, &almost).unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap();
        sgw.unlock();
        let mut wire = agent_wire(&sgw);
        for number in 1..=200 {
            let ask = json!({"type": "show", "id": "s-zzzz"}).to_string();
            assert!(wire.send(JSON, number, ask.as_bytes()));
            let (_, _, body) = wire.receive().expect("an answer");
            assert_eq!(code(&body), "session.unknown");
        }
        sgw.lock();
        eventually("the daemon has ended", || sgw.daemon().is_none());
        let size = |path| fs::metadata(path).unwrap().size();
        assert!(size(&log) <= MIB && size(&old) <= MIB, "{} {}", size(&log), size(&old));
        assert!(fs::read_to_string(&old).unwrap().starts_with(&almost), "it was not turned over");
        assert!(fs::read_to_string(&log).unwrap().contains("session.unknown"));
    }
    let logs = sgw.files().into_iter().filter(|file| file.display().to_string().contains(".log"));
    assert_eq!(logs.filter(|file| !file.display().to_string().contains("audit")).count(), 2);
}

#[test]
fn what_is_taken_back_ends_though_no_disk_can_say_so() {
    let Some((sgw, disk)) = SmallDisk::with_sgw() else { return };
    let sshd = Sshd::start();
    sgw.target("web1", &sshd);
    let (ci, other) = (sgw.token("ci", &[]), sgw.token("other", &[]));
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    let grant = sgw.grant(&["--token", "other", "--target", "web1"]);
    let mut works = sgw.start_by(&ci, ["exec", "web1", "--", "sh", "-c", "echo up; sleep 600"]);
    works.prints("up");
    let ballast = disk.fill();
    let ended = sgw.operator(["token", "revoke", "ci"]);
    assert!(ended.error_code().is_some(), "it is on record: {ended:?}");
    let ended = ended.says("token ci has ended").says("after a restart it is back");
    ended.says("then: sgw token revoke t-");
    works.ends().fails(77, "token.invalid");
    sgw.by(&ci, ["whoami"]).fails(77, "token.invalid");
    let removed = sgw.operator(["grant", "rm", &grant]);
    assert!(removed.error_code().is_some(), "it is on record: {removed:?}");
    removed.says(&format!("grant {grant} has ended"));
    let me = sgw.by(&other, ["whoami", "--json"]).ok().json();
    assert!(!me.to_string().contains(&grant), "{me}");
    // What was said holds: once there is room, the same commands make it last.
    fs::remove_file(ballast).unwrap();
    sgw.operator(["token", "revoke", "ci"]).ok();
    sgw.operator(["grant", "rm", &grant]).ok();
    sgw.lock();
    sgw.unlock();
    sgw.by(&ci, ["whoami"]).fails(77, "token.invalid");
    let grants = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(grants["grants"], json!([]));
    sgw.lock();
}
