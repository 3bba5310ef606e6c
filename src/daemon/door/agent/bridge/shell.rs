//! Shells that an SSH client opens, and what it says of its side: its terminal and its language.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Bridge, NUMBER, ORPHAN_MS, PATIENCE_MS};
use crate::{
    daemon::{
        desk::{Ground, Permit, Verdict},
        door::{
            agent::{Caller, exec::stopped_until},
            follow::{self, Control, follow},
            link::{Gone, Outbox},
        },
        session::{Session, Shell},
    },
    domain::{
        action,
        capability::Capability,
        id::{Id, Kind},
        target::named,
        terminal::{Wanted, Window},
        typed::{Line, Reader},
    },
    protocol::error::{Code, Failure},
};

/// Variables of the client that its programs get, beside the ones that begin with [`LANGUAGE`].
const VARIABLES: &[&str] = &["LANG", "LANGUAGE", "COLORTERM", "TERM", "TZ"];
const LANGUAGE: &str = "LC_";
/// The longest value of one, in bytes: a locale's name, or several.
const LONGEST: usize = 256;
/// The most variables.
const MOST: usize = 32;

/// What a client says of its side before something runs.
#[derive(Clone, Debug, Default)]
pub struct Seat {
    pub env: Vec<(String, String)>,
    pub terminal: Option<Arc<Wanted>>,
}

impl Seat {
    /// Takes a variable; false where it does not go along.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        let known = VARIABLES.contains(&name)
            || name.strip_prefix(LANGUAGE).is_some_and(|rest| {
                rest.len() <= 32 && rest.bytes().all(|byte| byte.is_ascii_uppercase())
            });
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@:=+,/".contains(&byte);
        // A shell that reads by such letters runs another line than the one that is judged.
        let locale = name == "LANG" || name.starts_with(LANGUAGE);
        let swallows = locale && crate::domain::guard::swallows(value);
        if !known || swallows || value.len() > LONGEST || !value.bytes().all(plain) {
            return false;
        }
        self.env.retain(|(one, _)| one != name);
        if self.env.len() >= MOST {
            return false;
        }
        self.env.push((name.to_owned(), value.to_owned()));
        true
    }
}

impl Bridge {
    /// What goes along of a client's variables. Where no shell reads as sh does, none can be set.
    pub(super) fn variables(&self, env: Vec<(String, String)>) -> Vec<(String, Vec<u8>)> {
        match self.session.surroundings.shell {
            Some(named::Shell::Other) => Vec::new(),
            _ => env.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
        }
    }

    /// A login shell on a terminal; without one, a shell that reads a script, which is judged whole before
    /// anything of it runs. What is said goes to `outbox`, as of [`Bridge::exec`].
    pub async fn shell(&self, seat: Seat, control: &Arc<Control>, outbox: Outbox) {
        if let (None, Some(line)) = (&seat.terminal, script(self.session.surroundings.shell)) {
            return self.exec(line.as_bytes().to_vec(), seat, control, outbox).await;
        }
        let caller = self.caller(outbox).by(seat.terminal);
        let env = self.variables(seat.env);
        let ran = match caller.check_known() {
            Ok(()) => caller.shell(&self.session, env, control).await,
            Err(failure) => Err(failure),
        };
        caller.tell(ran).await;
    }

    /// The window of a command's terminal has another size now.
    pub fn resize(&self, exec: &Id, window: Window) {
        let found = self.parts.sessions.exec(exec.as_str(), Some(&self.asker.identity));
        if let Ok((_, exec)) = found
            && let Some(tty) = &exec.tty
        {
            tty.wants(window);
        }
    }
}

impl Caller {
    async fn shell(
        &self,
        session: &Arc<Session>,
        env: Vec<(String, Vec<u8>)>,
        control: &Arc<Control>,
    ) -> Result<Result<(), Gone>, Failure> {
        session.collected();
        self.check_stopped(session)?;
        if self.way.terminal.is_none() {
            return Err(no_terminal(session));
        }
        if !self.may_type(session)? {
            return Err(each_key(session));
        }
        let over = Instant::now() + Duration::from_millis(PATIENCE_MS);
        self.logged_in(NUMBER, session, Capability::Pty, false, Some(over)).await?;
        // What is said of the terminal itself is said before it is there.
        let reader = Reader::of_login(session.surroundings.shell);
        let verdict =
            self.judge_keys(session, Line::default(), reader.into(), Vec::new(), false).await?;
        let (permit, request) = self.decided(session, verdict).await?;
        self.parts.in_use.touch();
        let (shell, way) = (Shell { id: self.parts.ids.next(Kind::Exec)?, env }, self.way.clone());
        let orphan = Duration::from_millis(ORPHAN_MS);
        let opening = self.parts.sessions.shell(session, permit, shell, request, orphan, way);
        let exec = opening.await?;
        let starter = follow::Caller::Starter { stdin: true };
        Ok(follow(&self.outbox, NUMBER, exec, control.clone(), starter).await)
    }

    /// Waits a moment for a person where one is asked.
    pub(super) async fn decided(
        &self,
        session: &Session,
        verdict: Verdict<action::Input>,
    ) -> Result<(Permit<action::Input>, Option<Id>), Failure> {
        let id = match verdict {
            Verdict::Permit(permit) => return Ok((permit, None)),
            Verdict::Asked { id, new } => {
                if new {
                    self.announce(&id).await?;
                }
                id
            }
        };
        let patience = Duration::from_millis(PATIENCE_MS);
        let waiting = self.parts.desk.wait(self.identity(), &id, Some(patience));
        self.waits(NUMBER, session, &id, waiting).await?;
        self.check_stopped(session).map_err(|stopped| stopped_until(stopped, &id))?;
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let permit = self.parts.desk.permit_approved_input(&id, self.identity(), &ground)?;
        Ok((permit, Some(id)))
    }
}

