//! Named secrets: kept, listed, replaced and removed. Values come in and never go out again.

use serde_json::Value;

use super::{Operator, target::vault_refused};
use crate::{
    daemon::{audit, door::link::value, vault::Stored},
    domain::{
        escape::visible,
        id::Name,
        nearest::{nearest, told},
        secret::named::{self, MIN_BYTES, Named},
    },
    protocol::{
        error::{Code, Failure},
        operator::secret::{Kind, Request, Secrets, Shown},
    },
};

/// The longest word about a secret, in bytes.
const ABOUT: usize = 400;

impl Operator {
    pub(super) async fn secret(&self, request: Request) -> Result<Value, Failure> {
        match request {
            Request::List { search } => {
                let all = self.parts.vault.all::<Named>();
                let wanted =
                    |named: &Named| search.as_ref().is_none_or(|text| named.is_about(text));
                let wanted = all.iter().filter(|stored| wanted(&stored.record));
                value(&Secrets { secrets: wanted.map(|stored| shown(&stored.record)).collect() })
            }
            Request::Add { name, about, secret, replace } => {
                self.add_secret(name, about, secret, replace).await
            }
            Request::Remove { name } => {
                let stored = self.known_secret(&name)?;
                let id = stored.record.secret_id();
                audit::secret_changed(&self.parts.evidence, &name, "removed").await?;
                tokio::task::block_in_place(|| {
                    self.parts.vault.change(|change| {
                        change.remove::<Named>(&name, Some(stored.version))?;
                        change.remove_secret(&id)
                    })
                })
                .map_err(|error| vault_refused(&error))?;
                value(&shown(&stored.record))
            }
        }
    }

    async fn add_secret(
        &self,
        name: String,
        about: Option<String>,
        secret: u32,
        replace: bool,
    ) -> Result<Value, Failure> {
        let given = self.take_secret(secret)?;
        let name: Name = name.parse().map_err(|error: crate::domain::id::NotAName| {
            let message = format!("`{}`: {error}", visible(&name, 80));
            Failure::new(Code::UsageName, message, "choose another name")
        })?;
        if about
            .as_ref()
            .is_some_and(|about| about.len() > ABOUT || about.contains(char::is_control))
        {
            let message = format!("--about is one line of at most {ABOUT} bytes");
            return Err(Failure::new(Code::UsageArguments, message, "say it in fewer words"));
        }
        named::judge(&given).map_err(|weak| {
            let message = format!(
                "{name} is not kept: {weak}. sgw hides what it uses by name wherever it is printed, and \
                 whoever prints guesses would see which of them is hidden"
            );
            let hint = format!("take a value of {MIN_BYTES} random bytes or more");
            Failure::new(Code::SecretWeak, message, hint)
        })?;
        let before = self.parts.vault.get::<Named>(name.as_str());
        let about = about.or_else(|| before.as_ref().and_then(|known| known.record.about.clone()));
        let named = Named { name, about, created_at: self.parts.now() };
        if before.is_some() && !replace {
            let message = format!("there is a secret {} already", named.name);
            let hint = format!("sgw secret add {} --replace; sgw secret list", named.name);
            return Err(Failure::new(Code::SecretExists, message, hint));
        }
        let what = if before.is_some() { "replaced" } else { "added" };
        audit::secret_changed(&self.parts.evidence, named.name.as_str(), what).await?;
        tokio::task::block_in_place(|| {
            self.parts.vault.change(|change| {
                match &before {
                    Some(known) => change.edit(known.version, named.clone())?,
                    None => change.add(named.clone())?,
                }
                change.keep_secret(&named.secret_id(), &given)
            })
        })
        .map_err(|error| vault_refused(&error))?;
        value(&shown(&named))
    }

    fn known_secret(&self, name: &str) -> Result<std::sync::Arc<Stored<Named>>, Failure> {
        self.parts.vault.get::<Named>(name).ok_or_else(|| {
            let all = self.parts.vault.all::<Named>();
            let near = told(nearest(name, all.iter().map(|one| one.record.name.as_str())));
            let message = format!("there is no secret {}{near}", visible(name, 80));
            Failure::new(Code::SecretUnknown, message, "sgw secret list")
        })
    }
}

fn shown(named: &Named) -> Shown {
    Shown {
        kind: Kind::Secret,
        name: named.name.to_string(),
        about: named.about.clone(),
        created_at: named.created_at,
    }
}
