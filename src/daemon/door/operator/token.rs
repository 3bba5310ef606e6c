//! Tokens: made, shown, rotated and ended, each change on record before it holds.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Operator;
use crate::{
    daemon::{
        audit,
        authority::{self, Activity},
        door::link::{to_its_end, value},
    },
    domain::{
        escape::visible,
        grant::standing::{Holder, Standing},
        id::{Id, Kind as IdKind, Name},
        nearest::{nearest, told},
        record::Kind as RecordKind,
        token::{LONGEST_OVERLAP_S, LONGEST_S, Limits, Token, TokenHash},
    },
    protocol::{
        error::{Code, Failure},
        operator::{
            grant::Give,
            token::{Request, Shown, Tokens},
        },
    },
};

/// Names that are tried for a program's token before giving up.
const TRIES: usize = 1_000;
/// The most grants that come with a program's token.
const GRANTS: usize = 100;

/// Tokens that live as long as a connection; none any more when it has ended.
pub struct Held(Mutex<Option<Vec<Id>>>);

impl Operator {
    pub(super) async fn token(&self, request: Request) -> Result<Value, Failure> {
        match request {
            Request::Create { name, hash, expires_s, limits } => {
                let _alone = self.parts.authority.changing.lock().await;
                let name = read_name(name)?;
                self.parts.authority.check_free(&name)?;
                let token = self.new_token(name, hash, expires_s, limits)?;
                self.record_token(&token).await?;
                self.keep_token(&token, false)?;
                value(&self.token_shown(token.id.as_str())?)
            }
            Request::Run { name, exactly, hash, expires_s, grants } => {
                self.run(name, exactly, hash, expires_s, grants).await
            }
            Request::List {} => {
                let tokens = self.parts.authority.tokens();
                let tokens = tokens.into_iter().map(|(token, activity, with_program)| {
                    self.parts.token_shown(&token, &activity, with_program)
                });
                value(&Tokens { tokens: tokens.collect() })
            }
            Request::Show { token } => value(&self.token_shown(&token)?),
            Request::Rotate { token, hash, overlap_s } => {
                self.rotate(&token, hash, overlap_s).await
            }
            Request::Revoke { token } => self.revoke(&token).await,
        }
    }

    fn new_token(
        &self,
        name: Name,
        hash: TokenHash,
        expires_s: Option<u64>,
        limits: Limits,
    ) -> Result<Token, Failure> {
        let created_at = self.parts.now();
        let expires_at =
            expires_s.map(|seconds| after(created_at, seconds, LONGEST_S, "--expires"));
        if !limits.are_sane() {
            return Err(wrong("a limit is at least 1, and no more than sgw can count"));
        }
        Ok(Token {
            id: self.parts.ids.next(IdKind::Token)?,
            name,
            hash,
            previous: None,
            limits,
            created_at,
            expires_at: expires_at.transpose()?,
            revoked_at: None,
        })
    }

    async fn record_token(&self, token: &Token) -> Result<(), Failure> {
        let (told, kind) = (authority::told(token), RecordKind::TokenCreated);
        audit::authority_changed(&self.parts.evidence, kind, None::<&Value>, Some(&told)).await
    }

    fn keep_token(&self, token: &Token, with_program: bool) -> Result<(), Failure> {
        let token = token.clone();
        tokio::task::block_in_place(|| self.parts.authority.add_token(token, with_program))
            .map_err(|error| authority::not_kept(&error))
    }

    /// A token that lives as long as this connection, with its grants: in memory alone.
    async fn run(
        &self,
        name: String,
        exactly: bool,
        hash: TokenHash,
        expires_s: Option<u64>,
        grants: Vec<Give>,
    ) -> Result<Value, Failure> {
        let _alone = self.parts.authority.changing.lock().await;
        if grants.len() > GRANTS {
            return Err(wrong("too many targets for one program: a glob stands for many"));
        }
        let name = match exactly {
            true => read_name(name)?,
            false => self.free_name(&read_name(name)?)?,
        };
        self.parts.authority.check_free(&name)?;
        self.parts.authority.check_room_for_grants(grants.len())?;
        let token = self.new_token(name, hash, expires_s, Limits::default())?;
        let holder = || Holder::Token { id: token.id.clone(), name: token.name.clone() };
        let standing = grants.into_iter().map(|give| self.standing(holder(), give));
        let standing = standing.collect::<Result<Vec<Standing>, Failure>>()?;
        let mut notes = Vec::new();
        for one in &standing {
            notes.extend(self.notes(one));
        }
        self.record_token(&token).await?;
        for one in &standing {
            self.record_grant(one).await?;
        }
        // From here to the end without a pause: this call may be broken off between two.
        self.keep_token(&token, true)?;
        for one in standing {
            self.keep_grant(one, true)?;
        }
        if !self.held.hold(&token.id) {
            let (parts, id) = (self.parts.clone(), token.id.clone());
            tokio::spawn(async move { parts.program_ended(&id).await });
        }
        let shown = self.token_shown(token.id.as_str())?;
        value(&Shown { notes, ..shown })
    }

