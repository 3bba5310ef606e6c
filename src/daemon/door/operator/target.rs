//! Named targets: kept, shown, changed and removed, each with the value of its credential in one change.

mod test;

use std::sync::Arc;

use russh::keys::HashAlg;
use serde_json::Value;

use super::Operator;
use crate::{
    daemon::{
        audit,
        door::link::value,
        vault::{Stored, VaultError},
    },
    domain::{
        escape::visible,
        id::Name,
        key,
        secret::Secret,
        target::named::{self, Credential, NoWay, Target},
    },
    protocol::{
        error::{Code, Failure},
        operator::target::{Accepted, Draft, Kind, Request, Sessions, Shown, Targets},
        view,
    },
};

/// A target, and the value of its credential where one is given.
type Kept = (Target, Option<Secret<Vec<u8>>>);

impl Operator {
    pub(super) async fn target(&self, request: Request) -> Result<Value, Failure> {
        match request {
            Request::List {} => {
                let all = self.parts.vault.all::<Target>();
                value(&Targets { targets: all.iter().map(|stored| self.shown(stored)).collect() })
            }
            Request::Show { name } => value(&self.shown(&*self.known_target(&name)?)),
            Request::Add(draft) => self.add_target(*draft).await,
            Request::Edit { version, draft } => self.edit_target(version, *draft).await,
            Request::Remove { name } => self.remove_target(&name).await,
            Request::Test { name, lent } => self.test_target(&name, &lent).await,
            Request::AcceptKey { name, fingerprints, lent } => {
                self.accept_key(&name, fingerprints, &lent).await
            }
        }
    }

    /// A question with the way of the named target that it is about, for an operator with proof.
    pub(super) fn with_its_way(
        &self,
        mut question: view::Question,
    ) -> Result<view::Question, Failure> {
        let asked = question.request.target.parse().ok();
        let Some(name) = asked.and_then(|asked| self.parts.target_named(&asked)) else {
            return Ok(question);
        };
        match question.request.kind {
            _ if !self.proven => {}
            view::Kind::Access if question.prolongs.is_none() => {
                question.named = Some(self.parts.way_shown(&name)?);
            }
            // The session goes on where it is; a target that leads elsewhere by now has no say in it.
            view::Kind::Login => {
                let way = self.parts.way_shown(&name).ok();
                let place: Vec<_> =
                    question.place.iter().map(|one| (&one.hop, &one.proxy_command)).collect();
                question.named = way.filter(|way| {
                    let hops = way.hops.iter();
                    hops.map(|one| (&one.hop, &one.target.proxy_command)).eq(place)
                });
            }
            _ => {}
        }
        Ok(question)
    }

    fn known_target(&self, name: &str) -> Result<Arc<Stored<Target>>, Failure> {
        let stored = self.parts.vault.get::<Target>(name);
        stored.ok_or_else(|| self.parts.no_target(&visible(name, 80)))
    }

    fn shown(&self, stored: &Stored<Target>) -> Shown {
        let target = stored.record.clone();
        let way = self.parts.way_to(&target.name);
        let (way, broken) = match way {
            Ok((way, _)) => (way, None),
            Err(failure) => (Vec::new(), Some(failure.message)),
        };
        let jumps = way.iter().rev().skip(1).rev();
        Shown {
            kind: Kind::Target,
            version: stored.version,
            pinned: self.parts.pinned(&target),
            way: jumps.map(|target| target.name.to_string()).collect(),
            broken,
            sessions: Sessions::default(),
            target,
        }
    }

    async fn add_target(&self, draft: Draft) -> Result<Value, Failure> {
        let name = draft.target.name.clone();
        if self.parts.vault.get::<Target>(name.as_str()).is_some() {
            return Err(exists(&name));
        }
        if draft.target.proxy_command.is_some() {
            self.parts.may_run("a proxy command")?;
        }
        let (target, given) = self.read_draft(draft, None)?;
        let held = given.is_some();
        let (evidence, go_on) = (&self.parts.evidence, self.parts.approved_over(&name));
        audit::target_changed(evidence, name.as_str(), None, Some(&target), held, &go_on).await?;
        tokio::task::block_in_place(|| {
            self.parts.vault.change(|change| {
                change.add(target.clone())?;
                given.iter().try_for_each(|given| change.keep_secret(&target.secret_id(), given))
            })
        })
        .map_err(|error| vault_refused(&error))?;
        let sessions = self.parts.settle_target(&name).await;
        value(&Shown { sessions, ..self.shown(&*self.known_target(name.as_str())?) })
    }

