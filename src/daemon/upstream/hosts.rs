//! Whether a server is the one that was meant: pins in the vault, what vouches for a named target, what
//! the operator's known_hosts says, and the operator's answer.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use russh::keys::{Algorithm, Certificate, PublicKey};

use super::{AskOperator, HostKeyJudge, HostKeyRefusal};
use crate::{
    daemon::vault::{Pin, Vault, VaultError},
    domain::{
        hostkey::{self, Evidence, Verdict},
        id::Name,
        known_hosts::{Known, Marker},
        target::{
            Hop,
            named::{Credential, Target},
        },
    },
};

pub enum Answer {
    Yes,
    No,
    /// Nobody can be asked now.
    NotAsked,
}

/// What vouches for a machine that is a named target.
#[derive(Clone, Debug)]
pub struct Vouched {
    pub hop: Hop,
    pub target: Name,
    /// Fingerprints of the keys that are taken; none: those that are pinned for its address.
    pub keys: Vec<String>,
    /// Whose host certificates are taken.
    pub authorities: Vec<PublicKey>,
    /// Set where a password logs in: it goes to what these vouch for; none yet: to what is taken first,
    /// and to nothing else from then on.
    pub bound: Option<Vec<String>>,
}

/// How often a target is read again that somebody else changed meanwhile.
const TRIES: usize = 5;

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
    /// For the hops that are named targets.
    vouched: Vec<Vouched>,
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
        let (exactly, vouched, seen) = (Vec::new(), Vec::new(), Mutex::default());
        Self { vault, known, accepted, ask, how, exactly, vouched, seen }
    }

    /// What vouches for named targets among the hops.
    pub fn vouched(self, vouched: Vec<Vouched>) -> Self {
        Self { vouched, ..self }
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
        self.check_exactly(hop, &presented)?;
        let own = self.voucher(hop).filter(|voucher| !voucher.keys.is_empty());
        match own {
            Some(voucher) => {
                self.check_revoked(hop, key)?;
                if !voucher.keys.contains(&presented) {
                    let known = voucher.keys.clone();
                    return Err(HostKeyRefusal::Changed { known, presented });
                }
            }
            None => self.decide_by_address(hop, key, &presented).await?,
        }
        self.check_bound(hop, &presented, &presented)?;
        self.saw(hop, presented);
        Ok(())
    }

    /// A certificate counts where an authority of this target made it for this host; else the key in it
    /// may be one that is taken by itself.
    async fn decide_certificate(
        &self,
        hop: &Hop,
        certificate: &Certificate,
    ) -> Result<(), HostKeyRefusal> {
        let key = PublicKey::new(certificate.public_key().clone(), "");
        let authorities = self.voucher(hop).map_or(&[][..], |voucher| &voucher.authorities);
        let now = Timestamp::now().as_second().max(0).unsigned_abs();
        let judged = hostkey::judge_certificate(certificate, &hop.host, authorities, now);
        let authority = match judged {
            Ok(authority) => authority,
            Err(why) => {
                let presented = hostkey::fingerprint(&key);
                let by_itself = self.voucher(hop).is_some_and(|own| own.keys.contains(&presented));
                return match by_itself {
                    true => self.decide(hop, &key).await,
                    false => Err(HostKeyRefusal::Certificate(why.to_string())),
                };
            }
        };
        let presented = hostkey::fingerprint(&key);
        self.check_exactly(hop, &presented)?;
        self.check_revoked(hop, &key)?;
        self.check_bound(hop, &authority, &presented)?;
        self.saw(hop, presented);
        Ok(())
    }

    fn voucher(&self, hop: &Hop) -> Option<&Vouched> {
        self.vouched.iter().find(|voucher| voucher.hop == *hop)
    }

    fn saw(&self, hop: &Hop, presented: String) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push((hop.clone(), presented));
    }

    fn check_exactly(&self, hop: &Hop, presented: &str) -> Result<(), HostKeyRefusal> {
        match self.exactly.iter().find(|(one, _)| one == hop) {
            Some((_, only)) if only != presented => Err(HostKeyRefusal::Changed {
                known: vec![only.clone()],
                presented: presented.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn check_revoked(&self, hop: &Hop, key: &PublicKey) -> Result<(), HostKeyRefusal> {
        let revoked = |known: &Known| {
            known.marker == Some(Marker::Revoked) && known.key.key_data() == key.key_data()
        };
        match self.known(hop).iter().any(revoked) {
            true => Err(HostKeyRefusal::Revoked { presented: hostkey::fingerprint(key) }),
            false => Ok(()),
        }
    }

    /// Whether the password of this target may go to what `vouches` for: binds it where it was offered
    /// to nobody yet.
    fn check_bound(&self, hop: &Hop, vouches: &str, presented: &str) -> Result<(), HostKeyRefusal> {
        let Some(voucher) = self.voucher(hop) else { return Ok(()) };
        let Some(bound) = &voucher.bound else { return Ok(()) };
        let bound = match bound.is_empty() {
            false => bound.clone(),
            true => self.bind(&voucher.target, vouches).map_err(|error| {
                tracing::error!(%error, "a password could not be bound");
                HostKeyRefusal::Unknown { presented: presented.to_owned() }
            })?,
        };
        if bound.iter().any(|one| one == vouches || one == presented) {
            return Ok(());
        }
        let (target, presented) = (voucher.target.to_string(), presented.to_owned());
        Err(HostKeyRefusal::Bound { target, known: bound, presented })
    }

    /// What the password is bound to from now on: to this, where it was to nothing.
    fn bind(&self, target: &Name, vouches: &str) -> Result<Vec<String>, VaultError> {
        for _ in 0..TRIES {
            let Some(stored) = self.vault.get::<Target>(target.as_str()) else {
                let id = target.to_string();
                return Err(VaultError::Missing { table: "target", id });
            };
            let mut record = stored.record.clone();
            match &mut record.credential {
                Credential::Password { bound } if bound.is_empty() => {
                    bound.push(vouches.to_owned());
                }
                Credential::Password { bound } => return Ok(bound.clone()),
                // It has another credential by now; this one goes nowhere.
                _ => return Ok(vec![String::from("none")]),
            }
            let version = stored.version;
            match tokio::task::block_in_place(|| self.vault.edit(version, record)) {
                Ok(()) => return Ok(vec![vouches.to_owned()]),
                Err(VaultError::Changed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(VaultError::Changed { table: "target", id: target.to_string() })
    }

    /// By what is pinned for the address, what known_hosts says, and the operator's answer.
    async fn decide_by_address(
        &self,
        hop: &Hop,
        key: &PublicKey,
        presented: &str,
    ) -> Result<(), HostKeyRefusal> {
        let presented = presented.to_owned();
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
            Verdict::Ask(mut unknown) => {
                unknown.ca_named |= self.knows_authorities(hop);
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

    fn knows_authorities(&self, hop: &Hop) -> bool {
        self.voucher(hop).is_some_and(|voucher| !voucher.authorities.is_empty())
    }

    fn judge_certificate<'a>(
        &'a self,
        hop: &'a Hop,
        certificate: &'a Certificate,
    ) -> BoxFuture<'a, Result<(), HostKeyRefusal>> {
        Box::pin(self.decide_certificate(hop, certificate))
    }
}