    /// This name, or the first that is free with a number behind it.
    fn free_name(&self, name: &Name) -> Result<Name, Failure> {
        let start: String = name.as_str().chars().take(58).collect();
        let numbered = (2..TRIES).filter_map(|number| format!("{start}-{number}").parse().ok());
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let free = names.find(|name| self.parts.authority.is_free(name));
        free.ok_or_else(|| wrong("too many programs have this name: give another with --name"))
    }

    async fn rotate(&self, word: &str, hash: TokenHash, overlap_s: u64) -> Result<Value, Failure> {
        let _alone = self.parts.authority.changing.lock().await;
        let (token, _, with_program) = self.find_token(word)?;
        if with_program {
            return Err(wrong("a program's token lives with it, and is not rotated"));
        }
        if !token.is_live(self.parts.now()) {
            return Err(wrong("that token is over: make a new one with sgw token create"));
        }
        if overlap_s > LONGEST_OVERLAP_S {
            return Err(wrong("an overlap is a week at most"));
        }
        let overlap = SignedDuration::from_secs(i64::try_from(overlap_s).unwrap_or(0));
        let mut rotated = token.clone();
        rotated.rotate(hash, overlap, self.parts.now());
        let (before, after) = (authority::told(&token), authority::told(&rotated));
        let (evidence, kind) = (&self.parts.evidence, RecordKind::TokenRotated);
        audit::authority_changed(evidence, kind, Some(&before), Some(&after)).await?;
        tokio::task::block_in_place(|| self.parts.authority.rotate(&token.id, hash, overlap))
            .map_err(|error| authority::not_kept(&error))?;
        value(&self.token_shown(token.id.as_str())?)
    }

    async fn revoke(&self, word: &str) -> Result<Value, Failure> {
        let (token, _, _) = self.find_token(word)?;
        let over = self.parts.authority.end_is_kept(&token);
        if !over {
            let (parts, token) = (self.parts.clone(), token.clone());
            let revoking = async move {
                let _alone = parts.authority.changing.lock().await;
                parts.revoke(&token).await
            };
            to_its_end(revoking).await?;
        }
        let shown = self.token_shown(token.id.as_str())?;
        let notes = over.then(|| format!("token {} was revoked already", token.name));
        value(&Shown { notes: notes.into_iter().collect(), ..shown })
    }

    pub(super) fn find_token(&self, word: &str) -> Result<(Token, Activity, bool), Failure> {
        self.parts.authority.token(word).ok_or_else(|| {
            let names: Vec<_> = self.parts.authority.tokens();
            let live = names.iter().filter(|(token, ..)| token.revoked_at.is_none());
            let near = told(nearest(word, live.map(|(token, ..)| token.name.as_str())));
            let message = format!("there is no token {}{near}", visible(word, 63));
            Failure::new(Code::TokenUnknown, message, "sgw token list; sgw token create NAME")
        })
    }

    fn token_shown(&self, word: &str) -> Result<Shown, Failure> {
        let (token, activity, with_program) = self.find_token(word)?;
        Ok(self.parts.token_shown(&token, &activity, with_program))
    }

    /// Ends the tokens whose life this connection was.
    pub(super) async fn end_held(&self) {
        for token in self.held.end() {
            self.parts.program_ended(&token).await;
        }
    }
}

impl Held {
    /// False where the connection has ended.
    fn hold(&self, token: &Id) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_mut().map(|held| held.push(token.clone())).is_some()
    }

    fn end(&self) -> Vec<Id> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

impl Default for Held {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

/// A time from now, as somebody typed it.
pub(super) fn after(
    now: Timestamp,
    seconds: u64,
    longest: u64,
    flag: &str,
) -> Result<Timestamp, Failure> {
    let seconds = Some(seconds).filter(|seconds| (1..=longest).contains(seconds));
    let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
    let then = seconds.and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
    then.ok_or_else(|| wrong(&format!("{flag} is from a second to ten years")))
}

fn read_name(name: String) -> Result<Name, Failure> {
    Name::try_from(name)
        .map_err(|error| Failure::new(Code::UsageName, error.to_string(), "choose another name"))
}

pub(super) fn wrong(message: &str) -> Failure {
    Failure::new(Code::UsageArguments, message, "sgw token --help; sgw grant --help")
}
