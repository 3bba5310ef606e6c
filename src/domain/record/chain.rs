//! A record as a line, and a line back as a record: sealed text, and a keyed hash over the line and
//! the hash of the line before.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Hash, Kind, Opened, Record, Tip};
use crate::domain::{
    id::Id,
    seal::{DataKey, KEY_BYTES, Key, NONCE_BYTES, open, seal},
};

/// The longest line that is written or read, its newline not counted.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;
const BEFORE_HASH: &[u8] = b",\"hash\":\"";
const AFTER_HASH: &[u8] = b"\"}";
const HASH_FIELD_BYTES: usize = BEFORE_HASH.len() + 64 + AFTER_HASH.len();

/// The keys of the audit, derived from the first data key. A rotation keeps them: the chain goes on.
pub struct Keys {
    text: Key,
    /// Ready for a hash: the key is in it, and wiped with it.
    chain: Hmac<Sha256>,
}

impl Keys {
    /// What the keys were derived for.
    pub const PURPOSES: [&str; 2] = ["audit-text", "audit-chain"];

    pub fn derive(data_key: &DataKey) -> Self {
        let [text, chain] = Self::PURPOSES.map(|purpose| data_key.derive(purpose));
        Self::new(text, &chain)
    }

    pub fn new(text: Key, chain: &Key) -> Self {
        // As long as a block, which the key fills with zeros behind it (RFC 2104, section 2).
        let mut block = Zeroizing::new([0; 64]);
        block[..KEY_BYTES].copy_from_slice(chain.expose());
        Self { text, chain: Hmac::new((&*block).into()) }
    }

    /// Over the hash before and the line up to its own hash.
    fn chained(&self, before: &Hash, line: &[u8]) -> Hmac<Sha256> {
        self.chain.clone().chain_update(before.0).chain_update(line)
    }
}

/// A line, its hash apart. The order of the fields is the order on disk.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    seq: u64,
    at: Timestamp,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exec: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// Base64 of the sealed `Text`.
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// What a line says in secret.
#[derive(Serialize, Deserialize)]
struct Text<'a> {
    identity: Cow<'a, str>,
    target: Cow<'a, Option<String>>,
    action: Cow<'a, Map<String, Value>>,
    decision: Cow<'a, Option<Map<String, Value>>>,
    result: Cow<'a, Option<Map<String, Value>>>,
}

/// What the sealed text is bound to, so that it opens in its own place only.
fn bound(seq: u64, kind: &str, before: &Hash) -> Vec<u8> {
    let mut bound = seq.to_be_bytes().to_vec();
    bound.extend(before.0);
    bound.extend(kind.as_bytes());
    bound
}

#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the record is too large for the audit")]
pub struct TooLarge;

/// The line, newline included, that puts a record after `before` with the number `seq`; and its hash.
pub fn write(
    keys: &Keys,
    before: &Hash,
    seq: u64,
    at: Timestamp,
    nonce: [u8; NONCE_BYTES],
    record: &Record,
) -> Result<(Vec<u8>, Tip), TooLarge> {
    let text = Text {
        identity: Cow::Borrowed(&record.identity),
        target: Cow::Borrowed(&record.target),
        action: Cow::Borrowed(&record.action),
        decision: Cow::Borrowed(&record.decision),
        result: Cow::Borrowed(&record.result),
    };
    let text = serde_json::to_vec(&text).map_err(|_| TooLarge)?;
    let kind = record.kind.as_str();
    let sealed = seal(&keys.text, nonce, &bound(seq, kind, before), &text);
    let line = Line {
        seq,
        at,
        kind: kind.into(),
        session: record.session.clone(),
        request: record.request.clone(),
        exec: record.exec.clone(),
        outcome: record.outcome.clone(),
        revision: record.revision,
        text: STANDARD.encode(sealed).into(),
    };
    let mut line = serde_json::to_vec(&line).map_err(|_| TooLarge)?;
    // The closing brace comes after the hash.
    line.pop();
    if line.len() + HASH_FIELD_BYTES > MAX_LINE_BYTES {
        return Err(TooLarge);
    }
    let hash = Hash(keys.chained(before, &line).finalize().into_bytes().into());
    line.extend(BEFORE_HASH);
    line.extend(hex::encode(hash.0).as_bytes());
    line.extend(AFTER_HASH);
    line.push(b'\n');
    Ok((line, Tip { seq, hash }))
}

/// Why a line is not the record that should stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Not a line that sgw writes.
    Form,
    /// Changed, or not after the record that it was written after.
    Hash,
    /// Its own hash holds, but numbers are missing before it.
    Missing,
    /// The daemon itself noted here that what was before had been cut or changed.
    Noted,
    /// Not the record that the vault remembers under this number.
    Anchor,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Why::Form => "it is not a record",
            Why::Hash => "it is changed or missing",
            Why::Missing => "it is missing",
            Why::Noted => "sgw found here that records were cut off or changed",
            Why::Anchor => "it is not the record that the vault remembers",
        })
    }
}

