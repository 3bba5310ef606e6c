//! `sgw run --sandbox`: the program works through sgw, and reaches nothing beside it.

use std::{collections::BTreeMap, path::PathBuf, rc::Rc};

use super::run;
use crate::support::{PASSPHRASE, Person, Pty, Sgw, Sshd, is_alive, is_root};

/// What a program may find out in a sandbox, a line each: its name, and a command that succeeds.
fn tries(sgw: &Sgw, daemon: u32, outside: u32) -> BTreeMap<&'static str, String> {
    let (home, user) = (sgw.home().display().to_string(), sgw.user_home().display().to_string());
    let program = sgw.command(["x"]).get_program().to_string_lossy().into_owned();
    [
        ("sgw", format!("[ \"$({program} exec web1 -- echo hi)\" = hi ]")),
        ("work", "echo x > file && mkdir -p a && mv file a/ && rm -r a".to_owned()),
        ("temporary", "t=$(mktemp) && echo x > $t && rm $t".to_owned()),
        ("system", "cat /etc/passwd > /dev/null && ls /usr > /dev/null".to_owned()),
        ("beside", format!("cat {user}/notes")),
        ("key", format!("cat {user}/.ssh/id_plain")),
        ("keys", format!("ls {user}/.ssh")),
        ("vault", format!("cat {home}/vault.json")),
        ("home", format!("ls {home}")),
        ("write", format!("echo x > {user}/.profile")),
        ("change", format!("echo x >> {user}/notes")),
        ("binary", format!("cp /bin/true {user}/sgw")),
        ("daemon", format!("kill -0 {daemon}")),
        ("signal", format!("kill -0 {outside}")),
        ("trace", format!("cat /proc/{outside}/environ > /dev/null")),
    ]
    .into()
}

/// Which of the tries succeeded.
fn succeeded(
    sgw: &Sgw,
    flags: &[&str],
    work: &PathBuf,
    tries: &BTreeMap<&str, String>,
) -> Vec<String> {
    let lines = tries
        .iter()
        .map(|(name, line)| format!("if ( {line} ) >/dev/null 2>&1; then echo {name}; fi\n"));
    let script: String = lines.collect();
    let words = [flags, &["--target", "web1", "--", "/bin/sh", "-c", &script]].concat();
    let outcome = sgw.run(run(sgw, &words).current_dir(work)).ok();
    outcome.stdout().lines().map(str::to_owned).collect()
}

#[test]
fn a_sandboxed_program_works_through_sgw_and_reaches_nothing_beside_it() {
    if !is_root() {
        return eprintln!("left out: only root can make a user with a home of their own");
    }
    let person = Rc::new(Person::ordinary());
    let (sgw, sshd) = (Sgw::of(&person), Sshd::start());
    sgw.init();
    let daemon = sgw.unlock();
    sgw.target("web1", &sshd);
    sgw.write_in_user_home(".ssh/id_plain", "a key");
    sgw.write_in_user_home("notes", "x\n");
    let work = sgw.write_in_user_home("work/README", "").parent().unwrap().to_owned();
    let mut sleep = std::process::Command::new("sleep");
    let outside = crate::support::Running::start(person.runs(sleep.arg("600").env("SEEN", "yes")));
    let tries = tries(&sgw, daemon, outside.pid());
    // Everything that is tried can be done: by the same program without a sandbox.
    let all: Vec<_> = tries.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(succeeded(&sgw, &[], &work, &tries), all);
    let inside = succeeded(&sgw, &["--sandbox"], &work, &tries);
    let mut open = vec!["beside", "sgw", "system", "temporary", "work"];
    if std::fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|release| older(&release)) {
        open.extend(["daemon", "signal"]);
        open.sort_unstable();
    }
    assert_eq!(inside, open);
    // What the person allows besides.
    let notes = sgw.user_home().join("notes").display().to_string();
    let inside = succeeded(&sgw, &["--sandbox", "--write", &notes], &work, &tries);
    assert!(inside.contains(&"change".to_owned()) && !inside.contains(&"write".to_owned()));
}

/// Signals are kept in since Linux 6.12.
fn older(release: &str) -> bool {
    let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) < (Some(6), Some(12))
}

#[test]
fn a_sandbox_that_can_not_hold_is_refused_before_anything_runs() {
    let sgw = Sgw::unlocked();
    let work = sgw.path("work");
    std::fs::create_dir(&work).unwrap();
    let refused = |flags: &[&str], directory: &PathBuf| {
        let words = [flags, &["--", "/bin/sh", "-c", "echo it ran"]].concat();
        let outcome = sgw.run(run(&sgw, &words).current_dir(directory));
        outcome.fails(125, "sandbox.unfit").prints("");
    };
    refused(&["--sandbox"], &sgw.home());
    refused(&["--sandbox"], &sgw.home().parent().unwrap().to_owned());
    refused(&["--sandbox", "--write", "/nowhere/at/all"], &work);
    refused(&["--sandbox", "--write", "/"], &work);
}

#[test]
fn what_a_sandbox_leaves_open_is_told_once_and_its_status_is_the_programs() {
    let sgw = Sgw::unlocked();
    let work = sgw.path("work");
    std::fs::create_dir(&work).unwrap();
    let mut command = run(&sgw, &["--sandbox", "--", "/bin/sh", "-c", "exit 7"]);
    let outcome = sgw.run(command.current_dir(&work).env("TMUX", "/tmp/tmux-1/default,1,0"));
    let outcome = outcome.exits(7).says("tmux").says("Unix sockets").says("the network");
    assert_eq!(outcome.stderr().matches("not closed are").count(), 1);
    // Locked: the agent is told so from within, and not that something is wrong with its home.
    let program = sgw.command(["x"]).get_program().to_string_lossy().into_owned();
    let line =
        format!("{program} lock >/dev/null; until {program} whoami; [ $? = 69 ]; do :; done");
    let mut command = run(&sgw, &["--sandbox", "--", "/bin/sh", "-c", &line]);
    let outcome = sgw.run(command.current_dir(&work)).ok();
    outcome.says("error[daemon.unreachable]");
}

