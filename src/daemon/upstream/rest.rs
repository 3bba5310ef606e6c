//! Whether a terminal is at rest: nothing that was begun there works on, and what was typed is read.
//! Told from the processes on it, as far as they can be seen.

use crate::domain::{guard::Shell, typed::Reader};

/// A process that has a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    parent: u32,
    group: u32,
    terminal: u32,
    /// The group in the foreground of its terminal.
    front: u32,
    state: char,
    /// When it began, so that a number that is used again is another process.
    start: u64,
    program: String,
}

/// The processes at one moment, and how the terminal is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The group in the foreground.
    front: u32,
    /// The shell that the terminal was opened for.
    leader: u32,
    /// Keys are read one by one, as line editors do; programs that a shell starts are given whole lines.
    by_keys: bool,
    /// What is in the foreground sleeps in a read of a terminal.
    in_read: bool,
    all: Vec<Process>,
}

/// Who waits for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// A shell, at its prompt.
    Shell,
    /// A program that was in the foreground before.
    Before,
    /// A program that was not, or one that passes on what is typed to where nobody can look.
    Other,
    /// Nobody: something works, or is stopped half-way.
    Works,
}

/// Whose prompt is the end of what was begun.
const SHELLS: [&str; 10] =
    ["bash", "zsh", "fish", "dash", "ash", "sh", "ksh", "mksh", "tcsh", "busybox"];
/// What works behind these can't be seen.
const RELAYS: [&str; 12] = [
    "ssh",
    "sudo",
    "doas",
    "screen",
    "tmux",
    "docker",
    "podman",
    "kubectl",
    "telnet",
    "mosh-client",
    "script",
    "machinectl",
];
/// These run a program that can be seen.
const WRAPPERS: [&str; 4] = ["sudo", "doas", "su", "script"];
/// The most terminals within each other.
const DEEP: usize = 4;

impl Running {
    /// `FRONT LEADER MODE WCHAN PID:PARENT:GROUP:TTY:FRONT:STATE:START:PROGRAM …`, as the target says.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let front = words.next()?.parse().ok()?;
        let leader = words.next()?.parse().ok()?;
        let by_keys = words.next()? == "keys";
        let in_read = ["wait_woken", "n_tty_read", "tty_read"].contains(&words.next()?);
        let all = words.map(process).collect::<Option<Vec<_>>>()?;
        Some(Self { front, leader, by_keys, in_read, all })
    }

    /// Who waits for keys now, where `before` was there before.
    pub fn rest(&self, before: Option<&Self>) -> Rest {
        let Some(terminal) = self.process(self.leader).map(|leader| leader.terminal) else {
            return Rest::Works;
        };
        let (front, terminals) = self.innermost(terminal);
        let inner = terminals.len() > 1;
        let live = |one: &&Process| !matches!(one.state, 'Z' | 'X');
        let group: Vec<_> = self.all.iter().filter(|one| one.group == front).filter(live).collect();
        let asleep = !group.is_empty() && group.iter().all(|one| one.state == 'S');
        // How a terminal within another one is read can't be seen.
        if !asleep || !(self.by_keys || self.in_read || inner) {
            return Rest::Works;
        }
        let way = self.way_to(front);
        let was_there = |one: &Process| before.is_some_and(|before| before.has(one));
        let begun = self.all.iter().filter(live).any(|one| {
            terminals.contains(&one.terminal)
                && one.group != front
                && !way.contains(&one.pid)
                && !was_there(one)
        });
        if begun {
            return Rest::Works;
        }
        let Some(program) = self.process(front) else { return Rest::Other };
        if SHELLS.contains(&&*program.program) && group.len() == 1 {
            return Rest::Shell;
        }
        let relays = inner || RELAYS.contains(&&*program.program);
        let home = before.is_some_and(|before| before.front == front && before.has(program));
        if home && !relays { Rest::Before } else { Rest::Other }
    }

    /// Who reads what is typed now, and whether that is on the terminal itself and not on one within it.
    /// What works in the background reads nothing.
    pub fn reader(&self) -> (Reader, bool) {
        let Some(terminal) = self.process(self.leader).map(|leader| leader.terminal) else {
            return (Reader::Unseen, false);
        };
        let (front, terminals) = self.innermost(terminal);
        let inner = terminals.len() > 1;
        let live = |one: &&Process| !matches!(one.state, 'Z' | 'X');
        let group: Vec<_> = self.all.iter().filter(|one| one.group == front).filter(live).collect();
        let asleep = !group.is_empty() && group.iter().all(|one| one.state == 'S');
        if !asleep || !(self.by_keys || self.in_read || inner) {
            return (Reader::Unseen, false);
        }
        let is_shell = |one: &&&Process| SHELLS.contains(&&*one.program);
        if let Some(shell) =
            group.iter().find(is_shell).filter(|_| group.iter().all(|one| is_shell(&one)))
        {
            return (Reader::Shell(shell_named(&shell.program)), !inner);
        }
        // Whatever waits for the others of its group is not told apart from what reads.
        let shown = group.iter().filter(|one| !is_shell(one) && !WRAPPERS.contains(&&*one.program));
        let names: Vec<String> = shown.map(|one| one.program.clone()).collect();
        let passed_on = names.iter().any(|name| RELAYS.contains(&&**name));
        match names.is_empty() || passed_on {
            true => (Reader::Unseen, false),
            false => {
                let by_keys = self.by_keys && !inner;
                (Reader::Programs { names, by_keys }, !inner)
            }
        }
    }

    /// The foreground of the terminal within which no other one is, and the terminals on the way.
    fn innermost(&self, terminal: u32) -> (u32, Vec<u32>) {
        let (mut terminals, mut front) = (vec![terminal], self.front);
        while let Some(inner) = self.behind(front, &terminals)
            && terminals.len() < DEEP
        {
            (front, _) = (inner.front, terminals.push(inner.terminal));
        }
        (front, terminals)
    }

    fn process(&self, pid: u32) -> Option<&Process> {
        self.all.iter().find(|one| one.pid == pid)
    }

    fn has(&self, other: &Process) -> bool {
        self.process(other.pid).is_some_and(|one| one.start == other.start)
    }

    /// The processes from the terminal's begin to this one, and this one.
    fn way_to(&self, pid: u32) -> Vec<u32> {
        let mut way = vec![pid];
        let mut at = pid;
        // A loop would be a lie of the target's.
        while let Some(parent) = self.process(at).map(|one| one.parent)
            && !way.contains(&parent)
        {
            way.push(parent);
            at = parent;
        }
        way
    }

    /// What has a terminal of its own behind `front`, as under sudo.
    fn behind(&self, front: u32, known: &[u32]) -> Option<&Process> {
        if self.process(front).is_some_and(|front| SHELLS.contains(&&*front.program)) {
            return None;
        }
        self.all.iter().find(|one| {
            !known.contains(&one.terminal) && one.front > 1 && self.way_to(one.pid).contains(&front)
        })
    }
}