/// The account's shell, as a command that reads a script: all of it before any of it runs, so that its commands
/// find no rest of it on their standard input. The comment behind it keeps its last line as it is. Where nobody has
/// said which shell it is, the usual one.
fn script(shell: Option<named::Shell>) -> Option<&'static str> {
    match shell {
        Some(named::Shell::Sh) => Some("sh -c 'eval \"$(cat; echo; echo \"#\")\" </dev/null'"),
        Some(named::Shell::Bash) | None => {
            Some("bash -c 'eval \"$(cat; echo; echo \"#\")\" </dev/null'")
        }
        Some(named::Shell::Zsh) => Some("zsh -c 'eval \"$(cat; echo; echo \"#\")\" </dev/null'"),
        Some(named::Shell::Fish | named::Shell::Other) => None,
    }
}

/// Its standard input would be run as it comes.
fn no_terminal(session: &Session) -> Failure {
    Failure::new(
        Code::GuardStdin,
        "a shell without a terminal runs whatever comes on its standard input",
        "ssh -t for a shell to type into; or give ssh the command, like bash -s, which is fed a whole \
         script that is judged first",
    )
    .about(&session.id)
    .sent(false)
}

/// What `mosh` runs on the target. Its server would wait there for datagrams that go past sgw.
pub(super) fn is_mosh(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = line.split(|byte| !byte.is_ascii_graphic()).collect();
    words.windows(2).any(|two| two[0].ends_with(b"mosh-server") && two[1] == b"new")
}

pub(super) fn no_mosh() -> Failure {
    Failure::new(
        Code::UsageCommand,
        "mosh speaks to the target by itself, over UDP, and nothing goes past sgw",
        "use ssh",
    )
    .sent(false)
}

fn each_key(session: &Session) -> Failure {
    let mode = session.grant().mode;
    Failure::new(
        Code::ApprovalRequired,
        format!("in mode {mode} each key that is typed needs the operator's yes"),
        "give ssh the command instead of a shell",
    )
    .about(&session.id)
    .sent(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mosh_is_known_by_what_it_runs() {
        assert!(is_mosh(b"mosh-server new -c 256 -s -l LANG=C"));
        assert!(is_mosh(b"exec /usr/bin/mosh-server\tnew -s"));
        assert!(!is_mosh(b"which mosh-server") && !is_mosh(b"apt-get install mosh-server"));
    }

    #[test]
    fn a_script_is_read_whole_and_judged_by_what_it_holds() {
        use crate::domain::guard::{Context, Decision, Policy, Stdin, judge};
        let policy = Policy::built_in();
        let says = |line: &str, input: &str| {
            let stdin = Stdin::Whole(input.as_bytes());
            judge(line.as_bytes(), &Context { stdin, ..Context::default() }, &policy)
        };
        for shell in [named::Shell::Sh, named::Shell::Bash, named::Shell::Zsh] {
            let line = script(Some(shell)).unwrap();
            let open = Context { stdin: Stdin::Open, ..Context::default() };
            assert!(judge(line.as_bytes(), &open, &policy).reads_stdin, "{line}");
            for harmless in
                ["", "ls\nuptime\n", "cd /srv && ls\nmyapp migrate\nls\n", "head -c 6\nls"]
            {
                let said = says(line, harmless);
                assert_eq!(
                    said.decision,
                    Decision::Allow,
                    "{line} < {harmless}: {:?}",
                    said.findings
                );
            }
            for bad in ["rm -rf /\n", "ls\nrm -rf /usr", "x='\nrm -rf /usr/zz'; eval \"$x\""] {
                assert_eq!(says(line, bad).decision, Decision::Block, "{line} < {bad}");
            }
            let said = says(line, "ls\nsystemctl stop nginx\n");
            assert_eq!(said.decision, Decision::Approve);
            assert_eq!(said.span.unwrap().start, line.len() + 3);
        }
    }

    #[test]
    fn the_language_goes_along_and_nothing_else_does() {
        let mut seat = Seat::default();
        assert!(
            seat.set("LANG", "de_DE.UTF-8")
                && seat.set("LC_ALL", "C")
                && seat.set("TZ", "Asia/Taipei")
        );
        for (name, value) in [
            ("PATH", "/tmp"),
            ("SGW_TOKEN", "x"),
            ("LD_PRELOAD", "x"),
            ("LC_x=y", "C"),
            ("LC_ALL;x", "C"),
            ("LANG", "$(x)"),
            ("LANG", "a b"),
            ("LANG", "a\nb"),
            ("LANG", "zh_CN.GBK"),
            ("LC_ALL", "zh_HK.BIG5-HKSCS"),
            ("LC_CTYPE", "/tmp/mine"),
        ] {
            assert!(!seat.set(name, value), "{name}={value}");
        }
        assert!(!seat.set("LANG", &"x".repeat(257)));
        assert!(seat.set("LANG", "C"));
        assert_eq!(seat.env.iter().filter(|(name, _)| name == "LANG").count(), 1);
    }
}
