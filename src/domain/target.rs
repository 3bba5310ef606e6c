//! Where things go: the destination as an agent wrote it, and the route that the operator approved.

pub mod named;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// `[USER@]HOST[:PORT]` as asked. The host may be a name in the operator's ssh_config.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotADestination {
    #[error("no host")]
    NoHost,
    #[error("the user has a character that sgw does not pass on")]
    User,
    #[error("the host has a character that sgw does not pass on")]
    Host,
    #[error("the port is not 1 to 65535")]
    Port,
    #[error("longer than 320 characters")]
    TooLong,
}

impl FromStr for Destination {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        if text.len() > 320 {
            return Err(NotADestination::TooLong);
        }
        let text = text.strip_prefix("ssh://").map_or(text, |rest| rest.trim_end_matches('/'));
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        if user.as_deref().is_some_and(|user| !is_user(user)) {
            return Err(NotADestination::User);
        }
        let (host, port) = split_port(rest)?;
        if host.is_empty() {
            return Err(NotADestination::NoHost);
        }
        if !is_host(host) {
            return Err(NotADestination::Host);
        }
        Ok(Self { user, host: host.to_owned(), port })
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), NotADestination> {
    let number = |digits: &str| match digits.parse::<u16>() {
        Ok(port) if port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(port)),
        _ => Err(NotADestination::Port),
    };
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or(NotADestination::Host)?;
        return match after.strip_prefix(':') {
            Some(digits) => Ok((host, number(digits)?)),
            None if after.is_empty() => Ok((host, None)),
            None => Err(NotADestination::Host),
        };
    }
    match text.matches(':').count() {
        1 => {
            let (host, digits) = text.split_once(':').ok_or(NotADestination::Host)?;
            Ok((host, number(digits)?))
        }
        // None: no port. Two or more: an IPv6 address without brackets.
        _ => Ok((text, None)),
    }
}

/// What a user name may hold, so that it can stand on a command line and in a prompt.
pub fn is_user(user: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+\\$@".contains(&byte);
    (1..=64).contains(&user.len()) && !user.starts_with('-') && user.bytes().all(fits)
}

/// What a host name or address may hold, for the same reason.
pub fn is_host(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte);
    (1..=255).contains(&host.len()) && !host.starts_with('-') && host.bytes().all(fits)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) => write!(f, "{}:{port}", bracketed(&self.host)),
            None => f.write_str(&self.host),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// One machine on the way, with the account used there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hop {
    pub user: String,
    pub host: String,
    pub port: u16,
}

impl Hop {
    /// `host:port`, the name under which its host key is pinned.
    pub fn address(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.address())
    }
}

/// The whole way, jump hosts first, the target last. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Vec<Hop>", into = "Vec<Hop>")]
pub struct Route(Vec<Hop>);

/// The most machines on one way.
pub const MAX_HOPS: usize = 8;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a route is 1 to {MAX_HOPS} hops with plain hosts and users, none twice")]
pub struct NotARoute;

impl Route {
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }

    pub fn jumps(&self) -> &[Hop] {
        &self.0[..self.0.len() - 1]
    }

    pub fn target(&self) -> &Hop {
        // `try_from` refuses an empty list.
        &self.0[self.0.len() - 1]
    }
}

impl TryFrom<Vec<Hop>> for Route {
    type Error = NotARoute;

    fn try_from(hops: Vec<Hop>) -> Result<Self, NotARoute> {
        let plain = |hop: &Hop| is_user(&hop.user) && is_host(&hop.host) && hop.port > 0;
        let twice = (1..hops.len()).any(|index| hops[..index].contains(&hops[index]));
        if hops.is_empty() || hops.len() > MAX_HOPS || twice || !hops.iter().all(plain) {
            return Err(NotARoute);
        }
        Ok(Self(hops))
    }
}

impl From<Route> for Vec<Hop> {
    fn from(route: Route) -> Self {
        route.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, String, Option<u16>) {
        let destination: Destination = text.parse().unwrap();
        (destination.user, destination.host, destination.port)
    }

    #[test]
    fn destinations_are_read_as_ssh_reads_them() {
        let user = || Some(String::from("me"));
        assert_eq!(parts("web1"), (None, "web1".into(), None));
        assert_eq!(parts("me@web1:2222"), (user(), "web1".into(), Some(2222)));
        assert_eq!(parts("me@[::1]:22"), (user(), "::1".into(), Some(22)));
        assert_eq!(parts("fe80::1%eth0"), (None, "fe80::1%eth0".into(), None));
        assert_eq!(parts("ssh://me@web1:22/"), (user(), "web1".into(), Some(22)));
    }

    #[test]
    fn what_could_be_an_option_or_a_trick_is_refused() {
        use NotADestination::*;
        for (text, error) in [
            ("", NoHost),
            ("me@", NoHost),
            ("-oProxyCommand=x", Host),
            ("-l@web", User),
            ("we b", Host),
            ("web;id", Host),
            ("a$(id)@web", User),
            ("web:0", Port),
            ("web:65536", Port),
            ("web:+22", Port),
            ("w\u{202e}eb", Host),
        ] {
            assert_eq!(text.parse::<Destination>(), Err(error), "{text:?}");
        }
        assert_eq!("a".repeat(321).parse::<Destination>(), Err(TooLong));
    }

    #[test]
    fn a_route_has_a_target_and_no_loop() {
        let hop = |host: &str| Hop { user: "me".into(), host: host.into(), port: 22 };
        assert!(Route::try_from(vec![]).is_err());
        assert!(Route::try_from(vec![hop("a"), hop("b"), hop("a")]).is_err());
        let route = Route::try_from(vec![hop("a"), hop("b")]).unwrap();
        assert_eq!(route.target().host, "b");
        assert_eq!(route.jumps(), [hop("a")]);
    }
}