#[test]
fn what_else_may_be_written_is_told_by_name() {
    let sgw = Sgw::unlocked();
    let (work, more) = (sgw.path("work"), sgw.path("more"));
    std::fs::create_dir(&work).unwrap();
    std::fs::create_dir(&more).unwrap();
    let more = more.canonicalize().unwrap().display().to_string();
    let mut command = run(&sgw, &["--sandbox", "--write", &more, "--", "/bin/true"]);
    let outcome = sgw.run(command.current_dir(&work)).ok();
    let errors = outcome.stderr();
    let line = errors.lines().find(|line| line.contains("it writes to")).unwrap();
    let (written, _) = line.split_once(" and temporary files alone").unwrap();
    assert!(written.contains("/work, ") && written.ends_with(&more), "{line}");
    // And what no sandbox of this kind closes.
    outcome.says("modes, times and attributes").says("this terminal");
}

#[test]
fn the_passphrases_file_that_the_command_line_names_is_hidden() {
    let sgw = Sgw::unlocked();
    let work = sgw.path("work");
    std::fs::create_dir(&work).unwrap();
    let held = |file: &PathBuf, flags: &[&str], line: &str| {
        let words = ["run", "--i-am-the-operator", "--passphrase-file"].map(str::to_owned);
        let words = words.into_iter().chain([file.display().to_string()]);
        let program = ["--", "/bin/sh", "-c", line];
        let rest = flags.iter().chain(&program).map(|word| (*word).to_owned());
        let mut command = sgw.command(words.chain(rest));
        sgw.run(command.current_dir(&work))
    };
    let beside = sgw.write_private("beside", PASSPHRASE);
    let line = format!("cat {} > /dev/null && echo it was read", beside.display());
    assert!(held(&beside, &[], &line).ok().stdout().contains("it was read"));
    let outcome = held(&beside, &["--sandbox"], &line);
    assert!(outcome.code() == 1 && outcome.stdout().is_empty(), "{outcome:?}");
    // Under another name, too.
    std::os::unix::fs::symlink(&beside, work.join("link")).unwrap();
    let outcome = held(&work.join("link"), &["--sandbox"], &line);
    assert!(outcome.code() == 1 && outcome.stdout().is_empty(), "{outcome:?}");
    // Where the program works, nothing can be hidden.
    let inside = work.join("inside");
    std::fs::copy(&beside, &inside).unwrap();
    held(&inside, &["--sandbox"], "echo it ran").fails(125, "sandbox.unfit").prints("");
    std::fs::remove_file(&inside).unwrap();
}

/// Takes the foreground as soon as it runs, says so in a file, and reads what is typed.
const SURVIVOR: &str = r#"
use POSIX;
$SIG{$_} = "IGNORE" for qw(TTOU HUP TERM INT);
exit 0 if fork;
setpgrp(0, 0);
open(my $tty, "+<", "/dev/tty") or exit 1;
POSIX::tcsetpgrp(fileno($tty), getpgrp()) or exit 1;
open(my $told, ">", "taken.new"); print $told $$; close $told;
rename("taken.new", "taken");
sysread($tty, my $typed, 100);
open(my $loot, ">", "loot"); print $loot $typed; close $loot;
sleep 600;
"#;

#[test]
fn what_a_program_leaves_running_ends_with_it_and_the_terminal_is_the_persons_again() {
    if std::process::Command::new("perl").arg("-v").output().is_err() {
        return eprintln!("left out: there is no perl");
    }
    let sgw = Sgw::unlocked();
    let work = sgw.path("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("survivor.pl"), SURVIVOR).unwrap();
    let line = "perl survivor.pl; until [ -e taken ]; do sleep 0.05; done; exit 7";
    let whole = run(&sgw, &["--sandbox", "--", "/bin/sh", "-c", line]);
    // Not a shell that takes the terminal back by itself.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "cd \"$0\"; \"$@\"; echo status $?; read line; echo next: $line"]).arg(&work);
    shell.arg(whole.get_program()).args(whole.get_args()).current_dir(&work).env_clear();
    shell.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut terminal = Pty::start(&shell);
    terminal.wait_for("status 7");
    let pid = std::fs::read_to_string(work.join("taken")).unwrap().parse().unwrap();
    assert!(!is_alive(pid), "it survived");
    terminal.send("typed-after-it\r");
    terminal.wait_for("next: typed-after-it");
    let (_, screen) = terminal.ends();
    assert!(screen.contains("left running was ended"), "{screen}");
    assert!(!work.join("loot").exists(), "what was typed was read");
}

#[test]
fn what_nobody_waits_for_is_no_burden_and_a_bare_end_says_nothing() {
    let sgw = Sgw::unlocked();
    let work = sgw.path("work");
    std::fs::create_dir(&work).unwrap();
    // Its parent ends at once, so that it becomes sgw's; and it ends before the program does.
    let line = "(sh -c 'echo $$ > orphan' &) ; until [ -s orphan ]; do sleep 0.05; done; \
                i=0; while [ -e /proc/$(cat orphan) ] && [ $i -lt 400 ]; do sleep 0.05; i=$((i + 1)); \
                done; ! [ -e /proc/$(cat orphan) ]";
    let mut command = run(&sgw, &["--sandbox", "--", "/bin/sh", "-c", line]);
    let outcome = sgw.run(command.current_dir(&work)).ok();
    assert!(!outcome.stderr().contains("left running"), "{outcome:?}");
}
