//! Custody at rest: the data key, the header that holds it sealed under the passphrase, and how
//! anything else is sealed under the data key.

pub mod export;

use argon2::{Algorithm, Argon2, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{pin::PinCheck, secret::Secret};

pub const KEY_BYTES: usize = 32;
/// XChaCha20's: long enough that random nonces never meet (draft-irtf-cfrg-xchacha, 2.1).
pub const NONCE_BYTES: usize = 24;
pub const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
const SEALED_KEY_BYTES: usize = KEY_BYTES + TAG_BYTES;
/// The largest header file that is looked at.
pub const MAX_HEADER_BYTES: u64 = 4096;
/// The version of the header and of every sealed file that this program writes.
const VERSION: u32 = 1;

/// 32 bytes for one purpose. On the heap, so that moving the value leaves no copy behind.
pub struct Key(Box<Secret<[u8; KEY_BYTES]>>);

impl Key {
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Box::new(Secret::new(bytes)))
    }

    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The random key that everything of one home is sealed under, through the keys derived from it.
#[derive(Debug)]
pub struct DataKey(Key);

impl DataKey {
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Key::new(bytes))
    }

    /// The bytes themselves: for the socketpair to the daemon alone.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// The key for one purpose (`"state"`, `"audit-chain"`, …). HKDF-SHA256 (RFC 5869); the
    /// extract step is skipped because the data key is uniformly random already (section 3.3).
    pub fn derive(&self, purpose: &str) -> Key {
        let mut bytes = [0; KEY_BYTES];
        // Neither can fail: the key is as long as a hash, and so is the output.
        if let Ok(hkdf) = Hkdf::<Sha256>::from_prk(self.expose()) {
            let _ = hkdf.expand_multi_info(&[b"sgw 1 ", purpose.as_bytes()], &mut bytes);
        }
        debug_assert_ne!(bytes, [0; KEY_BYTES]);
        Key::new(bytes)
    }
}

/// What opening costs whoever guesses: argon2id (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Memory in KiB.
    pub m_kib: u32,
    /// Passes over it.
    pub t: u32,
    /// Lanes.
    pub p: u32,
}

impl Cost {
    /// 256 MiB and about half a second on a machine of 2020. One lane, because ours are computed
    /// one after another, and more would only help who guesses.
    pub const USUAL: Self = Self { m_kib: 256 * 1024, t: 2, p: 1 };
    /// A header that asks for less was not written by `init`. A debug build opens cheaper ones too, since the tests
    /// open hundreds of vaults, and writes none.
    const LEAST: Self = if cfg!(debug_assertions) { Self::OF_TESTS } else { Self::LEAST_OF_INIT };
    const LEAST_OF_INIT: Self = Self { m_kib: 256 * 1024, t: 1, p: 1 };
    pub const OF_TESTS: Self = Self { m_kib: 1024, t: 1, p: 1 };
    /// A header that asks for more would only exhaust this machine: 2 GiB, ten times the work.
    const MOST: Self = Self { m_kib: 2 * 1024 * 1024, t: 32, p: 8 };
    const MOST_WORK_KIB: u64 = 10 * 2 * 256 * 1024;

    /// The key that a passphrase makes.
    fn key(self, passphrase: &Secret<String>, salt: &[u8; SALT_BYTES]) -> Result<Key, OpenError> {
        let params = argon2::Params::new(self.m_kib, self.t, self.p, Some(KEY_BYTES))
            .map_err(|_| OpenError::Damaged("its argon2id cost is impossible"))?;
        let mut key = zeroize::Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.expose().as_bytes(), salt, &mut *key)
            .map_err(|_| OpenError::Memory(self.m_kib / 1024))?;
        Ok(Key::new(*key))
    }

    fn within(self, least: Self) -> bool {
        let most = Self::MOST;
        (least.m_kib..=most.m_kib).contains(&self.m_kib)
            && (least.t..=most.t).contains(&self.t)
            && (least.p..=most.p).contains(&self.p)
            && u64::from(self.m_kib) * u64::from(self.t) <= Self::MOST_WORK_KIB
    }
}

/// The randomness that a new header needs.
pub struct HeaderSeed {
    pub data_key: [u8; KEY_BYTES],
    pub salt: [u8; SALT_BYTES],
    pub nonce: [u8; NONCE_BYTES],
}

/// `vault.json`: the data key, sealed under the passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    version: u32,
    argon2id: Cost,
    salt: Base64<SALT_BYTES>,
    nonce: Base64<NONCE_BYTES>,
    data_key: Base64<SEALED_KEY_BYTES>,
    /// Of the fields above. Anyone can compute it; it tells a damaged file from a wrong passphrase.
    check: Base64<8>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    #[error("wrong passphrase")]
    WrongPassphrase,
    #[error("the vault's header is damaged: {0}")]
    Damaged(&'static str),
    #[error("the vault's header has version {0}, which this sgw does not know")]
    UnknownVersion(u32),
    #[error("not enough memory to open the vault ({0} MiB)")]
    Memory(u32),
}

impl Header {
    /// A new data key, and its header. Takes as long as opening it.
    pub fn create(
        passphrase: &Secret<String>,
        cost: Cost,
        seed: HeaderSeed,
    ) -> Result<(Self, DataKey), OpenError> {
        let mut header = Self {
            version: VERSION,
            argon2id: cost,
            salt: Base64(seed.salt),
            nonce: Base64(seed.nonce),
            data_key: Base64([0; SEALED_KEY_BYTES]),
            check: Base64([0; 8]),
        };
        let data_key = DataKey::new(seed.data_key);
        let sealed = header
            .cipher(passphrase)?
            .encrypt(
                &XNonce::from(seed.nonce),
                Payload { msg: data_key.expose(), aad: &header.bound() },
            )
            .ok()
            .and_then(|sealed| sealed.try_into().ok())
            .ok_or(OpenError::Damaged("could not be sealed"))?;
        header.data_key = Base64(sealed);
        header.check = Base64(header.checksum());
        Ok((header, data_key))
    }

