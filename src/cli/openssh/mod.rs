//! What a stock OpenSSH client is given so that it goes through sgw: configurations that name no key and
//! no agent, the daemon's host key, and the line that includes them.

mod include;
mod text;

pub use include::{include, is_included, take_out};
pub use text::quoted;

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use text::{Reach, configuration};

use super::Context;
use crate::{
    client::Error,
    home::{Home, HomeError},
    protocol::{
        agent::Request,
        error::{Code, Failure},
        ssh::Configuration,
    },
};

/// The files, as they are for one identity now.
pub struct Files {
    /// For a line in the user's own configuration: sgw's targets, and nothing else.
    pub included: PathBuf,
    /// For `ssh -F`: sgw's targets, and then the user's own configuration.
    pub beside: PathBuf,
    /// For `ssh -F`: whatever is named goes through sgw.
    pub alone: PathBuf,
    /// What stands in the first of them.
    pub text: String,
    pub configuration: Configuration,
}

impl Files {
    /// Asks the daemon, and writes what has changed.
    pub async fn write(context: &Context) -> Result<Self, Error> {
        let place = context.place()?;
        let configuration: Configuration =
            context.agent().await?.call(&Request::SshConfig {}).await?;
        let program = std::env::current_exe().map_err(Error::local("find this program"))?;
        // A service has one home for all, which is not the caller's.
        let own = place.service().is_none() && std::env::var_os("SGW_HOME").is_some();
        let directory = directory(own.then(|| place.path()))?;
        let known_hosts = directory.path_of("known_hosts");
        let text = |reach| configuration_text(&configuration, &program, &known_hosts, reach);
        let included = text(Reach::Targets)?;
        let name = configuration.identity.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let put = |file: &str, text: &str| {
            let path = directory.path_of(file);
            put(&path, text).map(|()| path).map_err(Error::local("write an ssh configuration"))
        };
        put("known_hosts", &format!("{} {}\n", text::ALIAS, configuration.host_key))?;
        Ok(Self {
            included: put(&format!("{name}.config"), &included)?,
            beside: put(&format!("{name}.beside"), &text(Reach::Beside)?)?,
            alone: put(&format!("{name}.alone"), &text(Reach::All)?)?,
            text: included,
            configuration,
        })
    }
}

fn configuration_text(
    of: &Configuration,
    program: &Path,
    known_hosts: &Path,
    reach: Reach,
) -> Result<String, Failure> {
    configuration(of, program, known_hosts, reach).ok_or_else(|| {
        let message = "the path of sgw, or of its files, has a character that ssh can't be told";
        Failure::new(Code::UsageHome, message, "put sgw where paths are plain text")
    })
}

/// Ours alone, and writable: the usual one, or where a sandbox closes it, one that goes with the login.
fn directory(instance: Option<&Path>) -> Result<Home, Error> {
    let home = directories::BaseDirs::new().map(|base| base.home_dir().join(".ssh/sgw"));
    let usual = instance.map(|path| path.join("ssh")).or(home);
    let runtime =
        std::env::var_os("XDG_RUNTIME_DIR").map(|path| PathBuf::from(path).join("sgw-ssh"));
    let uid = rustix::process::geteuid().as_raw();
    let last = std::env::temp_dir().join(format!("sgw-ssh-{uid}"));
    let mut why: Option<HomeError> = None;
    for path in usual.into_iter().chain(runtime).chain([last]) {
        match Home::open_or_create(&path) {
            Ok(directory) if is_writable(&path) => return Ok(directory),
            Ok(_) => {}
            Err(error) => why = why.or(Some(error)),
        }
    }
    let closed = || Error::Local {
        action: "find a directory for ssh's files",
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    Err(why.map_or_else(closed, Error::Home))
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Whole or not at all, and only where it is other than before: many may do so at once.
fn put(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| {
        // What could not be finished is no use to anybody.
        let _ = fs::remove_file(&new);
    })
}
