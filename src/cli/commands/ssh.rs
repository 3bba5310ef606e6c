//! `sgw ssh`: the stock client, through sgw.

use std::{ffi::OsString, io::ErrorKind, os::unix::process::CommandExt, path::Path};

use serde_json::json;

use crate::{
    cli::{Context, Outcome, Run, openssh::Files, ui::exit::Exit},
    protocol::error::{Code, Failure},
};

/// Run ssh through sgw
///
/// What follows is ssh's own. Its status is the remote command's; sgw's own refusals are sentences on
/// stderr. With --env it prints what git, rsync and ansible want instead.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  sgw ssh web1 uptime
  sgw ssh -L 5432:localhost:5432 -N web1
  eval \"$(sgw ssh --env)\"; rsync -a site/ web1:/srv/site/")]
pub struct Ssh {
    /// Print variables for git, rsync and ansible, for a shell's eval
    #[arg(long, conflicts_with = "words")]
    env: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// What ssh takes: options, the destination, a command
    #[arg(
        value_name = "SSH-ARG",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_hint = clap::ValueHint::Unknown
    )]
    words: Vec<OsString>,
}

impl Run for Ssh {
    fn run(self, context: &Context) -> Outcome {
        if self.words.is_empty() && !self.env {
            let message = "there is no destination";
            let failure = Failure::new(Code::UsageArguments, message, "sgw ssh DEST [COMMAND…]");
            return Err(failure.into());
        }
        let files = context.block_on(Files::write(context))?;
        if self.env {
            return print(context, &files.beside);
        }
        let mut ssh = std::process::Command::new("ssh");
        // It comes back only where ssh could not be started.
        let error = ssh.arg("-F").arg(&files.alone).args(&self.words).exec();
        let (message, hint) = match error.kind() {
            ErrorKind::NotFound => {
                ("there is no ssh on this machine".to_owned(), "install OpenSSH")
            }
            _ => (format!("ssh could not be started: {error}"), "which ssh"),
        };
        Err(Failure::new(Code::UsageCommand, message, hint).into())
    }
}

/// The variables by which programs find their ssh.
fn print(context: &Context, config: &Path) -> Outcome {
    let Some(path) = config.to_str().filter(|path| !path.contains(['\'', '"'])) else {
        let message = "the path of sgw's files has a character that no shell can be told";
        let hint = "put sgw where paths are plain text";
        return Err(Failure::new(Code::UsageHome, message, hint).into());
    };
    let ssh = format!("ssh -F \"{path}\"");
    let ansible = format!("-F \"{path}\" -o ControlMaster=auto -o ControlPersist=60s");
    let variables =
        [("GIT_SSH_COMMAND", &ssh), ("RSYNC_RSH", &ssh), ("ANSIBLE_SSH_ARGS", &ansible)];
    let shown: serde_json::Map<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    context.ui.result(&shown, || {
        let lines = variables.iter().map(|(name, value)| format!("export {name}='{value}'"));
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(Exit::DONE)
}
