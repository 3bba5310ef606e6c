//! `sgw target`: machines that the operator sets up once, with what logs in there.

mod accept;
mod add;
mod import;
mod lend;
mod said;
mod shown;
mod test;

use std::path::PathBuf;

use crate::{
    cli::{Context, Outcome, Run, Stop, proof::Proof, ui::exit::Exit, values},
    client::{Connection, operator::Proven},
    protocol::operator::{
        Request,
        target::{self, Shown},
    },
};

use said::{Changes, Said};

/// Set up the machines that agents may ask for by name
///
/// A target has its address, its way, what logs in there and the keys that vouch for it; all of it lives
/// in the vault. An agent asks for it by its name (sgw request NAME), and your yes needs nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw target add web1 deploy@10.0.0.5 --identity ~/.ssh/web1 --accept-host-key SHA256:…
  sgw target add db1 admin@db1.internal --password-file FILE --jump web1 --prod
  sgw target test db1
  sgw target list")]
pub struct Target {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Keep a new target; nothing is sent there unless you say --test
    #[command(after_help = "\
Examples:
  sgw target add web1 deploy@10.0.0.5 --identity ~/.ssh/web1 --accept-host-key SHA256:…
  sgw target add db1 admin@db1.internal:2222 --password --jump web1 --prod --test
  sgw target add old root@10.0.0.9 --agent-key SHA256:… --proxy-command 'nc -x gate:1080 %h %p'")]
    Add(Box<Add>),
    /// List the targets
    #[command(after_help = "\
Examples:
  sgw target list
  sgw target list --json")]
    List {
        #[command(flatten)]
        proof: Proof,
    },
    /// Show all of one target but what logs in there
    #[command(after_help = "\
Examples:
  sgw target show web1")]
    Show {
        /// Which one
        name: String,
        #[command(flatten)]
        proof: Proof,
    },
    /// Change a target; what you don't name stays
    ///
    /// Sessions that a standing grant opened on what it was end, and the next command opens a fresh one;
    /// those that you approved go on, and are named. A stricter --mode and --no-pty hold for them at once.
    #[command(after_help = "\
Examples:
  sgw target edit web1 --identity ~/.ssh/new
  sgw target edit web1 --dest deploy@10.0.0.6 --no-jump")]
    Edit(Box<Edit>),
    /// Remove a target and what logs in there
    ///
    /// Sessions that a standing grant opened there end; those that you approved go on, and are named.
    #[command(after_help = "\
Examples:
  sgw target rm web1")]
    Rm {
        /// Which one
        name: String,
        #[command(flatten)]
        proof: Proof,
    },
    /// Walk to a target step by step: name, TCP, host key, login, shell, SFTP
    #[command(after_help = "\
Examples:
  sgw target test web1
  sgw target test web1 --json")]
    Test {
        /// Which one
        name: String,
        #[command(flatten)]
        proof: Proof,
    },
    /// Add the Hosts of an ssh_config; shows them first
    #[command(after_help = "\
Examples:
  sgw target import
  sgw target import ~/.ssh/config.d/work --yes")]
    Import {
        /// Which file [default: yours and the system's]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Add them without a question
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// Take another host key from a target from now on, in place of those known
    ///
    /// Without a fingerprint it goes there, looks, and shows both; nothing but the key exchange is sent
    /// to that machine. A password that was given for the old key stays with the old key, until you
    /// give it again.
    #[command(after_help = "\
Examples:
  sgw target accept-key web1
  sgw target accept-key web1 SHA256:…")]
    AcceptKey {
        /// Which one
        name: String,
        /// The new key, as `ssh-keygen -l` writes it, or the public key in quotes; several where the
        /// machine has several
        #[arg(value_name = "SHA256:…", value_parser = values::fingerprint)]
        fingerprints: Vec<String>,
        #[command(flatten)]
        proof: Proof,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// What agents call it: a-z 0-9 . _ -
    name: String,
    /// Where it is: [USER@]HOST[:PORT] [default user: yours; port: 22]
    dest: String,
    #[command(flatten)]
    said: Said,
    /// Walk there afterwards, step by step
    #[arg(long)]
    test: bool,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, clap::Args)]
struct Edit {
    /// Which one
    name: String,
    /// Where it is now: [USER@]HOST[:PORT]; user and port stay where they are not named
    #[arg(long)]
    dest: Option<String>,
    #[command(flatten)]
    said: Said,
    #[command(flatten)]
    changes: Changes,
    /// Only if this is still its version (sgw target show NAME --json)
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Target {
    fn run(self, context: &Context) -> Outcome {
        context.interactive(async {
            match self.what {
                What::Add(add) => add::add(context, *add).await,
                What::Edit(edit) => add::edit(context, *edit).await,
                What::List { proof } => {
                    let mut connection = proof.open(context).await?.connect().await?;
                    let list: target::Targets =
                        call(&mut connection, target::Request::List {}).await?;
                    context.ui.result(&list, || shown::list(&list.targets));
                    Ok(Exit::DONE)
                }
                What::Show { name, proof } => {
                    let mut connection = proof.open(context).await?.connect().await?;
                    let one: Shown = call(&mut connection, target::Request::Show { name }).await?;
                    context.ui.result(&one, || shown::one(&one));
                    Ok(Exit::DONE)
                }
                What::Rm { name, proof } => {
                    let mut connection = proof.open(context).await?.connect().await?;
                    let one: Shown =
                        call(&mut connection, target::Request::Remove { name }).await?;
                    shown::sessions(context, one.target.name.as_str(), &one.sessions);
                    context.ui.result(&one, || format!("{} is removed", one.target.name));
                    Ok(Exit::DONE)
                }
                What::Test { name, proof } => {
                    let (_, mut connection) = open(context, &proof).await?;
                    test::test(context, &mut connection, &name).await
                }
                What::Import { file, yes, proof } => {
                    import::import(context, &proof, file, yes).await
                }
                What::AcceptKey { name, fingerprints, proof } => {
                    let (_, mut connection) = open(context, &proof).await?;
                    accept::accept(context, &mut connection, name, fingerprints).await
                }
            }
        })
    }
}

async fn open(context: &Context, proof: &Proof) -> Result<(Proven, Connection), Stop> {
    let proven = proof.open(context).await?;
    let connection = proven.connect().await?;
    Ok((proven, connection))
}

async fn call<Reply: serde::de::DeserializeOwned>(
    connection: &mut Connection,
    request: target::Request,
) -> Result<Reply, Stop> {
    Ok(connection.call(&Request::Target(request)).await?)
}
