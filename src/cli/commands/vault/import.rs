//! `sgw vault import`: an exported vault comes in, whole or not at all.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{ExportPassphrase, KEY, call, proven};
use crate::{
    cli::{
        Context, Outcome, Stop,
        proof::Proof,
        ui::{exit::Exit, prompt},
    },
    client::operator::cannot_open,
    domain::{
        bytes::Bytes,
        escape::visible,
        seal::{
            OpenError,
            export::{ExportError, MAX_BYTES, read},
        },
    },
    protocol::{
        error::{Code, Failure},
        operator::vault,
    },
};

/// Take in what `sgw vault export` wrote
///
/// What is here under the same name and is other stops all of it. Settings are taken only with
/// --replace, by which the vault becomes what the export is and keeps its passphrase, PIN and audit.
/// Tokens, grants and settings that come in are named; on a terminal you see them first, and are asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw vault import ~/sgw.export
  sgw vault import ~/sgw.export --replace --yes")]
pub struct Import {
    /// What `sgw vault export` wrote
    file: PathBuf,
    /// Remove what is here, and take the export's settings too
    #[arg(long)]
    replace: bool,
    /// Don't ask whether everything here may be replaced, or authority come in
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    passphrase: ExportPassphrase,
    #[command(flatten)]
    proof: Proof,
}

impl Import {
    pub fn run(self, context: &Context) -> Outcome {
        let file = file(&self.file)?;
        let parts = read(&file).map_err(|error| refused(&self.file, &error))?;
        self.passphrase.can_ask(context)?;
        let moved: vault::Moved = context.interactive(async {
            self.can_be_sure(context)?;
            let (opened, mut connection) = proven(context, &self.proof).await?;
            let passphrase = match self.passphrase.given(context, &opened)? {
                Some(passphrase) => passphrase,
                None => prompt::password("The export's passphrase").await?,
            };
            let key = match parts.envelope.key(&passphrase) {
                Err(OpenError::Damaged(_)) => Err(refused(&self.file, &ExportError::Damaged)),
                made => made.map_err(cannot_open),
            }?;
            let mut import = async |look| {
                connection.send_secret(0, KEY, key.expose()).await?;
                let mut numbers = Vec::new();
                for (number, part) in (KEY + 1..).zip(parts.sealed.chunks(2 * vault::PART_BYTES)) {
                    connection.send_secret(0, number, part).await?;
                    numbers.push(number);
                }
                let (head, replace) = (Bytes(parts.head.to_vec()), self.replace);
                let (secret, parts) = (KEY, numbers);
                let request = vault::Request::Import { head, secret, parts, replace, look };
                call(&mut connection, request).await
            };
            if self.asks(context) {
                self.sure(context, import(true).await?).await?;
            }
            import(false).await
        })?;
        let vault::Moved { records, secrets, revision, came, went, .. } = moved;
        let json = json!({
            "did": "import", "kind": "vault", "file": self.file, "replaced": self.replace,
            "revision": revision, "records": records, "secrets": secrets,
            "came": came, "went": went,
        });
        context.ui.result(&json, || {
            let first = format!("{records} records and {secrets} secrets came in");
            std::iter::once(first).chain(lines(&came, &went)).collect::<Vec<_>>().join("\n")
        });
        Ok(Exit::DONE)
    }

    /// A person is asked before anything is replaced, and before anybody is given authority.
    fn asks(&self, context: &Context) -> bool {
        !self.yes && !context.ui.json && crate::cli::ui::can_prompt()
    }

    fn can_be_sure(&self, context: &Context) -> Result<(), Failure> {
        if !self.replace || self.yes || self.asks(context) {
            return Ok(());
        }
        let message = "everything here would be replaced";
        Err(Failure::new(Code::OperatorProof, message, "add --yes"))
    }

    async fn sure(&self, context: &Context, would: vault::Moved) -> Result<(), Stop> {
        lines(&would.came, &would.went).for_each(|line| context.ui.note(&line));
        let question = match (self.replace, would.came.is_empty()) {
            (true, _) => "Replace every target, secret, token, grant and setting here?",
            (false, false) => "Take it in, with these?",
            (false, true) => return Ok(()),
        };
        match prompt::confirm(question).await? {
            true => Ok(()),
            false => Err(Stop::Exit(Exit::FAILED)),
        }
    }
}

/// Whom an import gives authority, and whose it takes.
fn lines(came: &[String], went: &[String]) -> impl Iterator<Item = String> {
    let told = |what: &'static str, all: &[String]| {
        let line = |one: &String| format!("{what}: {}", visible(one, 400));
        all.iter().map(line).collect::<Vec<_>>()
    };
    told("goes", went).into_iter().chain(told("comes in", came))
}

fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |why: &str| {
        let shown = visible(&path.to_string_lossy(), 400);
        Failure::new(Code::VaultExport, format!("{shown} can't be read: {why}"), "check the path")
    };
    let opened = File::open(path).map_err(|error| unreadable(&error.to_string()))?;
    let mut file = Vec::new();
    opened
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut file)
        .map_err(|error| unreadable(&error.to_string()))?;
    match file.len() > MAX_BYTES {
        true => Err(unreadable("it is larger than any export")),
        false => Ok(file),
    }
}

fn refused(path: &Path, error: &ExportError) -> Failure {
    let hint = match error {
        ExportError::Kind => "sgw vault export writes one",
        ExportError::UnknownVersion(_) => "use the sgw that wrote it, or a newer one",
        ExportError::Damaged => "take another copy of it",
    };
    let shown = visible(&path.to_string_lossy(), 400);
    Failure::new(Code::VaultExport, format!("{shown}: {error}"), hint)
}
