//! Who is typing: a stop for helpful agents that would answer the operator's questions, not a
//! boundary (whoever shares the uid can look like anything).

use crate::protocol::error::{Code, Failure};

/// Set by agents in the programs that they start.
const VARIABLES: [&str; 4] = ["CLAUDECODE", "CURSOR_AGENT", "GEMINI_CLI", "SGW_TOKEN"];
const PREFIXES: [&str; 1] = ["CODEX_SANDBOX"];
/// What agents' processes are called.
const NAMES: [&str; 8] =
    ["claude", "codex", "cursor-agent", "gemini", "aider", "opencode", "goose", "amp"];
/// More ancestors than any terminal has.
const MOST_ANCESTORS: usize = 64;

/// Refuses what needs the operator's proof where an agent's program is at work, unless the flag says
/// otherwise.
pub fn not_under_an_agent(i_am_the_operator: bool) -> Result<(), Failure> {
    if i_am_the_operator {
        return Ok(());
    }
    let Some(sign) =
        sign(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())).or_else(ancestor)
    else {
        return Ok(());
    };
    let message =
        format!("this is for the person, and {sign} says that an agent's program typed it");
    let hint = "ask the person to run it in a terminal of their own, or with --i-am-the-operator";
    Err(Failure::new(Code::OperatorProof, message, hint))
}

fn sign(variables: impl Iterator<Item = String>) -> Option<String> {
    let is_sign = |name: &String| {
        VARIABLES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    variables.filter(is_sign).min().map(|name| format!("the environment's {name}"))
}

fn ancestor() -> Option<String> {
    let mut pid = std::process::id();
    for _ in 0..MOST_ANCESTORS {
        let (name, parent) = name_and_parent(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)?;
        if NAMES.contains(&name.as_str()) {
            return Some(format!("the process {name} above this one"));
        }
        if parent <= 1 {
            return None;
        }
        pid = parent;
    }
    None
}

/// proc_pid_stat(5): `pid (comm) state ppid …`, where comm may hold anything, brackets too.
fn name_and_parent(stat: &[u8]) -> Option<(String, u32)> {
    let stat = String::from_utf8_lossy(stat);
    let (before, after) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once(" (")?;
    let parent = after.split(' ').nth(1)?.parse().ok()?;
    Some((name.to_owned(), parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_known_by_their_variables() {
        let of = |names: &[&str]| sign(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(of(&["HOME", "CLAUDECODE"]).as_deref(), Some("the environment's CLAUDECODE"));
        assert!(of(&["CODEX_SANDBOX_NETWORK_DISABLED"]).is_some());
        assert!(of(&["HOME", "CLAUDE", "TERM"]).is_none());
    }

    #[test]
    fn a_process_may_be_named_like_its_own_status() {
        let stat = b"42 (x) S 1 (y) S 7 42 42 0 -1";
        assert_eq!(name_and_parent(stat), Some(("x) S 1 (y".into(), 7)));
        let own = std::fs::read("/proc/self/stat").unwrap();
        assert!(name_and_parent(&own).unwrap().1 > 0);
    }
}
