//! A private key from its file, with its passphrase from another file or asked for.

use std::{io, path::Path};

use ssh_key::PrivateKey;

use crate::{
    cli::{
        Context, Stop,
        resolve::{
            keys::{self, EncryptedKey, LoadedKey},
            password,
        },
        ui::{self, prompt},
    },
    domain::escape::visible_bytes,
    protocol::error::{Code, Failure},
};

/// How often a passphrase is asked for.
const TRIES: usize = 3;

/// Loads it; what is wrong with it is told under `code`.
pub async fn load(
    context: &Context,
    path: &Path,
    passphrase: Option<&Path>,
    code: Code,
) -> Result<PrivateKey, Stop> {
    let unusable = |message: String| Failure::new(code, message, "give another --identity FILE");
    let loaded = keys::load(path).map_err(|error| unusable(error.to_string()))?;
    let encrypted = match loaded {
        LoadedKey::Ready(key) => return Ok(key),
        LoadedKey::Encrypted(encrypted) => encrypted,
    };
    let passphrase = match passphrase {
        Some(file) => password::read(file, &mut io::stdin().lock())
            .map_err(|error| unusable(error.to_string()))?,
        None if context.ui.json || !ui::can_prompt() => {
            let message = format!("{} has a passphrase of its own", shown(path));
            let hint = "add --identity-passphrase-file FILE";
            return Err(Failure::new(code, message, hint).into());
        }
        None => return unlocked(context, path, &encrypted).await,
    };
    let message = |error: keys::KeyError| unusable(format!("{}: {error}", shown(path)));
    Ok(encrypted.decrypt(&passphrase).map_err(message)?)
}

/// Asks for a key's passphrase until it fits. No other question comes in between: what is typed
/// once more would answer that one.
async fn unlocked(
    context: &Context,
    path: &Path,
    encrypted: &EncryptedKey,
) -> Result<PrivateKey, Stop> {
    for _ in 0..TRIES {
        let passphrase = prompt::password(&format!("Passphrase of {}", shown(path))).await?;
        match encrypted.decrypt(&passphrase) {
            Ok(key) => return Ok(key),
            Err(error) => context.ui.say(&format!("{}: {error}", shown(path))),
        }
    }
    let message = format!("{TRIES} passphrases of {} were wrong", shown(path));
    Err(Failure::new(Code::OperatorProof, message, "sgw approve ID").into())
}

fn shown(path: &Path) -> String {
    visible_bytes(path.as_os_str().as_encoded_bytes(), 200)
}
