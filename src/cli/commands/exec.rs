//! `sgw exec`: runs a command in a session.

use std::{ffi::OsString, io::IsTerminal as _, time::Duration};

use crate::{
    cli::{
        Context, Outcome, Run,
        context::{Asking, Patience, millis},
        follow::{self, Budget, Call},
        values,
    },
    domain::{bytes::Bytes, escape},
    protocol::{
        agent::{self, Command},
        error::{Code, Failure},
    },
};

/// A remote shell takes no longer word (131,072 bytes is Linux's limit for one, with what sgw adds).
const MOST_BYTES: usize = 128_000;

/// Run a command in a session
///
/// One COMMAND word is a line for the remote shell; several words are an argv, each quoted for it.
/// stdout and stderr arrive apart, as they come, byte for byte; the exit status is the command's own.
/// There is no terminal, and stdin is empty unless -i. Where the command has to be approved, this
/// waits for the operator. Ctrl-C ends the remote processes; a call that is only cut off leaves them
/// running for a minute, and `sgw wait x-…` takes over where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw exec s-4fk 'journalctl -u nginx --since -1h | tail -n 50'
  sgw exec web1 -- systemctl status nginx
  sgw exec s-4fk --timeout 10m --wait 60s 'apt-get -y upgrade'
  sgw exec s-4fk -i 'cat > /tmp/app.conf' < app.conf
  sgw exec s-4fk --json --max-output 8k 'dmesg'
With SGW_SESSION set the session may be left out before `--`: sgw exec -- uptime")]
pub struct Exec {
    /// A session's id or name, or its target
    #[arg(value_name = "SESSION", add = super::completions::ids("sessions"))]
    session: OsString,
    /// A line for the remote shell, or a program and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        value_hint = clap::ValueHint::Unknown
    )]
    command: Vec<OsString>,
    #[command(flatten)]
    patience: Patience,
    /// End the command after so long (124); what it printed is delivered [default: never]
    #[arg(long, value_name = "DUR", value_parser = values::duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// Feed our standard input to the command [default: its input is empty]
    #[arg(short = 'i', long)]
    stdin: bool,
    /// Set an environment variable for the command; may be repeated
    #[arg(long, value_name = "K=V")]
    env: Vec<OsString>,
    /// Run it in this directory [default: where the login starts]
    #[arg(long, value_name = "DIR")]
    cwd: Option<OsString>,
    /// How long the command outlives a caller that vanished [default: 60s]
    #[arg(long, value_name = "DUR", value_parser = values::duration, allow_hyphen_values = true)]
    orphan: Option<Duration>,
    /// What it is for: shown where the command has to be approved
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    budget: Budget,
    #[command(flatten)]
    asking: Asking,
}

impl Run for Exec {
    fn run(self, context: &Context) -> Outcome {
        let call = Call {
            budget: self.budget,
            patience: self.patience,
            results_too: false,
            stdin: self.stdin,
        };
        no_flag_of_ours(&self.command)?;
        note_shell_words(context, &self.command);
        if !self.stdin {
            note_unread_stdin(context);
        }
        let request = agent::Request::Exec(self.request()?);
        Ok(context.block_on(async {
            let connection = context.agent().await?;
            let odd = |_| {
                let message = "the daemon's answer is not a command's end";
                Err(Failure::new(Code::DaemonVersion, message, "sgw daemon status"))
            };
            follow::follow(context, connection, &request, call, odd).await
        })?)
    }
}

impl Exec {
    fn request(self) -> Result<agent::Exec, Failure> {
        let session = self.session.into_string().map_err(|session| {
            let shown = escape::exact(session.as_encoded_bytes(), 60);
            let message = format!("`{shown}` is no session: ids and names are plain text");
            Failure::new(Code::SessionUnknown, message, "sgw sessions")
        })?;
        let env = self.env.iter().map(|text| values::assignment(text));
        let env = env.collect::<Result<_, _>>().map_err(|message| {
            Failure::new(Code::UsageArguments, message, "sgw exec --env NAME=VALUE …")
        })?;
        let wait = self.patience.holds()?;
        if self.command.is_empty() {
            let shown = escape::visible(&session, 60);
            let message = format!("there is no command: `{shown}` stands where the session does");
            let hint = "sgw exec SESSION -- COMMAND, or set SGW_SESSION";
            return Err(Failure::new(Code::UsageCommand, message, hint).sent(false));
        }
        Ok(agent::Exec {
            session,
            command: command(self.command)?,
            stdin: self.stdin,
            env,
            cwd: self.cwd.map(values::bytes),
            timeout_ms: self.timeout.map(millis),
            orphan_ms: self.orphan.map(millis),
            wait_ms: wait.map(millis),
            no_ask: self.asking.never(),
            reason: self.reason,
        })
    }
}

