//! `sgw init --service`: what makes sgw a service of the machine, as steps that are shown, and done by
//! root where that is asked for. The texts are those of `packaging/`.

pub mod accounts;
mod step;
mod texts;

use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

pub use self::step::{PROGRAM_MODE, Step};
use self::{accounts::User, texts::Text};
use crate::{
    home::service::{Layout, Who, roots_alone},
    protocol::error::{Code, Failure},
};

/// The longest name that all of the machine's tools take (useradd(8)).
const MAX_NAME: usize = 31;

/// What a service's user and groups are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The daemon's user, and its group.
    pub daemon: String,
    /// The group of the operator's socket.
    pub operators: String,
    /// The group of the agents' socket.
    pub agents: String,
}

impl Names {
    #[cfg(test)]
    pub fn usual() -> Self {
        let [daemon, operators, agents] = ["sgw", "sgw-operator", "sgw-agents"].map(str::to_owned);
        Self { daemon, operators, agents }
    }
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub prefix: PathBuf,
    pub names: Names,
    /// A user's name or uid.
    pub operator: String,
    /// Users who may ask.
    pub agents: Vec<String>,
    /// Whether systemd is told.
    pub start: bool,
}

/// Everything that has to be done, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    pub layout: Layout,
    pub operator: User,
    pub steps: Vec<Step>,
    names: Names,
}

impl Plan {
    pub fn of(wanted: Wanted) -> Result<Self, Failure> {
        let Wanted { prefix, names, operator, agents, start } = wanted;
        check_prefix(&prefix)?;
        let all = [&names.daemon, &names.operators, &names.agents];
        for name in all {
            check_name(name)?;
        }
        if all[0] == all[1] || all[0] == all[2] || all[1] == all[2] {
            return Err(unfit("the daemon and the two groups need three names", "leave them out"));
        }
        let layout = Layout::below(&prefix);
        let operator = known(&operator)?;
        if operator.name == names.daemon {
            return Err(unfit("the operator can't be the daemon's user", "--operator NAME"));
        }
        let agents: Vec<_> = agents.iter().map(|name| known(name)).collect::<Result<_, _>>()?;
        let mut steps = vec![
            Step::Group { name: names.operators.clone() },
            Step::Group { name: names.agents.clone() },
            Step::Group { name: names.daemon.clone() },
            Step::User { name: names.daemon.clone(), home: layout.home.clone() },
        ];
        steps.extend(
            agents
                .into_iter()
                .map(|agent| Step::Member { user: agent.name, group: names.agents.clone() }),
        );
        let texts = texts::of(&layout, &names);
        let of_root = [&layout.etc, &layout.run].into_iter().map(PathBuf::as_path);
        let above = [layout.program.parent(), layout.home.parent()].into_iter().flatten();
        let above = above.chain(texts.iter().filter_map(|text| text.path.parent()));
        let missing = missing(above.chain(of_root));
        // What is there has to be as it should, too.
        let there = [&layout.etc, &layout.run].into_iter().filter(|path| !missing.contains(path));
        steps.extend(missing.iter().chain(there).cloned().map(root_directory));
        let home = layout.home.clone();
        steps.push(Step::Directory { path: home, owner: names.daemon.clone(), mode: 0o700 });
        let plan = Self { layout, operator, steps, names };
        let mut steps = plan.steps.clone();
        steps.push(plan.config());
        let file = |Text { path, content }| Step::File { path, content };
        let units: Vec<_> = texts
            .iter()
            .filter(|text| text.path.extension().is_some_and(|end| end == "socket"))
            .map(|text| text.path.to_string_lossy().into_owned())
            .collect();
        steps.extend(texts.into_iter().map(file));
        let (path, group) = (plan.layout.program.clone(), plan.names.operators.clone());
        steps.push(Step::Program { path, group });
        if start && systemd_runs() {
            let systemctl = |words: &[&str]| {
                let argv = ["systemctl"].iter().chain(words).map(|word| (*word).to_owned());
                Step::Command { argv: argv.collect() }
            };
            steps.push(systemctl(&["daemon-reload"]));
            let names: Vec<_> = units.iter().map(String::as_str).collect();
            steps.push(systemctl(&[["enable", "--now"].as_slice(), &names].concat()));
        }
        Ok(Self { steps, ..plan })
    }

    /// Who is who, as far as they are there.
    fn config(&self) -> Step {
        let who = || {
            Some(Who {
                daemon: accounts::user(&self.names.daemon)?.uid,
                operator: self.operator.uid,
                operator_group: accounts::group(&self.names.operators)?.gid,
                agents_group: accounts::group(&self.names.agents)?.gid,
            })
        };
        let content = texts::who(&self.names, self.operator.uid, who());
        Step::File { path: self.layout.config(), content }
    }

    /// Does what is not done yet, each step told as it is done. Where one fails, those before it are
    /// done, and a second call goes on.
    pub fn apply(&self, mut told: impl FnMut(&Step)) -> Result<(), Failure> {
        if !rustix::process::geteuid().is_root() {
            let message = "only root can make users, and programs that give a group";
            let hint = "look at what would be done, then run the same as root";
            return Err(Failure::new(Code::ServiceRoot, message, hint));
        }
        self.check_ground()?;
        for step in &self.steps {
            // The numbers are known once the users are there.
            let is_config =
                matches!(step, Step::File { path, .. } if *path == self.layout.config());
            let step = if is_config { &self.config() } else { step };
            if step.is_done() {
                continue;
            }
            step.apply().map_err(|failure| Failure {
                message: format!("{} (what stands above is done, and stays)", failure.message),
                ..failure
            })?;
            told(step);
        }
        for directory in [&self.layout.etc, &self.layout.run] {
            roots_alone(directory).map_err(|error| unfit(&error.to_string(), "mend it"))?;
        }
        Ok(())
    }

