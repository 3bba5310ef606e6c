//! Takes the encryption off a traditional PEM key (`Proc-Type: 4,ENCRYPTED`, RFC 1421), as `ssh-keygen
//! -m PEM` and old OpenSSL write it. The body stays what it is; `keys.rs` reads it then.

use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use zeroize::Zeroizing;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PemError {
    #[error("its encryption ({0}) is too old; `ssh-keygen -p -f FILE` writes it anew")]
    Cipher(String),
    #[error("the PEM text is broken")]
    Broken,
    #[error("the passphrase does not open it")]
    Passphrase,
}

pub fn is_encrypted(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
}

/// The same PEM text without encryption.
pub fn decrypt(text: &str, passphrase: &str) -> Result<Zeroizing<String>, PemError> {
    let text = text.find("-----BEGIN ").map_or(text, |place| &text[place..]);
    let mut lines = text.lines().map(str::trim_end);
    let begin = lines.next().ok_or(PemError::Broken)?;
    let (mut info, mut body) = (None, String::new());
    let mut end = None;
    for line in lines {
        if line.starts_with("-----END ") {
            end = Some(line);
            break;
        } else if let Some(value) = line.strip_prefix("DEK-Info:") {
            info = Some(value.trim());
        } else if !line.contains(':') {
            body.push_str(line);
        }
    }
    let (end, info) = (end.ok_or(PemError::Broken)?, info.ok_or(PemError::Broken)?);
    let (cipher, iv) = info.split_once(',').ok_or(PemError::Broken)?;
    let iv: [u8; 16] = match hex::decode(iv).map(TryInto::try_into) {
        Ok(Ok(iv)) => iv,
        // DES has blocks of 8 bytes.
        _ => return Err(PemError::Cipher(cipher.chars().take(32).collect())),
    };
    let mut bytes = Zeroizing::new(STANDARD.decode(body).map_err(|_| PemError::Broken)?);
    let plain = open(cipher, &iv, passphrase, &mut bytes)?;
    let body = Zeroizing::new(STANDARD.encode(plain));
    Ok(Zeroizing::new(format!("{begin}\n{}\n{end}\n", *body)))
}

fn open<'a>(
    cipher: &str,
    iv: &[u8; 16],
    passphrase: &str,
    bytes: &'a mut [u8],
) -> Result<&'a [u8], PemError> {
    let key = stretch(passphrase, iv);
    macro_rules! aes {
        ($kind:ty, $length:literal) => {
            cbc::Decryptor::<$kind>::new_from_slices(&key[..$length], iv)
                .map_err(|_| PemError::Broken)?
                .decrypt_padded::<Pkcs7>(bytes)
                .map_err(|_| PemError::Passphrase)
        };
    }
    match cipher {
        "AES-128-CBC" => aes!(aes::Aes128, 16),
        "AES-192-CBC" => aes!(aes::Aes192, 24),
        "AES-256-CBC" => aes!(aes::Aes256, 32),
        other => Err(PemError::Cipher(other.chars().take(32).collect())),
    }
}

/// EVP_BytesToKey(3) with MD5, one round, and the first 8 bytes of the IV as salt.
fn stretch(passphrase: &str, iv: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let mut last = Zeroizing::new(Vec::new());
    for half in key.chunks_mut(16) {
        let mut text = Zeroizing::new(Vec::with_capacity(last.len() + passphrase.len() + 8));
        text.extend_from_slice(&last);
        text.extend_from_slice(passphrase.as_bytes());
        text.extend_from_slice(&iv[..8]);
        let digest = Zeroizing::new(md5::compute(&*text).0);
        half.copy_from_slice(&*digest);
        *last = digest.to_vec();
    }
    key
}
