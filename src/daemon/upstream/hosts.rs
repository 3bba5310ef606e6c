//! Whether a server is the one that was meant: pins in the vault, what the operator's known_hosts
//! says, and the operator's answer.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use russh::keys::{Algorithm, PublicKey};

use super::{AskOperator, HostKeyJudge, HostKeyRefusal};
use crate::{
    daemon::vault::{Pin, Vault},
    domain::{
        hostkey::{self, Evidence, Verdict},
        known_hosts::Known,
        target::Hop,
    },
};

pub enum Answer {
    Yes,
    No,
    /// Nobody can be asked now.
    NotAsked,
}

/// Judges host keys for one session's hops.
pub struct Hosts {
    vault: Arc<Vault>,
    /// For each hop what the operator's known_hosts files say of it: they can only refuse.
    known: Vec<(Hop, Vec<Known>)>,
    /// Fingerprints that the operator named beforehand.
    accepted: Vec<String>,
    /// Who is asked, while an approval is under way.
    ask: Option<Arc<dyn AskOperator>>,
    /// On whose word a new key is pinned.
    how: String,
    /// For each hop the fingerprint of the only key that is taken.
    exactly: Vec<(Hop, String)>,
    /// The keys that were trusted, by hop.
    seen: Mutex<Vec<(Hop, String)>>,
}

impl Hosts {
    /// Asks and accepts: for the first connection, made within an approval.
    pub fn asking(
        vault: Arc<Vault>,
        known: Vec<(Hop, Vec<Known>)>,
        accepted: Vec<String>,
        ask: Option<Arc<dyn AskOperator>>,
        how: String,
    ) -> Self {
        let (exactly, seen) = (Vec::new(), Mutex::default());
        Self { vault, known, accepted, ask, how, exactly, seen }
    }

    /// Takes these very keys, which are pinned: for a session's login that a person repeats.
    pub fn exactly(vault: Arc<Vault>, keys: Vec<(Hop, String)>) -> Self {
        Self { exactly: keys, ..Self::pinned(vault) }
    }

    /// Takes pinned keys alone: for every further connection.
    pub fn pinned(vault: Arc<Vault>) -> Self {
        Self::asking(vault, Vec::new(), Vec::new(), None, String::new())
    }

    /// The fingerprints of the keys that these hops showed.
    pub fn fingerprints(&self, hops: &[Hop]) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of =
            |hop: &Hop| seen.iter().rev().find(|(one, _)| one == hop).map(|(_, key)| key.clone());
        hops.iter().map(|hop| of(hop).unwrap_or_default()).collect()
    }

    fn known(&self, hop: &Hop) -> &[Known] {
        let of = self.known.iter().find(|(one, _)| one == hop);
        of.map(|(_, known)| known.as_slice()).unwrap_or_default()
    }

    fn pins(&self, hop: &Hop) -> Vec<PublicKey> {
        keys(&self.vault.pins(&hop.address()))
    }

    async fn decide(&self, hop: &Hop, key: &PublicKey) -> Result<(), HostKeyRefusal> {
        let presented = hostkey::fingerprint(key);
        if let Some((_, only)) = self.exactly.iter().find(|(one, _)| one == hop)
            && *only != presented
        {
            return Err(HostKeyRefusal::Changed { known: vec![only.clone()], presented });
        }
        let pins = self.pins(hop);
        let elsewhere: Vec<_> = self
            .vault
            .all_pins()
            .into_iter()
            .filter(|(address, _)| *address != hop.address())
            .flat_map(|(address, pins)| {
                keys(&pins).into_iter().map(move |key| (address.clone(), key))
            })
            .collect();
        let verdict = hostkey::judge(
            key,
            &Evidence {
                pins: &pins,
                known: self.known(hop),
                accepted: &self.accepted,
                elsewhere: &elsewhere,
            },
        );
        match verdict {
            Verdict::Trusted { new: false } => {}
            Verdict::Trusted { new: true } => self.pin(hop, key, "--accept-host-key")?,
            Verdict::Changed { expected, .. } => {
                return Err(HostKeyRefusal::Changed { known: expected, presented });
            }
            Verdict::Revoked { .. } => return Err(HostKeyRefusal::Revoked { presented }),
            Verdict::Ask(unknown) => {
                let Some(ask) = &self.ask else {
                    return Err(HostKeyRefusal::Unknown { presented });
                };
                let algorithm = key.algorithm();
                match ask.accepts(hop, algorithm.as_str(), &presented, &unknown).await {
                    Answer::Yes => self.pin(hop, key, &self.how)?,
                    Answer::No => return Err(HostKeyRefusal::Declined { presented }),
                    Answer::NotAsked => return Err(HostKeyRefusal::Unknown { presented }),
                }
            }
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push((hop.clone(), presented));
        Ok(())
    }

    fn pin(&self, hop: &Hop, key: &PublicKey, how: &str) -> Result<(), HostKeyRefusal> {
        let mut plain = key.clone();
        plain.set_comment("");
        let unknown = || HostKeyRefusal::Unknown { presented: hostkey::fingerprint(key) };
        let text = plain.to_openssh().map_err(|_| unknown())?;
        let pin =
            Pin { key: text.trim().to_owned(), accepted_at: Timestamp::now(), how: how.into() };
        tokio::task::block_in_place(|| self.vault.pin(&hop.address(), pin)).map_err(|error| {
            tracing::error!(%error, "a host key could not be pinned");
            unknown()
        })
    }
}

fn keys(pins: &[Pin]) -> Vec<PublicKey> {
    pins.iter().filter_map(|pin| PublicKey::from_openssh(&pin.key).ok()).collect()
}

impl HostKeyJudge for Hosts {
    fn preferred(&self, hop: &Hop) -> Vec<Algorithm> {
        hostkey::preferred_algorithms(&self.pins(hop), self.known(hop))
    }

    fn judge<'a>(
        &'a self,
        hop: &'a Hop,
        key: &'a PublicKey,
    ) -> BoxFuture<'a, Result<(), HostKeyRefusal>> {
        Box::pin(self.decide(hop, key))
    }
}
