//! What an identity wants done. Every door turns its input into one of these; a digest binds an
//! approval to all of it.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    bytes::Bytes,
    capability::{Capabilities, Capability},
    digest::{Digest, Digester},
    files::Files,
    forward::Forward,
    grant::{Mode, Opaque, Terms},
    id::{Id, Name},
    identity::Identity,
    judgement::Judgement,
    plan::Plan,
    served::Served,
    shell,
    target::Destination,
    typed::Line,
};

/// A session on a target, or more time for one.
#[derive(Clone, Debug)]
pub struct Access {
    pub destination: Destination,
    pub name: Option<Name>,
    pub terms: Terms,
    pub reason: String,
    /// The session that shall live longer; its destination is then `destination`.
    pub prolongs: Option<Id>,
}

/// A session that opens by itself, because a standing grant says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub target: Name,
    pub name: Option<Name>,
    /// The standing grant, which it lives under.
    pub grant: Id,
    pub capabilities: Capabilities,
    pub mode: Mode,
    pub expires_at: Timestamp,
    /// Of this session alone; the grant's own budget counts beside it.
    pub max_commands: Option<u32>,
    pub opaque: Opaque,
    pub reason: Option<String>,
}

/// What comes on a command's standard input; in the record `"empty"`, `"open"`, `"typed"` or
/// `{"whole":{…}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stdin {
    #[default]
    Empty,
    /// Bytes that nobody knows before they are sent.
    Open,
    /// Keys on a terminal of its own, which are judged as they come.
    Typed,
    /// These, all of them and no others.
    Whole(Whole),
}

/// Bytes that are kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Whole {
    pub bytes: u64,
    /// SHA-256 of them alone.
    #[serde(rename = "sha256")]
    pub sum: Digest,
}

impl std::fmt::Display for Stdin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Open => f.write_str("open"),
            Self::Typed => f.write_str("typed"),
            Self::Whole(Whole { bytes, sum }) => write!(f, "{bytes} bytes, sha256 {sum}"),
        }
    }
}

/// A command on a session's target.
#[derive(Clone, Debug)]
pub struct Exec {
    pub id: Id,
    pub session: Id,
    /// What the remote environment carries so that its processes can be found and ended.
    pub marker: String,
    /// The command as the agent gave it, for people and the record.
    pub line: Bytes,
    /// The bytes of the exec request, sgw's own prefix included (RFC 4254, 6.5).
    pub wire: Vec<u8>,
    pub stdin: Stdin,
    pub timeout_ms: Option<u64>,
    pub reason: Option<String>,
    /// What the guard said of [`Exec::in_full`].
    pub judged: Judgement,
    /// Requests whose yes was kept for the session, and let it run.
    pub passed_by: Vec<Id>,
    /// It is a program of the server's that reads or writes files for a client, judged by where it does.
    pub served: Option<Box<At>>,
}

/// Where a program does what it does.
#[derive(Clone, Debug)]
pub struct At {
    pub served: Served,
    /// Its paths as the server resolved them.
    pub at: Vec<Vec<u8>>,
}

/// Typing into a session's terminal.
#[derive(Clone, Debug)]
pub struct Input {
    pub session: Id,
    /// The bytes that are typed, Enter and keys included.
    pub bytes: Vec<u8>,
    /// What stands in the line already, as far as it is known, and `bytes`: what is judged, and shown.
    pub shown: Bytes,
    /// The terminal's line as it was judged: nothing is typed into another.
    pub before: Line,
    /// The line once it was typed.
    pub after: Line,
    /// What the guard said of `shown`.
    pub judged: Judgement,
}

/// Giving the keyboard to the operator.
#[derive(Clone, Debug)]
pub struct Handoff {
    pub session: Id,
    /// What the agent asks for.
    pub message: String,
}

/// Logging in again where a person has to do it: the session's route stays what it is.
#[derive(Clone, Debug)]
pub struct Login {
    pub session: Id,
}

/// An action as the queue holds it.
#[derive(Clone, Debug)]
pub enum Action {
    Access(Access),
    Exec(Box<Exec>),
    Input(Box<Input>),
    Handoff(Handoff),
    Login(Login),
    Plan(Plan),
    Files(Box<Files>),
    Forward(Box<Forward>),
}

impl Action {
    /// The session that it is about, where it is not about a new one.
    pub fn session(&self) -> Option<&Id> {
        match self {
            Action::Access(access) => access.prolongs.as_ref(),
            Action::Exec(exec) => Some(&exec.session),
            Action::Input(input) => Some(&input.session),
            Action::Handoff(handoff) => Some(&handoff.session),
            Action::Login(login) => Some(&login.session),
            Action::Plan(plan) => Some(&plan.session),
            Action::Files(files) => Some(&files.session),
            Action::Forward(forward) => Some(&forward.session),
        }
    }
}

