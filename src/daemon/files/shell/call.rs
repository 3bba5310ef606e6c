//! One run of the program: words to it, fields and bytes from it.

use std::{sync::Arc, time::Duration};

use ::bytes::{Buf, Bytes, BytesMut};
use tokio::{runtime, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{ODD, no_root, no_shell, status, word};
use crate::{
    daemon::{
        files::{
            fault::{Fault, no_channel},
            names::Settles,
        },
        session::Session,
        upstream::{Event, Reader, Writer},
    },
    domain::files::Way,
    home::random,
    protocol::error::{Code, Failure},
};

const PROGRAM: &str = include_str!("program.sh");
/// For any login shell: it holds no backslash and no quote within the quotes.
const SHELL: &str = r#"exec /bin/sh -c 'IFS= read -r l; eval "$l"'"#;
/// sudo finds itself on the account's own path; what it says is in English, so that it is understood.
const ROOT: &str = r#"exec env LC_ALL=C sudo -n -- /bin/sh -c 'IFS= read -r l; eval "$l"'"#;

/// How long the program may take to begin.
const GREETING: Duration = Duration::from_secs(30);
/// … and how long nothing may come from it: it may read a large file.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// What start-up files may print before it, in bytes.
const NOISE: usize = 64 * 1024;
/// The longest field.
const FIELD: usize = 1024 * 1024;
/// What is kept of its standard error.
const WORDS: usize = 4 * 1024;
/// Bytes of one piece that goes to it.
const PIECE: usize = 256 * 1024;

pub struct Call {
    session: Arc<Session>,
    way: Way,
    /// Until it is dropped.
    reader: Option<Reader>,
    writer: Writer,
    came: BytesMut,
    words: Vec<u8>,
    status: Option<u32>,
    over: bool,
    /// It was told to change what names stand for, and has not answered.
    changes: bool,
    /// Nothing of that can be done any more.
    settled: CancellationToken,
}

impl Call {
    /// Begins it, and says what it is to do.
    pub async fn begin(
        session: &Arc<Session>,
        way: Way,
        verb: &str,
        words: &[&[u8]],
    ) -> Result<Self, Fault> {
        Self::started(session, way, said(verb, words), false).await
    }

    /// Begins it: it waits for what it is to do. What the account's start-up files take their time for is over then.
    /// With a stream that somebody else takes it has a connection for itself where it can.
    pub async fn ready(session: &Arc<Session>, way: Way, streams: bool) -> Result<Self, Fault> {
        Self::started(session, way, Vec::new(), streams).await
    }

    async fn started(
        session: &Arc<Session>,
        way: Way,
        said: Vec<u8>,
        streams: bool,
    ) -> Result<Self, Fault> {
        let nonce: [u8; 8] = random().map_err(|error| {
            let message = format!("no randomness from the kernel: {error}");
            Failure::new(Code::DaemonFailed, message, "this machine is broken").sent(false)
        })?;
        let nonce = hex::encode(nonce);
        let command = if way == Way::Sudo { ROOT } else { SHELL };
        let opening = session.pool.exec(command.as_bytes());
        let opened = session.keyboard.write(&session.id, opening).await?;
        let (reader, writer) = opened.map_err(|error| no_channel(&error).about(&session.id))?;
        if streams {
            reader.seclude();
        }
        let (session, came) = (session.clone(), BytesMut::new());
        let mut call = Self {
            session,
            way,
            reader: Some(reader),
            writer,
            came,
            words: Vec::new(),
            status: None,
            over: false,
            changes: false,
            settled: CancellationToken::new(),
        };
        let mut lines = program();
        word(nonce.as_bytes(), &mut lines);
        word(if way == Way::Sudo { b"root" } else { b"" }, &mut lines);
        lines.extend(said);
        // One that is not read has an end that says why.
        if let Err(Fault::Told(failure)) = call.send(lines.into()).await {
            return Err(failure.into());
        }
        let greeted = timeout(GREETING, call.greeted(&nonce)).await;
        greeted.map_err(|_| Fault::Silent)??;
        Ok(call)
    }

    /// Says what it is to do, where it waits for that.
    pub async fn does(&self, verb: &str, words: &[&[u8]]) -> Result<(), Fault> {
        self.send(said(verb, words).into()).await
    }

    /// For what it is told to change by names: when nothing of it can be done any more. It is dropped before that is asked.
    pub fn settles(&mut self) -> Settles {
        self.changes = true;
        let settled = self.settled.clone();
        Box::new(move || match settled.is_cancelled() {
            true => None,
            false => Some(Box::pin(settled.cancelled_owned())),
        })
    }

    /// Says that it may go on.
    pub async fn goes_on(&self) -> Result<(), Fault> {
        self.send(Bytes::from_static(b"go\n")).await
    }

    /// Passes over what start-up files print.
    async fn greeted(&mut self, nonce: &str) -> Result<(), Fault> {
        let mark = [b"\0", nonce.as_bytes(), b"\0"].concat();
        loop {
            if let Some(at) = self.came.windows(mark.len()).position(|part| part == mark) {
                self.came.advance(at + mark.len());
                return Ok(());
            }
            if self.came.len() > NOISE {
                return Err(Fault::Odd("much was printed before its program began"));
            }
            if !self.more().await? {
                let failure = match self.way {
                    Way::Sudo => no_root(&self.session, &self.words, self.status),
                    Way::Sftp | Way::Exec => no_shell(self.way),
                };
                return Err(failure.into());
            }
        }
    }

    /// Waits until something came; false at the end.
    async fn more(&mut self) -> Result<bool, Fault> {
        while let Some(reader) = self.reader.as_mut().filter(|_| !self.over) {
            let event = tokio::select! {
                biased;
                () = self.session.ended() => {
                    let why = self.session.over().map(|why| why.about(&self.session.id).sent(true));
                    return Err(why.map_or(Fault::Lost, Fault::Told));
                }
                event = timeout(SILENCE, reader.next()) => event.map_err(|_| Fault::Silent)?,
            };
            match event {
                Event::Stdout(bytes) => {
                    self.came.extend_from_slice(&bytes);
                    return Ok(true);
                }
                Event::Stderr(bytes) => {
                    let room = WORDS.saturating_sub(self.words.len()).min(bytes.len());
                    self.words.extend_from_slice(&bytes[..room]);
                }
                Event::ExitStatus(status) => self.status = Some(status),
                Event::ExitSignal { .. } => self.status = Some(255),
                Event::Refused => return Err(no_shell(self.way).into()),
                Event::Closed => self.over = true,
                Event::Lost => return Err(Fault::Lost),
            }
        }
        Ok(false)
    }

    /// The next field. Where there is none the program has failed.
    pub async fn field(&mut self) -> Result<Vec<u8>, Fault> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.came[looked..].iter().position(|byte| *byte == 0) {
                let field = self.came.split_to(looked + at).to_vec();
                self.came.advance(1);
                return Ok(field);
            }
            looked = self.came.len();
            if looked > FIELD {
                return Err(Fault::Odd(ODD));
            }
            if !self.more().await? {
                return Err(self.why());
            }
        }
    }

    /// The first field of an answer: `ok`, or the program's own word for what is wrong.
    pub async fn answer(&mut self) -> Result<Answer, Fault> {
        let field = self.field().await?;
        if std::mem::take(&mut self.changes) {
            self.settled.cancel();
        }
        match field.strip_prefix(b"!") {
            Some(word) => Ok(Answer::No(String::from_utf8_lossy(word).into_owned())),
            None if field == b"ok" || field == b"go" => Ok(Answer::Yes),
            None => Err(Fault::Odd(ODD)),
        }
    }

    /// The next bytes of a content; `None` at its end, which was a good one.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.came.is_empty() {
            let session = self.session.clone();
            let more = tokio::select! {
                biased;
                // What goes on to come is no agent's while the operator has the keyboard.
                () = session.keyboard.taken() => {
                    return Err(crate::daemon::session::keyboard::taken(&session.id).sent(true).into());
                }
                more = self.more() => more?,
            };
            if !more {
                return if self.status == Some(0) { Ok(None) } else { Err(self.why()) };
            }
        }
        Ok(Some(self.came.split().freeze()))
    }

    /// Sends bytes to it, each piece a turn at the keyboard.
    pub async fn send(&self, mut content: Bytes) -> Result<(), Fault> {
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(PIECE));
            let session = &self.session;
            let writing = session.keyboard.write(&session.id, self.writer.write(piece));
            let written = tokio::select! {
                biased;
                () = session.ended() => return Err(Fault::Lost),
                written = writing => written.map_err(|taken| taken.sent(true))?,
            };
            written.map_err(|_| Fault::Lost)?;
        }
        Ok(())
    }

    /// Nothing is wanted of it any more.
    pub async fn close(self) {
        self.writer.close().await;
    }

    fn why(&self) -> Fault {
        match self.status {
            None => Fault::Lost,
            Some(_) => Fault::Status(status(&self.words)),
        }
    }
}

