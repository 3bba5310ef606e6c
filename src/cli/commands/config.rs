//! `sgw config`: the sealed settings.

use serde_json::Value;

use crate::{
    cli::{Context, Outcome, Run, proof::Proof, ui::exit::Exit, views},
    protocol::{
        error::{Code, Failure},
        operator::Request,
        view,
    },
};

/// List and change the sealed settings
///
/// They live in the vault: no agent that shares your files can change them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw config list
  sgw config set notify '[\"notify-send\", \"sgw\"]'
  sgw config unset notify")]
pub struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the settings, their values and what they are for
    #[command(after_help = "\
Examples:
  sgw config list
  sgw config list --json")]
    List {
        #[command(flatten)]
        proof: Proof,
    },
    /// Change a setting
    #[command(after_help = "\
Examples:
  sgw config set notify '[\"notify-send\", \"sgw\"]'")]
    Set {
        /// Which one
        name: String,
        /// Its value: JSON, or a plain word
        value: String,
        #[command(flatten)]
        proof: Proof,
    },
    /// Give a setting its default back
    #[command(after_help = "\
Examples:
  sgw config unset notify")]
    Unset {
        /// Which one
        name: String,
        #[command(flatten)]
        proof: Proof,
    },
}

impl Run for Config {
    fn run(self, context: &Context) -> Outcome {
        let (request, proof) = match self.what {
            What::List { proof } => (Request::Settings {}, proof),
            What::Set { name, value, proof } => {
                (Request::Set { name, value: as_json(&value)? }, proof)
            }
            What::Unset { name, proof } => (Request::Unset { name }, proof),
        };
        let answer: Value = context.interactive(async {
            Ok(proof.open(context).await?.connect().await?.call(&request).await?)
        })?;
        let text = || match serde_json::from_value::<view::Settings>(answer.clone()) {
            Ok(settings) => views::settings(&settings.settings),
            Err(_) => String::new(),
        };
        context.ui.result(&answer, text);
        Ok(Exit::DONE)
    }
}

/// A plain word is a string; what begins like JSON must be JSON.
fn as_json(text: &str) -> Result<Value, Failure> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) if !text.trim_start().starts_with(['[', '{', '"']) => Ok(Value::from(text)),
        Err(error) => {
            let message = format!("the value is not JSON: {error}");
            Err(Failure::new(Code::UsageSetting, message, "sgw config set --help"))
        }
    }
}
