//! Whether a command stands where its words mean what they mean by themselves.

use super::Walk;
use crate::domain::guard::field::Field;

impl Walk<'_> {
    /// Nothing runs it but the line itself: no other program, machine, user or function, no variable before
    /// it, no name that the line gave to something else, no directory that the line changed. Of what is typed
    /// at a prompt nobody knows where it stands.
    pub(super) fn stands_alone(
        &self,
        program: &str,
        argv: &[Field],
        env: &[(String, Field)],
    ) -> bool {
        let renamed = self.functions.contains_key(program) || self.aliases.contains_key(program);
        self.chain.is_empty()
            && self.contexts.is_empty()
            && env.is_empty()
            && !renamed
            && !self.context.interactive
            && (!self.elsewhere || names_no_place(argv))
    }
}

/// Whether no word is a path that hangs on a directory.
fn names_no_place(argv: &[Field]) -> bool {
    let Some((program, words)) = argv.split_first() else { return false };
    let whole = |text: &str| text.starts_with('/');
    let flag = |text: &str| {
        let letters = text.trim_start_matches('-');
        letters.len() < text.len() && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    (!program.text.contains('/') || whole(&program.text))
        && words.iter().all(|word| whole(&word.text) || flag(&word.text))
}
