//! A session's terminal, through the real program and a real sshd.

mod ends;
mod hostile;
mod judged;
mod leave;
mod reading;
mod shells;
mod typing;

use serde_json::Value;

use crate::support::{Outcome, Sgw, Sshd};

/// A session whose terminal has a plain shell.
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
        Self::on(Sshd::start(), more)
    }

    fn on(sshd: Sshd, more: &[&str]) -> Self {
        let sgw = Sgw::unlocked();
        let session = sgw.session_with(&sshd, more);
        Self { sgw, sshd, session }
    }

    /// `sgw input SESSION …`
    fn input(&self, more: &[&str]) -> Outcome {
        self.sgw.agent(["input", &self.session].iter().chain(more))
    }

    /// Lays this over the policy.
    fn policy(&self, own: &str) {
        self.sgw.accepts_policy(own);
    }

    /// Done, as JSON.
    #[track_caller]
    fn types(&self, more: &[&str]) -> Value {
        self.input(&[&["--json"], more].concat()).ok().json()
    }

    /// Types a line and reads on until a line is as the pattern says.
    #[track_caller]
    fn types_until(&self, line: &str, pattern: &str) -> Value {
        let typed = self.types(&[line, "--wait-for", pattern, "--timeout", "60s"]);
        assert_eq!(typed["matched"], true, "{typed}");
        typed
    }

    #[track_caller]
    fn output(&self, more: &[&str]) -> Value {
        self.sgw.agent(["output", &self.session, "--json"].iter().chain(more)).ok().json()
    }
}

fn lines(page: &Value) -> Vec<&str> {
    page["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

#[track_caller]
fn has_line(page: &Value, line: &str) {
    assert!(lines(page).contains(&line), "no line {line:?} in {page}");
}