impl Access {
    /// What makes two askings the same asking: everything but ids and times.
    pub fn sameness(&self, identity: &Identity) -> Digest {
        self.fields(Digester::new("access"), identity).finish()
    }

    pub fn digest(&self, identity: &Identity, request: &Id, expires_at: Timestamp) -> Digest {
        let head = Digester::new("access request").text("id", request).text("until", expires_at);
        self.fields(head, identity).finish()
    }

    fn fields(&self, digester: Digester, identity: &Identity) -> Digester {
        let only: Vec<&str> = self.terms.capabilities.iter().map(|one| one.as_str()).collect();
        digester
            .text("identity", identity)
            .text("destination", &self.destination)
            .optional("name", self.name.as_ref())
            .text("only", only.join(","))
            .text("mode", self.terms.mode)
            .text("for", self.terms.duration_s)
            .optional("max-commands", self.terms.max_commands)
            .text("reason", &self.reason)
            .optional("prolongs", self.prolongs.as_ref())
            .text("opaque", self.terms.opaque)
    }
}

impl Exec {
    /// What a session has to be given for it: files, where the line is just what such a program has.
    pub fn needs(&self) -> Capability {
        self.is_served().map_or(Capability::Exec, Served::needs)
    }

    /// The program that it is, where that is all that it is.
    pub fn is_served(&self) -> Option<&Served> {
        let At { served, at } = self.served.as_deref()?;
        let line = served.line(at)?;
        (self.line.as_slice() == line && self.wire.ends_with(&line)).then_some(served)
    }

    pub fn sameness(&self, identity: &Identity) -> Digest {
        Digester::new("exec")
            .text("identity", identity)
            .text("session", &self.session)
            .field("line", self.line.as_slice())
            .field("wire", &without_marker(&self.wire, &self.marker))
            .text("stdin", self.stdin)
            .optional("timeout", self.timeout_ms)
            .optional("reason", self.reason.as_ref())
            .finish()
    }

    /// `place` is the session's route, host keys and account, as the session holds them.
    pub fn digest(
        &self,
        identity: &Identity,
        request: &Id,
        until: Timestamp,
        place: &str,
    ) -> Digest {
        self.judged
            .bind(Digester::new("exec request"))
            .text("id", request)
            .text("until", until)
            .text("identity", identity)
            .text("session", &self.session)
            .text("place", place)
            .text("channel", "exec")
            .field("wire", &self.wire)
            .text("stdin", self.stdin)
            .optional("timeout", self.timeout_ms)
            .optional("reason", self.reason.as_ref())
            .finish()
    }
}

impl Input {
    pub fn sameness(&self, identity: &Identity) -> Digest {
        self.fields(Digester::new("input"), identity).finish()
    }

    /// `place` as for [`Exec::digest`].
    pub fn digest(
        &self,
        identity: &Identity,
        request: &Id,
        until: Timestamp,
        place: &str,
    ) -> Digest {
        let head = Digester::new("input request").text("id", request).text("until", until);
        let head = self.judged.bind(head);
        self.fields(head.text("place", place).text("channel", "pty"), identity).finish()
    }

    fn fields(&self, digester: Digester, identity: &Identity) -> Digester {
        digester
            .text("identity", identity)
            .text("session", &self.session)
            .field("bytes", &self.bytes)
            .field("shown", self.shown.as_slice())
    }
}

impl Handoff {
    pub fn sameness(&self, identity: &Identity) -> Digest {
        Digester::new("handoff")
            .text("identity", identity)
            .text("session", &self.session)
            .text("message", &self.message)
            .finish()
    }
}

impl Login {
    pub fn sameness(&self, identity: &Identity) -> Digest {
        Digester::new("login").text("identity", identity).text("session", &self.session).finish()
    }

    /// `place` as for [`Exec::digest`].
    pub fn digest(
        &self,
        identity: &Identity,
        request: &Id,
        until: Timestamp,
        place: &str,
    ) -> Digest {
        Digester::new("login request")
            .text("id", request)
            .text("until", until)
            .text("identity", identity)
            .text("session", &self.session)
            .text("place", place)
            .finish()
    }
}

impl Exec {
    /// The command as people decide on it: all that goes on the wire but sgw's own marker, so that
    /// what the agent put in front (environment, directory) shows.
    pub fn in_full(&self) -> Bytes {
        Bytes(without_prefix(&self.wire, &self.marker).to_vec())
    }
}

