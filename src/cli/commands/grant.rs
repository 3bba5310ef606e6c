//! `sgw grant`: what agents may do without asking.

use crate::{
    cli::{
        Context, Outcome, Run,
        proof::Proof,
        times,
        ui::{Table, exit::Exit},
        values,
    },
    domain::{
        capability::Capability,
        grant::{
            Mode, Opaque,
            standing::{Approval, Budget, MOST_BYTES, MOST_COMMANDS},
        },
    },
    protocol::operator::{
        self,
        grant::{Give, Grants, Request, Shown, To},
    },
};

/// Give agents standing access to targets, list it, and take it back
///
/// With a standing grant, sgw exec TARGET needs no request: a session opens by itself. The target has to be a
/// named one (sgw target add) whose credential the vault holds.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw grant add --token ci --target web1 --only exec --for 8h --max-commands 200
  sgw grant add --token deploy --target 'web-*' --each-command
  sgw grant list
  sgw grant rm g-4fk")]
pub struct Grant {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Give a token, or every process of a uid, access to targets
    #[command(after_help = "\
Examples:
  sgw grant add --token ci --target web1 --only exec --for 8h --max-commands 200
  sgw grant add --token deploy --target 'web-*' --mode each --max-bytes 100M
  sgw grant add --uid 1000 --target staging --each-session      # every process of uid 1000 has it")]
    Add(Box<Add>),
    /// List standing grants, and what was used of them
    #[command(after_help = "\
Examples:
  sgw grant list
  sgw grant list --json")]
    List {
        #[command(flatten)]
        proof: Proof,
    },
    /// Take a grant back, and end what runs under it, at once
    #[command(after_help = "\
Examples:
  sgw grant rm g-4fk")]
    Rm {
        /// Its whole id
        grant: String,
        #[command(flatten)]
        proof: Proof,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("holder").args(["token", "uid"]).required(true))]
struct Add {
    /// The token that has it, by name or id
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// Every process of this uid has it, whatever token it shows
    #[arg(long, value_name = "N", value_parser = uid)]
    uid: Option<u32>,
    /// A target's name, or a glob over names: `*` any characters, `?` one
    #[arg(long, value_name = "NAME|GLOB")]
    target: String,
    #[command(flatten)]
    terms: Terms,
    /// How many commands in all; each input into a terminal is one [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MOST_COMMANDS))]
    max_commands: Option<u64>,
    /// How much may go over in all, both ways [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_bytes: Option<u64>,
    #[command(flatten)]
    proof: Proof,
}

// What is given, as `grant add` and `run` are told.
#[derive(Debug, clap::Args)]
pub struct Terms {
    /// Capabilities: exec, pty, files:read, files:write, forward, sudo
    /// [default: exec,pty,files:read,files:write]
    #[arg(long, value_name = "CAP,…", value_delimiter = ',')]
    only: Option<Vec<Capability>>,
    /// How long it stands [default: until it is taken back]
    #[arg(long = "for", value_name = "DUR", value_parser = values::seconds, allow_hyphen_values = true)]
    duration: Option<u64>,
    /// How commands are judged: by the policy (guarded), each asked for (each), or all but what only
    /// reads asked for (read) [default: guarded]
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// Whether commands of which only the server knows what they do are asked for, or allowed; what the
    /// policy blocks stays blocked [default: ask]
    #[arg(long, value_name = "ask|allow")]
    opaque: Option<Opaque>,
    /// Each session has to be requested and approved
    #[arg(long, conflicts_with_all = ["each_command", "standing"])]
    each_session: bool,
    /// Sessions open by themselves, and each command is asked for
    #[arg(long, conflicts_with = "standing")]
    each_command: bool,
    /// Nothing is asked but what the mode asks [default]
    #[arg(long)]
    standing: bool,
}

