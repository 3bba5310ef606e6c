//! `sgw ssh`: the stock client, through sgw.

use std::{
    ffi::{OsStr, OsString},
    io::ErrorKind,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::Path,
    process::Stdio,
};

use serde_json::json;

use super::proxy;
use crate::{
    cli::{Context, Outcome, Run, openssh::Files, ui::exit::Exit},
    protocol::error::{Code, Failure},
};

/// Has ssh show what a server says aside (SSH_MSG_DEBUG): of a refused -R it shows nothing else. Since OpenSSH 8.5.
const ASIDE: &str = "LogVerbose=packet.c:ssh_packet_read_poll_seqnr():*";

/// Run ssh through sgw
///
/// What follows is ssh's own. Its status is the remote command's; sgw's own refusals are sentences on
/// stderr, and 75 or 77 as everywhere. With --env it prints what git, rsync and ansible want instead.
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
        let mut options = vec![OsStr::new("-F"), files.alone.as_os_str()];
        if may_listen(&self.words) {
            options.extend([OsStr::new("-o"), OsStr::new(ASIDE)]);
            if configured(&options, &self.words).is_none() {
                options.truncate(2);
            }
        }
        // What ssh would say of a refusal is 255, whatever it is.
        let way = configured(&options, &self.words);
        if let Some((destination, port)) = way.as_deref().and_then(way_in) {
            proxy::try_first(context, destination, port)?;
        }
        // ssh asks for it only where it has an agent, which it is not given.
        if way.is_some_and(|way| way.lines().any(|line| line == "forwardagent yes")) {
            context.ui.note("your ssh agent is not forwarded through sgw");
        }
        let mut ssh = std::process::Command::new("ssh");
        // It comes back only where ssh could not be started.
        let error = ssh.args(&options).args(&self.words).exec();
        let (message, hint) = match error.kind() {
            ErrorKind::NotFound => {
                ("there is no ssh on this machine".to_owned(), "install OpenSSH")
            }
            _ => (format!("ssh could not be started: {error}"), "which ssh"),
        };
        Err(Failure::new(Code::UsageCommand, message, hint).into())
    }
}

/// What ssh makes of its words, as ssh -G prints it; `None` where it would connect to nothing.
fn configured(options: &[&OsStr], words: &[OsString]) -> Option<String> {
    let asks_ssh_alone = |word: &OsString| {
        ["-G", "-V", "-Q", "-O"].iter().any(|flag| word.as_bytes().starts_with(flag.as_bytes()))
    };
    if words.iter().any(asks_ssh_alone) {
        return None;
    }
    let mut ssh = std::process::Command::new("ssh");
    ssh.arg("-G").args(options).args(words).stdin(Stdio::null()).stderr(Stdio::null());
    let told = ssh.output().ok().filter(|told| told.status.success())?;
    String::from_utf8(told.stdout).ok()
}

/// Where that leads to through sgw, unless a connection that is there already does (ControlPath).
fn way_in(configured: &str) -> Option<(String, Option<u16>)> {
    let value = |name: &str| {
        let mut settings = configured.lines().filter_map(|line| line.split_once(' '));
        settings.find(|(setting, _)| *setting == name).map(|(_, value)| value)
    };
    let is_ours = value("proxycommand")?.contains(" proxy --pass-fd -- ");
    let is_shared = value("controlpath").is_some_and(|path| path != "none");
    if !is_ours || is_shared {
        return None;
    }
    let host = value("host").or_else(|| value("hostname"))?;
    Some((format!("{}@{host}", value("user")?), value("port")?.parse().ok()))
}

/// Whether the server may be asked to listen; more often than that does no harm.
fn may_listen(words: &[OsString]) -> bool {
    words.iter().any(|word| {
        let bytes = word.as_bytes().to_ascii_lowercase();
        word.as_bytes().starts_with(b"-") && word.as_bytes().contains(&b'R')
            || bytes.windows(13).any(|part| part == b"remoteforward")
    })
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