/// What a shell gets to read of the wire after sgw's own marker: what is judged, and shown.
pub fn without_prefix<'w>(wire: &'w [u8], marker: &str) -> &'w [u8] {
    let marker = shell::export_marker(marker).into_bytes();
    wire.strip_prefix(marker.as_slice()).unwrap_or(wire)
}

fn without_marker(wire: &[u8], marker: &str) -> Vec<u8> {
    let marker = marker.as_bytes();
    match wire.windows(marker.len().max(1)).position(|window| window == marker) {
        Some(at) => [&wire[..at], &wire[at + marker.len()..]].concat(),
        None => wire.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Kind;

    fn access() -> Access {
        Access {
            destination: "me@web1:22".parse().unwrap(),
            name: None,
            terms: Terms {
                capabilities: Capability::usual(),
                mode: Mode::Guarded,
                duration_s: 3600,
                max_commands: None,
                opaque: Opaque::Ask,
            },
            reason: "look at the logs".into(),
            prolongs: None,
        }
    }

    fn exec() -> Exec {
        Exec {
            id: Id::from_number(Kind::Exec, 1),
            session: Id::from_number(Kind::Session, 2),
            marker: "x-1-aa".into(),
            line: "ls".into(),
            wire: b"export SGW_EXEC=x-1-aa; ls".to_vec(),
            stdin: Stdin::Empty,
            timeout_ms: None,
            reason: None,
            judged: Judgement::for_test(b"ls"),
            passed_by: Vec::new(),
            served: None,
        }
    }

    fn me() -> Identity {
        Identity { uid: 1000, token: None }
    }

    #[test]
    fn a_person_sees_what_the_agent_put_in_front_of_a_command() {
        let env = [("LD_PRELOAD".to_owned(), b"/tmp/x.so".to_vec())];
        let wire = shell::wrap("x-1-aa", &env, Some(b"/srv"), b"ls").unwrap();
        let shown = Exec { wire, ..exec() }.in_full();
        assert_eq!(
            shown.as_slice(),
            b"export LD_PRELOAD=/tmp/x.so; cd -- /srv || exit 1; ls",
            "{shown:?}"
        );
        assert_eq!(exec().in_full().as_slice(), b"ls");
    }

    #[test]
    fn every_field_of_an_access_request_is_bound() {
        let id = Id::from_number(Kind::Request, 7);
        let digest = |access: &Access| access.digest(&me(), &id, Timestamp::UNIX_EPOCH);
        let whole = digest(&access());
        let changes: [fn(&mut Access); 8] = [
            |a| a.destination.host = "web2".into(),
            |a| a.destination.user = None,
            |a| a.destination.port = Some(23),
            |a| a.reason.push('x'),
            |a| a.terms.duration_s += 1,
            |a| a.terms.mode = Mode::Each,
            |a| a.terms.max_commands = Some(1),
            |a| {
                a.terms.capabilities.insert(Capability::Sudo);
            },
        ];
        for change in changes {
            let mut other = access();
            change(&mut other);
            assert_ne!(digest(&other), whole);
            assert_ne!(other.sameness(&me()), access().sameness(&me()));
        }
        assert_ne!(
            access().digest(&Identity { uid: 1, token: None }, &id, Timestamp::UNIX_EPOCH),
            whole
        );
    }

    #[test]
    fn every_field_of_a_command_is_bound() {
        let id = Id::from_number(Kind::Request, 7);
        let digest = |exec: &Exec| exec.digest(&me(), &id, Timestamp::UNIX_EPOCH, "web1");
        let whole = digest(&exec());
        let changes: [fn(&mut Exec); 6] = [
            |e| e.wire.push(b' '),
            |e| e.stdin = Stdin::Open,
            |e| e.timeout_ms = Some(1),
            |e| e.reason = Some(String::new()),
            |e| e.session = Id::from_number(Kind::Session, 3),
            |e| e.judged.policy = Digester::new("another policy").finish(),
        ];
        for change in changes {
            let mut other = exec();
            change(&mut other);
            assert_ne!(digest(&other), whole);
        }
        assert_ne!(exec().digest(&me(), &id, Timestamp::UNIX_EPOCH, "web2"), whole);
    }

    #[test]
    fn the_marker_does_not_make_two_commands_differ() {
        let mut again = exec();
        again.marker = "x-9-bb".into();
        again.wire = b"export SGW_EXEC=x-9-bb; ls".to_vec();
        assert_eq!(again.sameness(&me()), exec().sameness(&me()));
    }
}
