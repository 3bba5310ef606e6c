//! What the operator said of commands for the rest of a session: parts that pass, and rules whose
//! findings are denied.

use super::{
    action::Stdin,
    digest::Digest,
    id::Id,
    judgement::{Judgement, Part, SESSION},
};

/// The most that is kept for one session; beyond, a person is asked again.
const MOST: usize = 100;

/// A yes to exactly this part.
#[derive(Clone, Debug)]
pub struct Pass {
    pub part: Part,
    /// How often it still passes; absent: until the session ends.
    pub left: Option<u32>,
    /// The request that it was said to.
    pub request: Id,
    /// It was said to whatever comes on standard input, which no rule looks at.
    pub with_input: bool,
}

/// What passes in a session.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    passes: Vec<Pass>,
    /// The policy under which the session's terminal was said yes to.
    terminal: Option<Digest>,
}

/// Rules whose findings the operator denied, as they hold for one command.
#[derive(Clone, Debug, Default)]
pub struct DeniedRules(pub Vec<String>);

impl DeniedRules {
    /// The rule that is denied of those that found something.
    pub fn of(&self, judged: &Judgement) -> Option<&str> {
        let found = |rule: &&String| {
            judged.rule.as_ref() == Some(rule)
                || judged.parts.iter().any(|part| part.rule == **rule)
        };
        self.0.iter().find(found).map(String::as_str)
    }
}

impl Kept {
    /// Keeps a yes to all that is typed in the session, as long as this policy holds.
    pub fn keep_terminal(&mut self, policy: Digest) {
        self.terminal = Some(policy);
    }

    /// Whether a question about the terminal itself was said yes to.
    pub fn passes_terminal(&self, judged: &Judgement) -> bool {
        judged.rule.as_deref() == Some(SESSION) && self.terminal == Some(judged.policy)
    }

    /// Keeps a yes. False: there is no room.
    pub fn keep(&mut self, pass: Pass) -> bool {
        self.passes.retain(|old| old.left != Some(0) && old.part != pass.part);
        let room = self.passes.len() < MOST;
        if room {
            self.passes.push(pass);
        }
        room
    }

    /// Uses up a yes to each part that is asked about: all of them, or none. What said them. Where what is
    /// fed to a command, or a script, counted, its words say too little.
    pub fn pass(&mut self, judged: &Judgement) -> Option<Vec<Id>> {
        if judged.more || judged.parts.is_empty() || !judged.is_of_words_alone() {
            return None;
        }
        let mut used = Vec::new();
        for part in &judged.parts {
            let fits = |pass: &Pass| {
                let fed = pass.with_input || judged.manner.stdin == Stdin::Empty;
                pass.left != Some(0) && pass.part == *part && fed
            };
            let at = self.passes.iter().position(fits)?;
            if !used.contains(&at) {
                used.push(at);
            }
        }
        let mut said = Vec::new();
        for at in used {
            let pass = &mut self.passes[at];
            pass.left = pass.left.map(|left| left.saturating_sub(1));
            said.push(pass.request.clone());
        }
        said.dedup();
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{action::Whole, id::Kind, judgement::Script};

    fn pass(line: &str, left: Option<u32>) -> Vec<Pass> {
        let parts = Judgement::for_test(line.as_bytes()).parts;
        let request = Id::from_number(Kind::Request, 1);
        let pass = |part| Pass { part, left, request: request.clone(), with_input: false };
        parts.into_iter().map(pass).collect()
    }

    fn passes(kept: &mut Kept, line: &str) -> bool {
        kept.pass(&Judgement::for_test(line.as_bytes())).is_some()
    }

    #[test]
    fn a_yes_is_for_this_part_in_this_place_and_for_nothing_around_it() {
        let mut kept = Kept::default();
        for pass in pass("systemctl restart nginx", None) {
            assert!(kept.keep(pass));
        }
        for same in ["systemctl restart nginx", "'systemctl' restart \"nginx\" && ls"] {
            assert!(passes(&mut kept, same), "{same}");
        }
        for other in [
            "systemctl restart nginx2",
            "systemctl stop nginx",
            "sudo systemctl restart nginx",
            "systemctl restart nginx; rm -rf /srv/x",
            "cd /x && systemctl restart nginx",
            "systemctl restart $X",
            "rm -rf /",
        ] {
            assert!(!passes(&mut kept, other), "{other}");
        }
    }

    #[test]
    fn a_yes_is_used_up_and_a_line_that_needs_more_uses_none() {
        let mut kept = Kept::default();
        for pass in pass("systemctl restart nginx", Some(2)) {
            assert!(kept.keep(pass));
        }
        assert!(!passes(&mut kept, "systemctl restart nginx; systemctl restart other"));
        assert!(passes(&mut kept, "systemctl restart nginx"));
        assert!(passes(&mut kept, "systemctl restart nginx"));
        assert!(!passes(&mut kept, "systemctl restart nginx"));
    }

    #[test]
    fn a_yes_to_words_is_none_to_what_is_fed_or_to_a_script() {
        let mut kept = Kept::default();
        for pass in pass("systemctl restart nginx", None) {
            assert!(kept.keep(pass));
        }
        let judged = || Judgement::for_test(b"systemctl restart nginx");
        assert!(kept.pass(&judged()).is_some());
        let mut fed = judged();
        let whole = Whole { bytes: 1, sum: fed.policy };
        fed.manner.stdin = Stdin::Whole(whole);
        let mut open = judged();
        open.manner.stdin = Stdin::Open;
        let mut reads = judged();
        reads.reads_stdin = true;
        let mut script = judged();
        script.scripts = vec![Script { path: "/srv/x.sh".to_owned(), sum: None, turns: 0 }];
        for judged in [fed, open, reads, script] {
            assert!(kept.pass(&judged).is_none(), "{judged:?}");
        }
    }

    #[test]
    fn what_is_denied_by_its_rule_is_denied_wherever_it_stands() {
        let denied =
            DeniedRules(vec![Judgement::for_test(b"systemctl restart nginx").rule.unwrap()]);
        let denies = |line: &[u8]| denied.of(&Judgement::for_test(line)).is_some();
        assert!(denies(b"sudo systemctl stop x") && denies(b"ls; systemctl restart other"));
        assert!(!denies(b"ls"));
    }
}
