//! `sgw approve`: the operator's yes.

use std::{path::PathBuf, rc::Rc};

use crate::{
    cli::{
        Context, Outcome, Run, Stop,
        approval::{Answers, Approval},
        proof::Proof,
        ui::{exit::Exit, prompt},
        values, views,
    },
    client::{Connection, operator::Proven},
    domain::{
        capability::Capability,
        grant::{Mode, Opaque},
        id,
    },
    protocol::{
        error::{Code, Failure},
        operator::Remember,
    },
};

/// Look at what an agent asks for, and say yes
///
/// It shows who asks, what, why and where it leads, then asks how to log in; what you give is bound to
/// exactly what was shown. Nothing was sent to the server before your yes. Flags answer the questions
/// in advance. Without an id it is the desk: everything that waits.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw approve
  sgw approve r-7k3 --use-agent --for 20m
  sgw approve r-7k3 --yes --identity ~/.ssh/id_ed25519 --accept-host-key SHA256:… \\
      --passphrase-file ~/.sgw-passphrase --json")]
pub struct Approve {
    /// Which request, its whole id [default: all that wait, at the desk]
    #[arg(value_name = "ID", add = super::completions::ids("requests"))]
    id: Option<String>,
    /// Don't ask whether: what is shown is given, and what ssh_config proposes logs in unless flags say
    /// otherwise
    #[arg(long, requires = "id")]
    yes: bool,
    /// Log in with this private key; may be repeated [default: asked for; with --yes the key files
    /// that ssh_config names and that have no passphrase]
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// The private key's own passphrase, in this file [default: asked for where it has one]
    #[arg(long, value_name = "FILE")]
    identity_passphrase_file: Option<PathBuf>,
    /// Log in with the password in this file (-: standard input); for the target, not for jump hosts
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Log in with the keys of your ssh-agent
    #[arg(long)]
    use_agent: bool,
    /// Read this ssh_config, as `ssh -F` does [default: yours and the system's]
    #[arg(long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// Accept this host key without a further question; may be repeated
    #[arg(long, value_name = "SHA256:…", value_parser = values::fingerprint)]
    accept_host_key: Vec<String>,
    /// Give it for so long only [default: as asked]
    #[arg(long = "for", value_name = "DUR", value_parser = values::seconds, allow_hyphen_values = true)]
    duration: Option<u64>,
    /// Give these capabilities only [default: as asked]
    #[arg(long, value_name = "CAP,…", value_delimiter = ',')]
    only: Option<Vec<Capability>>,
    /// Judge commands more strictly [default: as asked]
    #[arg(long)]
    mode: Option<Mode>,
    /// Whether commands of which only the server knows what they do are asked for, or allowed
    /// (ansible's modules); what the policy blocks stays blocked [default: ask]
    #[arg(long, value_name = "ask|allow")]
    opaque: Option<Opaque>,
    /// Give so many commands at most [default: as asked]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_commands: Option<u32>,
    /// Whether the command that was asked about passes from now on: this once, or for the rest of the
    /// session, exactly as it was shown, or as a rule of the policy that ends by itself (--days): for
    /// that token on that target, and without a token for everyone there
    #[arg(long, value_name = "once|session|rule", default_value = "once", requires = "id")]
    remember: How,
    /// With --remember session: let it pass so many times more, no longer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "id")]
    times: Option<u32>,
    /// With --remember rule: for so many days [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3650), requires = "id")]
    days: Option<u16>,
    /// Of a plan: only these lines pass, by their numbers, like 1,3-5 [default: asked for; with --yes all
    /// of them]
    #[arg(long, value_name = "1,3-5", requires = "id")]
    lines: Option<String>,
    #[command(flatten)]
    proof: Proof,
}

/// How long a rule holds unless it is said.
const DAYS: u16 = 30;

/// How long a yes to a command holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum How {
    Once,
    Session,
    Rule,
}

