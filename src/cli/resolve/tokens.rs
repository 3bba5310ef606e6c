//! `~`, `%h` and `${NAME}` in what `ssh -G` prints: it leaves most file names as they were written
//! (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).

use std::path::{Path, PathBuf};

use super::account::Account;

/// What the tokens stand for, for one destination.
#[derive(Debug)]
pub struct Tokens<'a> {
    pub account: &'a Account,
    /// `%n`: the host as it was asked for.
    pub asked: &'a str,
    /// `%h`
    pub host: &'a str,
    /// `%p`
    pub port: u16,
    /// `%r`
    pub user: &'a str,
    /// `%k`, when a HostKeyAlias is set.
    pub alias: Option<&'a str>,
}

impl Tokens<'_> {
    /// A path, made absolute. `None` when it needs what is not there, as ssh then ignores it too, or
    /// needs `%C`, which sgw does not compute.
    pub fn path(&self, text: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(&tilde(&self.account.home, text)?)?);
        path.is_absolute().then_some(path)
    }

    /// Percent tokens and environment variables. An expanded value is not expanded again.
    pub fn text(&self, text: &str) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(place) = rest.find(['%', '$']) {
            expanded.push_str(&rest[..place]);
            rest = &rest[place..];
            if let Some(named) = rest.strip_prefix("${") {
                let (name, after) = named.split_once('}')?;
                expanded.push_str(self.account.variable(name)?);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else {
                let mut chars = rest[1..].chars();
                expanded.push_str(&self.token(chars.next()?)?);
                rest = chars.as_str();
            }
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    fn token(&self, letter: char) -> Option<String> {
        Some(match letter {
            '%' => String::from("%"),
            'd' => self.account.home.to_str()?.to_owned(),
            'h' => self.host.to_owned(),
            'i' => self.account.uid.to_string(),
            'k' => self.alias.unwrap_or(self.asked).to_owned(),
            'L' => local_name()?.split('.').next()?.to_owned(),
            'l' => local_name()?,
            'n' => self.asked.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'u' => self.account.name.clone(),
            _ => return None,
        })
    }
}

/// `~` and `~/x`; the home of another user would need the user database.
pub fn tilde(home: &Path, text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('~') else { return Some(text.to_owned()) };
    match rest.strip_prefix('/') {
        Some(inside) => Some(home.join(inside).to_str()?.to_owned()),
        None if rest.is_empty() => Some(home.to_str()?.to_owned()),
        None => None,
    }
}

fn local_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_expanded_once_and_unknown_ones_refused() {
        let environment = [("KEYS".to_owned(), "/k/%h".to_owned())].into();
        let account = Account { uid: 7, name: "me".into(), home: "/home/me".into(), environment };
        let tokens = Tokens {
            account: &account,
            asked: "web",
            host: "10.0.0.5",
            port: 2222,
            user: "deploy",
            alias: None,
        };
        for (text, expected) in [
            ("~/.ssh/id_%h", Some("/home/me/.ssh/id_10.0.0.5")),
            ("~", Some("/home/me")),
            ("%d/%u/%i/%n/%p/%r/%k/%%", Some("/home/me/me/7/web/2222/deploy/web/%")),
            ("${KEYS}/x", Some("/k/%h/x")),
            ("/a$b", Some("/a$b")),
            ("${NONE}/x", None),
            ("${KEYS", None),
            ("/x/%C", None),
            ("/x/%", None),
            ("~other/x", None),
            ("relative", None),
        ] {
            assert_eq!(tokens.path(text), expected.map(PathBuf::from), "{text}");
        }
    }
}