fn shell_named(program: &str) -> Shell {
    match program {
        "bash" | "dash" | "ash" | "sh" | "ksh" | "mksh" => Shell::Posix,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        "tcsh" => Shell::Csh,
        _ => Shell::Unknown,
    }
}

fn process(word: &str) -> Option<Process> {
    let mut parts = word.split(':');
    let mut number = || parts.next()?.parse().ok();
    let (pid, parent, group) = (number()?, number()?, number()?);
    let (terminal, front) = (number()?, parts.next()?.parse().unwrap_or(0));
    let state = parts.next()?.chars().next()?;
    let start = parts.next()?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        group,
        terminal,
        front,
        state,
        start,
        program: parts.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(head: &str, all: &[&str]) -> Running {
        Running::read(&format!("{head} {}", all.join(" "))).unwrap()
    }

    const SHELL: &str = "10:9:10:34816:10:S:100:bash";

    #[test]
    fn a_shell_rests_at_its_prompt_and_nowhere_else() {
        let at_rest = |head, all: &[&str]| running(head, all).rest(None);
        assert_eq!(at_rest("10 10 keys do_select", &[SHELL]), Rest::Shell);
        assert_eq!(at_rest("10 10 lines n_tty_read", &[SHELL]), Rest::Shell);
        // It works, or waits for something else.
        assert_eq!(at_rest("10 10 lines do_wait", &[SHELL]), Rest::Works);
        assert_eq!(at_rest("10 10 keys 0", &["10:9:10:34816:10:R:100:bash"]), Rest::Works);
        let sleeps = "20:10:20:34816:20:S:200:sleep";
        assert_eq!(at_rest("20 10 lines hrtimer_nanosleep", &[SHELL, sleeps]), Rest::Works);
        assert_eq!(at_rest("20 10 keys 0", &[SHELL]), Rest::Works);
    }

    #[test]
    fn what_was_begun_and_is_stopped_or_behind_is_no_rest() {
        let now = |one| running("10 10 keys 0", &[SHELL, one]);
        for one in ["20:10:20:34816:10:T:200:sleep", "20:10:20:34816:10:S:200:sleep"] {
            assert_eq!(now(one).rest(None), Rest::Works);
            assert_eq!(now(one).rest(Some(&now(one))), Rest::Shell, "it was there before");
            let other = running("10 10 keys 0", &[SHELL, &one.replace(":200:", ":201:")]);
            assert_eq!(now(one).rest(Some(&other)), Rest::Works, "the number is used again");
        }
        assert_eq!(now("20:10:20:34816:10:Z:200:sleep").rest(None), Rest::Shell);
        assert_eq!(now("20:10:20:34817:20:S:200:sleep").rest(None), Rest::Shell, "elsewhere");
        assert_eq!(now("20:1:20:34817:20:S:200:sleep").rest(None), Rest::Shell, "elsewhere");
    }

    #[test]
    fn a_program_is_handed_over_where_it_was_there_before() {
        let mysql = "20:10:20:34816:20:S:200:mysql";
        let now = running("20 10 keys do_poll", &[SHELL, mysql]);
        assert_eq!(now.rest(Some(&now)), Rest::Before);
        assert_eq!(now.rest(None), Rest::Other);
        assert_eq!(now.rest(Some(&running("10 10 keys 0", &[SHELL]))), Rest::Other);
        let ssh = running("20 10 keys do_poll", &[SHELL, "20:10:20:34816:20:S:200:ssh"]);
        assert_eq!(ssh.rest(Some(&ssh)), Rest::Other, "what it passes on is not seen");
    }

    #[test]
    fn a_shell_behind_sudo_is_found() {
        let sudo = "20:10:20:34816:20:S:200:sudo";
        let (monitor, root) = ("21:20:21:34817:22:S:201:sudo", "22:21:22:34817:22:S:202:bash");
        let now = running("20 10 keys do_poll", &[SHELL, sudo, monitor, root]);
        assert_eq!(now.rest(None), Rest::Shell);
        let works = ["21:20:21:34817:30:S:201:sudo", "22:21:22:34817:30:S:202:bash"];
        let sleeps = "30:22:30:34817:30:S:300:sleep";
        let now = running("20 10 keys do_poll", &[SHELL, sudo, works[0], works[1], sleeps]);
        assert_eq!(now.rest(Some(&now)), Rest::Other);
    }

    #[test]
    fn who_reads_what_is_typed_is_told_from_who_works() {
        let reads = |head, all: &[&str]| running(head, all).reader().0;
        let named = |by_keys, names: &[&str]| Reader::Programs {
            names: names.iter().map(|one| (*one).to_owned()).collect(),
            by_keys,
        };
        assert_eq!(reads("10 10 keys 0", &[SHELL]), Reader::Shell(Shell::Posix));
        // What works behind it reads nothing.
        let sleeps = "20:10:20:34816:10:S:200:sleep";
        assert_eq!(reads("10 10 keys 0", &[SHELL, sleeps]), Reader::Shell(Shell::Posix));
        let front = "20:10:20:34816:20:S:200:sleep";
        assert_eq!(reads("20 10 lines hrtimer_nanosleep", &[SHELL, front]), Reader::Unseen);
        assert_eq!(reads("10 10 lines do_wait", &[SHELL]), Reader::Unseen);
        let python = "20:10:20:34816:20:S:200:python3";
        assert_eq!(reads("20 10 keys 0", &[SHELL, python]), named(true, &["python3"]));
        let cat = "20:10:20:34816:20:S:200:cat";
        assert_eq!(reads("20 10 lines n_tty_read", &[SHELL, cat]), named(false, &["cat"]));
        let script = ["20:10:20:34816:20:S:200:bash", "21:20:20:34816:20:S:201:less"];
        assert_eq!(reads("20 10 keys 0", &[SHELL, script[0], script[1]]), named(true, &["less"]));
        // Where it goes from here is not seen.
        let ssh = "20:10:20:34816:20:S:200:ssh";
        assert_eq!(reads("20 10 keys 0", &[SHELL, ssh]), Reader::Unseen);
        let sudo = "20:10:20:34816:20:S:200:sudo";
        assert_eq!(reads("20 10 lines n_tty_read", &[SHELL, sudo]), Reader::Unseen);
        let apt = "21:20:20:34816:20:S:201:apt";
        assert_eq!(reads("20 10 keys 0", &[SHELL, sudo, apt]), named(true, &["apt"]));
        let (monitor, root) = ("21:20:21:34817:22:S:201:sudo", "22:21:22:34817:22:S:202:bash");
        let inner = running("20 10 keys 0", &[SHELL, sudo, monitor, root]).reader();
        assert_eq!(inner, (Reader::Shell(Shell::Posix), false));
    }

    #[test]
    fn what_is_no_list_is_none() {
        for odd in
            ["", "1 2", "a b keys 0", "1 2 keys 0 x", "1 2 keys 0 1:1:1:1:1:S", "1 2 keys 0 "]
        {
            assert_eq!(Running::read(odd), None, "{odd}");
        }
    }
}
