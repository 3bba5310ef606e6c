//! The one thread on which lines are judged: a deep stack, a bounded queue, and an end to every panic.
//! A leaf that the commands and the daemon both use; what it says is `domain::guard`'s alone.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Once,
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread,
};

use jiff::civil::Date;

use crate::domain::{
    action,
    guard::{Context, Decision, Files, Policy, Stdin, Verdict, judge},
    judgement::Manner,
};

const NAME: &str = "judge";
/// Far more than the deepest line takes: its nesting is counted (`guard::syntax`).
const STACK_BYTES: usize = 16 << 20;
/// Lines that wait, at most; beyond, a person is asked instead.
const QUEUE: usize = 64;

/// A line to judge, and where it would run.
#[derive(Clone, Debug)]
pub struct Question {
    pub line: Vec<u8>,
    pub target: Option<String>,
    pub token: Option<String>,
    pub cwd: Option<String>,
    pub today: Option<Date>,
    pub manner: Manner,
    /// All that comes on standard input, where that is known.
    pub stdin: Option<Arc<[u8]>>,
    /// What agents brought to the account.
    pub files: Arc<Files>,
    pub policy: Arc<Policy>,
}

/// Called with the answer, on the judge's thread.
type Reply = Box<dyn FnOnce(Verdict) + Send>;

struct Job {
    question: Question,
    reply: Reply,
}

/// The queue is full, or the thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    #[error("{QUEUE} lines wait to be judged already")]
    Busy,
    #[error("nobody judges any more")]
    Ended,
}

/// A handle on the thread, which ends with the last of them.
#[derive(Clone)]
pub struct Judge {
    jobs: SyncSender<Job>,
}

impl Judge {
    pub fn start() -> io::Result<Self> {
        keep_panics_quiet();
        let (jobs, queue) = mpsc::sync_channel(QUEUE);
        thread::Builder::new()
            .name(NAME.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || serve(queue))?;
        Ok(Self { jobs })
    }

    /// Has a line judged without waiting; `reply` is called on the judge's thread and must be short.
    pub fn ask(
        &self,
        question: Question,
        reply: impl FnOnce(Verdict) + Send + 'static,
    ) -> Result<(), Unjudged> {
        let job = Job { question, reply: Box::new(reply) };
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Unjudged::Busy,
            TrySendError::Disconnected(_) => Unjudged::Ended,
        })
    }

    /// Has a line judged, and waits for the verdict.
    pub fn wait(&self, question: Question) -> Result<Verdict, Unjudged> {
        let (sender, verdict) = mpsc::sync_channel(1);
        let reply = move |verdict| _ = sender.send(verdict);
        self.jobs.send(Job { question, reply: Box::new(reply) }).map_err(|_| Unjudged::Ended)?;
        verdict.recv().map_err(|_| Unjudged::Ended)
    }
}

fn serve(queue: Receiver<Job>) {
    for Job { question, reply } in queue {
        let verdict = panic::catch_unwind(AssertUnwindSafe(|| answer(&question)));
        reply(verdict.unwrap_or_else(|_| unjudged()));
    }
}

fn answer(question: &Question) -> Verdict {
    let Manner { mode, shell, interactive, opaque, stdin } = question.manner;
    let stdin = match (stdin, &question.stdin) {
        // What is typed is judged when it is.
        (action::Stdin::Empty | action::Stdin::Typed, _) => Stdin::Empty,
        (action::Stdin::Whole(_), Some(bytes)) => Stdin::Whole(bytes),
        (action::Stdin::Open | action::Stdin::Whole(_), _) => Stdin::Open,
    };
    let context = Context {
        target: question.target.as_deref(),
        token: question.token.as_deref(),
        cwd: question.cwd.as_deref(),
        today: question.today,
        mode,
        shell,
        interactive,
        opaque,
        stdin,
        files: Some(&question.files),
        ..Context::default()
    };
    judge(&question.line, &context, &question.policy)
}

/// What is said of a line that could not be judged: a person looks at it.
fn unjudged() -> Verdict {
    Verdict {
        decision: Decision::Approve,
        rule: Some("line.unjudged".to_owned()),
        reason: Some("it could not be judged".to_owned()),
        resolved: Vec::new(),
        span: None,
        chain: Vec::new(),
        findings: Vec::new(),
        reads_stdin: true,
        scripts: Vec::new(),
        written: Vec::new(),
    }
}

/// A panic's message may quote the line: nothing of it is printed.
fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some(NAME) {
                before(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(line: impl Into<Vec<u8>>) -> Question {
        Question {
            line: line.into(),
            target: None,
            token: None,
            cwd: None,
            today: None,
            manner: Manner::default(),
            stdin: None,
            files: Arc::default(),
            policy: Policy::built_in(),
        }
    }

    #[test]
    fn the_deepest_lines_are_answered() {
        let judge = Judge::start().unwrap();
        let deep = [
            ("(", ")"),
            ("$(", ")"),
            ("{ ", "; }"),
            ("if x; then ", "; fi"),
            ("`", "`"),
            ("${x:-", "}"),
            ("$((", "))"),
            ("((", "))"),
            ("while x; do ", "; done"),
            ("case x in y) ", " ;; esac"),
            ("f() { ", "; }"),
            ("<(", ")"),
            ("\"$(", ")\""),
            ("sh -c '", "'"),
            ("{a,", "}"),
            ("[[ ", " ]]"),
            ("a[", "]"),
            ("! ", ""),
            ("time ", ""),
            ("sudo ", ""),
            ("eval ", ""),
            ("x=", ""),
            ("x=(", ")"),
            ("<<a ", "\na\n"),
        ];
        for (open, close) in deep {
            for count in [1, 20, 24, 25, 60, 61, 100, 1000, 4000] {
                let line = format!("{}ls{}", open.repeat(count), close.repeat(count));
                let verdict = judge.wait(question(line)).unwrap();
                assert_ne!(verdict.rule.as_deref(), Some("line.unjudged"), "{open} {count}");
                let open_only = judge.wait(question(open.repeat(count))).unwrap();
                assert_ne!(open_only.rule.as_deref(), Some("line.unjudged"), "{open} {count}");
            }
        }
    }

    #[test]
    fn a_full_queue_is_told() {
        let judge = Judge::start().unwrap();
        let (hold, held) = mpsc::sync_channel::<()>(0);
        judge.ask(question("ls"), move |_| _ = held.recv()).unwrap();
        let full = (0..QUEUE + 2).any(|_| judge.ask(question("ls"), |_| {}) == Err(Unjudged::Busy));
        assert!(full);
        drop(hold);
        assert!(judge.wait(question("ls")).is_ok());
    }
}
