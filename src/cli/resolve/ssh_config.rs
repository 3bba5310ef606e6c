//! What the operator's ssh_config says of a destination, by asking `ssh -G`, which knows that format
//! best. It runs nothing that the configuration names, and sends nothing.

use std::{
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncReadExt, process::Command};

use crate::domain::{
    escape,
    target::{Destination, MAX_HOPS, NotARoute},
};

use super::{
    account::Account,
    file::FileError,
    look_through::{Line, look_through},
};

/// `ssh -G` takes milliseconds; a hanging network home directory must not hang the prompt.
const TIME_LIMIT: Duration = Duration::from_secs(5);
const MAX_OUTPUT: u64 = 1 << 20;
const MAX_COMPLAINT: u64 = 8 << 10;

/// Which files ssh reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// `~/.ssh/config` and `/etc/ssh/ssh_config`.
    Usual,
    /// `ssh -F FILE`: this file and what it includes, and no other.
    File(PathBuf),
}

/// A line of a configuration file, escaped and cut so that it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: PathBuf,
    pub line: usize,
    pub text: String,
}

impl Place {
    pub fn new(file: &Path, line: usize, text: &str) -> Self {
        Self { file: file.to_owned(), line, text: escape::visible(text.trim(), 160) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}", shown(&self.file), self.line, self.text)
    }
}

fn shown(path: &Path) -> String {
    escape::visible_bytes(path.as_os_str().as_encoded_bytes(), 200)
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("ssh_config would run a program to choose its settings, and sgw runs none ({place})")]
    MatchExec { place: Place },
    #[error(
        "ssh_config has a {keyword} for {host}, and sgw runs none ({})",
        .place.as_ref().map_or_else(|| value.clone(), Place::to_string)
    )]
    Runs { keyword: &'static str, host: String, value: String, place: Option<Place> },
    #[error("{}: {error}", shown(path))]
    File { path: PathBuf, error: FileError },
    #[error("{} can be written by others, so ssh and sgw don't trust it", shown(path))]
    Writable { path: PathBuf },
    #[error("{} includes more files than sgw follows", shown(path))]
    TooMuch { path: PathBuf },
    #[error("ssh -G refused: {0}")]
    Ssh(String),
    #[error("ssh -G took longer than 5 seconds")]
    TimeLimit,
    #[error("ssh -G printed what sgw can't read: {0}")]
    Output(&'static str),
    #[error("ssh can't be run: {0}")]
    Run(std::io::Error),
    #[error("ProxyJump `{0}` is not a list of [USER@]HOST[:PORT]")]
    Jump(String),
    #[error("ssh_config leads over more than {MAX_HOPS} machines, or in a circle: {0}")]
    TooFar(String),
    #[error("ssh_config leads to {0}, which sgw does not connect to: {1}")]
    Route(String, NotARoute),
}

/// What `ssh -G` says of one machine, as printed: `~` and tokens in file names are not expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    pub user: String,
    pub identity_files: Vec<String>,
    pub certificate_files: Vec<String>,
    pub identities_only: bool,
    pub identity_agent: Option<String>,
    pub proxy_jump: Option<String>,
    pub host_key_alias: Option<String>,
    /// The user's files, then the system's.
    pub known_hosts: Vec<String>,
}

/// Asks `ssh -G`. Made anew for each question to the operator, since files change.
#[derive(Debug)]
pub struct Resolver {
    pub account: Account,
    sources: Sources,
    /// `None`: no ssh in PATH, and so no ssh_config.
    ssh: Option<PathBuf>,
    lines: Vec<Line>,
}

impl Resolver {
    pub fn new(sources: Sources, account: Account) -> Result<Self, ConfigError> {
        let ssh = find_ssh(account.variable("PATH").unwrap_or_default());
        let lines = if ssh.is_some() { look_through(&sources, &account)? } else { Vec::new() };
        let sources = match sources {
            // Whatever its name is: `-F none` would mean no file at all.
            Sources::File(path) => Sources::File(std::path::absolute(&path).unwrap_or(path)),
            usual => usual,
        };
        Ok(Self { account, sources, ssh, lines })
    }

