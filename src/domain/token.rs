//! Tokens: what tells one agent from another. Only its hash is kept; the text is shown once, to the
//! person who made it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    id::{Id, Name},
    identity::{Identity, Shown},
    secret::Secret,
};

/// What every token begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "sg_";
/// Letters and digits, in the order of ASCII.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 256 bits and a checksum of 32 take this many of them each (62^43 > 2^256, 62^6 > 2^32).
const SECRET_DIGITS: usize = 43;
const CHECK_DIGITS: usize = 6;
/// No text that is longer is looked at.
pub const MAX_BYTES: usize = PREFIX.len() + SECRET_DIGITS + CHECK_DIGITS;

/// The longest that an old secret is taken beside the new one: a week.
pub const LONGEST_OVERLAP_S: u64 = 7 * 24 * 3600;
/// The longest life of a token that has one: ten years.
pub const LONGEST_S: u64 = 10 * 365 * 24 * 3600;
/// The largest limits that say something.
pub const MOST_REQUESTS: u32 = 100_000;
pub const MOST_SESSIONS: u32 = 2_000;

/// The text of a token.
pub struct TokenText(Secret<String>);

impl TokenText {
    /// `random` comes from the kernel.
    pub fn new(random: &Secret<[u8; 32]>) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES));
        text.push_str(PREFIX);
        digits(random.expose(), SECRET_DIGITS, &mut text);
        digits(&checksum(random.expose()), CHECK_DIGITS, &mut text);
        Self(Secret::new(std::mem::take(&mut *text)))
    }

    /// The only way to the text. Keep the borrow short.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// What is kept of a token: SHA-256 of its 256 random bits, which nobody guesses backwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a token's hash: 64 hexadecimal digits")]
pub struct NotAHash;

impl TokenHash {
    pub fn of(random: &Secret<[u8; 32]>) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"sgw token\0");
        hasher.update(random.expose());
        Self(hasher.finalize().into())
    }

    /// The hash of what somebody shows; `None` where it is no token at all: mistyped, cut, another
    /// program's.
    pub fn of_text(text: &Secret<Vec<u8>>) -> Option<Self> {
        read(text.expose()).map(|random| Self::of(&random))
    }

    /// Compares all of it, whatever the first difference.
    pub fn is(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }

    /// Where to look for it: a part that says nothing of the rest.
    pub fn bucket(&self) -> [u8; 8] {
        let mut bucket = [0; 8];
        bucket.copy_from_slice(&self.0[..8]);
        bucket
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for TokenHash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Self, NotAHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAHash)?;
        Ok(Self(bytes))
    }
}

/// A token as it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// `t-…`
    pub id: Id,
    pub name: Name,
    pub hash: TokenHash,
    /// What it was before the last rotation, taken until then.
    pub previous: Option<Previous>,
    pub limits: Limits,
    pub created_at: Timestamp,
    /// Absent: it lives until it is revoked.
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    pub hash: TokenHash,
    pub until: Timestamp,
}

/// What a token may use up; absent: what everyone may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How often an hour it may ask the operator, or have a session open by itself.
    pub requests_per_hour: Option<u32>,
    /// How many sessions it may have open at once.
    pub sessions: Option<u32>,
}

impl Limits {
    /// Whether each of them allows something and can be counted.
    pub fn are_sane(&self) -> bool {
        self.requests_per_hour.is_none_or(|most| (1..=MOST_REQUESTS).contains(&most))
            && self.sessions.is_none_or(|most| (1..=MOST_SESSIONS).contains(&most))
    }
}

/// Why a token is not taken. An agent hears the same of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invalid {
    Malformed,
    Unknown,
    Expired,
    Revoked,
    /// The secret before the last rotation, after its overlap.
    Rotated,
    /// None was shown, where one is required.
    Missing,
}

impl Invalid {
    pub fn as_str(self) -> &'static str {
        match self {
            Invalid::Malformed => "malformed",
            Invalid::Unknown => "unknown",
            Invalid::Expired => "expired",
            Invalid::Revoked => "revoked",
            Invalid::Rotated => "rotated",
            Invalid::Missing => "missing",
        }
    }
}