impl Drop for Call {
    /// What it does by names it does to its end, which is waited for where it does not answer.
    fn drop(&mut self) {
        let unanswered = self.changes && !self.over;
        match (self.reader.take(), runtime::Handle::try_current()) {
            (Some(mut reader), Ok(runtime)) if unanswered => {
                let (writer, settled) = (self.writer.clone(), self.settled.clone());
                runtime.spawn(async move {
                    let _gone = writer.eof().await;
                    let is_end =
                        |event| matches!(event, Event::Refused | Event::Closed | Event::Lost);
                    while !is_end(reader.next().await) {}
                    settled.cancel();
                });
            }
            _ => self.settled.cancel(),
        }
    }
}

/// What is said first of an answer.
#[must_use]
pub enum Answer {
    Yes,
    No(String),
}

fn said(verb: &str, words: &[&[u8]]) -> Vec<u8> {
    let mut lines = Vec::new();
    word(verb.as_bytes(), &mut lines);
    words.iter().for_each(|given| word(given, &mut lines));
    lines
}

/// The program as one line for any `sh`.
fn program() -> Vec<u8> {
    let mut line = b"eval \"$(printf '".to_vec();
    for byte in PROGRAM.bytes() {
        match byte {
            b'%' => line.extend(b"%%"),
            b'\\' | b'\'' | b'\n' => line.extend(format!("\\{byte:03o}").into_bytes()),
            byte => line.push(byte),
        }
    }
    line.extend(b"')\"\n");
    line
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    /// What the program answers in a shell of this name, where there is one.
    fn answered(shell: &[&str], words: &[&[u8]]) -> Option<Vec<u8>> {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", r#"IFS= read -r l; eval "$l""#]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let mut lines = program();
        words.iter().for_each(|given| word(given, &mut lines));
        child.stdin.take().unwrap().write_all(&lines).unwrap();
        Some(child.wait_with_output().unwrap().stdout)
    }

    #[test]
    fn what_takes_the_place_of_a_link_goes_into_no_directory() {
        for shell in [&["dash"][..], &["bash", "--posix"], &["busybox", "sh"]] {
            let directory = tempfile::tempdir().unwrap();
            let directory = directory.path().canonicalize().unwrap();
            let at = |name: &str| directory.join(name);
            let bytes = |name: &str| at(name).into_os_string().into_encoded_bytes();
            std::fs::create_dir(at("private")).unwrap();
            std::fs::write(at("new"), "x").unwrap();
            std::os::unix::fs::symlink(at("private"), at("link")).unwrap();
            let (from, to) = (bytes("new"), bytes("link"));
            let Some(told) = answered(shell, &[b"n", b"", b"move", &from, &to, b"1", b"", b""])
            else {
                continue;
            };
            assert_eq!(told, b"\0n\0ok\0\0", "{shell:?}");
            assert!(at("link").symlink_metadata().unwrap().is_file(), "{shell:?}");
            assert_eq!(std::fs::read_dir(at("private")).unwrap().count(), 0, "{shell:?}");
            std::fs::remove_file(at("link")).unwrap();
            std::os::unix::fs::symlink(at("private"), at("link")).unwrap();
            answered(shell, &[b"n", b"", b"link", &to, b"other", b"1"]).unwrap();
            assert_eq!(std::fs::read_link(at("link")).unwrap(), std::path::Path::new("other"));
            assert_eq!(std::fs::read_dir(at("private")).unwrap().count(), 0, "{shell:?}");
        }
    }

    #[test]
    fn every_sh_understands_the_program_and_every_name() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        let every: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        let mut understood = 0;
        for shell in [
            &["dash"][..],
            &["bash", "--posix"],
            &["busybox", "sh"],
            &["zsh", "--emulate", "sh"],
            &["mksh"],
            &["ksh"],
        ] {
            for part in every.chunks(120).chain([&b"-n \n\n"[..], b"\n", b"a' b\"$(x)`x`"]) {
                let path = [directory.as_os_str().as_encoded_bytes(), b"/", part].concat();
                let words = [&b"n"[..], b"", b"make", &path, b"", b"0750", b"", b""];
                let Some(made) = answered(shell, &words) else { break };
                assert_eq!(made, b"\0n\0ok\0\0", "{shell:?} {part:?}");
                let words = [&b"n"[..], b"", b"resolve", b"", b"1", b"itself", &path];
                let told = answered(shell, &words).unwrap();
                assert!(
                    told.ends_with(&[b"=", path.as_slice(), b"\0"].concat()),
                    "{shell:?} {part:?}"
                );
                let words = [&b"n"[..], b"", b"remove", &path, b"x", b""];
                let removed = answered(shell, &words).unwrap();
                assert_eq!(removed, b"\0n\0go\0ok\0\0", "{shell:?} {part:?}");
                understood += 1;
            }
        }
        assert!(understood > 0);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    }
}
