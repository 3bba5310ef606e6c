//! The program's own SSH server, misbehaving on demand.

use std::{fs, path::PathBuf};

use sgw::{
    demo::server::{Account, Interview, Oddness, Question, Round, Server},
    domain::secret::Secret,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::Key;

/// A [`Server`] with a runtime of its own, its client's key and password in files.
pub struct OddServer {
    server: Option<Server>,
    runtime: Option<Runtime>,
    pub key: Key,
    pub password_file: PathBuf,
    _directory: TempDir,
}

/// Its account's password: long enough to be searched for everywhere.
pub const PASSWORD: &str = "canary-password-of-the-odd-server";

impl OddServer {
    pub fn start(oddness: Oddness) -> Self {
        let directory = tempfile::Builder::new().prefix("odd").tempdir_in("/tmp").unwrap();
        let key = Key::ed25519(&directory.path().join("id"));
        let password_file = directory.path().join("password");
        fs::write(&password_file, PASSWORD).unwrap();
        super::sgw::make_private(&password_file);
        let remote = directory.path().join("remote");
        fs::create_dir(&remote).unwrap();
        let account = Account {
            user: "odd".into(),
            password: Some(Secret::new(PASSWORD.into())),
            key: Some(key.public.clone()),
            directory: remote,
        };
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(account, oddness)).unwrap();
        Self {
            server: Some(server),
            runtime: Some(runtime),
            key,
            password_file,
            _directory: directory,
        }
    }

    /// Only keyboard-interactive, with these questions: (text, echo, right answer).
    pub fn asking(questions: &[(&str, bool, &str)]) -> Self {
        Self::interviewing(&[questions], false)
    }

    /// These questions, round after round; after its account's key where that is asked.
    pub fn interviewing(rounds: &[&[(&str, bool, &str)]], after_key: bool) -> Self {
        let rounds = rounds.iter().map(|questions| round(questions)).collect();
        Self::start(Oddness::Asks(Interview { after_key, rounds, for_ever: false }))
    }

    /// What the server itself counted.
    pub fn seen(&self) -> &Server {
        self.server.as_ref().expect("it was stopped")
    }

    pub fn destination(&self) -> String {
        format!("odd@127.0.0.1:{}", self.seen().address().port())
    }

    /// Ends every connection and listens no more.
    pub fn stop(&mut self) {
        self.server = None;
    }
}

/// (text, echo, right answer) each.
pub fn round(questions: &[(&str, bool, &str)]) -> Round {
    let question = |&(text, echo, answer): &(&str, bool, &str)| Question {
        text: text.into(),
        echo,
        answer: answer.into(),
    };
    Round { questions: questions.iter().map(question).collect(), ..Round::default() }
}

impl Drop for OddServer {
    fn drop(&mut self) {
        self.server = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
