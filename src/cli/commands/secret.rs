//! `sgw secret`: values that are used by name. No command ever prints one.

use std::{io, path::PathBuf};

use crate::{
    cli::{
        Context, Outcome, Run, Stop,
        proof::Proof,
        resolve::password,
        times,
        ui::{self, Table, exit::Exit, prompt},
    },
    client::Connection,
    domain::{
        escape::{exact, visible},
        secret::{
            Secret as Value,
            named::{self, MIN_BYTES},
        },
    },
    protocol::{
        error::{Code, Failure},
        operator::{
            Request,
            secret::{self, Secrets, Shown},
        },
    },
};

/// The number of the secret frame with the value.
const SECRET: u32 = 1;

/// Keep values that are used by name, and never shown
///
/// A value under 12 bytes, or on every list of common passwords, is refused: what is used by name is
/// hidden wherever it is printed, and whoever prints guesses would see which of them is hidden.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw secret add db-password
  sgw secret add deploy-token --value-file FILE --about 'for the registry'
  sgw secret search registry")]
pub struct Secret {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Keep a value
    #[command(after_help = "\
Examples:
  sgw secret add db-password
  sgw secret add db-password --value-file FILE --replace")]
    Add {
        /// What it is called: a-z 0-9 . _ -
        name: String,
        /// Read the value from this file, which nobody else may read (-: standard input), without the
        /// newline at its end [default: ask for it]
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
        /// What it is for, in a line
        #[arg(long, value_name = "TEXT")]
        about: Option<String>,
        /// In place of the value that is there
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        proof: Proof,
    },
    /// List names, never values
    #[command(after_help = "\
Examples:
  sgw secret list")]
    List {
        #[command(flatten)]
        proof: Proof,
    },
    /// List those whose name or words have a text in them
    #[command(after_help = "\
Examples:
  sgw secret search registry")]
    Search {
        text: String,
        #[command(flatten)]
        proof: Proof,
    },
    /// Remove one
    #[command(after_help = "\
Examples:
  sgw secret rm db-password")]
    Rm {
        /// Which one
        name: String,
        #[command(flatten)]
        proof: Proof,
    },
}

impl Run for Secret {
    fn run(self, context: &Context) -> Outcome {
        context.interactive(async {
            match self.what {
                What::Add { name, value_file, about, replace, proof } => {
                    let value = match &value_file {
                        Some(path) => Some(from_file(path)?),
                        None => None,
                    };
                    let mut connection = proof.open(context).await?.connect().await?;
                    let value = match value {
                        Some(value) => value,
                        None => asked(context, &name).await?,
                    };
                    // Said here first: nothing goes anywhere that would be refused.
                    named::judge(&value).map_err(|weak| {
                        let message = format!("it is neither hidden nor used by name: {weak}");
                        let hint = format!("take a value of {MIN_BYTES} random bytes or more");
                        Failure::new(Code::SecretWeak, message, hint)
                    })?;
                    connection.send_secret(0, SECRET, value.expose()).await?;
                    drop(value);
                    let add = secret::Request::Add { name, about, secret: SECRET, replace };
                    let shown: Shown = call(&mut connection, add).await?;
                    context.ui.result(&shown, || format!("{} is kept", shown.name));
                }
                What::List { proof } => {
                    let mut connection = proof.open(context).await?.connect().await?;
                    list(context, &mut connection, None).await?;
                }
                What::Search { text, proof } => {
                    let mut connection = proof.open(context).await?.connect().await?;
                    list(context, &mut connection, Some(text)).await?;
                }
                What::Rm { name, proof } => {
                    let mut connection = proof.open(context).await?.connect().await?;
                    let removed: Shown =
                        call(&mut connection, secret::Request::Remove { name }).await?;
                    context.ui.result(&removed, || format!("{} is removed", removed.name));
                }
            }
            Ok(Exit::DONE)
        })
    }
}

async fn call<Reply: serde::de::DeserializeOwned>(
    connection: &mut Connection,
    request: secret::Request,
) -> Result<Reply, Stop> {
    Ok(connection.call(&Request::Secret(request)).await?)
}

async fn list(
    context: &Context,
    connection: &mut Connection,
    search: Option<String>,
) -> Result<(), Stop> {
    let found: Secrets = call(connection, secret::Request::List { search }).await?;
    context.ui.result(&found, || {
        if found.secrets.is_empty() {
            return "no secrets".to_owned();
        }
        let mut table = Table::new(&["SECRET", "KEPT", "ABOUT"]);
        for one in &found.secrets {
            let about = one.about.as_deref().map(|about| visible(about, 100)).unwrap_or_default();
            let name = exact(one.name.as_bytes(), 80);
            table.row(vec![name, times::from_now(one.created_at), about]);
        }
        table.text()
    });
    Ok(())
}

fn from_file(path: &std::path::Path) -> Result<Value<Vec<u8>>, Failure> {
    let read = password::read_up_to(path, &mut io::stdin().lock(), named::MAX_BYTES);
    let text = read.map_err(|error| {
        Failure::new(Code::UsageArguments, error.to_string(), "sgw secret add --help")
    })?;
    Ok(Value::new(text.expose().clone().into_bytes()))
}

async fn asked(context: &Context, name: &str) -> Result<Value<Vec<u8>>, Stop> {
    if context.ui.json || !ui::can_prompt() {
        let message = "the value is asked for in a terminal";
        return Err(Failure::new(Code::OperatorProof, message, "add --value-file FILE").into());
    }
    let prompt = format!("Value of {}", visible(name, 80));
    let value = prompt::new_password(context.ui, &prompt, "The same again", |_| Ok(())).await?;
    Ok(Value::new(value.expose().clone().into_bytes()))
}
