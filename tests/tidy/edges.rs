//! Who may name whom: every path of `src` that begins with `crate`, `super` or `self` is followed.

use std::collections::BTreeSet;

use super::{
    none,
    paths::paths,
    source::{Source, rust},
};

/// Who, and whom they may name. On both sides a longer name stands for that part alone; on the left
/// it counts in place of the shorter one.
type Edges = &'static [(&'static str, &'static [&'static str])];

const EVERYTHING: &str = "*";

/// The floors.
const FLOORS: Edges = &[
    ("main", &["cli", "daemon::run"]),
    ("cli", &["client", "protocol", "domain", "home", "demo", "judge"]),
    ("client", &["protocol", "domain", "home"]),
    ("demo", &["domain"]),
    ("daemon", &["protocol", "domain", "home"]),
    // Lines are judged where everything is, on a thread of its own for its deep stack.
    ("daemon::desk", &["protocol", "domain", "judge"]),
    ("home", &["protocol::error", "domain"]),
    // One thread, which the commands use alone and the daemon in its desk.
    ("judge", &["domain"]),
    ("protocol", &["domain"]),
    ("domain", &[]),
];

/// The rooms of the daemon. `life` begins and ends them, `parts` is the list of them.
const ROOMS: Edges = &[
    ("life", &[EVERYTHING]),
    ("parts", &[EVERYTHING]),
    ("door", &["Parts", "audit", "authority", "desk", "files", "notify", "reading", "session"]),
    (
        "door::operator",
        &[
            "Parts",
            "audit",
            "authority",
            "desk",
            "evidence",
            // What a way is made of, on its way to a session.
            "parts",
            "session",
            "upstream",
            "vault",
        ],
    ),
    ("reading", &["door::Outbox", "door::Room", "session"]),
    ("audit", &["desk::Asker", "evidence", "session"]),
    // Standing grants, and what a token may ask for: judged where everything is.
    // The policy in force, for the guard that every command passes.
    ("desk", &["authority", "policy"]),
    ("authority", &["vault"]),
    ("policy", &["vault"]),
    // Each write of an agent's asks whether it is paused.
    ("session", &["authority::Under", "desk::Pauses", "desk::Permit", "evidence", "upstream"]),
    ("files", &["desk::Permit", "evidence", "session", "upstream"]),
    ("upstream", &["vault"]),
    ("ids", &["vault"]),
    ("alone", &[]),
    ("in_use", &[]),
    ("memory", &[]),
    ("left", &[]),
    ("notify", &[]),
    ("vault", &["memory", "store"]),
    ("evidence", &[]),
    ("store", &[]),
];

/// What is wrong with one path, and which edges of the tables were used.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Inside,
    Along(&'static str, &'static str),
    Astray,
}

fn step(from: &[String], to: &[String]) -> Step {
    let (Some(here), Some(there)) = (from.first(), to.first()) else {
        // lib.rs names its floors; nobody else names the whole house, which would hide what is taken.
        return if from.is_empty() { Step::Inside } else { Step::Astray };
    };
    match here == there {
        false => along(FLOORS, from, to),
        true if here != "daemon" || from.len() == 1 => Step::Inside,
        // The daemon as a whole would hide which room is meant.
        true if to.len() == 1 => Step::Astray,
        true if from[1] == to[1] => Step::Inside,
        true => along(ROOMS, &from[1..], &to[1..]),
    }
}

fn along(edges: Edges, from: &[String], to: &[String]) -> Step {
    let row = edges.iter().filter(|(who, _)| begins(from, who)).max_by_key(|(who, _)| who.len());
    let Some((who, whom)) = row else { return Step::Astray };
    let edge = whom.iter().find(|whom| **whom == EVERYTHING || begins(to, whom));
    edge.map_or(Step::Astray, |whom| Step::Along(who, whom))
}

fn begins(path: &[String], start: &str) -> bool {
    let start: Vec<_> = start.split("::").collect();
    path.len() >= start.len() && path.iter().zip(&start).all(|(a, b)| a == b)
}

