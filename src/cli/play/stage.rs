//! Where the demo plays: a private directory, a server on the loopback, and this program run in it. All
//! of it goes when the stage is dropped, however the play ends.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::Command;

use super::{LOG, broken};
use crate::{
    cli::{
        Context, Stop,
        ui::{Ui, exit::Exit, prompt},
    },
    client::Error,
    demo::server::{Account, Oddness, Server},
    domain::{passphrase::six_words, secret::Secret},
    home::{Home, LockError, random},
    protocol::view,
};

const USER: &str = "demo";
/// How long a daemon that was told to lock may take to be gone.
const GONE: Duration = Duration::from_secs(5);

pub struct Stage {
    ui: Ui,
    server: Server,
    directory: Directory,
    files: Files,
}

/// Paths, as flags take them.
pub struct Files {
    pub passphrase: String,
    pub password: String,
}

/// How a step ended.
pub struct Step {
    pub code: i32,
    /// Without the line's end.
    pub stdout: String,
}

impl Stage {
    pub async fn build(context: &Context) -> Result<Self, Stop> {
        let unbuilt = |error: io::Error| broken(format!("the stage can't be built: {error}"));
        let directory = Directory::create().map_err(unbuilt)?;
        let (passphrase, password) = secrets().map_err(unbuilt)?;
        let files = Files {
            passphrase: directory.file("passphrase", passphrase.expose()).map_err(unbuilt)?,
            password: directory.file("password", password.expose()).map_err(unbuilt)?,
        };
        let house = directory.0.join("server");
        DirBuilder::new().mode(0o700).create(&house).map_err(unbuilt)?;
        std::fs::write(house.join("shop.log"), LOG).map_err(unbuilt)?;
        let account = Account {
            user: USER.to_owned(),
            password: Some(password),
            key: None,
            directory: house,
        };
        let server = Server::start(account, Oddness::None).await.map_err(unbuilt)?;
        Ok(Self { ui: context.ui, server, directory, files })
    }

    pub fn destination(&self) -> String {
        format!("{USER}@{}", self.server.address())
    }

    pub fn host_key(&self) -> String {
        self.server.fingerprint()
    }

    pub fn files(&self) -> &Files {
        &self.files
    }

    pub fn explain(&self, text: &str) {
        self.ui.say(&format!("\n{}", self.ui.dim(&format!("# {text}"))));
    }

    /// A step of the agent's. Any status is part of the play, but 125 and the like are told.
    pub async fn agent(&self, typed: &str, words: &[&str]) -> Result<Step, Stop> {
        self.show("agent", typed);
        let step = self.run(words).await?;
        if step.code != 0 {
            self.ui.say(&self.ui.dim(&format!("  (exit status {})", step.code)));
        }
        Ok(step)
    }

    /// A step of the operator's, which must go well.
    pub async fn operator(&self, typed: &str, words: &[&str]) -> Result<Step, Stop> {
        self.show("person", typed);
        let words: Vec<&str> = [words, &["--i-am-the-operator"]].concat();
        let step = self.run(&words).await?;
        match step.code {
            0 => Ok(step),
            code => Err(broken(format!("`{typed}` ended with {code}")).into()),
        }
    }

    /// A step that asks the person here. Whether they said yes.
    pub async fn ask(&self, typed: &str, words: &[&str]) -> Result<bool, Stop> {
        self.show("person", typed);
        // A step that is killed with the play can't put the terminal back itself.
        let mut terminal = prompt::Terminal::save();
        let mut command = self.command(words);
        command.arg("--i-am-the-operator").stdin(Stdio::inherit());
        let status = command.status().await.map_err(Error::local("run this program"))?;
        terminal.keep();
        match status.code() {
            Some(0) => Ok(true),
            Some(130) | None => Err(Stop::Exit(Exit::INTERRUPTED)),
            Some(_) => Ok(false),
        }
    }

    /// The one request that waits.
    pub async fn pending(&self) -> Result<String, Stop> {
        let output = self.command(&["requests", "--json"]).stdout(Stdio::piped()).output().await;
        let output = output.map_err(Error::local("run this program"))?;
        let requests: view::Requests =
            serde_json::from_slice(&output.stdout).map_err(Error::from)?;
        let first = requests.requests.into_iter().next();
        Ok(first.ok_or_else(|| broken("no request waits"))?.id)
    }

    fn show(&self, who: &str, typed: &str) {
        self.ui.say(&format!("{} {}", self.ui.dim(&format!("{who:>6} $")), self.ui.bold(typed)));
    }

    async fn run(&self, words: &[&str]) -> Result<Step, Stop> {
        let output = self.command(words).stdout(Stdio::piped()).spawn();
        let output = match output {
            Ok(child) => child.wait_with_output().await,
            Err(error) => Err(error),
        };
        let output = output.map_err(Error::local("run this program"))?;
        if !self.ui.json {
            self.ui.bytes(&output.stdout);
        }
        let code = output.status.code().ok_or_else(|| broken("a step was killed"))?;
        let stdout = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        Ok(Step { code, stdout })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::from(self.directory.program(words));
        command.kill_on_drop(true);
        command
    }
}

/// A passphrase for the vault, and a password for the server.
fn secrets() -> io::Result<(Secret<String>, Secret<String>)> {
    Ok((six_words(&random()?), six_words(&random()?)))
}

/// The play's own directory. Dropping it ends the daemon in it and removes it all.
struct Directory(PathBuf);

impl Directory {
    fn create() -> io::Result<Self> {
        // Short: a socket's path has 107 bytes at most.
        let name = format!("sgw-demo-{}", hex::encode(random::<6>()?));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str, content: &str) -> io::Result<String> {
        let path = self.0.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(content.as_bytes())?;
        path.into_os_string().into_string().map_err(|_| io::ErrorKind::InvalidFilename.into())
    }

    fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// This very program, in this directory's instance, with nothing of the caller's settings.
    fn program(&self, words: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new("/proc/self/exe");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"SGW_") {
                command.env_remove(name);
            }
        }
        command.args(words).env("SGW_HOME", self.home()).stdin(Stdio::null());
        command
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nobody is left to be told what fails here; the directory lies in the system's temporary one.
        let mut lock = self.program(&["lock"]);
        let _ = lock.stdout(Stdio::null()).stderr(Stdio::null()).status();
        wait_until_gone(&self.home());
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The daemon holds the home's lock for as long as it lives.
fn wait_until_gone(home: &Path) {
    let over = Instant::now() + GONE;
    while Instant::now() < over {
        match Home::open(home).map_err(LockError::from).and_then(|home| home.lock()) {
            Err(LockError::Held { .. }) => std::thread::sleep(Duration::from_millis(20)),
            Ok(_) | Err(LockError::Home(_)) => return,
        }
    }
}
