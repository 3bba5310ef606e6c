//! `sgw completions`: scripts that ask this program, and its answers to them.

use std::{io::Write, time::Duration};

use clap_complete::{
    CompletionCandidate,
    engine::ArgValueCandidates,
    env::{CompleteEnv, EnvCompleter, Shells},
};

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit},
    client::{self, Error, Place},
    protocol::{
        agent::{Completable, Request},
        error::{Code, Failure},
        view::Candidates,
    },
};

/// Set by the scripts in the programs that they ask.
const VARIABLE: &str = "COMPLETE";
/// A person presses Tab and waits no longer than this.
const PATIENCE: Duration = Duration::from_millis(300);

/// Print the completion script for a shell
///
/// It completes commands and flags, and asks the daemon for sessions and ids.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw completions bash > ~/.local/share/bash-completion/completions/sgw
  sgw completions zsh > \"${fpath[1]}/_sgw\"
  sgw completions fish > ~/.config/fish/completions/sgw.fish")]
pub struct Completions {
    /// Which shell
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

impl Run for Completions {
    fn run(self, context: &Context) -> Outcome {
        context.ui.bytes(&script(&self.shell)?);
        Ok(Exit::DONE)
    }
}

/// The script of a shell.
pub fn script(shell: &str) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| Failure::new(Code::UsageArguments, why, "sgw completions --help");
    let shells = Shells::builtins();
    let shell = shells.completer(shell).ok_or_else(|| failed(format!("no script for {shell}")))?;
    let mut script = Vec::new();
    write(shell, &mut script).map_err(|error| failed(error.to_string()))?;
    Ok(script)
}

fn write(shell: &dyn EnvCompleter, script: &mut dyn Write) -> std::io::Result<()> {
    shell.write_registration(VARIABLE, "sgw", "sgw", "sgw", script)
}

/// Answers a completion script; false where none asks.
pub fn answers() -> bool {
    if std::env::var_os(VARIABLE).is_none_or(|value| value.is_empty()) {
        return false;
    }
    let directory = std::env::current_dir().ok();
    let complete = CompleteEnv::with_factory(|| crate::cli::command(None)).var(VARIABLE);
    // What can't be completed is completed to nothing.
    complete.try_complete(std::env::args_os(), directory.as_deref()).unwrap_or(true)
}

/// Candidates for an argument that takes ids.
pub fn ids(what: &'static str) -> ArgValueCandidates {
    let what = match what {
        "sessions" => Completable::Sessions,
        "execs" => Completable::Execs,
        "requests" => Completable::Requests,
        _ => Completable::Any,
    };
    ArgValueCandidates::new(move || candidates(what).unwrap_or_default())
}

fn candidates(what: Completable) -> Result<Vec<CompletionCandidate>, Error> {
    let place = Place::find(std::env::var_os("SGW_HOME"))?;
    let runtime = client::runtime().map_err(Error::local("start"))?;
    let asked = async {
        let request = Request::Complete { what };
        place.agent(None).await?.call::<Candidates>(&request).await
    };
    let found = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    runtime.shutdown_background();
    let found = found.unwrap_or(Err(Error::Silent))?;
    let shown = |about: &str| (!about.is_empty()).then(|| about.to_owned().into());
    Ok(found
        .candidates
        .into_iter()
        .map(|one| CompletionCandidate::new(one.word).help(shown(&one.about)))
        .collect())
}
