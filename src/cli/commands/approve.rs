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
    domain::{capability::Capability, grant::Mode, id},
    protocol::error::{Code, Failure},
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
    /// Give so many commands at most [default: as asked]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_commands: Option<u32>,
    #[command(flatten)]
    proof: Proof,
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
        let answers = Answers {
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
            max_commands: self.max_commands,
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
    let approval = Approval::look(context, proven, &mut connection, id, answers).await?;
    if !answers.yes && !prompt::confirm("Give it?").await? {
        context.ui.note(&format!("{id} still waits; to refuse it: sgw deny {id}"));
        return Ok(Exit::FAILED);
    }
    let decided = approval.give(&mut connection).await?;
    context.ui.result(&decided, || views::decided(&decided));
    Ok(Exit::DONE)
}
