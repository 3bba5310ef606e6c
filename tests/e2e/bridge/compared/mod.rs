//! The table: each line is run with the stock tools directly and through sgw, in the same place filled
//! alike. It has to end alike, print alike and leave the same files.

mod commands;
mod forwards;
mod git;
mod master;
mod place;
mod rsync;
mod scp;
mod sftp;

use std::{
    fmt::Write,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use super::{Both, ran};
use place::{Left, Place};

/// One line of the table.
pub struct Check {
    pub name: &'static str,
    /// For bash, in a [`Place`]. `$F` is `-F` and the configuration, `$C` that file alone, `$W` where it runs.
    pub line: &'static str,
}

const fn check(name: &'static str, line: &'static str) -> Check {
    Check { name, line }
}

/// The lines of one tool.
pub struct Part {
    pub tool: &'static str,
    /// Variables of its lines.
    pub with: &'static [(&'static str, &'static str)],
    /// A line before each of them, by which nothing is compared.
    pub before: &'static str,
    pub checks: &'static [Check],
}

const ALL: &[&Part] = &[
    &commands::PART,
    &scp::SFTP,
    &scp::OLD,
    &sftp::PART,
    &rsync::PART,
    &git::PART,
    &forwards::PART,
    &master::PART,
];

/// Everything is allowed that these lines do: what is asked about is another subject.
const ALLOWED: &str = "[defaults]\nopaque = \"allow\"\nparse_error = \"allow\"\n\
    [[rule]]\nid = \"fs.mirror-delete\"\ndecision = \"approve\"\nprogram = [\"none\"]\n\
    reason = \"nobody\"\nmatch = [\"none\"]\nno_match = [\"rsync --delete a b\"]\n\
    [[forward]]\nid = \"own.self\"\ndecision = \"allow\"\ndirection = \"any\"\nhost = [\"localhost\"]\n\
    [[forward]]\nid = \"own.sockets\"\ndecision = \"allow\"\nsocket = [\"/tmp/**\"]\n";

/// How one way through a check went.
struct Went {
    output: Output,
    left: Vec<Left>,
    took: Duration,
}

impl Part {
    /// Runs every check both ways; fails with all that differ.
    pub fn runs(&self) {
        let both = Both::granted(&["--only", "exec,pty,files:read,files:write,forward"]);
        both.sgw.accepts_policy(ALLOWED);
        let place = Place::new(&both);
        let (mut table, mut differ) = (String::new(), String::new());
        for check in self.checks {
            let direct = self.goes(&both, &place, check, &both.direct);
            let through = self.goes(&both, &place, check, &both.through);
            let difference = direct.differs_from(&through);
            let told = if difference.is_empty() { "same" } else { "DIFFERS" };
            let (one, two) = (direct.took.as_millis(), through.took.as_millis());
            let status = direct.status();
            let name = check.name;
            writeln!(
                table,
                "{:8} {name:52} {status:>6} {one:>6} ms {two:>6} ms  {told}",
                self.tool
            )
            .unwrap();
            if !difference.is_empty() {
                write!(differ, "\n--- {}: {name}\n{}\n{difference}", self.tool, check.line)
                    .unwrap();
            }
        }
        eprintln!("tool     check{:49} status    direct  through sgw\n{table}", "");
        assert!(differ.is_empty(), "{differ}");
    }

    fn goes(&self, both: &Both, place: &Place, check: &Check, config: &Path) -> Went {
        place.fill();
        let run = |line: &str| {
            // One that hangs is told like any other difference.
            let words = ["-k", "5", "60", "bash", "-c", line];
            let mut command = both.program("timeout", &words);
            command.current_dir(place.path()).envs(place.variables(config));
            command.envs(self.with.iter().copied());
            let start = Instant::now();
            (ran(&mut command, b""), start.elapsed())
        };
        if !self.before.is_empty() {
            let (output, _) = run(&format!("exec 2>&1; set -e; {}", self.before));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        let (output, took) = run(check.line);
        Went { output, left: place.left(), took }
    }
}

impl Went {
    fn status(&self) -> String {
        let status = self.output.status;
        match (status.code(), status.signal()) {
            (Some(code), _) => code.to_string(),
            (None, signal) => format!("s{}", signal.unwrap_or_default()),
        }
    }

    /// In words; nothing where it is the same.
    fn differs_from(&self, through: &Self) -> String {
        let mut told = String::new();
        let mut tell = |what: &str, direct: &str, through: &str| {
            if direct != through {
                writeln!(told, "{what}\n  directly: {direct}\n  through sgw: {through}").unwrap();
            }
        };
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let start = |all: String| all.chars().take(3000).collect::<String>();
        tell("status", &self.status(), &through.status());
        let (direct, other) = (&self.output, &through.output);
        if direct.stdout != other.stdout {
            let lengths = [direct.stdout.len(), other.stdout.len()].map(|one| format!("({one}) "));
            let [one, two] = lengths;
            tell("stdout", &start(one + &text(&direct.stdout)), &start(two + &text(&other.stdout)));
        }
        tell("stderr", &text(&direct.stderr), &text(&other.stderr));
        for left in &self.left {
            if !through.left.contains(left) {
                writeln!(told, "only directly: {left}").unwrap();
            }
        }
        for left in &through.left {
            if !self.left.contains(left) {
                writeln!(told, "only through sgw: {left}").unwrap();
            }
        }
        told
    }
}

#[test]
fn there_are_sixty_checks_and_no_two_of_one_name() {
    let names = ALL.iter().flat_map(|part| {
        part.checks.iter().map(|check| (part.tool, check.name)).collect::<Vec<_>>()
    });
    let mut names: Vec<_> = names.collect();
    let all = names.len();
    eprintln!("{all} checks");
    for part in ALL {
        eprintln!("{:8} {}", part.tool, part.checks.len());
    }
    assert!(all >= 60, "{all}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// A harness that sees no difference compares nothing.
#[test]
fn a_difference_is_seen_in_the_status_the_output_and_the_files() {
    let both = Both::granted(&["--only", "exec"]);
    let place = Place::new(&both);
    const PART: Part = Part { tool: "none", with: &[], before: "", checks: &[] };
    for (line, what) in [
        ("test $C = $DIRECT", "status"),
        ("echo $C", "stdout"),
        ("echo $C >&2", "stderr"),
        ("echo $C > b/new", "only directly: b/new"),
        ("test $C = $DIRECT || chmod 600 a/text", "only through sgw: a/text"),
        ("test $C = $DIRECT || touch -d @5 a/text", "only through sgw: a/text"),
        ("test $C = $DIRECT || mkdir b/dir", "only through sgw: b/dir"),
        ("ln -s $C b/link", "only directly: b/link"),
    ] {
        let line = check("", line);
        let direct = PART.goes(&both, &place, &line, &both.direct);
        let through = PART.goes(&both, &place, &line, &both.through);
        let told = direct.differs_from(&through);
        assert!(told.contains(what), "{}: {told}", line.line);
        let again = PART.goes(&both, &place, &line, &both.direct);
        assert_eq!(direct.differs_from(&again), "", "{}", line.line);
    }
}
