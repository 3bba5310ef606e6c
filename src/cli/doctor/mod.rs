//! What an agent of this uid can reach without sgw, and what of sgw's own is not as it should be.
//! Each check is a function over a [`Ground`], so that a test can play both of its answers.
//!
//! It looks and changes nothing: no agent is asked for a signature, no master for a session, no
//! credential's bytes are kept or shown. It needs no proof, no daemon and no vault.

mod agents;
mod credentials;
mod ground;
mod keys;
mod machine;
mod masters;
mod own;
mod privilege;
mod program;
mod service;

use std::path::Path;

use serde::Serialize;

pub use ground::Ground;

use crate::domain::escape;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Good to know; nothing is wrong.
    Note,
    /// An agent reaches something without sgw, or something weakens it.
    Warn,
    /// What sgw promises does not hold here, or it can't work.
    Fail,
}

/// One answer of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub id: &'static str,
    pub status: Status,
    /// Names of files are escaped.
    pub what: String,
    /// Why it matters, in a sentence.
    pub why: &'static str,
    /// What to type about it.
    pub remedy: Option<String>,
}

/// What a check is called, and why it is made.
#[derive(Clone, Copy, Debug)]
struct Check {
    id: &'static str,
    why: &'static str,
}

impl Check {
    fn says(self, status: Status, what: String, remedy: Option<String>) -> Finding {
        Finding { id: self.id, status, what, why: self.why, remedy }
    }

    fn ok(self, what: impl Into<String>) -> Finding {
        self.says(Status::Ok, what.into(), None)
    }

    fn note(self, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        self.says(Status::Note, what.into(), Some(remedy.into()))
    }

    fn warn(self, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        self.says(Status::Warn, what.into(), Some(remedy.into()))
    }

    fn fail(self, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        self.says(Status::Fail, what.into(), Some(remedy.into()))
    }

    /// What was found, at most [`MOST`] of it, or one line that says that all is well.
    fn all(self, mut found: Vec<Finding>, well: impl Into<String>) -> Vec<Finding> {
        if found.is_empty() {
            return vec![self.ok(well)];
        }
        if found.len() > MOST {
            let more = found.len() - MOST;
            let worst = found.iter().map(|finding| finding.status).max().unwrap_or(Status::Note);
            found.truncate(MOST);
            found.push(self.says(worst, format!("and {more} more of this kind"), None));
        }
        found
    }
}

/// More of one kind would hide the rest.
const MOST: usize = 24;

/// Every check, in the order in which a person wants to read them.
pub fn examine(ground: &Ground) -> Vec<Finding> {
    let checks: &[fn(&Ground) -> Vec<Finding>] = &[
        keys::check,
        agents::check,
        masters::check,
        credentials::files,
        credentials::environment,
        privilege::user,
        privilege::sudo,
        privilege::containers,
        privilege::terminal,
        service::check,
        own::check,
        program::replaceable,
        program::first_in_path,
        machine::tracing,
        machine::cores,
        machine::swap,
        machine::clock,
        machine::limits,
        machine::room,
        machine::kernel,
    ];
    checks.iter().flat_map(|check| check(ground)).collect()
}

/// Whether something is wrong: a note is not.
pub fn is_wrong(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.status >= Status::Warn)
}

/// A path for a person's eyes.
fn shown(path: &Path) -> String {
    escape::exact(path.as_os_str().as_encoded_bytes(), 200)
}

/// A path for a shell, in a command that is to be typed.
fn quoted(path: &Path) -> String {
    match path.to_str().map(shlex::try_quote) {
        Some(Ok(text)) if !text.chars().any(char::is_control) => text.into_owned(),
        // No one would type that; what is shown says which it is.
        _ => format!("'{}'", shown(path).replace('\'', "")),
    }
}

#[cfg(test)]
mod tests;
