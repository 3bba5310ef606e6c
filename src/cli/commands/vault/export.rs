//! `sgw vault export`: everything in one sealed file.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{ExportPassphrase, KEY, drawn, proven};
use crate::{
    cli::{Context, Outcome, Stop, commands::init, proof::Proof, ui::exit::Exit},
    client::{Connection, Error, connection, operator::cannot_open},
    domain::{
        bytes::Bytes,
        escape::visible,
        seal::{
            Cost,
            export::{Envelope, MAX_BYTES, write},
        },
    },
    protocol::{
        agent::Message,
        error::{Code, Failure},
        operator::{self, Event, vault},
    },
};

/// Write the whole vault to a file, sealed under a passphrase of its own
///
/// Settings, pinned host keys, targets, credentials, secrets, tokens and grants; not the audit and not
/// the PIN. Values leave the daemon sealed alone. The file is new, and yours alone to read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw vault export ~/sgw.export
  sgw vault export ~/sgw.export --vault-passphrase")]
pub struct Export {
    /// Where to; no file has this name yet
    file: PathBuf,
    #[command(flatten)]
    passphrase: ExportPassphrase,
    #[command(flatten)]
    proof: Proof,
}

impl Export {
    pub fn run(self, context: &Context) -> Outcome {
        let taken = || cannot(&self.file, "there is something of this name already");
        if self.file.symlink_metadata().is_ok() {
            return Err(taken().into());
        }
        self.passphrase.can_ask(context)?;
        let (file, moved) = context.interactive(async {
            let (opened, mut connection) = proven(context, &self.proof).await?;
            let passphrase = match self.passphrase.given(context, &opened)? {
                Some(passphrase) => init::checked(passphrase)?,
                None => {
                    context.ui.say("The export has a passphrase of its own.");
                    init::choose(context).await?
                }
            };
            let envelope = Envelope::new(Cost::USUAL, drawn()?);
            let key = envelope.key(&passphrase).map_err(cannot_open)?;
            connection.send_secret(0, KEY, key.expose()).await?;
            fetch(&mut connection, &envelope.head()).await
        })?;
        keep(&self.file, &file)?;
        let shown = visible(&self.file.to_string_lossy(), 400);
        let vault::Moved { records, secrets, revision, .. } = moved;
        let json = json!({
            "did": "export", "kind": "vault", "file": self.file, "bytes": file.len(),
            "revision": revision, "records": records, "secrets": secrets,
        });
        context
            .ui
            .result(&json, || format!("{shown}: {records} records and {secrets} secrets, sealed"));
        Ok(Exit::DONE)
    }
}

/// The whole file, as it is to be kept.
async fn fetch(connection: &mut Connection, head: &[u8]) -> Result<(Vec<u8>, vault::Moved), Stop> {
    let request = vault::Request::Export { head: Bytes(head.to_vec()), secret: KEY };
    let number = connection.begin(&operator::Request::Vault(request)).await?;
    let mut sealed = Vec::new();
    loop {
        let frame = connection.read().await?;
        if frame.request != number && frame.request != 0 {
            continue;
        }
        if let Ok(Event::Part { bytes }) = serde_json::from_slice(&frame.body) {
            sealed.extend(bytes.0);
            if sealed.len() > MAX_BYTES {
                return Err(Error::Odd("an export without end".to_owned()).into());
            }
            continue;
        }
        match connection::message(&frame)? {
            Message::Done { result } => {
                let moved = serde_json::from_value(result).map_err(Error::from)?;
                return Ok((write(head, &sealed), moved));
            }
            Message::Error(failure) => return Err(failure.into()),
            _ => {}
        }
    }
}

/// Writes a new file that is on the disk when it returns; half of one is removed again.
fn keep(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| cannot(path, &error.to_string()))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|error| {
        // It is ours, and of no use.
        let _ = std::fs::remove_file(path);
        cannot(path, &error.to_string())
    })
}

fn cannot(path: &Path, why: &str) -> Failure {
    let path = visible(&path.to_string_lossy(), 400);
    Failure::new(
        Code::VaultExport,
        format!("{path} can't be written: {why}"),
        "name a file that does not exist yet",
    )
}
