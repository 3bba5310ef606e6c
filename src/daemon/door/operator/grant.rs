//! Standing grants: given, shown and taken back, each change on record before it holds.

use serde_json::Value;

use super::{
    Operator,
    token::{after, wrong},
};
use crate::{
    daemon::{
        audit,
        authority::{self, Under},
        door::link::{to_its_end, value},
        parts::grant_shown,
    },
    domain::{
        capability::{Capabilities, Capability},
        escape::visible,
        grant::{
            pattern::Pattern,
            standing::{Approval, Holder, LONGEST_S, Standing},
        },
        id::{Id, Kind as IdKind, prefix_kind},
        record::Kind as RecordKind,
        target::named::Target,
    },
    protocol::{
        error::{Code, Failure},
        operator::grant::{Give, Grants, Request, Shown, To},
    },
};

/// The most grants in one answer: it has to fit a frame.
const PAGE: usize = 1_000;
/// The most targets that a new grant's notes name.
const NOTES: usize = 5;

impl Operator {
    pub(super) async fn grant(&self, request: Request) -> Result<Value, Failure> {
        match request {
            Request::Add { to, give } => {
                let _alone = self.parts.authority.changing.lock().await;
                self.parts.authority.check_room_for_grants(1)?;
                let (holder, with_program) = self.holder(to)?;
                let standing = self.standing(holder, give)?;
                let (id, notes) = (standing.id.clone(), self.notes(&standing));
                self.record_grant(&standing).await?;
                self.keep_grant(standing, with_program)?;
                value(&Shown { notes, ..grant_shown(&*self.find_grant(id.as_str())?) })
            }
            Request::List { after } => {
                let mut all = self.parts.authority.grants();
                if let Some(after) = &after {
                    all.retain(|under| under.standing.id.as_str() > after.as_str());
                }
                let more = all.len() > PAGE;
                let grants = all.iter().take(PAGE).map(|under| grant_shown(under)).collect();
                value(&Grants { grants, more })
            }
            Request::Remove { id } => {
                let (standing, was) = self.grant_to_remove(&id)?;
                let parts = self.parts.clone();
                let removing = async move {
                    let _alone = parts.authority.changing.lock().await;
                    parts.take_back(&standing).await
                };
                to_its_end(removing).await?;
                value(&was)
            }
        }
    }

    /// Whose it shall be; the flag says that it ends with a program.
    fn holder(&self, to: To) -> Result<(Holder, bool), Failure> {
        match to {
            // (uid_t)-1 is nobody's (chown(2), setresuid(2)).
            To::Uid(u32::MAX) => Err(wrong("4294967295 is no uid: it stands for none")),
            To::Uid(uid) => Ok((Holder::Uid(uid), false)),
            To::Token(word) => {
                let (token, _, with_program) = self.find_token(&word)?;
                if !token.is_live(self.parts.now()) {
                    return Err(wrong("that token is over: it can be given nothing"));
                }
                Ok((Holder::Token { id: token.id, name: token.name }, with_program))
            }
        }
    }

    /// What was typed, as a grant.
    pub(super) fn standing(&self, holder: Holder, give: Give) -> Result<Standing, Failure> {
        let unfit = |why: &dyn std::fmt::Display| {
            let message = format!("{}: {why}", visible(&give.target, 80));
            Failure::new(Code::UsageArguments, message, "sgw target list")
        };
        let target: Pattern = give.target.parse().map_err(|error| unfit(&error))?;
        if prefix_kind(target.as_str()).is_some() {
            return Err(unfit(&"no target's name starts like an id"));
        }
        let capabilities = match give.only {
            None => Capability::usual(),
            Some(words) => read_capabilities(&words)?,
        };
        if !give.budget.is_sane() {
            return Err(wrong("a budget is at least 1, and no more than sgw can count"));
        }
        let created_at = self.parts.now();
        let expires_at =
            give.for_s.map(|seconds| after(created_at, seconds, LONGEST_S, "--for")).transpose()?;
        Ok(Standing {
            id: self.parts.ids.next(IdKind::Grant)?,
            holder,
            target,
            capabilities,
            mode: give.mode,
            opaque: give.opaque,
            approval: give.approval,
            budget: give.budget,
            created_at,
            expires_at,
        })
    }

    /// What the operator may not have meant.
    pub(super) fn notes(&self, standing: &Standing) -> Vec<String> {
        let mut notes = Vec::new();
        let targets = self.parts.vault.all::<Target>();
        let names = targets.iter().map(|stored| stored.record.name.as_str());
        let matching = names.filter(|name| standing.target.matches(name)).count();
        if matching == 0 {
            notes.push(format!("no target matches {} yet: sgw target list", standing.target));
        }
        let alone = standing.approval != Approval::EachSession;
        let matched = targets.iter().map(|stored| &stored.record.name);
        for name in matched.filter(|name| alone && standing.target.matches(name.as_str())) {
            let Some(why) = self.parts.needs_operator(name) else { continue };
            if notes.len() == NOTES {
                notes.push("and more of that kind: sgw target list".to_owned());
                break;
            }
            notes.push(format!(
                "no session opens by itself on {name}: {why}: sgw target show {name}"
            ));
        }
        if let Holder::Uid(uid) = standing.holder {
            notes.push(format!("every process of uid {uid} has it, whatever token it shows"));
        }
        notes
    }

    pub(super) async fn record_grant(&self, standing: &Standing) -> Result<(), Failure> {
        let (evidence, kind) = (&self.parts.evidence, RecordKind::GrantAdded);
        audit::authority_changed(evidence, kind, None::<&Value>, Some(standing)).await
    }

    pub(super) fn keep_grant(&self, standing: Standing, with_program: bool) -> Result<(), Failure> {
        tokio::task::block_in_place(|| self.parts.authority.add_grant(standing, with_program))
            .map_err(|error| authority::not_kept(&error))
    }

    /// One that is given, or one that was taken back while the disk was full.
    fn grant_to_remove(&self, word: &str) -> Result<(Standing, Shown), Failure> {
        let id: Option<Id> = word.parse().ok();
        let left = id.and_then(|id| self.parts.authority.grant_left(&id));
        let under = self.find_grant(word).or_else(|unknown| left.ok_or(unknown))?;
        Ok((under.standing.clone(), grant_shown(&under)))
    }

    fn find_grant(&self, word: &str) -> Result<std::sync::Arc<Under>, Failure> {
        let id: Option<Id> = word.parse().ok();
        id.and_then(|id| self.parts.authority.grant(&id)).ok_or_else(|| {
            let message = format!("there is no standing grant {}", visible(word, 63));
            Failure::new(Code::GrantUnknown, message, "sgw grant list")
        })
    }
}

fn read_capabilities(words: &[String]) -> Result<Capabilities, Failure> {
    let read =
        |word: &String| word.parse::<Capability>().map_err(|error| wrong(&error.to_string()));
    let capabilities = words.iter().map(read).collect::<Result<Capabilities, _>>()?;
    match capabilities.is_empty() {
        true => Err(wrong("a grant that gives nothing is none")),
        false => Ok(capabilities),
    }
}