fn command(words: Vec<OsString>) -> Result<Command, Failure> {
    let wrong =
        |code, message: &str| Err(Failure::new(code, message, "sgw exec SESSION -- COMMAND"));
    let mut words: Vec<Bytes> = words.into_iter().map(values::bytes).collect();
    let length: usize = words.iter().map(|word| word.as_slice().len() + 1).sum();
    if length > MOST_BYTES {
        let message = format!("the command has {length} bytes; at most {MOST_BYTES} can be sent");
        let hint =
            "send data through -i, or the command as a script: sgw exec SESSION -i sh < FILE";
        return Err(Failure::new(Code::LimitCommand, message, hint).sent(false));
    }
    if words.iter().all(|word| word.as_slice().trim_ascii().is_empty()) {
        return wrong(Code::UsageCommand, "there is no command");
    }
    Ok(match words.len() {
        1 => Command::Line(words.swap_remove(0)),
        _ => Command::Argv(words),
    })
}

/// A mistyped flag of ours looks like the command. Right after `--` anything goes.
fn no_flag_of_ours(words: &[OsString]) -> Result<(), Failure> {
    let Some(first) = words.first().filter(|word| word.as_encoded_bytes().starts_with(b"-")) else {
        return Ok(());
    };
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.windows(2).any(|pair| pair[0] == "--" && pair[1] == *first) {
        return Ok(());
    }
    let alone = ["sgw".into(), "exec".into(), first.clone()];
    match crate::cli::command(Some("exec")).try_get_matches_from(alone) {
        Err(error) if error.kind() == clap::error::ErrorKind::UnknownArgument => {
            let hint = "sgw exec --help".to_owned();
            Err(Failure { hint, ..crate::cli::usage::complaint(&error) }.sent(false))
        }
        _ => Ok(()),
    }
}

/// Words that mean something to a shell, and nothing to a program that gets them as arguments.
fn note_shell_words(context: &Context, words: &[OsString]) {
    const MEANT_FOR_A_SHELL: [&str; 12] =
        ["&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1", "2>/dev/null", ">/dev/null", "|&"];
    if words.len() < 2 {
        return;
    }
    if let Some(word) =
        MEANT_FOR_A_SHELL.iter().find(|shell| words.iter().any(|word| word == *shell))
    {
        context.ui.note(&format!(
            "`{word}` reaches the program as a plain argument; for a shell line give one quoted word"
        ));
    }
    let line = words[0].to_string_lossy().contains(char::is_whitespace);
    let option = words[1..].iter().any(|word| word.as_encoded_bytes().starts_with(b"--"));
    if line && option {
        context.ui.note("options of sgw's come before the command; what stands behind it was sent as part of it");
    }
}

/// What waits on our standard input would go nowhere without a word.
fn note_unread_stdin(context: &Context) {
    let stdin = std::io::stdin();
    // A terminal has no end to wait for; /dev/null and its like can't be asked (FIONREAD, ioctl_tty(2)).
    let waiting = !stdin.is_terminal() && rustix::io::ioctl_fionread(&stdin).is_ok_and(|n| n > 0);
    if waiting {
        context.ui.note("standard input is not read: the command's is empty; -i feeds ours to it");
    }
}

/// Puts the session of `SGW_SESSION` before a `--` that no session precedes.
pub fn with_default_session(mut args: Vec<OsString>) -> Vec<OsString> {
    let Some(session) = std::env::var_os("SGW_SESSION").filter(|value| !value.is_empty()) else {
        return args;
    };
    if let Some(command @ ("exec" | "input")) = crate::cli::usage::only(&args)
        && let Some(at) = args.iter().position(|arg| arg == "--")
        && !names_a_session(command, &args[..at])
    {
        args.insert(at, session);
    }
    args
}

fn names_a_session(command: &'static str, args: &[OsString]) -> bool {
    let parsed = crate::cli::command(Some(command)).ignore_errors(true).try_get_matches_from(args);
    parsed.is_ok_and(|matches| {
        let given = matches.subcommand_matches(command);
        given.is_some_and(|given| matches!(given.try_contains_id("session"), Ok(true)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn one_word_is_a_line_and_several_are_an_argv() {
        assert_eq!(command(words(&["ls | wc"])), Ok(Command::Line("ls | wc".into())));
        assert_eq!(
            command(words(&["ls", "a b"])),
            Ok(Command::Argv(vec!["ls".into(), "a b".into()]))
        );
    }

    #[test]
    fn nothing_and_too_much_are_refused_here() {
        for empty in [&[][..], &[""], &["  "], &["", " "]] {
            assert_eq!(command(words(empty)).unwrap_err().code, Code::UsageCommand, "{empty:?}");
        }
        let long = "x".repeat(MOST_BYTES);
        let failure = command(words(&[&long])).unwrap_err();
        assert_eq!((failure.code, failure.sent), (Code::LimitCommand, Some(false)));
        assert!(command(words(&[&long[1..]])).is_ok());
    }

    #[test]
    fn a_session_before_the_dashes_is_found() {
        let found =
            |line: &str| names_a_session("exec", &words(&line.split(' ').collect::<Vec<_>>()));
        assert!(found("sgw exec web1"));
        assert!(found("sgw exec --cwd / web1"));
        assert!(!found("sgw exec"));
        assert!(!found("sgw exec --cwd /"));
        assert!(!names_a_session("input", &words(&["sgw", "input", "--key", "enter"])));
        assert!(names_a_session("input", &words(&["sgw", "input", "web1"])));
    }
}
