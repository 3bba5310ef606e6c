//! Tokens, named targets and standing grants, as stories need them.

use std::{ffi::OsStr, fs};

use serde_json::Value;

use super::{Destination, Outcome, Running, Sgw};

/// An agent that shows a token.
pub struct Token {
    pub id: String,
    pub text: String,
}

impl Sgw {
    /// Makes a token. Its text must be nowhere but here from now on.
    #[track_caller]
    pub fn token(&self, name: &str, more: &[&str]) -> Token {
        let mut words = vec!["token", "create", name, "--json"];
        words.extend(more);
        let made = self.operator(words).ok().json();
        self.plant(made["token"].as_str().unwrap().as_bytes());
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Token { id: text("id"), text: text("token") }
    }

    /// A command of the agent that shows this token.
    #[track_caller]
    pub fn by<A: AsRef<OsStr>>(
        &self,
        token: &Token,
        arguments: impl IntoIterator<Item = A>,
    ) -> Outcome {
        self.by_text(&token.text, arguments)
    }

    #[track_caller]
    pub fn by_text<A: AsRef<OsStr>>(
        &self,
        token: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Outcome {
        self.run(self.command(arguments).env("SGW_TOKEN", token))
    }

    /// The same, still running.
    pub fn start_by<A: AsRef<OsStr>>(
        &self,
        token: &Token,
        arguments: impl IntoIterator<Item = A>,
    ) -> Running {
        self.watched(Running::start(self.command(arguments).env("SGW_TOKEN", &token.text)))
    }

    /// A named target whose key the vault holds.
    #[track_caller]
    pub fn target(&self, name: &str, there: &impl Destination) {
        self.plant_private_key(there.identity());
        let key = self.write_private("identity", fs::read(there.identity()).unwrap());
        let (destination, key) = (there.destination(), key.display().to_string());
        let fingerprint = there.fingerprint();
        let words = ["target", "add", name, &destination, "--identity", &key];
        let accepts = ["--accept-host-key", fingerprint.as_str()];
        self.operator(words.into_iter().chain(accepts)).ok();
    }

    /// A standing grant; its id.
    #[track_caller]
    pub fn grant(&self, words: &[&str]) -> String {
        let all = ["grant", "add"].into_iter().chain(words.iter().copied());
        let given = self.operator(all.chain(["--json"])).ok().json();
        given["id"].as_str().unwrap().to_owned()
    }

    /// Records of this kind, oldest first.
    #[track_caller]
    pub fn recorded(&self, kind: &str) -> Vec<Value> {
        let mut all = self.operator(["audit", "list", "--json"]).ok().json_lines();
        all.retain(|record| record["kind"] == kind);
        all
    }
}
