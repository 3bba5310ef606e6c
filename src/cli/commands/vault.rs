//! `sgw vault`: another passphrase, another data key, and the vault taken elsewhere.

mod export;
mod import;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::init;
use crate::{
    cli::{
        Context, Outcome, Run, Stop,
        proof::{self, Opened, Proof},
        ui::exit::Exit,
    },
    client::{Connection, Error, operator::Proven, operator::cannot_open},
    domain::{
        bytes::Bytes,
        seal::{Cost, DataKey, Header, HeaderSeed},
        secret::Secret,
    },
    home::random,
    protocol::{
        error::{Code, Failure},
        operator::{self, vault},
    },
};

/// Change the passphrase or the vault's key, and take the vault elsewhere
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw vault passphrase
  sgw vault rotate
  sgw vault export ~/sgw.export
  sgw vault import ~/sgw.export")]
pub struct Vault {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Change the passphrase
    ///
    /// The vault's key stays: whoever has an older copy of the vault opens that with the older
    /// passphrase. Where the passphrase became known to somebody, `sgw vault rotate` afterwards.
    #[command(after_help = "\
Examples:
  sgw vault passphrase
  sgw vault passphrase --passphrase-file old --new-passphrase-file new")]
    Passphrase {
        /// Read the new passphrase from this file, which nobody else may read (-: standard input)
        /// [default: ask for it]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        proof: Proof,
    },
    /// Seal the whole vault under a new key; the passphrase stays
    ///
    /// Sessions and commands go on; an open desk has to be opened anew to decide. Older copies of the vault
    /// still open with the passphrase that they had.
    #[command(after_help = "\
Examples:
  sgw vault rotate")]
    Rotate {
        #[command(flatten)]
        proof: Proof,
    },
    Export(export::Export),
    Import(import::Import),
}

impl Run for Vault {
    fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Passphrase { new_passphrase_file, proof } => {
                passphrase(context, &proof, new_passphrase_file.as_deref())
            }
            What::Rotate { proof } => rotate(context, &proof),
            What::Export(export) => export.run(context),
            What::Import(import) => import.run(context),
        }
    }
}

fn passphrase(context: &Context, proof: &Proof, new: Option<&Path>) -> Outcome {
    let changed: vault::Changed = context.interactive(async {
        let (opened, mut connection) = proven(context, proof).await?;
        let new = match new {
            Some(path) => init::checked(proof::read(path)?)?,
            None => {
                proof.can_ask(context, "the new passphrase")?;
                context.ui.say("The new passphrase:");
                init::choose(context).await?
            }
        };
        if new.expose() == opened.passphrase.expose() {
            let message = "the new passphrase is the one that it has";
            let hint = "choose another; nothing was changed";
            return Err(Failure::new(Code::OperatorPassphrase, message, hint).into());
        }
        let (header, _) = header(&new, *opened.data_key.expose())?;
        let (was, header) = (Bytes(opened.header), Bytes(header));
        call(&mut connection, vault::Request::Passphrase { was, header }).await
    })?;
    tell(context, "passphrase", &changed, "the new passphrase opens the vault");
    Ok(Exit::DONE)
}

fn rotate(context: &Context, proof: &Proof) -> Outcome {
    let changed: vault::Changed = context.interactive(async {
        let (opened, mut connection) = proven(context, proof).await?;
        let (header, data_key) = header(&opened.passphrase, drawn()?)?;
        connection.send_secret(0, KEY, data_key.expose()).await?;
        let (was, header) = (Bytes(opened.header), Bytes(header));
        call(&mut connection, vault::Request::Rotate { was, header, secret: KEY }).await
    })?;
    tell(context, "rotate", &changed, "the vault is sealed under a new key");
    Ok(Exit::DONE)
}

/// The number of the secret frame with a key.
const KEY: u32 = 1;

/// Who has proven it, and a connection for it.
async fn proven(context: &Context, proof: &Proof) -> Result<(Opened, Connection), Stop> {
    // Where no daemon runs, nothing is asked.
    proof.ready(context).await?;
    let opened = proof.opened(context).await?;
    let key = DataKey::new(*opened.data_key.expose());
    let connection = Proven::new(context.place()?, key).connect().await?;
    Ok((opened, connection))
}

/// A header that holds this data key under this passphrase, and is seen to open with it.
fn header(passphrase: &Secret<String>, data_key: [u8; 32]) -> Result<(Vec<u8>, DataKey), Failure> {
    let seed = HeaderSeed { data_key, salt: drawn()?, nonce: drawn()? };
    let (header, key) = Header::create(passphrase, Cost::USUAL, seed).map_err(cannot_open)?;
    let json = header.to_json();
    let again = Header::from_json(&json).and_then(|header| header.open(passphrase));
    match again.map_err(cannot_open)?.expose() == key.expose() {
        true => Ok((json, key)),
        false => Err(Failure::new(
            Code::DaemonFailed,
            "the new header does not hold its key",
            "nothing was changed; is this machine's memory sound?",
        )),
    }
}

fn drawn<const N: usize>() -> Result<[u8; N], Error> {
    random().map_err(Error::local("draw random bytes"))
}

async fn call<T: serde::de::DeserializeOwned>(
    connection: &mut Connection,
    request: vault::Request,
) -> Result<T, Stop> {
    Ok(connection.call(&operator::Request::Vault(request)).await?)
}

fn tell(context: &Context, did: &str, result: &impl Serialize, text: &str) {
    let mut json = json!({ "did": did });
    if let (Some(json), Ok(serde_json::Value::Object(result))) =
        (json.as_object_mut(), serde_json::to_value(result))
    {
        json.extend(result);
    }
    context.ui.result(&json, || text.to_owned());
}

/// Which passphrase an export is sealed under.
#[derive(Debug, clap::Args)]
struct ExportPassphrase {
    /// Read the export's own passphrase from this file, which nobody else may read (-: standard
    /// input) [default: ask for it]
    #[arg(long, value_name = "FILE", conflicts_with = "vault_passphrase")]
    export_passphrase_file: Option<PathBuf>,
    /// The export's passphrase is this vault's
    #[arg(long)]
    vault_passphrase: bool,
}

impl ExportPassphrase {
    /// What was said on the command line; `None` where it is to be asked for.
    fn given(&self, context: &Context, opened: &Opened) -> Result<Option<Secret<String>>, Failure> {
        if self.vault_passphrase {
            return Ok(Some(Secret::new(opened.passphrase.expose().clone())));
        }
        self.can_ask(context)?;
        self.export_passphrase_file.as_deref().map(proof::read).transpose()
    }

    /// Before anything is asked at all.
    fn can_ask(&self, context: &Context) -> Result<(), Failure> {
        if self.vault_passphrase || self.export_passphrase_file.is_some() {
            return Ok(());
        }
        if !context.ui.json && crate::cli::ui::can_prompt() {
            return Ok(());
        }
        Err(Failure::new(
            Code::OperatorProof,
            "the export's passphrase is asked for in a terminal",
            "add --export-passphrase-file FILE, or --vault-passphrase",
        ))
    }
}
