//! Users and groups of the machine: looked up and made with its own tools.

use std::process::{Command, Stdio};

use crate::protocol::error::{Code, Failure};

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A user as the machine's databases have them (getent(1)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// By name or number.
pub fn user(of: &str) -> Option<User> {
    let line = asked("passwd", of)?;
    let fields: Vec<_> = line.split(':').collect();
    let [name, _, uid, gid, ..] = fields.as_slice() else { return None };
    Some(User { name: (*name).to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub gid: u32,
    pub members: Vec<String>,
}

pub fn group(of: &str) -> Option<Group> {
    let line = asked("group", of)?;
    let fields: Vec<_> = line.trim_end().split(':').collect();
    let [_, _, gid, members] = fields.as_slice() else { return None };
    let members = members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(Group { gid: gid.parse().ok()?, members })
}

fn asked(database: &str, key: &str) -> Option<String> {
    let asked = tool("getent").args([database, "--", key]).stderr(Stdio::null()).output().ok()?;
    asked.status.success().then(|| String::from_utf8(asked.stdout).ok())?
}

/// Runs one of the machine's tools.
pub fn run(argv: &[String]) -> Result<(), Failure> {
    let [program, arguments @ ..] = argv else { return Ok(()) };
    let failed = |why: String| {
        let message = format!("{}: {}", argv.join(" "), why.trim());
        Failure::new(Code::ServiceFailed, message, "mend it, and run the same line again")
    };
    let output =
        tool(program).args(arguments).output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

/// Nothing of the caller's environment: root runs it.
fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_nobody_is_made_up() {
        assert_eq!(user("root"), user("0"));
        assert_eq!(user("root").unwrap().uid, 0);
        assert_eq!(group("root").unwrap().gid, 0);
        assert_eq!(user("no-such-user-of-sgw"), None);
        assert_eq!(group("--help"), None);
        let failure = run(&["getent".into(), "passwd".into(), "no-such-user".into()]).unwrap_err();
        assert_eq!(failure.code, Code::ServiceFailed);
    }
}
