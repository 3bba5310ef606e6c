//! `sgw cp`: which of the paths are on a server, and then get or put.

use std::{ffi::OsString, path::PathBuf};

use super::{Manner, get, path, put};
use crate::{
    cli::{
        Context, Outcome, Run,
        commands::files::{By, There},
        context::{Asking, Patience},
    },
    protocol::error::{Code, Failure},
};

/// Copy files to or from a server
///
/// SESSION:PATH is on the server; a path with a slash before its first colon is here, whatever follows. As `cp`
/// otherwise; `sgw files get` and `sgw files put` say the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw cp s-4fk:/var/log/syslog .
  sgw cp -r ./site s-4fk:/var/www/
  sgw cp web1:'/var/log/*.gz' logs/")]
pub struct Cp {
    /// One or more sources, and where they go
    #[arg(value_name = "SRC… DST", num_args = 2.., required = true)]
    paths: Vec<OsString>,
    #[command(flatten)]
    manner: Manner,
    /// On the server's disk before it counts as done, where files go there
    #[arg(long)]
    fsync: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    by: By,
}

/// Here, or in a session.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Here(Vec<u8>),
    There { session: String, path: Vec<u8> },
}

impl Run for Cp {
    fn run(self, context: &Context) -> Outcome {
        let Self { paths, manner, fsync, patience, asking, by } = self;
        let mut places: Vec<Place> =
            paths.into_iter().map(|given| Place::of(path(given).0)).collect();
        let there = |session| There::of(session, patience, asking, by);
        let wrong = |message: &str| {
            let hint = "sgw cp SESSION:PATH LOCAL, or: sgw cp LOCAL SESSION:PATH";
            Err(Failure::new(Code::UsageArguments, message, hint).sent(false).into())
        };
        match places.pop() {
            Some(Place::There { session, path }) => {
                let locals: Option<Vec<PathBuf>> = places.into_iter().map(Place::here).collect();
                match locals {
                    Some(locals) => {
                        put::run(context, &there(session), locals, path, &manner, fsync)
                    }
                    None => wrong("from server to server: get it here first, then put it there"),
                }
            }
            Some(Place::Here(local)) => {
                let mut sessions = Vec::new();
                let mut remotes = Vec::new();
                for place in places {
                    let Place::There { session, path } = place else {
                        return wrong("none of these paths is on a server: cp does that");
                    };
                    sessions.push(session);
                    remotes.push(path);
                }
                sessions.dedup();
                match sessions.as_slice() {
                    [session] => {
                        let local = Place::Here(local).here().unwrap_or_default();
                        get::run(context, &there(session.clone()), remotes, local, &manner)
                    }
                    _ => wrong("all that comes must come from one session"),
                }
            }
            None => wrong("what is to be copied, and where?"),
        }
    }
}

impl Place {
    fn of(path: Vec<u8>) -> Self {
        let colon = path.iter().position(|byte| matches!(byte, b':' | b'/'));
        let session = colon
            .filter(|at| *at > 0 && path[*at] == b':')
            .and_then(|at| Some((at, std::str::from_utf8(&path[..at]).ok()?.to_owned())));
        match session {
            Some((at, session)) => {
                let rest = &path[at + 1..];
                // As scp has it: nothing is the home.
                let path = if rest.is_empty() { b".".to_vec() } else { rest.to_vec() };
                Self::There { session, path }
            }
            None => Self::Here(path),
        }
    }

    fn here(self) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStringExt;
        match self {
            Self::Here(path) => Some(OsString::from_vec(path).into()),
            Self::There { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_before_the_colon_is_here() {
        let of = |text: &str| Place::of(text.as_bytes().to_vec());
        let there = |session: &str, path: &str| Place::There {
            session: session.to_owned(),
            path: path.as_bytes().to_vec(),
        };
        assert_eq!(of("s-4fk:/etc/hosts"), there("s-4fk", "/etc/hosts"));
        assert_eq!(of("web1:"), there("web1", "."));
        assert_eq!(of("web1:a:b"), there("web1", "a:b"));
        for here in ["a", "./a:b", "/x:y", ":x", ""] {
            assert_eq!(of(here), Place::Here(here.as_bytes().to_vec()));
        }
    }
}
