//! Who runs this client, as OpenSSH sees it: from the user database, where `$HOME` and `$USER` are only
//! what the environment says.

use std::{collections::HashMap, path::PathBuf};

use super::file;

#[derive(Clone, Debug)]
pub struct Account {
    pub uid: u32,
    pub name: String,
    pub home: PathBuf,
    /// The environment, for `${NAME}` in ssh_config and for `SSH_AUTH_SOCK`. Text variables only.
    pub environment: HashMap<String, String>,
}

impl Account {
    pub fn current() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let environment: HashMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let database = file::read("/etc/passwd".as_ref(), 4 << 20).unwrap_or_default();
        let (name, home) = find(&String::from_utf8_lossy(&database), uid).unwrap_or_else(|| {
            // A user of a network directory: its lookup needs libc, the environment has to do.
            let variable = |name: &str| environment.get(name).cloned();
            let name = variable("LOGNAME").or_else(|| variable("USER"));
            (name.unwrap_or_default(), PathBuf::from(variable("HOME").unwrap_or_default()))
        });
        Self { uid, name, home, environment }
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }
}

/// passwd(5): `name:password:uid:gid:comment:home:shell`.
fn find(database: &str, uid: u32) -> Option<(String, PathBuf)> {
    database.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, number, _, _, home, ..] = fields[..] else { return None };
        (number.parse() == Ok(uid)).then(|| (name.to_owned(), PathBuf::from(home)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_database_gives_name_and_home() {
        let database = "root:x:0:0:root:/root:/bin/sh\nbroken\nme:x:1000:1000::/home/me:/bin/sh\n";
        assert_eq!(find(database, 1000), Some(("me".into(), "/home/me".into())));
        assert_eq!(find(database, 7), None);
        let account = Account::current();
        assert!(!account.name.is_empty() && account.home.is_absolute());
    }
}