/// The offences of one file; the edges that it walks are put into `walked`.
fn astray(source: &Source, walked: &mut BTreeSet<(&'static str, &'static str)>) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths(&source.text) {
        let at = format!("{}:{}: {}", source.name, path.line, path.text());
        if path.climbs_twice() {
            found.push(format!("{at} climbs twice: name it from crate"));
        }
        let Some(to) = path.leads_to(&source.module) else { continue };
        match step(&source.module, &to) {
            Step::Inside => {}
            Step::Along(who, whom) => _ = walked.insert((who, whom)),
            Step::Astray => found.push(format!("{at} leads to {}", to.join("::"))),
        }
    }
    found
}

#[test]
fn everyone_names_only_whom_they_may() {
    let mut walked = BTreeSet::new();
    let offences: Vec<_> =
        rust(&["src"]).iter().flat_map(|source| astray(source, &mut walked)).collect();
    none("these paths are not in the tables of tests/tidy/edges.rs:", &offences);
    let all =
        FLOORS.iter().chain(ROOMS).flat_map(|(who, whom)| whom.iter().map(move |w| (*who, *w)));
    let unused: Vec<_> = all.filter(|edge| !walked.contains(edge)).collect();
    assert!(unused.is_empty(), "nobody walks these any more, so nobody may: {unused:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offences(name: &str, module: &str, text: &str) -> Vec<String> {
        let module = module.split("::").filter(|m| !m.is_empty()).map(str::to_owned).collect();
        let source = Source { name: name.into(), text: text.into(), module };
        astray(&source, &mut BTreeSet::new())
    }

    #[track_caller]
    fn allowed(module: &str, text: &str) {
        assert_eq!(offences("", module, text), Vec::<String>::new());
    }

    #[track_caller]
    fn refused(module: &str, text: &str) {
        assert_eq!(offences("", module, text).len(), 1, "{text}");
    }

    #[test]
    fn cli_and_daemon_meet_only_in_main() {
        refused("cli::commands::exec", "use crate::daemon::run;");
        refused("cli::commands::exec", "fn f() { crate::daemon::run() }");
        refused("daemon::life", "use crate::{domain::id::Id, cli::ui};");
        refused("daemon::door", "use crate::client::Client;");
        allowed("main", "sgw::cli::run(); sgw::daemon::run();");
        refused("main", "sgw::daemon::vault::Vault::new()");
        refused("main", "sgw::domain::id::Id::new()");
    }

    #[test]
    fn the_lower_floors_do_not_look_up() {
        refused("domain::id", "use crate::protocol::error::Code;");
        refused("protocol::agent", "use crate::home::Home;");
        refused("home", "use crate::protocol::{error::Failure, agent};");
        allowed("home", "use crate::protocol::error::{self, Failure};");
        allowed(
            "domain::seal::tests",
            "use super::*; use crate::domain::id::Id; mod m { super::X::y() }",
        );
    }

    #[test]
    fn rooms_are_held_apart() {
        refused("daemon::door::agent", "use crate::daemon::vault::Vault;");
        refused("daemon::door::agent::exec", "fn f(a: crate::daemon::upstream::Pool) {}");
        allowed("daemon::door::operator::approve", "use crate::daemon::upstream::Pool;");
        refused("daemon::session", "use crate::daemon::{desk::{Desk, Permit}, evidence};");
        refused("daemon::session", "use crate::daemon::desk;");
        refused("daemon::desk", "super::session::Session::begin()");
        refused("daemon::vault", "use super::evidence;");
        allowed("daemon::vault", "use super::vault::x; use self::state::State;");
        refused("daemon::new_room", "use super::desk;");
        allowed("daemon::life", "use super::{Parts, desk::Desk, vault};");
        allowed("daemon", "use self::parts::Parts;");
    }

    #[test]
    fn a_whole_floor_is_never_taken_in_hand() {
        refused("daemon::door", "use crate::daemon;");
        refused("daemon::door", "use super::{self};");
        refused("daemon::door", "use super::*;");
        refused("daemon::door", "use crate::*;");
        refused("cli", "use crate as house; crate::{self}");
    }
}
