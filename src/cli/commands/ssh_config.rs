//! `sgw ssh-config`: what a stock SSH client needs to know to go through sgw.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    cli::{
        Context, Outcome, Run,
        openssh::{self, Files},
        resolve::account::Account,
        ui::exit::Exit,
    },
    client::Error,
    protocol::error::{Code, Failure},
};

/// Print an ssh_config that leads through sgw
///
/// For your targets, and for any name that ends in .sgw: no keys, no agent, the daemon's own host key
/// pinned. With --install one line in ~/.ssh/config includes it, and ssh, scp, sftp, rsync and git use
/// your targets as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw ssh-config
  sgw ssh-config --install
  sgw ssh-config --uninstall")]
pub struct SshConfig {
    /// Include it in ~/.ssh/config, once, before everything else; run it again when you have new targets
    #[arg(long, conflicts_with = "uninstall")]
    install: bool,
    /// Take that line out again
    #[arg(long)]
    uninstall: bool,
}

impl Run for SshConfig {
    fn run(self, context: &Context) -> Outcome {
        let ui = context.ui;
        let config = users_own()?;
        if self.uninstall {
            let was = openssh::take_out(&config).map_err(Error::local("write ~/.ssh/config"))?;
            let told = if was { "taken out of" } else { "there was nothing of sgw's in" };
            let shown = json!({"config": &config, "installed": false});
            ui.result(&shown, || format!("{told} {}", config.display()));
            return Ok(Exit::DONE);
        }
        let files = context.block_on(Files::write(context))?;
        if self.install {
            let included = openssh::quoted(&files.included).ok_or_else(odd_path)?;
            let included = openssh::include(&config, &included)
                .map_err(Error::local("write ~/.ssh/config"))?;
            let told = if included { "included in" } else { "it is already included in" };
            let shown = json!({"config": &config, "installed": true});
            ui.result(&shown, || format!("{told} {}", config.display()));
            return Ok(Exit::DONE);
        }
        let shown = json!({
            "identity": files.configuration.identity,
            "host_key": files.configuration.host_key,
            "hosts": files.configuration.hosts,
            "config": &files.included,
            "installed": openssh::is_included(&config),
        });
        ui.result(&shown, || files.text);
        Ok(Exit::DONE)
    }
}

/// Where ssh looks, which asks the user database and not `$HOME`.
fn users_own() -> Result<PathBuf, Failure> {
    let home = Account::current().home;
    if home.is_absolute() {
        return Ok(home.join(".ssh/config"));
    }
    let message = "this account has no home directory";
    Err(Failure::new(Code::UsageHome, message, "use sgw ssh DEST, or ssh -F with sgw ssh --env"))
}

fn odd_path() -> Failure {
    let message = "the path of sgw's files has a character that ssh can't be told";
    Failure::new(Code::UsageHome, message, "put sgw where paths are plain text")
}
