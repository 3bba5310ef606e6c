//! What an SSH client types: a stream of keys, judged in the parts in which it takes effect.
//!
//! Where a shell reads, characters and Backspace go at once, so that the shell echoes them, and Enter waits
//! until its whole line is judged; each line waits for the prompt that it is typed at. What a program reads
//! goes as it came. What does not go is dropped with all that was typed after it: the line that stands there
//! stays, without its Enter.

use std::{sync::Arc, time::Duration};

use super::Bridge;
use crate::{
    daemon::{
        door::{
            agent::{Caller, input::is_text},
            link::Outbox,
        },
        session::{
            Session,
            exec::Exec,
            pty::{COMES, Reads},
            tty::Tty,
        },
    },
    domain::{
        id::Id,
        typed::{self, Reader},
    },
    protocol::error::{Code, Failure},
};

/// The hands of one client at one terminal.
pub struct Typist {
    caller: Caller,
    session: Arc<Session>,
    exec: Arc<Exec>,
    tty: Arc<Tty>,
    /// Who read when it was last seen, as long as nothing was typed that would end it.
    prompt: Option<Reads>,
    /// Nobody was seen to read for as long as somebody is waited for.
    unseen: bool,
}

impl Bridge {
    /// Whoever types into a command's terminal; none where it has none. What is said goes to `outbox`.
    pub fn typist(&self, exec: &Id, outbox: Outbox) -> Option<Typist> {
        let found = self.parts.sessions.exec(exec.as_str(), Some(&self.asker.identity));
        let (session, exec) = found.ok()?;
        let tty = exec.tty.clone()?;
        let caller = self.caller(outbox);
        Some(Typist { caller, session, exec, tty, prompt: None, unseen: false })
    }
}

impl Typist {
    /// Types the first part of what came, and says how much that was.
    ///
    /// # Errors
    /// It was not typed: a person has not said yes, or may not be asked; a password is asked for.
    pub async fn type_some(&mut self, keys: &[u8]) -> Result<usize, Failure> {
        self.session.keyboard.agents().await;
        self.caller.check_known()?;
        self.caller.check_paused(&self.session).map_err(typed_again)?;
        let reads = self.reads(keys).await;
        let length = match reads.reader {
            Reader::Programs { .. } => keys.len(),
            Reader::Shell(_) | Reader::Unseen => typed::first_line(keys),
        };
        let part = &keys[..length];
        // Within a shell's line it is a word of that line.
        if self.prompt.is_none() && is_text(part) && self.tty.asks_for_secret() {
            return Err(at_password(&self.session));
        }
        let shell = matches!(reads.reader, Reader::Shell(_));
        let stays = (shell && typed::is_plain(part)).then(|| reads.clone());
        let (line, caller) = (self.tty.line(), &self.caller);
        let judged = caller.judge_keys(&self.session, line, reads, part.to_vec(), false).await?;
        let decided = caller.decided(&self.session, judged).await;
        let (permit, request) = decided.map_err(typed_again)?;
        let sessions = &caller.parts.sessions;
        sessions.type_at(&self.session, &self.exec, permit, request).await?;
        self.prompt = stays;
        Ok(length)
    }

    /// No more is typed.
    pub fn end(&self) {
        // The end can always be said.
        let _said = self.exec.stdin.push(Vec::new());
    }

    async fn reads(&mut self, keys: &[u8]) -> Reads {
        if typed::first_line(keys) == 1 && typed::is_interrupt(&keys[..1]) {
            // The terminal takes it, whoever reads.
            return Reader::Unseen.into();
        }
        if let Some(reads) = self.prompt.as_ref().filter(|_| typed::is_plain(keys)) {
            return reads.clone();
        }
        let patience = if self.unseen { Duration::ZERO } else { COMES };
        let reads = self.tty.reads(patience).await;
        self.unseen = reads.reader == Reader::Unseen;
        reads
    }
}

/// An SSH client has no other way to come back for it.
fn typed_again(failure: Failure) -> Failure {
    match failure.code {
        Code::ApprovalPending | Code::RequestPending => Failure {
            hint: "press Enter, or type it, once more when they have said yes".to_owned(),
            ..failure
        },
        Code::ControlPaused | Code::ControlOperator => {
            Failure { hint: "type it again afterwards".to_owned(), ..failure }
        }
        _ => failure,
    }
}

fn at_password(session: &Session) -> Failure {
    let message = "the terminal seems to ask for a password (a guess), so nothing was typed";
    let hint = format!(
        "the operator types it: sgw handoff {} 'please type the password'; Ctrl-C leaves it",
        session.id
    );
    Failure::new(Code::InputEchoOff, message, hint).about(&session.id).sent(false)
}