    async fn edit_target(&self, version: u64, draft: Draft) -> Result<Value, Failure> {
        let name = draft.target.name.clone();
        let before = self.known_target(name.as_str())?;
        if before.version != version {
            return Err(changed_meanwhile(&name));
        }
        if draft.target.proxy_command.is_some() {
            self.parts.may_run("a proxy command")?;
        }
        let (target, given) = self.read_draft(draft, Some(&before.record))?;
        let sessions = self.replace(&before, target, given.as_ref()).await?;
        value(&Shown { sessions, ..self.shown(&*self.known_target(name.as_str())?) })
    }

    /// Puts a target in the place of the version that was read, with the value of its credential.
    async fn replace(
        &self,
        before: &Stored<Target>,
        target: Target,
        given: Option<&Secret<Vec<u8>>>,
    ) -> Result<Sessions, Failure> {
        let (evidence, name) = (&self.parts.evidence, target.name.clone());
        let (was, is) = (Some(&before.record), Some(&target));
        let go_on = self.parts.approved_over(&name);
        audit::target_changed(evidence, name.as_str(), was, is, given.is_some(), &go_on).await?;
        let forget = before.record.credential.is_held() && !target.credential.is_held();
        tokio::task::block_in_place(|| {
            self.parts.vault.change(|change| {
                change.edit(before.version, target.clone())?;
                match given {
                    Some(given) => change.keep_secret(&target.secret_id(), given),
                    None if forget => change.remove_secret(&target.secret_id()),
                    None => Ok(()),
                }
            })
        })
        .map_err(|error| vault_refused(&error))?;
        Ok(self.parts.settle_target(&name).await)
    }

    async fn remove_target(&self, name: &str) -> Result<Value, Failure> {
        let stored = self.known_target(name)?;
        let users: Vec<String> = self
            .parts
            .vault
            .all::<Target>()
            .iter()
            .filter(|other| other.record.jump.as_ref() == Some(&stored.record.name))
            .map(|other| other.record.name.to_string())
            .collect();
        if !users.is_empty() {
            let message = format!("{name} is the jump host of {}", users.join(", "));
            let hint = format!("first: sgw target edit {} --no-jump", users[0]);
            return Err(Failure::new(Code::TargetUsed, message, hint));
        }
        let shown = self.shown(&stored);
        let record = &stored.record;
        let (evidence, go_on) = (&self.parts.evidence, self.parts.approved_over(&record.name));
        audit::target_changed(evidence, name, Some(record), None, false, &go_on).await?;
        tokio::task::block_in_place(|| {
            self.parts.vault.change(|change| {
                change.remove::<Target>(name, Some(stored.version))?;
                match record.credential.is_held() {
                    true => change.remove_secret(&record.secret_id()),
                    false => Ok(()),
                }
            })
        })
        .map_err(|error| vault_refused(&error))?;
        let sessions = self.parts.settle_target(&record.name).await;
        value(&Shown { sessions, ..shown })
    }

    /// What is to be kept, and the value of its credential where one is given. Nothing that a client
    /// says of a credential is believed that the value itself can tell.
    fn read_draft(&self, draft: Draft, before: Option<&Target>) -> Result<Kept, Failure> {
        let Draft { mut target, secret } = draft;
        let given = secret.map(|number| self.take_secret(number)).transpose()?;
        target.check().map_err(|error| {
            Failure::new(Code::TargetUnfit, error.to_string(), "sgw target add --help")
        })?;
        self.check_way(&target)?;
        match &given {
            Some(given) => self.check_value(&mut target, given)?,
            // It may stay what it was; another one needs its value.
            None if target.credential.is_held() => {
                let same = before.is_some_and(|before| before.credential == target.credential);
                if !same {
                    return Err(unusable("its value is missing"));
                }
            }
            None => {}
        }
        Ok((target, given))
    }