impl Terms {
    pub fn give(&self, target: String, budget: Budget) -> Give {
        let words = |only: &Vec<Capability>| only.iter().map(ToString::to_string).collect();
        Give {
            target,
            only: self.only.as_ref().map(words),
            for_s: self.duration,
            budget,
            mode: self.mode.unwrap_or(Mode::Guarded),
            opaque: self.opaque.unwrap_or_default(),
            approval: match (self.each_session, self.each_command) {
                (true, _) => Approval::EachSession,
                (false, true) => Approval::EachCommand,
                (false, false) => Approval::Standing,
            },
        }
    }

    pub fn duration(&self) -> Option<u64> {
        self.duration
    }
}

fn uid(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number; id -u NAME prints an account's"))
}

fn bytes(text: &str) -> Result<u64, String> {
    match values::size(text)? {
        0 => Err(format!("`{text}` is no budget: it is used up at once")),
        size if size > MOST_BYTES => Err(format!("`{text}` is more than sgw counts")),
        size => Ok(size),
    }
}

impl Run for Grant {
    fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Add(add) => {
                let budget = Budget { max_commands: add.max_commands, max_bytes: add.max_bytes };
                let to = match (&add.token, add.uid) {
                    (Some(token), _) => To::Token(token.clone()),
                    (None, uid) => To::Uid(uid.unwrap_or_default()),
                };
                let give = add.terms.give(add.target.clone(), budget);
                let given: Shown = context.interactive(async {
                    let mut connection = add.proof.open(context).await?.connect().await?;
                    let request = operator::Request::Grant(Request::Add { to, give });
                    Ok(connection.call(&request).await?)
                })?;
                given.notes.iter().for_each(|note| context.ui.note(note));
                context.ui.result(&given, || given.id.clone());
                Ok(Exit::DONE)
            }
            What::List { proof } => {
                let all = context.interactive(async {
                    let mut connection = proof.open(context).await?.connect().await?;
                    let mut all = Vec::new();
                    let mut after = None;
                    loop {
                        let request = operator::Request::Grant(Request::List { after });
                        let page: Grants = connection.call(&request).await?;
                        all.extend(page.grants);
                        after = all.last().map(|last: &Shown| last.id.clone());
                        if !page.more {
                            return Ok(all);
                        }
                    }
                })?;
                let grants = Grants { grants: all, more: false };
                let object = serde_json::json!({ "grants": grants.grants });
                context.ui.result(&object, || list(&grants.grants));
                Ok(Exit::DONE)
            }
            What::Rm { grant, proof } => {
                let request = operator::Request::Grant(Request::Remove { id: grant });
                let removed: Shown = context.interactive(async {
                    Ok(proof.open(context).await?.connect().await?.call(&request).await?)
                })?;
                context.ui.result(&removed, || format!("taken back: {}", removed.id));
                Ok(Exit::DONE)
            }
        }
    }
}

fn list(grants: &[Shown]) -> String {
    if grants.is_empty() {
        return "no standing grants".to_owned();
    }
    let head = ["GRANT", "WHO", "TARGET", "MAY", "ASKS", "EXPIRES", "COMMANDS", "BYTES"];
    let mut table = Table::new(&head);
    for grant in grants {
        let may: Vec<&str> = grant.capabilities.iter().map(|one| one.as_str()).collect();
        let asks = match (grant.approval, grant.mode) {
            (Approval::Standing, Mode::Guarded) => "nothing".to_owned(),
            (Approval::Standing, mode) => mode.to_string(),
            (approval, Mode::Guarded) => approval.to_string(),
            (approval, mode) => format!("{approval}, {mode}"),
        };
        table.row(vec![
            grant.id.clone(),
            grant.holder.clone(),
            grant.target.clone(),
            may.join(" "),
            asks,
            grant.expires_at.map(times::from_now).unwrap_or_else(|| "never".to_owned()),
            of(grant.used_commands, grant.max_commands),
            of(grant.used_bytes, grant.max_bytes),
        ]);
    }
    table.text()
}

fn of(used: u64, most: Option<u64>) -> String {
    most.map_or_else(|| used.to_string(), |most| format!("{used} of {most}"))
}
