//! How a command ended, and the claims that a story makes about it.

use std::{fmt, time::Duration};

use serde_json::Value;

/// A finished command. Its claims fail with everything that it printed.
pub struct Outcome {
    pub(super) what: String,
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) took: Duration,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, code, took, .. } = self;
        let (stdout, stderr) = (start_and_end(&self.stdout), start_and_end(&self.stderr));
        write!(f, "{what}\nexit {code} after {took:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Enough to understand a failure, and no more when megabytes were printed.
fn start_and_end(bytes: &[u8]) -> String {
    const MOST: usize = 4096;
    if bytes.len() <= 2 * MOST {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let (start, end) = (&bytes[..MOST], &bytes[bytes.len() - MOST..]);
    let (start, end) = (String::from_utf8_lossy(start), String::from_utf8_lossy(end));
    format!("{start}\n[… {} bytes …]\n{end}", bytes.len() - 2 * MOST)
}

impl Outcome {
    pub fn code(&self) -> i32 {
        self.code
    }

    /// From its start to its end.
    pub fn took(&self) -> Duration {
        self.took
    }

    pub fn bytes(&self) -> &[u8] {
        &self.stdout
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// stdout as the one JSON object that `--json` promises.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON object: {error}\n{self:?}"))
    }

    /// stdout as JSON Lines.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let text = self.stdout();
        let parse = |line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("not JSON: {error}: {line}\n{self:?}"))
        };
        text.lines().map(parse).collect()
    }

    /// Exit 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit status\n{self:?}");
        self
    }

    /// Exactly this on stdout.
    #[track_caller]
    pub fn prints(self, stdout: &str) -> Self {
        assert_eq!(self.stdout(), stdout, "stdout\n{self:?}");
        self
    }

    /// Somewhere in what it said to a person.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr().contains(text), "stderr has no {text:?}\n{self:?}");
        self
    }

    /// A failure of sgw itself: the exit status, the error's stable code, and with it a hint, either
    /// as lines on stderr or, after `--json`, as the object on stdout.
    #[track_caller]
    pub fn fails(self, exit: i32, code: &str) -> Self {
        let me = self.exits(exit);
        assert_eq!(me.error_code().as_deref(), Some(code), "error code\n{me:?}");
        me
    }

    /// One of several codes, where the contract leaves the choice.
    #[track_caller]
    pub fn fails_as(self, exit: i32, codes: &[&str]) -> Self {
        let me = self.exits(exit);
        let code = me.error_code().unwrap_or_default();
        assert!(
            codes.contains(&code.as_str()),
            "error code {code:?}, not one of {codes:?}\n{me:?}"
        );
        me
    }

    /// Of `{"error":{"code":…}}`, or of `sgw: error[…]: …`.
    pub fn error_code(&self) -> Option<String> {
        if let Ok(json) = serde_json::from_slice::<Value>(&self.stdout)
            && let Some(code) = json["error"]["code"].as_str()
        {
            return Some(code.to_owned());
        }
        let stderr = self.stderr();
        let line = stderr.lines().find_map(|line| line.strip_prefix("sgw: error["))?;
        Some(line.split_once("]: ")?.0.to_owned())
    }

    /// What `sgw wait` takes after this exit 75.
    #[track_caller]
    pub fn waits_on(&self) -> String {
        let json = self.json();
        let id = json["error"]["id"].as_str().or(json["id"].as_str());
        id.unwrap_or_else(|| panic!("no id to wait for\n{self:?}")).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(stdout: &str, stderr: &str) -> Outcome {
        let (stdout, stderr) = (stdout.into(), stderr.into());
        Outcome { what: String::new(), code: 75, stdout, stderr, took: Duration::ZERO }
    }

    #[test]
    fn an_error_is_read_from_a_line_or_from_the_object() {
        let line = "note\nsgw: error[request.pending]: r-234 waits\nsgw: hint: sgw wait r-234\n";
        outcome("", line).fails(75, "request.pending").says("sgw wait r-234");
        let json = r#"{"error":{"code":"request.pending","message":"","hint":"","id":"r-234"}}"#;
        assert_eq!(outcome(json, "").fails(75, "request.pending").waits_on(), "r-234");
        // What a command prints is not what sgw says.
        assert_eq!(outcome(line, "x sgw: error[a.b]: no").error_code(), None);
    }

    #[test]
    #[should_panic(expected = "error code")]
    fn another_error_fails_the_claim() {
        outcome("", "sgw: error[request.denied]: no\n").fails(75, "request.pending");
    }
}