    /// Before anything is changed: what is there already must be root's alone, or whoever it belongs to
    /// could put another program, or another socket, in the place of these.
    fn check_ground(&self) -> Result<(), Failure> {
        let Layout { program, etc, run, .. } = &self.layout;
        for way in [program.parent(), etc.parent(), run.parent()].into_iter().flatten() {
            let there = way.ancestors().find(|way| way.symlink_metadata().is_ok());
            let Some(there) = there else { continue };
            roots_alone(there).map_err(|error| {
                unfit(&error.to_string(), "choose a directory of root's: --prefix /usr")
            })?;
            let mount = statvfs(there);
            if mount.is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOSUID))
                && program.starts_with(there)
            {
                let message = format!(
                    "{} is mounted nosuid: no program gives a group there",
                    there.display()
                );
                return Err(unfit(&message, "choose another place: --prefix DIR"));
            }
        }
        Ok(())
    }
}

/// Where this program lies, if nobody but root can replace it there; else where root puts programs.
pub fn usual_prefix() -> PathBuf {
    let here = Layout::prefix_of_this_program();
    here.filter(|prefix| roots_alone(&prefix.join("bin")).is_ok())
        .filter(|prefix| prefix.starts_with("/usr"))
        .unwrap_or_else(|| PathBuf::from("/usr/local"))
}

pub fn systemd_runs() -> bool {
    // sd_booted(3)
    Path::new("/run/systemd/system").is_dir()
}

fn root_directory(path: PathBuf) -> Step {
    Step::Directory { path, owner: "root".to_owned(), mode: 0o755 }
}

/// The directories that have to be made, each after what it lies in.
fn missing<'a>(wanted: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut missing = Vec::new();
    for directory in wanted {
        let mut ways: Vec<_> =
            directory.ancestors().take_while(|way| way.symlink_metadata().is_err()).collect();
        ways.reverse();
        for way in ways {
            if !missing.iter().any(|known| known == way) {
                missing.push(way.to_owned());
            }
        }
    }
    missing
}

fn known(name: &str) -> Result<User, Failure> {
    accounts::user(name).ok_or_else(|| {
        let message = format!("there is no user {}", crate::domain::escape::visible(name, 64));
        unfit(&message, "make the user first: useradd -m NAME")
    })
}

fn check_name(name: &str) -> Result<(), Failure> {
    let first = |char: char| char.is_ascii_lowercase() || char == '_';
    let rest = |char: char| first(char) || char.is_ascii_digit() || char == '-';
    match name.starts_with(first) && name.chars().all(rest) && name.len() <= MAX_NAME {
        true => Ok(()),
        false => {
            let name = crate::domain::escape::visible(name, 64);
            let message = format!("{name} can't be the name of a user or group");
            Err(unfit(&message, "a small letter, then small letters, digits, - and _"))
        }
    }
}

/// It stands in units, where other characters would mean something.
fn check_prefix(prefix: &Path) -> Result<(), Failure> {
    let fits = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
    let is_plain = prefix
        .to_str()
        .is_some_and(|text| text.starts_with('/') && text.len() > 1 && text.chars().all(fits));
    let goes_straight = prefix.components().collect::<PathBuf>().as_os_str() == prefix.as_os_str()
        && !prefix.components().any(|part| part == std::path::Component::ParentDir);
    match is_plain && goes_straight {
        true => Ok(()),
        false => {
            let shown = crate::domain::escape::visible(&prefix.to_string_lossy(), 200);
            let message = format!("{shown} can't be a prefix");
            Err(unfit(&message, "an absolute path of letters, digits, dots, - and _: /usr/local"))
        }
    }
}

fn unfit(message: &str, hint: &str) -> Failure {
    Failure::new(Code::ServiceUnfit, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            prefix: "/opt/sgw-no-such".into(),
            names: Names::usual(),
            operator: "root".into(),
            agents: Vec::new(),
            start: false,
        }
    }

    #[test]
    fn each_directory_is_made_after_what_it_lies_in() {
        let plan = Plan::of(wanted()).unwrap();
        let directories: Vec<_> = plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Directory { path, .. } => Some(path.clone()),
                _ => None,
            })
            .collect();
        for (at, path) in directories.iter().enumerate() {
            let above = path.parent().unwrap();
            let made = directories[..at].iter().any(|earlier| earlier == above);
            assert!(made || above.is_dir(), "{} in {directories:?}", path.display());
        }
        let unique: std::collections::BTreeSet<_> = directories.iter().collect();
        assert_eq!(unique.len(), directories.len(), "{directories:?}");
        assert!(!plan.steps.iter().any(|step| matches!(step, Step::Command { .. })));
    }

    #[test]
    fn names_and_places_that_would_mean_something_else_are_refused() {
        for prefix in ["relative", "/", "/opt/../etc", "/opt/a b", "/opt/%h", "/opt/x/", "/o\n"] {
            let failure = Plan::of(Wanted { prefix: prefix.into(), ..wanted() }).unwrap_err();
            assert_eq!(failure.code, Code::ServiceUnfit, "{prefix:?}");
        }
        for name in ["", "-x", "Sgw", "a b", "a:b", &"a".repeat(40)] {
            let names = Names { daemon: name.into(), ..Names::usual() };
            assert!(Plan::of(Wanted { names, ..wanted() }).is_err(), "{name:?}");
        }
        let names = Names { daemon: "sgw-agents".into(), ..Names::usual() };
        assert!(Plan::of(Wanted { names, ..wanted() }).is_err());
        let nobody = Wanted { operator: "no-such-user-of-sgw".into(), ..wanted() };
        assert_eq!(Plan::of(nobody).unwrap_err().code, Code::ServiceUnfit);
    }
}
