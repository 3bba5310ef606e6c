//! The stock tools, through sgw and directly: they end alike, print alike and leave the same files.

mod compared;
mod config;
mod control;
mod ends;
mod exact;
mod forward;
mod held;
mod hostile;
mod python;
pub mod raw;
mod refused;
mod room;
mod same;
mod served;
mod sftp;
mod shell;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use crate::support::{Sgw, Sshd, Token};

/// One machine, reached in two ways by the name `web1`.
pub struct Both {
    pub sgw: Sgw,
    pub sshd: Sshd,
    pub token: Token,
    /// For `ssh -F`.
    pub through: PathBuf,
    pub direct: PathBuf,
}

impl Both {
    /// With a standing grant of all that is usual.
    pub fn new() -> Self {
        Self::granted(&["--only", "exec,pty,files:read,files:write"])
    }

    pub fn granted(more: &[&str]) -> Self {
        Self::on(Sshd::start(), more)
    }

    /// Its server wants other keys after every eight MiB.
    pub fn rekeying() -> Self {
        Self::on(Sshd::with().line("RekeyLimit 8M").start(), &["--only", "exec"])
    }

    fn on(sshd: Sshd, more: &[&str]) -> Self {
        let sgw = Sgw::unlocked();
        let (token, through) = way(&sgw, &sshd, more);
        let known = sgw.path("known_hosts");
        let line = format!("[127.0.0.1]:{} {}\n", sshd.port(), sshd.host_key_line());
        fs::write(&known, line).unwrap();
        let direct = sgw.path("direct");
        let text = format!(
            "Host web1\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n \
             IdentitiesOnly yes\n IdentityAgent none\n BatchMode yes\n UserKnownHostsFile {}\n",
            sshd.port(),
            sshd.user,
            sshd.key.path.display(),
            known.display(),
        );
        fs::write(&direct, text).unwrap();
        Self { sgw, sshd, token, through, direct }
    }

    /// A program of the machine's, as the agent runs it.
    pub fn program(&self, name: &str, words: &[&str]) -> Command {
        program(&self.sgw, &self.token, name, words)
    }

    /// `ssh web1 COMMAND`, by one of the two configurations.
    pub fn ssh(&self, config: &Path, words: &[&str]) -> Command {
        let mut all = vec!["-F", config.to_str().unwrap()];
        all.extend(words);
        self.program("ssh", &all)
    }

    /// Runs it both ways; they have to end and print alike. What they did.
    #[track_caller]
    pub fn same(&self, words: &[&str], stdin: &[u8]) -> Output {
        let direct = ran(&mut self.ssh(&self.direct, words), stdin);
        let through = ran(&mut self.ssh(&self.through, words), stdin);
        assert_alike(&format!("{words:?}"), &direct, &through);
        through
    }

    /// A directory on this machine for a test's files.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.sgw.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

/// A standing grant for `web1`, and the configuration that leads there.
pub fn way(sgw: &Sgw, sshd: &Sshd, more: &[&str]) -> (Token, PathBuf) {
    sgw.target("web1", sshd);
    let token = sgw.token("ci", &[]);
    let grant = ["--token", "ci", "--target", "web1"];
    sgw.grant(&grant.iter().chain(more).copied().collect::<Vec<_>>());
    let told = sgw.by(&token, ["ssh-config", "--json"]).ok().json();
    (token, PathBuf::from(told["config"].as_str().unwrap()))
}

/// A program of the machine's, as an agent with this token runs it.
pub fn program(sgw: &Sgw, token: &Token, name: &str, words: &[&str]) -> Command {
    let mut command = sgw.command([""; 0]);
    let mut program = Command::new(name);
    program.args(words).env_clear().env("SGW_TOKEN", &token.text);
    for (name, value) in command.env_remove("SGW_TOKEN").get_envs() {
        program.envs(value.map(|value| (name, value)));
    }
    program.current_dir(sgw.user_home());
    program
}

#[track_caller]
pub fn assert_alike(what: &str, direct: &Output, through: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
    assert_eq!(
        direct.status,
        through.status,
        "{what}\ndirect: {}\nthrough sgw: {}",
        text(&direct.stderr),
        text(&through.stderr)
    );
    assert!(
        direct.stdout == through.stdout,
        "{what}: stdout differs\ndirect: {}\nthrough sgw: {}",
        text(&direct.stdout),
        text(&through.stdout)
    );
    assert_eq!(text(&direct.stderr), text(&through.stderr), "{what}: stderr");
}

/// Runs a command with this on its standard input.
pub fn ran(command: &mut Command, stdin: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut pipe, stdin) = (child.stdin.take().unwrap(), stdin.to_vec());
    // Who reads none of it closes the pipe.
    let writer = thread::spawn(move || _ = pipe.write_all(&stdin));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Bytes that no compression or text mode leaves as they are.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut all = Vec::with_capacity(bytes + 8);
    while all.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend_from_slice(&state.to_le_bytes());
    }
    all.truncate(bytes);
    all
}

/// What a directory holds, below it: names, kinds, modes of files, and contents.
pub fn tree(directory: &Path) -> Vec<(String, u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let (mut all, mut next) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(here) = next.pop() {
        for entry in fs::read_dir(&here).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            let there = fs::symlink_metadata(&path).unwrap();
            let mode = there.permissions().mode();
            if there.is_dir() {
                next.push(path);
                all.push((name, mode, Vec::new()));
            } else if there.is_symlink() {
                let to = fs::read_link(&path).unwrap().display().to_string();
                all.push((name, 0, to.into_bytes()));
            } else {
                all.push((name, mode, fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}