impl Token {
    /// Until when `hash` speaks for this token, which it must be one of: `None` is without end.
    pub fn takes(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Timestamp>, Invalid> {
        if self.revoked_at.is_some() {
            return Err(Invalid::Revoked);
        }
        if self.expires_at.is_some_and(|at| now >= at) {
            return Err(Invalid::Expired);
        }
        if self.hash.is(hash) {
            return Ok(self.expires_at);
        }
        match &self.previous {
            Some(previous) if previous.hash.is(hash) && now < previous.until => {
                let until = self.expires_at.map_or(previous.until, |at| at.min(previous.until));
                Ok(Some(until))
            }
            Some(previous) if previous.hash.is(hash) => Err(Invalid::Rotated),
            _ => Err(Invalid::Unknown),
        }
    }

    /// Whether somebody may still speak for it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    /// A new secret; the old one is taken for `overlap` longer.
    pub fn rotate(&mut self, hash: TokenHash, overlap: SignedDuration, now: Timestamp) {
        let until = now.saturating_add(overlap).unwrap_or(now);
        self.previous = Some(Previous { hash: self.hash, until });
        self.hash = hash;
    }

    pub fn identity(&self, uid: u32) -> Identity {
        let shown = Shown { id: self.id.clone(), name: self.name.clone() };
        Identity { uid, token: Some(shown) }
    }
}

/// The random bits of a text that is a token's.
fn read(text: &[u8]) -> Option<Secret<[u8; 32]>> {
    let digits = text.strip_prefix(PREFIX.as_bytes())?;
    if digits.len() != SECRET_DIGITS + CHECK_DIGITS {
        return None;
    }
    let (secret, check) = digits.split_at(SECRET_DIGITS);
    let mut random = Zeroizing::new([0; 32]);
    number(secret, &mut *random)?;
    let mut sum = [0; 4];
    number(check, &mut sum)?;
    (sum == checksum(&random)).then(|| Secret::new(*random))
}

/// Tells a slip of the finger or a cut paste; it protects nothing.
fn checksum(random: &[u8; 32]) -> [u8; 4] {
    let mut hasher = Sha256::new();
    hasher.update(b"sgw token check\0");
    hasher.update(random);
    let hash = hasher.finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A number of many bytes, largest first, in base 62 with leading zeros.
fn digits(bytes: &[u8], count: usize, to: &mut String) {
    let mut rest = Zeroizing::new(bytes.to_vec());
    let mut backwards = Zeroizing::new(Vec::with_capacity(count));
    for _ in 0..count {
        let mut carry = 0u32;
        for byte in rest.iter_mut() {
            let with = carry * 256 + u32::from(*byte);
            // Below 256, since the carry is below 62.
            *byte = (with / 62) as u8;
            carry = with % 62;
        }
        backwards.push(ALPHABET[carry as usize]);
    }
    to.extend(backwards.iter().rev().map(|digit| char::from(*digit)));
}

/// The other way; `None` where a digit is none, or the number is too large.
fn number(digits: &[u8], into: &mut [u8]) -> Option<()> {
    for digit in digits {
        let value = ALPHABET.iter().position(|one| one == digit)?;
        let mut carry = u32::try_from(value).ok()?;
        for byte in into.iter_mut().rev() {
            let with = u32::from(*byte) * 62 + carry;
            *byte = (with & 0xff) as u8;
            carry = with >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::id::Kind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn hash(byte: u8) -> TokenHash {
        TokenHash::of(&Secret::new([byte; 32]))
    }

    fn token() -> Token {
        Token {
            id: Id::from_number(Kind::Token, 1),
            name: "ci".parse().unwrap(),
            hash: hash(1),
            previous: None,
            limits: Limits::default(),
            created_at: at(0),
            expires_at: Some(at(1_000)),
            revoked_at: None,
        }
    }

    fn shown(text: &str) -> Option<TokenHash> {
        TokenHash::of_text(&Secret::new(text.as_bytes().to_vec()))
    }

    proptest! {
        #[test]
        fn a_text_is_read_back_whatever_the_bits(bits: [u8; 32]) {
            let text = TokenText::new(&Secret::new(bits));
            prop_assert_eq!(text.expose().len(), MAX_BYTES);
            let hash = shown(text.expose());
            prop_assert!(hash.is_some_and(|hash| hash.is(&TokenHash::of(&Secret::new(bits)))));
        }

        #[test]
        fn a_slip_is_told(bits: [u8; 32], at in 0..MAX_BYTES, to in 0..62usize) {
            let text = TokenText::new(&Secret::new(bits)).expose().to_owned();
            let mut slip = text.clone().into_bytes();
            slip[at] = ALPHABET[to];
            let slip = String::from_utf8(slip).unwrap();
            prop_assert_eq!(shown(&slip).is_some(), slip == text);
        }
    }

    #[test]
    fn odd_texts_are_no_tokens() {
        let text = TokenText::new(&Secret::new([0xff; 32])).expose().to_owned();
        let too_large = format!("sg_{}{}", "z".repeat(SECRET_DIGITS), &text[46..]);
        for odd in ["", "sg_", "sg_ä", &text[..51], &format!("{text} "), &text[3..], &too_large] {
            assert!(shown(odd).is_none(), "{odd}");
        }
        assert!(!format!("{:?}", hash(1)).contains(&String::from(hash(1))));
    }

    #[test]
    fn expiry_and_revocation_end_a_token() {
        let token = token();
        assert_eq!(token.takes(&hash(1), at(999)), Ok(Some(at(1_000))));
        assert_eq!(token.takes(&hash(1), at(1_000)), Err(Invalid::Expired));
        assert_eq!(token.takes(&hash(2), at(0)), Err(Invalid::Unknown));
        let revoked = Token { revoked_at: Some(at(5)), ..token };
        assert_eq!(revoked.takes(&hash(1), at(6)), Err(Invalid::Revoked));
        assert!(!revoked.is_live(at(6)));
    }

    #[test]
    fn a_rotated_secret_is_taken_for_its_overlap_and_no_longer_than_the_token_lives() {
        let mut token = token();
        token.rotate(hash(2), SignedDuration::from_secs(60), at(100));
        assert_eq!(token.takes(&hash(1), at(159)), Ok(Some(at(160))));
        assert_eq!(token.takes(&hash(1), at(160)), Err(Invalid::Rotated));
        assert_eq!(token.takes(&hash(2), at(160)), Ok(Some(at(1_000))));
        token.rotate(hash(3), SignedDuration::from_secs(60_000), at(200));
        assert_eq!(token.takes(&hash(2), at(201)), Ok(Some(at(1_000))));
        // Two rotations back is nobody's.
        assert_eq!(token.takes(&hash(1), at(201)), Err(Invalid::Unknown));
    }

    #[test]
    fn limits_of_nothing_are_none() {
        let limits = |requests_per_hour, sessions| Limits { requests_per_hour, sessions };
        assert!(limits(None, None).are_sane() && limits(Some(1), Some(1)).are_sane());
        for wrong in [limits(Some(0), None), limits(None, Some(0)), limits(Some(u32::MAX), None)] {
            assert!(!wrong.are_sane());
        }
    }
}
