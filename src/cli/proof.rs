//! The operator's proof on the command line: the passphrase, from a file or asked for.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::{
    Context, Stop, person,
    ui::{self, prompt},
};
use crate::{
    client::operator::{self, Proven},
    domain::{
        passphrase::MAX_BYTES,
        seal::{DataKey, OpenError},
        secret::Secret,
    },
    protocol::error::{Code, Failure},
};

/// How often a passphrase is asked for.
const TRIES: u32 = 3;

#[derive(Clone, Debug, clap::Args)]
pub struct Proof {
    /// Read the passphrase from this file, which nobody else may read (-: standard input)
    /// [default: ask for it]
    #[arg(long, value_name = "FILE", help_heading = "Operator options")]
    passphrase_file: Option<PathBuf>,
}

// What needs no proof takes the flag all the same, so that scripts can pass it always.
#[derive(Clone, Debug, clap::Args)]
pub struct Unneeded {
    /// Not needed here; taken so that scripts can always pass it
    #[arg(long, value_name = "FILE", help_heading = "Operator options", hide_short_help = true)]
    passphrase_file: Option<PathBuf>,
}

/// The vault's header, opened.
pub struct Opened {
    /// As it lies in the home.
    pub header: Vec<u8>,
    pub passphrase: Secret<String>,
    pub data_key: DataKey,
}

impl Proof {
    /// Proves it, for a daemon that runs: where none does, nothing is asked.
    pub async fn open(&self, context: &Context) -> Result<Proven, Stop> {
        self.ready(context).await?;
        let data_key = self.data_key(context).await?;
        Ok(Proven::new(context.place()?, data_key))
    }

    /// Whether a person asks, and a daemon runs that can be told.
    pub async fn ready(&self, context: &Context) -> Result<(), Stop> {
        person::not_under_an_agent(context.globals.i_am_the_operator)?;
        context.operator().await?.close().await;
        Ok(())
    }

    /// Opens the vault's header.
    pub async fn data_key(&self, context: &Context) -> Result<DataKey, Stop> {
        Ok(self.opened(context).await?.data_key)
    }

    /// The same, with all that it was opened of.
    pub async fn opened(&self, context: &Context) -> Result<Opened, Stop> {
        let (header, json) = operator::header_file(&context.place()?)?;
        if let Some(passphrase) = self.given()? {
            // Half a second of work, in which Ctrl-C counts.
            let opening = tokio::task::spawn_blocking(move || {
                let data_key = header.open(&passphrase)?;
                Ok(Opened { header: json, passphrase, data_key })
            });
            let opened = opening.await.map_err(|_| {
                Failure::new(Code::DaemonFailed, "the passphrase could not be tried", "sgw")
            })?;
            return Ok(opened.map_err(operator::cannot_open)?);
        }
        let opened = |passphrase: Secret<String>| match header.open(&passphrase) {
            Ok(data_key) => Ok(Opened { header: json.clone(), passphrase, data_key }),
            Err(error) => Err(error),
        };
        self.can_ask(context, "the passphrase")?;
        // Whoever mistypes it types it again: into a question, not into a shell that shows it.
        for _ in 1..TRIES {
            match opened(prompt::password("Passphrase").await?) {
                Err(OpenError::WrongPassphrase) => context.ui.say("Wrong. Once more."),
                opened => return Ok(opened.map_err(operator::cannot_open)?),
            }
        }
        let last = prompt::password("Passphrase").await?;
        Ok(opened(last).map_err(operator::cannot_open)?)
    }

    /// Whether a person sits there who can be asked for what is missing.
    pub fn can_ask(&self, context: &Context, what: &str) -> Result<(), Failure> {
        if context.ui.json {
            let message = format!("with --json nothing is asked, and {what} is missing");
            return Err(Failure::new(Code::OperatorProof, message, "add --passphrase-file FILE"));
        }
        if ui::can_prompt() {
            return Ok(());
        }
        let message = format!("this is for the person: {what} is asked for in a terminal");
        let hint = "ask the person to run it in a terminal, or with --passphrase-file FILE";
        Err(Failure::new(Code::OperatorProof, message, hint))
    }

    /// The file that the passphrase is in, standard input's where that is one.
    pub fn file(&self) -> Option<&Path> {
        let path = self.passphrase_file.as_deref()?;
        Some(if path == Path::new("-") { Path::new("/dev/stdin") } else { path })
    }

    pub fn given(&self) -> Result<Option<Secret<String>>, Failure> {
        close_to_others()?;
        let Some(path) = &self.passphrase_file else { return Ok(None) };
        read(path).map(Some)
    }
}

/// A process that learns the passphrase, or shows what is private, is nobody's to look into: not
/// through ptrace(2) or /proc/PID/mem, nor in a core file (PR_SET_DUMPABLE, prctl(2)). Before it
/// learns anything. No limit is lowered for that: what `sgw run` starts would inherit it.
fn close_to_others() -> Result<(), Failure> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| {
        let message = format!("this process can't be closed to others: {error}");
        Failure::new(Code::OperatorProof, message, "run it on a machine whose kernel can do that")
    })
}

/// One line from a file that nobody else may read.
pub fn read(path: &Path) -> Result<Secret<String>, Failure> {
    let wrong = |message: String, hint: &str| {
        Failure::new(Code::OperatorPassphrase, format!("{}: {message}", path.display()), hint)
    };
    let unreadable = |error: io::Error| wrong(format!("can't be read: {error}"), "check the path");
    let mut bytes = Vec::with_capacity(MAX_BYTES + 2);
    if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(MAX_BYTES as u64 + 2)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
    } else {
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.mode();
        if mode & 0o077 != 0 {
            let message = format!("others may read it (mode {:04o})", mode & 0o7777);
            return Err(wrong(message, "make it yours alone: chmod 600 FILE"));
        }
        file.take(MAX_BYTES as u64 + 2).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    trim_line_end(&mut bytes);
    let text = Secret::new(bytes).into_text();
    let text = text.ok_or_else(|| wrong("it is not UTF-8".to_owned(), "one line of text"))?;
    if text.expose().is_empty() {
        return Err(wrong("it is empty".to_owned(), "one line of text"));
    }
    Ok(text)
}

/// The line's end is the editor's, not the passphrase's.
fn trim_line_end(bytes: &mut Vec<u8>) {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::PermissionsExt};

    use super::*;

    fn file(content: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_passphrase_file_is_one_line_for_one_reader() {
        for content in ["six words", "six words\n", "six words\r\n"] {
            let file = file(content.as_bytes(), 0o600);
            assert_eq!(read(file.path()).unwrap().expose(), "six words", "{content:?}");
        }
        for (content, mode) in
            [(&b"six words"[..], 0o640), (b"six words", 0o604), (b"", 0o600), (b"\xff", 0o600)]
        {
            let failure = read(file(content, mode).path()).unwrap_err();
            assert_eq!(failure.code, Code::OperatorPassphrase);
        }
    }
}