    /// The file's content.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    pub fn from_json(json: &[u8]) -> Result<Self, OpenError> {
        /// What every version has.
        #[derive(Deserialize)]
        struct Any {
            version: u32,
        }
        let any: Any =
            serde_json::from_slice(json).map_err(|_| OpenError::Damaged("it has no version"))?;
        if any.version != VERSION {
            return Err(OpenError::UnknownVersion(any.version));
        }
        let header: Self = serde_json::from_slice(json)
            .map_err(|_| OpenError::Damaged("a field is missing or odd"))?;
        if header.check.0 != header.checksum() {
            return Err(OpenError::Damaged("its checksum does not match"));
        }
        Ok(header)
    }

    /// Takes about half a second and 256 MiB. What a header asks for is checked before it is used.
    pub fn open(&self, passphrase: &Secret<String>) -> Result<DataKey, OpenError> {
        self.open_costing(passphrase, Cost::LEAST)
    }

    fn open_costing(&self, passphrase: &Secret<String>, least: Cost) -> Result<DataKey, OpenError> {
        if !self.argon2id.within(least) {
            return Err(OpenError::Damaged("its argon2id cost is not one that sgw writes"));
        }
        let sealed = Payload { msg: &self.data_key.0, aad: &self.bound() };
        let opened = self
            .cipher(passphrase)?
            .decrypt(&XNonce::from(self.nonce.0), sealed)
            .map(Secret::new)
            .map_err(|_| OpenError::WrongPassphrase)?;
        let bytes = opened.expose().as_slice().try_into();
        bytes.map(DataKey::new).map_err(|_| OpenError::Damaged("its key has another length"))
    }

    fn cipher(&self, passphrase: &Secret<String>) -> Result<XChaCha20Poly1305, OpenError> {
        let key = self.argon2id.key(passphrase, &self.salt.0)?;
        Ok(XChaCha20Poly1305::new(key.expose().into()))
    }

    /// The fields that the sealed key is bound to.
    fn bound(&self) -> Vec<u8> {
        let mut bound = b"sgw vault header\0".to_vec();
        let Cost { m_kib, t, p } = self.argon2id;
        for number in [self.version, m_kib, t, p] {
            bound.extend(number.to_be_bytes());
        }
        bound.extend(self.salt.0);
        bound
    }

    fn checksum(&self) -> [u8; 8] {
        let digest = Sha256::new()
            .chain_update(self.bound())
            .chain_update(self.nonce.0)
            .chain_update(self.data_key.0)
            .finalize();
        let mut check = [0; 8];
        check.copy_from_slice(&digest[..8]);
        check
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not sealed with this key, or changed since")]
pub struct NotAuthentic;

/// Nonce and ciphertext. `bound` is not in it, but must be the same when it is opened. A nonce
/// must never be used twice with one key.
pub fn seal(key: &Key, nonce: [u8; NONCE_BYTES], bound: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = nonce.to_vec();
    let payload = Payload { msg: plaintext, aad: bound };
    // Fails beyond 256 GiB only; a seal without ciphertext then opens for nobody.
    if let Ok(text) =
        XChaCha20Poly1305::new(key.expose().into()).encrypt(&XNonce::from(nonce), payload)
    {
        sealed.extend(text);
    }
    sealed
}

pub fn open(key: &Key, bound: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, NotAuthentic> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(NotAuthentic)?;
    XChaCha20Poly1305::new(key.expose().into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: text, aad: bound })
        .map(Secret::new)
        .map_err(|_| NotAuthentic)
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    #[error("it is not a file of this kind")]
    Kind,
    #[error("it has version {0}, which this sgw does not know")]
    UnknownVersion(u32),
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
}

/// A whole file: `sgw KIND VERSION` as its first line, which the seal is bound to, then the seal.
pub fn seal_file(kind: &str, key: &Key, nonce: [u8; NONCE_BYTES], plaintext: &[u8]) -> Vec<u8> {
    let mut file = format!("sgw {kind} {VERSION}\n").into_bytes();
    let sealed = seal(key, nonce, &file, plaintext);
    file.extend(sealed);
    file
}

pub fn open_file(kind: &str, key: &Key, file: &[u8]) -> Result<Secret<Vec<u8>>, FileError> {
    let end = file.iter().take(64).position(|byte| *byte == b'\n').ok_or(FileError::Kind)?;
    let (line, sealed) = file.split_at(end + 1);
    let version = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.trim_end().strip_prefix("sgw ")?.strip_prefix(kind))
        .and_then(|rest| rest.strip_prefix(' ')?.parse().ok())
        .ok_or(FileError::Kind)?;
    if version != VERSION {
        return Err(FileError::UnknownVersion(version));
    }
    Ok(open(key, line, sealed)?)
}

/// What a new home's sealed state holds: nothing but a PIN, so that every field has its default. `init`
/// writes it together with the header; a header without a state is damage ever after.
pub fn first_state(
    data_key: &DataKey,
    nonce: [u8; NONCE_BYTES],
    pin: Option<&PinCheck>,
) -> Vec<u8> {
    let state = pin.map_or(json!({}), |pin| json!({ "pin": pin }));
    seal_file("state", &data_key.derive("state"), nonce, state.to_string().as_bytes())
}

/// Bytes of a known length, base64 in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Base64<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Base64<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Base64<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("base64 of another length"))
    }
}

#[cfg(test)]
mod tests;
