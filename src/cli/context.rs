//! What every command is given: how to speak, where the daemon is, who calls.

use std::{io::Read, os::unix::fs::MetadataExt, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Stop,
    ui::{self, Ui, prompt::Signals},
    values,
};
use crate::{
    client::{self, Connection, Error, Place},
    domain::secret::Secret,
    protocol::error::{Code, Failure},
};

/// How long a call waits for a person where nobody sits at the terminal: shorter than the patience of
/// any agent's shell tool.
const PATIENCE: Duration = Duration::from_secs(45);
/// The most bytes of a token, or of the file that holds it.
const TOKEN_FILE: usize = 4096;

// Flags that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Globals {
    /// Print the result, or the error, as one JSON object on stdout
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// No notes and hints on stderr; errors stay
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// I am the person this machine belongs to, though an agent's program started me
    #[arg(long, global = true, help_heading = "Global options")]
    pub i_am_the_operator: bool,
}

pub struct Context {
    pub ui: Ui,
    pub globals: Globals,
}

impl Context {
    pub fn place(&self) -> Result<Place, Error> {
        Place::find(std::env::var_os("SGW_HOME"))
    }

    /// Runs the command's future to its end. Threads that still read are left behind, not waited for.
    pub fn block_on<T>(
        &self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let runtime = client::runtime().map_err(Error::local("start"))?;
        let result = runtime.block_on(future);
        runtime.shutdown_background();
        Ok(result?)
    }

    /// For commands that ask the person: a signal ends them wherever they are, and what they hold (the
    /// terminal's modes first of all) is put back on the way out.
    pub fn interactive<T>(&self, future: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        let runtime = client::runtime().map_err(Error::local("start"))?;
        let result = runtime.block_on(async {
            let mut signals = Signals::watch().map_err(Error::local("watch for signals"))?;
            tokio::select! {
                biased;
                exit = signals.any() => Err(Stop::Exit(exit)),
                result = future => result,
            }
        });
        runtime.shutdown_background();
        result
    }

    /// A greeted connection to the agents' socket.
    pub async fn agent(&self) -> Result<Connection, Error> {
        self.place()?.agent(token()?).await
    }

    /// A greeted connection to the operator's socket, without proof.
    pub async fn operator(&self) -> Result<Connection, Error> {
        self.place()?.operator().await
    }

    /// One question to the operator's socket, without proof.
    pub async fn ask<Reply: DeserializeOwned>(
        &self,
        request: &impl Serialize,
    ) -> Result<Reply, Error> {
        self.place()?.ask(request).await
    }
}

/// The agent's token, where it has one.
pub fn token() -> Result<Option<Secret<String>>, Failure> {
    let invalid = |message: String| {
        Failure::new(Code::TokenInvalid, message, "check SGW_TOKEN and SGW_TOKEN_FILE")
    };
    let text = if let Some(token) = std::env::var_os("SGW_TOKEN") {
        token.into_string().map_err(|_| invalid("SGW_TOKEN is not text".to_owned()))?
    } else if let Some(file) = std::env::var_os("SGW_TOKEN_FILE") {
        read_token(&file)
            .map_err(|error| invalid(format!("SGW_TOKEN_FILE can't be read: {error}")))?
    } else {
        return Ok(None);
    };
    let text = Secret::new(text);
    // An unfilled variable is a mistake, and must not make the caller another one.
    if text.expose().trim().is_empty() {
        return Err(invalid("the token is empty".to_owned()));
    }
    let trimmed = text.expose().trim();
    if trimmed.len() > TOKEN_FILE {
        return Err(invalid("that is no token: it is too long".to_owned()));
    }
    Ok(Some(Secret::new(trimmed.to_owned())))
}

/// Some lines at most: what is longer holds no token.
fn read_token(file: &std::ffi::OsStr) -> std::io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(file)?;
    let metadata = file.metadata()?;
    // As ssh has it of keys: who can't change the mode, where a container put the file, is not asked to.
    let mine = metadata.uid() == rustix::process::geteuid().as_raw();
    if mine && metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(std::io::Error::other(format!(
            "others may read it (mode {mode:04o}): chmod 600 FILE"
        )));
    }
    file.take(TOKEN_FILE as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

// How long this call stays.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Patience {
    /// How long this call waits for a person or a result, like 90s or 5m; what was begun goes on
    /// [default: 45s where stderr is no terminal, without end where it is; exec waits so for a person
    /// alone, and for its command without end]
    #[arg(long, value_name = "DUR", value_parser = values::duration, allow_hyphen_values = true)]
    pub wait: Option<Duration>,
    /// The same as --wait 0
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
}

impl Patience {
    /// What was said on the command line.
    pub fn said(&self) -> Option<Duration> {
        if self.no_wait { Some(Duration::ZERO) } else { self.wait }
    }

    /// What holds: the flag, `SGW_WAIT`, or the default. `None` is without end.
    pub fn holds(&self) -> Result<Option<Duration>, Failure> {
        if let Some(said) = self.said() {
            return Ok(Some(said));
        }
        if let Some(text) = variable("SGW_WAIT")? {
            return values::duration(&text)
                .map(Some)
                .map_err(|error| bad_variable("SGW_WAIT", &error));
        }
        Ok((!ui::stderr_is_terminal()).then_some(PATIENCE))
    }
}

// Whether a person may be asked at all.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Asking {
    /// Fail at once where a person would have to be asked (77, approval.required)
    #[arg(long)]
    pub no_ask: bool,
}

impl Asking {
    pub fn never(&self) -> bool {
        self.no_ask || std::env::var_os("SGW_ASK").is_some_and(|value| value == "never")
    }
}

/// An environment variable as text; empty counts as unset.
pub fn variable(name: &'static str) -> Result<Option<String>, Failure> {
    match std::env::var_os(name).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => {
            value.into_string().map(Some).map_err(|_| bad_variable(name, "it is not text"))
        }
    }
}

pub fn bad_variable(name: &str, why: &str) -> Failure {
    let message = format!("the environment's {name}: {why}");
    Failure::new(Code::UsageArguments, message, format!("unset {name}"))
}

/// A session as given, or the default of `SGW_SESSION`.
pub fn session_or_default(given: Option<String>) -> Result<String, Failure> {
    match given {
        Some(session) => Ok(session),
        None => variable("SGW_SESSION")?.ok_or_else(|| {
            let message = "no session was named, and SGW_SESSION is not set";
            Failure::new(Code::UsageArguments, message, "sgw sessions")
        }),
    }
}

pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