/// The first number at which the chain does not hold.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("record {seq}: {why}")]
pub struct Bad {
    pub seq: u64,
    pub why: Why,
}

/// Goes along the lines and says of each whether it belongs where it stands. After a bad one it
/// goes on from the hash that this one claims, so that what follows can still be told good from bad.
#[derive(Debug)]
pub struct Walk {
    tip: Tip,
    first_bad: Option<Bad>,
    noted: bool,
}

/// A line in its place, its text still sealed.
pub struct Link<'a> {
    line: Line<'a>,
    before: Hash,
    hash: Hash,
}

impl Default for Walk {
    fn default() -> Self {
        Self::after(Tip::default())
    }
}

impl Walk {
    /// From the middle of a chain.
    pub fn after(tip: Tip) -> Self {
        Self { tip, first_bad: None, noted: true }
    }

    /// The last line's number and hash.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    pub fn first_bad(&self) -> Option<Bad> {
        self.first_bad
    }

    /// Whether each break is followed by a record that says so.
    pub fn noted(&self) -> bool {
        self.noted
    }

    /// The next line, without its newline.
    pub fn step<'a>(&mut self, keys: &Keys, line: &'a [u8]) -> Result<Link<'a>, Bad> {
        let before = self.tip.hash;
        let expected = self.tip.seq.saturating_add(1);
        let Some((front, claimed)) = split(line) else {
            self.tip.seq = expected;
            return Err(self.bad(expected, Why::Form));
        };
        self.tip = Tip { seq: expected, hash: claimed };
        if keys.chained(&before, front).verify_slice(&claimed.0).is_err() {
            return Err(self.bad(expected, Why::Hash));
        }
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
            return Err(self.bad(expected, Why::Form));
        };
        self.tip.seq = line.seq;
        if line.kind == Kind::ChainBroken.as_str() {
            self.first_bad.get_or_insert(Bad { seq: expected, why: Why::Noted });
            self.noted = true;
        } else if line.seq != expected && self.first_bad.is_none() {
            // Only who has the key could have written this.
            self.bad(expected, Why::Missing);
        }
        Ok(Link { line, before, hash: claimed })
    }

    /// A line too long to be looked at.
    pub fn step_over(&mut self) -> Bad {
        self.tip.seq = self.tip.seq.saturating_add(1);
        self.bad(self.tip.seq, Why::Form)
    }

    fn bad(&mut self, seq: u64, why: Why) -> Bad {
        let bad = Bad { seq, why };
        self.noted = false;
        self.first_bad.get_or_insert(bad);
        bad
    }
}

/// A line's front, which its hash covers, and the hash.
fn split(line: &[u8]) -> Option<(&[u8], Hash)> {
    let (front, end) = line.split_at_checked(line.len().checked_sub(HASH_FIELD_BYTES)?)?;
    let digits = end.strip_prefix(BEFORE_HASH)?.strip_suffix(AFTER_HASH)?;
    let mut hash = Hash::default();
    hex::decode_to_slice(digits, &mut hash.0).ok()?;
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    Some((front, hash))
}

impl Link<'_> {
    pub fn seq(&self) -> u64 {
        self.line.seq
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The hash that this one was written after.
    pub fn before(&self) -> Hash {
        self.before
    }

    pub fn at(&self) -> Timestamp {
        self.line.at
    }

    pub fn kind(&self) -> &str {
        &self.line.kind
    }

    pub fn session(&self) -> Option<&Id> {
        self.line.session.as_ref()
    }

    pub fn request(&self) -> Option<&Id> {
        self.line.request.as_ref()
    }

    pub fn exec(&self) -> Option<&Id> {
        self.line.exec.as_ref()
    }

    pub fn revision(&self) -> Option<u64> {
        self.line.revision
    }

    /// The whole record. Its hash held, so its text opens; where it doesn't, the keys are another's.
    pub fn open(self, keys: &Keys) -> Result<Opened, Bad> {
        let Link { line, before, hash } = self;
        let bad = Bad { seq: line.seq, why: Why::Form };
        let sealed = STANDARD.decode(line.text.as_bytes()).map_err(|_| bad)?;
        let opened =
            open(&keys.text, &bound(line.seq, &line.kind, &before), &sealed).map_err(|_| bad)?;
        let text: Text<'_> = serde_json::from_slice(opened.expose()).map_err(|_| bad)?;
        Ok(Opened {
            seq: line.seq,
            at: line.at,
            kind: line.kind.into_owned(),
            identity: text.identity.into_owned(),
            target: text.target.into_owned(),
            session: line.session,
            request: line.request,
            exec: line.exec,
            outcome: line.outcome,
            action: text.action.into_owned(),
            decision: text.decision.into_owned(),
            result: text.result.into_owned(),
            hash,
        })
    }
}