    fn check_value(&self, target: &mut Target, given: &Secret<Vec<u8>>) -> Result<(), Failure> {
        let pinned = self.parts.keys_of(target);
        let authorities = target.host_ca.iter().map(named::Authority::fingerprint);
        let vouchers: Vec<String> = pinned.into_iter().chain(authorities).collect();
        match &mut target.credential {
            Credential::Key { fingerprint } | Credential::Certificate { fingerprint, .. } => {
                let key = key::parse(given).map_err(|error| unusable(&error.to_string()))?;
                let is = key.public_key().fingerprint(HashAlg::Sha256).to_string();
                match is == *fingerprint {
                    true => Ok(()),
                    false => Err(unusable("it is another key than was named")),
                }
            }
            Credential::Password { bound } => {
                // For what vouches for the machine now; where nothing does yet, for what does first.
                *bound = vouchers;
                match std::str::from_utf8(given.expose()) {
                    Ok(text) if !text.is_empty() => Ok(()),
                    _ => Err(unusable("a password is text, and not empty")),
                }
            }
            _ => Err(unusable("a value came with a credential that has none")),
        }
    }

    /// Whether the way holds with this target in it: its own, and that of each that is reached through it.
    fn check_way(&self, target: &Target) -> Result<(), Failure> {
        let all = self.parts.vault.all::<Target>();
        let find = |name: &Name| match *name == target.name {
            true => Some(target.clone()),
            false => all.iter().find(|one| one.record.name == *name).map(|one| one.record.clone()),
        };
        let hint = "sgw target list shows which are reached through which";
        let refused = |error: NoWay| Failure::new(Code::TargetWay, error.to_string(), hint);
        named::chain(&target.name, find).map_err(refused)?;
        for other in all.iter().filter(|one| one.record.jump.is_some()) {
            let through = named::chain(&other.record.name, find);
            // What was broken before is not this one's fault.
            if through.is_err() && self.parts.way_to(&other.record.name).is_ok() {
                through.map_err(refused)?;
            }
        }
        Ok(())
    }

    /// Takes these host keys and no others; without one it looks which the machine shows.
    async fn accept_key(
        &self,
        name: &str,
        fingerprints: Vec<String>,
        lent: &[crate::protocol::operator::target::Lent],
    ) -> Result<Value, Failure> {
        let stored = self.known_target(name)?;
        let before = self.parts.keys_of(&stored.record);
        if fingerprints.is_empty() {
            let shows = Some(self.look_at_key(&stored.record.name, lent).await?);
            let (host_keys, name) = (before.clone(), name.to_owned());
            let sessions = Sessions::default();
            return value(&Accepted {
                name,
                kind: Kind::Target,
                host_keys,
                before,
                shows,
                sessions,
            });
        }
        let target = Target { host_keys: fingerprints, ..stored.record.clone() };
        target.check().map_err(|error| {
            let hint = "as ssh-keygen -l -f writes it: SHA256:…";
            Failure::new(Code::TargetUnfit, error.to_string(), hint)
        })?;
        let (host_keys, name) = (target.host_keys.clone(), name.to_owned());
        let sessions = self.replace(&stored, target, None).await?;
        value(&Accepted { name, kind: Kind::Target, host_keys, before, shows: None, sessions })
    }
}

fn unusable(why: &str) -> Failure {
    let message = format!("the credential can't be kept: {why}");
    Failure::new(Code::TargetCredential, message, "sgw target add --help")
}

fn exists(name: &Name) -> Failure {
    let message = format!("there is a target {name} already");
    Failure::new(
        Code::TargetExists,
        message,
        format!("sgw target show {name}; sgw target edit {name}"),
    )
}

fn changed_meanwhile(name: &Name) -> Failure {
    let message =
        format!("{name} was changed by somebody else meanwhile; nothing of yours was kept");
    Failure::new(
        Code::TargetChanged,
        message,
        format!("look at it, and say it again: sgw target show {name}"),
    )
}

/// Why the vault did not take a change of a target or a secret.
pub(super) fn vault_refused(error: &VaultError) -> Failure {
    match error {
        VaultError::Changed { id, .. } => Failure::new(
            Code::TargetChanged,
            format!("{id} was changed by somebody else meanwhile; nothing of yours was kept"),
            "look at it, and say it again: sgw target list",
        ),
        VaultError::Exists { table: "secret", id } => Failure::new(
            Code::SecretExists,
            format!("there is a secret {id} already"),
            "sgw secret list",
        ),
        VaultError::Exists { id, .. } => Failure::new(
            Code::TargetExists,
            format!("there is a target {id} already"),
            "sgw target list",
        ),
        VaultError::Missing { id, .. } => Failure::new(
            Code::TargetUnknown,
            format!("there is no {id} any more"),
            "sgw target list",
        ),
        other => super::settings::refused(other),
    }
}
