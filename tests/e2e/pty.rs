//! A session's terminal, through the real program and a real sshd.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Sgw, Sshd, eventually};

/// A session with a shell that shows a plain prompt.
struct Terminal {
    sgw: Sgw,
    sshd: Sshd,
    session: String,
}

impl Terminal {
    fn open() -> Self {
        Self::with(&[])
    }

    fn with(more: &[&str]) -> Self {
        let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
        let session = sgw.session_with(&sshd, more);
        Self { sgw, sshd, session }
    }

    /// As JSON, done.
    #[track_caller]
    fn types(&self, more: &[&str]) -> Value {
        let arguments: Vec<&str> =
            ["input", &self.session, "--json"].iter().chain(more).copied().collect();
        self.sgw.agent(arguments).ok().json()
    }

    #[track_caller]
    fn output(&self, more: &[&str]) -> Value {
        let arguments: Vec<&str> =
            ["output", &self.session, "--json"].iter().chain(more).copied().collect();
        self.sgw.agent(arguments).ok().json()
    }
}

fn lines(page: &Value) -> Vec<&str> {
    page["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

#[test]
fn what_is_typed_runs_and_what_came_is_shown() {
    let me = Terminal::open();
    let typed = me.types(&["echo $((40 + 2)) $TERM $PAGER; stty size"]);
    let shown = lines(&typed);
    assert!(shown.contains(&"42 xterm-256color cat"), "{typed}");
    assert!(shown.contains(&"48 160"), "{typed}");
    assert_eq!((&typed["control"], &typed["status"]), (&"agent".into(), &"running".into()));
    assert_eq!((&typed["matched"], &typed["timed_out"]), (&Value::Null, &false.into()));
}
