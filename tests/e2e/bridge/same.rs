//! Commands through `ssh web1 …`: streams, statuses and signals as without sgw.

use super::{Both, noise, ran, stderr};

/// A bridge that hands the client's first bytes to nobody loses them.
#[test]
fn what_a_client_sends_at_once_is_not_lost() {
    let both = Both::new();
    for length in [1, 100, 32 * 1024, 200_000] {
        let sent = noise(length);
        for _ in 0..3 {
            assert!(both.same(&["web1", "cat"], &sent).stdout == sent);
        }
    }
}

#[test]
fn much_output_comes_whole() {
    let both = Both::new();
    let output = both.same(&["web1", "head -c 20000000 /dev/zero | tr '\\0' x; echo end >&2"], b"");
    assert_eq!(output.stdout.len(), 20_000_000);
}

/// Its output fills while it is fed, and it is fed while its output fills.
#[test]
fn much_goes_both_ways_at_once() {
    let both = Both::new();
    let sent = noise(12_000_000);
    assert!(both.same(&["web1", "cat"], &sent).stdout == sent);
}

#[test]
fn keys_are_exchanged_anew_in_the_middle_of_it() {
    let both = Both::new();
    let sent = noise(6_000_000);
    let words = ["-o", "RekeyLimit=1M", "web1", "cat"];
    let output = ran(&mut both.ssh(&both.through, &words), &sent);
    assert!(output.status.success() && output.stdout == sent, "{}", stderr(&output));
}

#[test]
fn many_clients_at_once_all_get_their_own() {
    let both = Both::new();
    let all: Vec<_> = (0..20)
        .map(|number| {
            let line = format!("echo {number}; cat");
            let mut ssh = both.ssh(&both.through, &["web1", &line]);
            std::thread::spawn(move || (number, ran(&mut ssh, b"fed")))
        })
        .collect();
    for one in all {
        let (number, output) = one.join().unwrap();
        let expected = format!("{number}\nfed");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", stderr(&output));
    }
}

#[test]
fn one_connection_carries_many_commands() {
    let both = Both::new();
    let control = both.sgw.path("master");
    let path = format!("ControlPath={}", control.display());
    let words = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", &path];
    let with = |more: &[&str]| {
        let all: Vec<&str> = words.iter().chain(more).copied().collect();
        both.ssh(&both.through, &all)
    };
    for number in 0..5 {
        let output = ran(&mut with(&["web1", &format!("cat; exit {number}")]), b"through");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(number), &b"through"[..]));
    }
    // A channel whose command takes nothing holds up no other.
    let mut stuck = both.sgw.watched(crate::support::Running::start(&mut with(&[
        "web1",
        "echo stuck; exec sleep 1000",
    ])));
    stuck.prints("stuck");
    stuck.write(&noise(100_000));
    let output = ran(&mut with(&["web1", "wc -c"]), &noise(4_000_000));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "4000000", "{}", stderr(&output));
    let exit = ran(&mut with(&["-O", "exit", "web1"]), b"");
    assert!(exit.status.success(), "{}", stderr(&exit));
}

#[test]
fn what_ran_is_in_the_history_and_on_record() {
    let both = Both::new();
    both.same(&["web1", "echo on record; exit 4"], b"");
    let history = both.sgw.by(&both.token, ["history", "web1", "--json"]).ok().json();
    let ran = &history["history"][0];
    assert_eq!((&ran["command"], &ran["exit_code"]), (&"echo on record; exit 4".into(), &4.into()));
    let intents = both.sgw.recorded("exec.intent");
    assert!(intents.iter().any(|one| one["action"]["command"] == "echo on record; exit 4"));
}
