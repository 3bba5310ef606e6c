//! `[[forward]]`: rules for where forwards lead, and how they come from the file.

use serde::Deserialize;
use toml::Spanned;

use super::file::{PolicyError, error_at};
use crate::domain::{
    grant,
    guard::{
        Context, Decision,
        files::{Names, Pattern},
        forward::{self, End, HostPattern, Ports, Way},
        paths::glob,
    },
};

/// One `[[forward]]`, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardPart {
    pub id: Spanned<String>,
    decision: Decision,
    #[serde(default)]
    reason: String,
    direction: Option<Direction>,
    #[serde(default)]
    host: Vec<Spanned<String>>,
    #[serde(default)]
    port: Vec<Ports>,
    #[serde(default)]
    socket: Vec<Spanned<String>>,
    #[serde(default)]
    target: Vec<String>,
    #[serde(default)]
    token: Vec<String>,
    mode: Option<grant::Mode>,
    #[serde(default, rename = "match")]
    matches: Vec<Spanned<String>>,
    #[serde(default)]
    no_match: Vec<Spanned<String>>,
}

/// Which forwards a rule is for; without a word those that connect from the server on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    #[default]
    Local,
    Remote,
    Any,
}

#[derive(Clone, Debug)]
pub struct ForwardRule {
    pub id: String,
    pub decision: Decision,
    pub reason: String,
    pub direction: Direction,
    /// As written.
    pub host: Vec<String>,
    pub port: Vec<Ports>,
    pub socket: Vec<String>,
    pub target: Vec<String>,
    pub token: Vec<String>,
    pub mode: Option<grant::Mode>,
    pub matches: Vec<String>,
    pub no_match: Vec<String>,
    hosts: Listed<HostPattern>,
    sockets: Listed<Pattern>,
}

/// What is meant, and what of it is not.
#[derive(Clone, Debug)]
struct Listed<P> {
    named: Vec<P>,
    except: Vec<P>,
}

impl<P> Listed<P> {
    fn read(texts: &[String], read: impl Fn(&str) -> Option<P>) -> Self {
        let (except, named): (Vec<_>, Vec<_>) =
            texts.iter().map(String::as_str).partition(|text| text.starts_with('!'));
        let named = named.into_iter().filter_map(&read).collect();
        Self { named, except: except.into_iter().filter_map(|text| read(&text[1..])).collect() }
    }

    fn holds(&self, means: impl Fn(&P) -> bool, excepts: impl Fn(&P) -> bool) -> bool {
        // Exceptions alone are exceptions from all there is.
        (self.named.is_empty() || self.named.iter().any(means)) && !self.except.iter().any(excepts)
    }
}

fn socket(text: &str) -> Option<Pattern> {
    Pattern::new(text).filter(|_| text.starts_with('/'))
}

impl ForwardPart {
    /// Whether it has a decision, at most a reason, and nothing else.
    pub fn only_decides(&self) -> bool {
        let lists = [self.matches.len(), self.no_match.len(), self.target.len(), self.token.len()];
        !self.has_predicate()
            && self.direction.is_none()
            && self.mode.is_none()
            && lists.iter().all(|length| *length == 0)
    }

    pub fn has_predicate(&self) -> bool {
        !(self.host.is_empty() && self.port.is_empty() && self.socket.is_empty())
    }

    /// What is wrong with it alone.
    pub fn check(&self, text: &str) -> Result<(), PolicyError> {
        let wrong = |at: &Spanned<String>, what| Err(error_at(text, at.span().start, what));
        for example in self.matches.iter().chain(&self.no_match) {
            if Way::read(example.get_ref()).is_none() {
                let what = "an example is a direction and an end: local db.internal:5432; \
                            remote localhost:8080; local /run/app.sock";
                return wrong(example, what.to_owned());
            }
        }
        for host in &self.host {
            let pattern = host.get_ref().strip_prefix('!').unwrap_or(host.get_ref());
            if let Err(what) = HostPattern::new(pattern) {
                return wrong(host, what);
            }
        }
        for path in &self.socket {
            let pattern = path.get_ref().strip_prefix('!').unwrap_or(path.get_ref());
            if socket(pattern).is_none() {
                return wrong(path, format!("{pattern:?} does not begin with /"));
            }
        }
        let of_hosts = !self.host.is_empty() || !self.port.is_empty();
        if of_hosts && !self.socket.is_empty() {
            let what = "a rule is for hosts and ports, or for sockets: make two of it";
            return wrong(&self.id, what.to_owned());
        }
        Ok(())
    }
}

impl ForwardRule {
    pub fn new(part: ForwardPart) -> Self {
        let texts = |list: Vec<Spanned<String>>| -> Vec<String> {
            list.into_iter().map(Spanned::into_inner).collect()
        };
        let (host, paths) = (texts(part.host), texts(part.socket));
        Self {
            id: part.id.into_inner(),
            decision: part.decision,
            reason: part.reason,
            direction: part.direction.unwrap_or_default(),
            hosts: Listed::read(&host, |text| HostPattern::new(text).ok()),
            sockets: Listed::read(&paths, socket),
            host,
            port: part.port,
            socket: paths,
            target: part.target,
            token: part.token,
            mode: part.mode,
            matches: texts(part.matches),
            no_match: texts(part.no_match),
        }
    }

    /// The same with another verdict, and reason where one is given.
    pub fn decided_anew(&self, part: ForwardPart) -> Self {
        let reason = if part.reason.is_empty() { self.reason.clone() } else { part.reason };
        Self { decision: part.decision, reason, ..self.clone() }
    }

    /// Whether it holds there, for them, and in this mode.
    pub fn is_for(&self, context: &Context<'_>, mode: grant::Mode) -> bool {
        let fits = |patterns: &[String], name: Option<&str>| {
            patterns.is_empty()
                || name.is_some_and(|name| patterns.iter().any(|pattern| glob(pattern, name)))
        };
        self.mode.is_none_or(|only| only == mode)
            && fits(&self.target, context.target)
            && fits(&self.token, context.token)
    }

    /// Whether it speaks of this one. What it stops it also stops where it only may be meant; an exception and an
    /// allowing rule are for what surely is.
    pub fn names(&self, way: &Way) -> bool {
        let directed = match self.direction {
            Direction::Any => true,
            Direction::Local => way.direction == forward::Direction::Local,
            Direction::Remote => way.direction == forward::Direction::Remote,
        };
        let allows = self.decision == Decision::Allow;
        directed
            && match &way.end {
                End::Port(host, port) => {
                    let surely = |pattern: &HostPattern| pattern.means(host);
                    let perhaps = |pattern: &HostPattern| pattern.may_mean(host);
                    self.socket.is_empty()
                        && (self.port.is_empty() || self.port.iter().any(|ports| ports.has(*port)))
                        && match allows {
                            true => self.hosts.holds(surely, perhaps),
                            false => self.hosts.holds(perhaps, surely),
                        }
                }
                End::Socket(path) => {
                    let text = path.text();
                    let (folded, no_home) = (text.to_lowercase(), ["\u{fffd}".into()]);
                    let exact = Names::new(&text, &no_home);
                    let alike = Names::new(&folded, &no_home);
                    let surely = |pattern: &Pattern| pattern.matches(&exact);
                    let perhaps = |pattern: &Pattern| {
                        pattern.matches(&exact) || pattern.folded().matches(&alike)
                    };
                    !self.socket.is_empty()
                        && match allows {
                            true => self.sockets.holds(surely, perhaps),
                            false => self.sockets.holds(perhaps, surely),
                        }
                }
            }
    }
}