impl Run for Approve {
    fn run(self, context: &Context) -> Outcome {
        if let Some(id) = &self.id {
            whole(id)?;
        }
        if self.id.is_none() || !self.yes {
            self.proof.can_ask(context, "your yes").map_err(|failure| {
                let id = self.id.as_deref().unwrap_or("ID");
                let line = format!("sgw approve {id} --yes --passphrase-file FILE --identity FILE");
                let hint = match context.ui.json {
                    true => format!("{line} --json"),
                    false => format!("the person types it in a terminal, or: {line}"),
                };
                Failure { hint, ..failure }
            })?;
        }
        let remember = match (self.remember, self.times, self.days) {
            (How::Once, None, None) => None,
            (How::Session, times, None) => Some(Remember::Session { times }),
            (How::Rule, None, days) => Some(Remember::Rule { days: days.unwrap_or(DAYS) }),
            (_, times, days) => return Err(misplaced(self.id.as_deref(), times, days).into()),
        };
        let answers = Answers {
            for_one: self.id.is_some(),
            yes: self.yes,
            identities: self.identity,
            identity_passphrase: self.identity_passphrase_file,
            password: self.password_file,
            use_agent: self.use_agent,
            ssh_config: self.ssh_config,
            accept_host_keys: self.accept_host_key,
            duration_s: self.duration,
            only: self.only.map(|only| only.into_iter().collect()),
            mode: self.mode,
            opaque: self.opaque,
            max_commands: self.max_commands,
            remember,
            lines: self.lines,
        };
        let Some(id) = self.id else {
            return super::desk::open(context, &self.proof, &answers, false);
        };
        context.interactive(async {
            let proven = self.proof.open(context).await?;
            let connection = proven.connect().await?.read_ahead();
            one(context, &Rc::new(proven), connection, &answers, &id).await
        })
    }
}

/// `--times` or `--days` without what it belongs to.
fn misplaced(id: Option<&str>, times: Option<u32>, days: Option<u16>) -> Failure {
    let id = id.unwrap_or("ID");
    let (message, hint) = match (times, days) {
        (Some(times), None) => (
            "--times goes with --remember session",
            format!("sgw approve {id} --remember session --times {times}"),
        ),
        (None, Some(days)) => (
            "--days goes with --remember rule",
            format!("sgw approve {id} --remember rule --days {days}"),
        ),
        _ => (
            "--times goes with --remember session, and --days with --remember rule: not both",
            format!("sgw approve {id} --remember session"),
        ),
    };
    Failure::new(Code::UsageArguments, message, hint)
}

/// A prefix would do for looking; a yes names what it means.
fn whole(word: &str) -> Result<(), Failure> {
    match word.parse::<id::Id>() {
        Ok(id) if id.kind() == id::Kind::Request => Ok(()),
        _ => {
            let shown = crate::domain::escape::exact(word.as_bytes(), 60);
            let message = format!("`{shown}` is not the whole id of a request");
            Err(Failure::new(Code::UsageId, message, "sgw requests"))
        }
    }
}

async fn one(
    context: &Context,
    proven: &Rc<Proven>,
    mut connection: Connection,
    answers: &Answers,
    id: &str,
) -> Result<Exit, Stop> {
    let mut approval = Approval::look(context, proven, &mut connection, id, answers).await?;
    if !answers.yes && approval.has_a_choice() {
        if !lines(context, &mut approval).await? {
            context.ui.note(&format!("{id} still waits; to refuse it: sgw deny {id}"));
            return Ok(Exit::FAILED);
        }
    } else if !answers.yes && !prompt::confirm("Give it?").await? {
        context.ui.note(&format!("{id} still waits; to refuse it: sgw deny {id}"));
        return Ok(Exit::FAILED);
    }
    let decided = approval.give(&mut connection).await?;
    context.ui.result(&decided, || views::decided(&decided));
    Ok(Exit::DONE)
}

/// Which lines of a plan pass. False: nothing was chosen.
async fn lines(context: &Context, approval: &mut Approval<'_>) -> Result<bool, Stop> {
    const ASKS: &str = "Which lines pass? (all, or like 1,3-5; nothing: none yet)";
    loop {
        let typed = prompt::answer(ASKS).await?;
        if matches!(typed.trim(), "" | "none" | "no") {
            return Ok(false);
        }
        match approval.choose(&typed) {
            Ok(()) => return Ok(true),
            Err(failure) => context.ui.say(&failure.message),
        }
    }
}