    /// Whether settings come from ssh_config; without an ssh they are the defaults.
    pub fn has_ssh(&self) -> bool {
        self.ssh.is_some()
    }

    /// Lines that ask for DNS while ssh resolves a name; sgw leaves that out.
    pub fn left_out(&self) -> impl Iterator<Item = &Place> {
        let canonical = |line: &&Line| line.keyword.starts_with("canonicalize");
        self.lines.iter().filter(canonical).map(|line| &line.place)
    }

    /// The names that Host lines have, without patterns, in the order of the files.
    pub fn hosts(&self) -> Vec<&str> {
        let lines = self.lines.iter().filter(|line| line.keyword == "host");
        let names = lines.flat_map(|line| &line.arguments).map(String::as_str);
        let mut hosts: Vec<&str> = Vec::new();
        for name in names.filter(|name| !name.contains(['*', '?', '!'])) {
            if !hosts.contains(&name) {
                hosts.push(name);
            }
        }
        hosts
    }

    /// The settings for `destination`. `via` is set where ssh would say `-J via`, which overrides what
    /// the configuration says of jumps and proxies.
    pub async fn settings(
        &self,
        destination: &Destination,
        via: Option<&str>,
    ) -> Result<Settings, ConfigError> {
        let Some(ssh) = &self.ssh else { return Ok(self.defaults(destination)) };
        let printed = run(self.command(ssh, destination, via)).await?;
        let settings = Printed(&printed);
        for (keyword, name) in
            [("proxycommand", "ProxyCommand"), ("knownhostscommand", "KnownHostsCommand")]
        {
            self.refuse(&settings, keyword, name, destination)?;
        }
        if settings.one("permitlocalcommand") == Some("yes") {
            self.refuse(&settings, "localcommand", "LocalCommand", destination)?;
        }
        settings.read()
    }

    fn refuse(
        &self,
        settings: &Printed<'_>,
        keyword: &str,
        name: &'static str,
        destination: &Destination,
    ) -> Result<(), ConfigError> {
        let Some(value) = settings.one(keyword) else { return Ok(()) };
        let value = escape::visible(value, 160);
        let lines = self.lines.iter().filter(|line| line.keyword == keyword);
        let mut places: Vec<&Place> = lines.map(|line| &line.place).collect();
        // The line that has this value, else any that could be it.
        places.sort_by_key(|place| !place.text.contains(&value));
        let place = places.first().map(|place| (*place).clone());
        Err(ConfigError::Runs { keyword: name, host: destination.host.clone(), value, place })
    }

