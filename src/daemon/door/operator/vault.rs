//! The vault as a whole: another passphrase, another key, out and in. The record comes first; whoever
//! asked may go away meanwhile, and it still comes to its end.

use serde_json::{Map, Value};

use super::{Operator, taken_in::Difference};
use crate::{
    daemon::{
        Parts, audit,
        door::link::{self, Gone, value},
        vault::{Count, NewHeader, Step, VaultError},
    },
    domain::{
        record::Kind as RecordKind,
        seal::{DataKey, Key},
    },
    protocol::{
        error::Failure,
        noise,
        operator::{
            Event,
            vault::{Changed, Kind, Moved, PART_BYTES, Request},
        },
    },
};

impl Operator {
    pub(super) async fn vault(
        &self,
        number: u32,
        request: Request,
    ) -> Result<Result<Value, Failure>, Gone> {
        Ok(match request {
            Request::Passphrase { was, header } => self
                .vault_changes(RecordKind::VaultPassphrase, Map::new(), move |parts| {
                    parts.vault.replace_header(&NewHeader { was: &was.0, new: &header.0 })
                })
                .await
                .and_then(|()| self.vault_changed()),
            Request::Rotate { was, header, secret } => match self.key(secret) {
                Err(failure) => Err(failure),
                Ok(key) => self
                    .vault_changes(RecordKind::VaultRotated, Map::new(), move |parts| {
                        let key = DataKey::new(*key.expose());
                        let header = NewHeader { was: &was.0, new: &header.0 };
                        parts.vault.rotate(&header, &key, |step| {
                            // The moment that the header holds it, the operator proves with it.
                            if step == Step::Header {
                                parts.set_operator_key(noise::session_key(&key));
                            }
                        })
                    })
                    .await
                    .and_then(|()| self.vault_changed()),
            },
            Request::Export { head, secret } => match self.key(secret) {
                Err(failure) => Err(failure),
                Ok(key) => self.export(number, head.0, key).await?,
            },
            Request::Import { head, secret, parts, replace, look } => {
                match self.key(secret).and_then(|key| Ok((key, self.parts_of_file(&parts)?))) {
                    Err(failure) => Err(failure),
                    Ok((key, sealed)) => self.import(key, head.0, sealed, replace, look).await,
                }
            }
        })
    }

    /// Records what is about to happen, does it, and records when it did not.
    async fn vault_changes<T: Send + 'static>(
        &self,
        kind: RecordKind,
        action: Map<String, Value>,
        change: impl FnOnce(&Parts) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, Failure> {
        let parts = self.parts.clone();
        link::to_its_end(async move {
            audit::vault(&parts.evidence, kind, action.clone(), None).await?;
            let changed = tokio::task::block_in_place(|| change(&parts));
            match changed.map_err(|error| super::settings::refused(&error)) {
                Ok(done) => Ok(done),
                Err(failure) => {
                    audit::vault(&parts.evidence, kind, action, Some(&failure)).await?;
                    Err(failure)
                }
            }
        })
        .await
    }

    /// What comes and goes is on record, each with what it was and becomes, before any of it does.
    async fn import(
        &self,
        key: Key,
        head: Vec<u8>,
        sealed: Vec<u8>,
        replace: bool,
        look: bool,
    ) -> Result<Value, Failure> {
        let _alone = self.parts.authority.changing.lock().await;
        let (kind, evidence) = (RecordKind::VaultImported, &self.parts.evidence);
        let would = tokio::task::block_in_place(|| {
            self.parts.vault.import_would(&key, &head, &sealed, replace, Difference::of)
        });
        let (count, mut difference) = match would {
            Ok(would) => would,
            Err(error) => {
                let failure = super::settings::refused(&error);
                let action = Difference::default().actions(replace).pop().unwrap_or_default();
                if !look {
                    audit::vault(evidence, kind, action, Some(&failure)).await?;
                }
                return Err(failure);
            }
        };
        let came = std::mem::take(&mut difference.came);
        let went = std::mem::take(&mut difference.went);
        if look {
            return self.moved(count, came, went);
        }
        let mut actions = difference.actions(replace);
        let last = actions.pop().unwrap_or_default();
        for action in actions {
            audit::vault(evidence, kind, action, None).await?;
        }
        let imported = self
            .vault_changes(kind, last, move |parts| {
                let count = parts.vault.import(&key, &head, &sealed, replace)?;
                parts.ids.begin_anew();
                parts.authority.reload();
                Ok(count)
            })
            .await;
        // What rested on what was replaced ends before this is told.
        self.parts.end_unfounded().await;
        imported.and_then(|count| self.moved(count, came, went))
    }

    async fn export(
        &self,
        number: u32,
        head: Vec<u8>,
        key: Key,
    ) -> Result<Result<Value, Failure>, Gone> {
        let kind = RecordKind::VaultExported;
        let exported =
            self.vault_changes(kind, Map::new(), move |parts| parts.vault.export(&key, &head));
        let (sealed, count) = match exported.await {
            Ok(exported) => exported,
            Err(failure) => return Ok(Err(failure)),
        };
        for part in sealed.chunks(PART_BYTES) {
            let bytes = part.to_vec().into();
            self.outbox.json(number, &Event::Part { bytes }).await?;
        }
        Ok(self.moved(count, Vec::new(), Vec::new()))
    }

    fn parts_of_file(&self, numbers: &[u32]) -> Result<Vec<u8>, Failure> {
        let mut file = Vec::new();
        for number in numbers {
            file.extend_from_slice(self.take_secret(*number)?.expose());
        }
        Ok(file)
    }

    fn key(&self, secret: u32) -> Result<Key, Failure> {
        let key = self.take_secret(secret)?;
        let key = key.expose().as_slice().try_into();
        key.map(Key::new).map_err(|_| link::out_of_place("a key of another length"))
    }

    fn vault_changed(&self) -> Result<Value, Failure> {
        value(&Changed { kind: Kind::Vault, revision: self.parts.vault.revision() })
    }

    fn moved(
        &self,
        Count { records, secrets }: Count,
        came: Vec<String>,
        went: Vec<String>,
    ) -> Result<Value, Failure> {
        let revision = self.parts.vault.revision();
        value(&Moved { kind: Kind::Vault, revision, records, secrets, came, went })
    }
}
