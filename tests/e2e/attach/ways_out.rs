//! However an attachment ends, the terminal is as it was before, and the keyboard stays with whoever
//! had it.

use rustix::process::Signal;

use super::{attached, control, ready};
use crate::support::{Pty, eventually, signal};

/// Modes that a program has turned on, all of which are the window's to lose.
fn full_screen(person: &mut Pty) {
    person.send("printf '\\033[?1049h\\033[?1h\\033[?2004h\\033[?1003h\\033[?1006h\\033[?25l'; echo f''ull\r");
    person.wait_for("full");
    assert!(!person.is_plain());
}

#[test]
fn a_signal_that_ends_it_gives_the_terminal_back() {
    let (sgw, _sshd, s) = ready();
    for (which, status) in
        [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)]
    {
        let mut person = attached(&sgw, &s);
        full_screen(&mut person);
        let raw = person.modes();
        signal(person.pid(), which);
        eventually("it has ended", || person.has_ended());
        assert_ne!(person.modes(), raw);
        assert!(person.modes().contains("ICANON"), "{}", person.modes());
        eventually("the old screen is back", || person.is_plain());
        let (code, screen) = person.ends();
        assert_eq!(code, status);
        assert!(screen.contains(&format!("you keep the keyboard of {s}")), "{screen}");
        assert_eq!(control(&sgw, &s), "operator");
        sgw.operator(["return", &s]).ok();
        sgw.agent(["input", &s, "--key", "ctrl-l"]).ok();
        sgw.agent(["input", &s, "printf '\\033[?1049l\\033[?25h\\033[?1003l\\033[?1l'; clear"])
            .ok();
    }
}

#[test]
fn every_ending_leaves_the_modes_that_were_there_before() {
    let (sgw, _sshd, s) = ready();
    let command = sgw.command(["attach", &s]);
    let program = command.get_program().to_owned();
    let passphrase = sgw.passphrase_file();
    let script =
        "stty -g; \"$0\" attach \"$1\" --i-am-the-operator --passphrase-file \"$2\"; stty -g";
    let mut around = std::process::Command::new("/bin/sh");
    around.args(["-c", script]).arg(program).arg(&s).arg(passphrase);
    around.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut person = Pty::start(&around);
    person.wait_for("(?s)at-the-prompt.*SHARED");
    full_screen(&mut person);
    person.send("exit\r");
    let (code, screen) = person.ends();
    assert_eq!(code, 0, "{screen}");
    let modes: Vec<_> = screen.lines().filter(|line| line.matches(':').count() > 10).collect();
    assert!(modes.len() == 2 && modes[0] == modes[1], "{screen}");
    assert!(
        screen.contains("has ended") && screen.contains(&format!("sgw return {s}")),
        "{screen}"
    );
}

#[test]
fn a_daemon_that_ends_is_told_on_the_old_screen() {
    let (sgw, _sshd, s) = ready();
    let mut person = attached(&sgw, &s);
    full_screen(&mut person);
    sgw.kill_daemon();
    eventually("it is told", || {
        // Whoever typed a moment ago is asked for Enter first.
        if person.screen().contains("press Enter") {
            person.send("\r");
        }
        person.screen().contains("daemon.lost")
    });
    assert!(person.is_plain());
    assert!(person.modes().contains("ICANON"));
    assert_eq!(person.ends().0, 69);
}

#[test]
fn a_locked_daemon_ends_it_too() {
    let (sgw, _sshd, s) = ready();
    let mut person = attached(&sgw, &s);
    sgw.lock();
    eventually("it has ended", || person.has_ended());
    assert!(person.modes().contains("ICANON"));
    let (code, screen) = person.ends();
    assert!(screen.contains("the daemon has ended") && screen.contains("sgw unlock"), "{screen}");
    assert!(!screen.contains("you keep") && !screen.contains("sgw return"), "{screen}");
    assert_eq!(code, 69);
}

#[test]
fn a_stop_gives_the_terminal_back_for_its_time() {
    let (sgw, _sshd, s) = ready();
    let mut person = attached(&sgw, &s);
    full_screen(&mut person);
    let taken = person.modes();
    for stop in 0..2 {
        match stop {
            0 => signal(person.pid(), Signal::TSTP),
            _ => person.send("\r~\x1a"),
        }
        let pid = person.pid();
        eventually("it is stopped", || state(pid) == Some('T'));
        eventually("the old screen is back", || person.is_plain());
        assert_ne!(person.modes(), taken);
        signal(person.pid(), Signal::CONT);
        eventually("it is taken again", || person.modes() == taken);
        eventually("and drawn", || person.last_line().starts_with(" SHARED"));
        person.wait_for("full");
    }
    person.send("~.");
    person.wait_for("k keep");
    person.send("k");
    assert_eq!(person.ends().0, 0);
}

/// As proc_pid_stat(5) has it.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
