//! `sgw run`: an agent with a token of its own, which ends with it.

mod descendants;
mod environment;
mod program;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use tokio::signal::unix::{SignalKind, signal};

use self::descendants::{Descendants, Ended};
use super::{grant::Terms, token::drawn};
use crate::{
    cli::{
        Context, Outcome, Run as Runs, Stop,
        proof::Proof,
        sandbox::Sandbox,
        ui::{Ui, prompt::Signals},
    },
    client::{self, Connection, Error},
    domain::{grant::standing::Budget, id::Name, token::TokenText},
    protocol::operator::{
        self,
        token::{Request, Shown},
    },
};

/// Run an agent with a token of its own, which ends with it
///
/// The program finds its token in SGW_TOKEN, and what would let it past sgw to SSH servers is taken out of
/// its environment: SSH_AUTH_SOCK above all. It shares your uid and your files: keys without a passphrase are
/// still within its reach. Its terminal, signals and exit status are its own; sgw's failures are 125, 126
/// (it can't be started) and 127 (it isn't there).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw run -- claude
  sgw run --target 'web-*' --for 8h -- claude --continue
  sgw run --name deploy --target prod1 --each-session --only exec -- codex
  sgw run --sandbox --write ~/.claude --write ~/.claude.json -- claude")]
pub struct Run {
    /// The token's name [default: the program's, with a number where that is taken]
    #[arg(long)]
    name: Option<String>,
    /// What it may use without a request: targets' names, or globs over them
    #[arg(long, value_name = "NAME|GLOB")]
    target: Vec<String>,
    /// Close the program in (Landlock, seccomp): it writes to its working tree and temporary files alone, reads
    /// neither ~/.ssh nor sgw's files nor other terminals, and signals and traces nothing outside; what
    /// it leaves running ends with it. Not closed: the network, Unix sockets, modes and times of files
    /// outside (chmod), and this terminal; it is told when it starts
    #[arg(long)]
    sandbox: bool,
    /// With --sandbox: it may write to this file or directory too
    #[arg(long, value_name = "PATH", requires = "sandbox")]
    write: Vec<PathBuf>,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    proof: Proof,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

impl Runs for Run {
    fn run(self, context: &Context) -> Outcome {
        let runtime = client::runtime().map_err(Error::local("start"))?;
        let outcome = runtime.block_on(self.live(context));
        runtime.shutdown_background();
        outcome
    }
}

impl Run {
    async fn live(self, context: &Context) -> Outcome {
        // Before anything is asked: where none can be made, nothing runs.
        let sandbox = self.sandbox.then(|| self.closed_in(context)).transpose()?;
        let (text, hash) = drawn()?;
        let given = |target: &String| self.terms.give(target.clone(), Budget::default());
        let request = Request::Run {
            name: self.name.clone().unwrap_or_else(|| self.usual_name()),
            exactly: self.name.is_some(),
            hash,
            expires_s: self.terms.duration(),
            grants: self.target.iter().map(given).collect(),
        };
        let (mut connection, token) = {
            let mut signals = Signals::watch().map_err(Error::local("watch for signals"))?;
            tokio::select! {
                biased;
                exit = signals.any() => return Err(Stop::Exit(exit)),
                begun = self.begin(context, request) => begun?,
            }
        };
        let ended =
            self.run_program(context, &mut connection, (&token, &text), sandbox.as_ref()).await;
        // Gone with the connection anyway; so it is gone when this returns.
        let revoke = operator::Request::Token(Request::Revoke { token: token.id });
        let _gone = tokio::time::timeout(
            std::time::Duration::from_secs(15),
            connection.call::<Shown>(&revoke),
        )
        .await;
        ended
    }

    /// The proof, and the token that lives as long as the connection.
    async fn begin(
        &self,
        context: &Context,
        request: Request,
    ) -> Result<(Connection, Shown), Stop> {
        let mut connection = self.proof.open(context).await?.connect().await?.read_ahead();
        let token: Shown = connection.call(&operator::Request::Token(request)).await?;
        token.notes.iter().for_each(|note| context.ui.note(note));
        Ok((connection, token))
    }

    async fn run_program(
        &self,
        context: &Context,
        connection: &mut Connection,
        (token, text): (&Shown, &TokenText),
        sandbox: Option<&Sandbox>,
    ) -> Outcome {
        let ui = context.ui;
        let vars: Vec<_> = std::env::vars_os().collect();
        ui.note(&format!("it is {} to sgw, until it ends", token.name));
        let removed = environment::removed(&vars);
        if !removed.is_empty() {
            ui.note(&format!("taken out of its environment: {}", removed.join(" ")));
        }
        let told = environment::told(&vars);
        if !told.is_empty() {
            ui.note(&format!("left in its environment, and good without sgw: {}", told.join(" ")));
        }
        let environment = environment::of(&vars, text.expose());
        if let Some(sandbox) = sandbox {
            sandbox
                .notes(|name| std::env::var_os(name).is_some())
                .iter()
                .for_each(|note| ui.note(note));
        }
        let family = sandbox.map(|_| Descendants::keep()).transpose();
        let family = family.map_err(Error::local("keep what the program starts"))?;
        let mut child = match program::start(&self.program, environment, sandbox) {
            Ok(child) => child,
            Err(failed) => {
                ui.failure(&failed.failure);
                return Ok(failed.exit);
            }
        };
        let mut signals = program::Passed::watch().map_err(Error::local("watch for signals"))?;
        let mut orphans = signal(SignalKind::child()).map_err(Error::local("watch for signals"))?;
        let mut daemon = true;
        loop {
            tokio::select! {
                status = child.wait() => {
                    if let Some(family) = family {
                        tell(family.end().await, ui);
                    }
                    let status = status.map_err(Error::local("wait for the program"))?;
                    return Ok(program::exit(status));
                }
                Some(()) = orphans.recv(), if family.is_some() => {
                    family.iter().for_each(|family| family.reap(child.id()));
                }
                signal = signals.next() => program::pass(&child, signal),
                _gone = connection.read(), if daemon => {
                    daemon = false;
                    ui.note("sgw's daemon has ended: the program's token is void");
                }
            }
        }
    }

    fn closed_in(&self, context: &Context) -> Result<Sandbox, Stop> {
        let directory = std::env::current_dir().map_err(Error::local("find this directory"))?;
        let secrets = [self.proof.file()].into_iter().flatten();
        let secrets: Vec<_> = secrets.map(Path::to_owned).collect();
        Ok(Sandbox::new(&directory, context.place()?.path(), &self.write, &secrets)?)
    }

    /// The program's own name, as far as it makes one.
    fn usual_name(&self) -> String {
        let path = self.program.first().map(std::path::Path::new);
        let name = path.and_then(|path| path.file_name()).unwrap_or_default();
        let plain = |one: char| {
            let one = one.to_ascii_lowercase();
            let fits = one.is_ascii_lowercase() || one.is_ascii_digit() || "._-".contains(one);
            if fits { one } else { '-' }
        };
        let name: String = name.to_string_lossy().chars().take(58).map(plain).collect();
        name.parse::<Name>().map_or_else(|_| "run".to_owned(), |name| name.to_string())
    }
}

/// What was left of a sandboxed program, if anything was.
fn tell(ended: Ended, ui: Ui) {
    let Ended { signalled, left } = ended;
    if signalled > 0 {
        ui.note(&format!("sandbox: what it had left running was ended with it ({signalled})"));
    }
    if left > 0 {
        ui.say(&format!(
            "sgw: sandbox: {left} of its processes still run and share this terminal: close it before \
             you type a passphrase"
        ));
    }
}