    fn command(&self, ssh: &Path, destination: &Destination, via: Option<&str>) -> Command {
        let mut command = Command::new(ssh);
        command.args(["-G", "-T"]);
        if let Sources::File(path) = &self.sources {
            command.arg("-F").arg(path);
        }
        // Both ask the DNS, even with -G: CanonicalizePermittedCNAMEs by itself.
        command.args(["-o", "CanonicalizeHostname=no", "-o", "CanonicalizePermittedCNAMEs=none"]);
        if let Some(port) = destination.port {
            command.arg("-p").arg(port.to_string());
        }
        if let Some(user) = &destination.user {
            command.arg("-l").arg(user);
        }
        if let Some(via) = via {
            command.arg("-J").arg(via);
        }
        command.arg("--").arg(&destination.host);
        command.env_clear().envs(&self.account.environment);
        // ssh runs `Match exec` with $SHELL and gives up when that is not executable. So nothing runs
        // even when a file changes after it was looked through.
        command.env("SHELL", "/dev/null").env("HOME", &self.account.home).env("LC_ALL", "C");
        command.current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn defaults(&self, destination: &Destination) -> Settings {
        let mine = |name: &str| format!("~/.ssh/{name}");
        Settings {
            host: destination.host.to_ascii_lowercase(),
            port: destination.port.unwrap_or(22),
            user: destination.user.clone().unwrap_or_else(|| self.account.name.clone()),
            identity_files: ["id_rsa", "id_ecdsa", "id_ed25519"].map(mine).into(),
            known_hosts: vec![mine("known_hosts"), "/etc/ssh/ssh_known_hosts".into()],
            ..Settings::default()
        }
    }
}

/// The first executable `ssh` in the absolute folders of a PATH.
fn find_ssh(path: &str) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join("ssh")).find(|file| {
        file.metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

async fn run(mut command: Command) -> Result<String, ConfigError> {
    let mut child = command.spawn().map_err(ConfigError::Run)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(ConfigError::Output("nothing"));
    };
    let (mut printed, mut complaint) = (Vec::new(), Vec::new());
    let mut stdout = stdout.take(MAX_OUTPUT);
    let mut stderr = stderr.take(MAX_COMPLAINT);
    let whole = async {
        tokio::try_join!(stdout.read_to_end(&mut printed), stderr.read_to_end(&mut complaint))?;
        // What it writes past the caps would block it, and then the time limit ends it.
        child.wait().await
    };
    let status = match tokio::time::timeout(TIME_LIMIT, whole).await {
        Ok(status) => status.map_err(ConfigError::Run)?,
        Err(_) => return Err(ConfigError::TimeLimit),
    };
    if !status.success() {
        let text = complaint.trim_ascii();
        return Err(ConfigError::Ssh(if text.starts_with(b"Shell \"/dev/null\"") {
            String::from("a Match exec that sgw does not run")
        } else {
            escape::visible_bytes(text, 300)
        }));
    }
    if printed.len() as u64 == MAX_OUTPUT {
        return Err(ConfigError::Output("too much"));
    }
    String::from_utf8(printed).map_err(|_| ConfigError::Output("not UTF-8"))
}

/// Lines of `keyword value`.
struct Printed<'a>(&'a str);

impl<'a> Printed<'a> {
    fn all(&self, keyword: &str) -> impl Iterator<Item = &'a str> {
        let lines = self.0.lines().filter_map(|line| line.split_once(' '));
        lines.filter(move |(name, _)| name.eq_ignore_ascii_case(keyword)).map(|(_, value)| value)
    }

    /// The value that is set; `none` is how ssh spells an absent one.
    fn one(&self, keyword: &str) -> Option<&'a str> {
        self.all(keyword).next().filter(|value| !value.eq_ignore_ascii_case("none"))
    }

    fn list(&self, keyword: &str) -> Vec<String> {
        let set = |value: &&str| !value.eq_ignore_ascii_case("none");
        self.all(keyword).filter(set).map(str::to_owned).collect()
    }

    fn read(&self) -> Result<Settings, ConfigError> {
        let owned = |keyword: &str| self.one(keyword).map(str::to_owned);
        let port = self.one("port").and_then(|port| port.parse().ok());
        let files = |keyword: &str| self.one(keyword).map(file_names).unwrap_or_default();
        Ok(Settings {
            host: owned("hostname").ok_or(ConfigError::Output("no hostname"))?,
            port: port.filter(|port| *port > 0).ok_or(ConfigError::Output("no port"))?,
            user: owned("user").ok_or(ConfigError::Output("no user"))?,
            identity_files: self.list("identityfile"),
            certificate_files: self.list("certificatefile"),
            identities_only: self.one("identitiesonly") == Some("yes"),
            // Here `none` says something: no agent.
            identity_agent: self.all("identityagent").next().map(str::to_owned),
            proxy_jump: owned("proxyjump"),
            host_key_alias: owned("hostkeyalias"),
            known_hosts: [files("userknownhostsfile"), files("globalknownhostsfile")].concat(),
        })
    }
}

/// ssh prints several file names with spaces between them and quotes none. A name starts with `/` or
/// `~` (or a token), so a piece that doesn't belongs to the name before it.
fn file_names(value: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for piece in value.split(' ') {
        match names.last_mut() {
            Some(last) if !piece.starts_with(['/', '~', '%', '$']) => {
                last.push(' ');
                last.push_str(piece);
            }
            _ => names.push(piece.to_owned()),
        }
    }
    names
}

#[cfg(test)]
pub mod tests;
