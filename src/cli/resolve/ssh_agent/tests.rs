//! With the real ssh-agent, and with false ones.

use std::process::{Child, Command, Stdio};

use proptest::prelude::*;
use tokio::net::UnixListener;

use crate::domain::target::{Destination, Hop};

use super::*;

/// An ssh-agent in the foreground, ended with the test.
struct RealAgent {
    folder: tempfile::TempDir,
    process: Child,
}

impl RealAgent {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(folder.path().join("socket"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { folder, process };
        while std::os::unix::net::UnixStream::connect(agent.socket()).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Makes a key and adds it; the private half is removed, the public one stays.
    fn add(&self, name: &str, kind: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let ran = |command: &mut Command| {
            let output = command.env("SSH_AUTH_SOCK", self.socket()).output().unwrap();
            assert!(output.status.success(), "{command:?}");
        };
        let comment = format!("{name} \u{1b}[31m");
        ran(Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", kind, "-C", &comment, "-f"])
            .arg(&path));
        ran(Command::new("ssh-add").arg(&path));
        std::fs::remove_file(&path).unwrap();
        path
    }
}

impl Drop for RealAgent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn identity(path: &Path) -> route::Identity {
    let public = path.with_added_extension("pub");
    route::Identity { path: path.into(), file: false, public: Some(public) }
}

fn hop(identities: Vec<route::Identity>, identities_only: bool) -> route::Proposal {
    route::Proposal {
        asked: Destination { user: None, host: "web1".into(), port: None },
        hop: Hop { user: "me".into(), host: "web1".into(), port: 22 },
        identities,
        identities_only,
        certificates: vec![],
        agent: None,
        host_key_alias: None,
        known_hosts: vec![],
    }
}

#[tokio::test]
async fn keys_are_listed_and_found_by_fingerprint_and_file() {
    let real = RealAgent::start();
    let first = real.add("first", "ed25519");
    let second = real.add("second", "ecdsa");
    let agent = Agent::connect(&real.socket()).await.unwrap();
    assert_eq!((agent.keys.len(), agent.skipped), (2, 0));
    assert_eq!(agent.keys[0].comment, "first \u{1b}[31m");
    let public = std::fs::read_to_string(second.with_added_extension("pub")).unwrap();
    let wanted = fingerprint(&PublicKey::from_openssh(&public).unwrap());
    assert_eq!(agent.by_fingerprint(&wanted), Some(&agent.keys[1]));
    assert_eq!(agent.by_fingerprint("SHA256:other"), None);
    assert_eq!(agent.by_identity(&identity(&first)), Some(&agent.keys[0]));
    // An IdentityFile can name the public half itself.
    let itself =
        route::Identity { path: second.with_added_extension("pub"), file: true, public: None };
    assert_eq!(agent.by_identity(&itself), Some(&agent.keys[1]));
    let names = |hop: &route::Proposal| -> Vec<String> {
        agent
            .proposed(hop)
            .iter()
            .map(|key| key.comment.split(' ').next().unwrap().into())
            .collect()
    };
    assert_eq!(names(&hop(vec![identity(&second)], false)), ["second", "first"]);
    assert_eq!(names(&hop(vec![identity(&second)], true)), ["second"]);
    assert!(names(&hop(vec![], true)).is_empty());
}

#[tokio::test]
async fn the_connection_goes_on_working_where_it_is_handed_to() {
    let real = RealAgent::start();
    real.add("key", "ed25519");
    let fd = Agent::connect(&real.socket()).await.unwrap().into_fd().unwrap();
    let stream = UnixStream::from_std(std::os::unix::net::UnixStream::from(fd)).unwrap();
    let mut client = russh::keys::agent::client::AgentClient::connect(stream);
    assert_eq!(client.request_identities().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_agent_that_is_not_there_or_locked_is_told_apart() {
    let real = RealAgent::start();
    let none = Agent::connect(&real.folder.path().join("none")).await;
    assert!(matches!(none, Err(AgentError::Connect { .. })));
    let empty = Agent::connect(&real.socket()).await.unwrap();
    assert!(empty.keys.is_empty());
}

/// Answers the first request with these bytes and then keeps the connection open.
async fn answered_with(bytes: &[u8]) -> Result<Agent, AgentError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 5];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        std::future::pending::<()>().await
    };
    tokio::select! {
        agent = Agent::connect(&path) => agent,
        () = serve => unreachable!(),
    }
}

#[tokio::test]
async fn a_hostile_agent_gets_nowhere() {
    for bytes in [
        &[0xff, 0xff, 0xff, 0xff, 12][..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 1, 99],
        &[0, 0, 0, 5, 12, 0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 9, 12, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 6, 12, 0, 0, 0, 0, 7],
    ] {
        assert!(matches!(answered_with(bytes).await, Err(AgentError::Nonsense)), "{bytes:?}");
    }
    assert!(matches!(answered_with(&[0, 0, 0, 1, 5]).await, Err(AgentError::Refused)));
    assert!(matches!(answered_with(&[0, 0]).await, Err(AgentError::Io(_))));
    let unknown = [&[0, 0, 0, 16, 12, 0, 0, 0, 1, 0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0]].concat();
    let agent = answered_with(&unknown).await.unwrap();
    assert_eq!((agent.keys.len(), agent.skipped), (0, 1));
}

#[tokio::test]
async fn a_silent_agent_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let silent = Agent::connect_within(&path, Duration::from_millis(20)).await;
    assert!(matches!(silent, Err(AgentError::TimeLimit)));
}

proptest! {
    #[test]
    fn no_answer_breaks_the_reader(answer: Vec<u8>) {
        read_answer(&answer);
    }
}
