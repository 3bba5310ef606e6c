//! What redirections give a command to read, and where they put what it writes.

use super::Walk;
use crate::domain::guard::{
    field::{Data, Field},
    syntax::{self, Redirect, RedirectKind},
};

/// What a redirection does to a command.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdin: Option<Data>,
    pub(super) reads: Vec<Field>,
    pub(super) writes: Vec<Field>,
    /// Where standard output goes, if not on.
    pub(super) stdout: Option<Field>,
    /// It may not be there, and then nothing runs.
    pub(super) may_fail: bool,
}

impl Walk<'_> {
    pub(super) fn streams(&mut self, redirects: &[Redirect]) -> Streams {
        let mut streams = Streams::default();
        for redirect in redirects {
            streams.may_fail |= may_fail(redirect);
            match &redirect.kind {
                RedirectKind::Read(word) => {
                    let field = self.expand_one(word);
                    streams.stdin = Some(self.content(&field));
                    streams.reads.push(field);
                }
                RedirectKind::Write(word) => {
                    let field = self.expand_one(word);
                    if redirect.fd.is_none_or(|fd| fd == 1) {
                        streams.stdout = Some(field.clone());
                    }
                    streams.writes.push(field);
                }
                RedirectKind::ReadWrite(word) => {
                    let field = self.expand_one(word);
                    streams.reads.push(field.clone());
                    streams.writes.push(field);
                }
                RedirectKind::Duplicate(word) => _ = self.expand_one(word),
                RedirectKind::HereDocument(body) => {
                    let field = body.get().map(|word| self.expand_one(word)).unwrap_or_default();
                    streams.stdin = Some(self.text_of(&field, ""));
                }
                RedirectKind::HereString(word) => {
                    let field = self.expand_one(word);
                    streams.stdin = Some(self.text_of(&field, "\n"));
                }
            }
        }
        streams
    }
}

/// Whether nothing runs where the redirection's file is not there.
fn may_fail(redirect: &Redirect) -> bool {
    let literal = |word: &syntax::Word| word.literal().unwrap_or_default();
    match &redirect.kind {
        RedirectKind::Read(word) | RedirectKind::Write(word) | RedirectKind::ReadWrite(word) => {
            literal(word) != "/dev/null"
        }
        RedirectKind::Duplicate(word) => !matches!(literal(word).as_str(), "1" | "2" | "-"),
        RedirectKind::HereDocument(_) | RedirectKind::HereString(_) => false,
    }
}

impl Streams {
    /// What one of several ways may give a command.
    pub(super) fn any(ways: Vec<Self>) -> Self {
        let mut ways = ways.into_iter();
        let mut any = ways.next().unwrap_or_default();
        for way in ways {
            any.stdin = match (any.stdin, way.stdin) {
                (Some(one), Some(other)) => Some(one.or(other)),
                (one, other) => one.or(other),
            };
            any.reads.extend(way.reads);
            any.writes.extend(way.writes);
            any.may_fail |= way.may_fail;
        }
        any
    }
}
