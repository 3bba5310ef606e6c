//! A private key on its way to the daemon: which ones are fit for use, and the form they travel in.

use ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey, private::KeypairData};

use super::secret::Secret;

/// OpenSSH's default since 9.1 is 1024 (`RequiredRSASize`); what is smaller than this is not safe.
pub const MIN_RSA_BITS: u32 = 2048;
/// More than any private key takes, in every format.
pub const MAX_BYTES: usize = 64 << 10;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("the key is on a security key: its file alone can't sign")]
    SecurityKey,
    #[error("an RSA key of {bits} bits is too weak: sgw takes {MIN_RSA_BITS} and more")]
    WeakRsa { bits: u32 },
    #[error("a key of the type {0} is not supported")]
    Type(String),
    #[error("the key is still encrypted")]
    Encrypted,
    #[error("not a private key")]
    Broken,
}

/// Whether sgw can sign with this key.
pub fn check(key: &PrivateKey) -> Result<(), Unfit> {
    check_public(key.public_key())?;
    match key.key_data() {
        KeypairData::Ed25519(_) | KeypairData::Ecdsa(_) | KeypairData::Rsa(_) => Ok(()),
        KeypairData::Encrypted(_) => Err(Unfit::Encrypted),
        _ => Err(Unfit::Type(key.algorithm().as_str().to_owned())),
    }
}

/// What can be said before the passphrase is asked for: the public half of an encrypted OpenSSH key is
/// readable.
pub fn check_public(key: &PublicKey) -> Result<(), Unfit> {
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(()),
        Algorithm::Rsa { .. } => match key.key_data().rsa().map(|rsa| rsa.key_size()) {
            Some(bits) if bits >= MIN_RSA_BITS => Ok(()),
            bits => Err(Unfit::WeakRsa { bits: bits.unwrap_or(0) }),
        },
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => Err(Unfit::SecurityKey),
        other => Err(Unfit::Type(other.as_str().to_owned())),
    }
}

/// The unencrypted OpenSSH form, in memory that is wiped.
pub fn to_wire(key: &PrivateKey) -> Result<Secret<Vec<u8>>, Unfit> {
    check(key)?;
    let text = key.to_openssh(LineEnding::LF).map_err(|_| Unfit::Broken)?;
    Ok(Secret::new(text.as_bytes().to_vec()))
}

/// The inverse of [`to_wire`]; the sender is not trusted to have checked anything.
pub fn parse(bytes: &Secret<Vec<u8>>) -> Result<PrivateKey, Unfit> {
    if bytes.expose().len() > MAX_BYTES {
        return Err(Unfit::Broken);
    }
    let key = PrivateKey::from_openssh(bytes.expose()).map_err(|_| Unfit::Broken)?;
    check(&key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM
XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg
AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf
ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==
-----END OPENSSH PRIVATE KEY-----
";
    const ENCRYPTED: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBKH96ujW
umB6/WnTNPjTeaAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN
796jTiQfZfG1KaT0PtFDJ/XFSqtiAAAAoFzvbvyFMhAiwBOXF0mhUUacPUCMZXivG2up2c
hEnAw1b6BLRPyWbY5cC2n9ggD4ivJ1zSts6sBgjyiXQAReyrP35myYvT/OIB/NpwZM/xIJ
N7MHSUzlkX4adBrga3f7GS4uv4ChOoxC4XsE5HsxtGsq1X8jzqLlZTmOcxkcEneYQexrUc
bQP0o+gL5aKK8cQgiIlXeDbRjqhc4+h4EF6lY=
-----END OPENSSH PRIVATE KEY-----
";

    #[test]
    fn a_key_travels_and_comes_back_whole() {
        let key = PrivateKey::from_openssh(PLAIN).unwrap();
        let back = parse(&to_wire(&key).unwrap()).unwrap();
        assert_eq!(back.public_key().key_data(), key.public_key().key_data());
        let signed = back.sign("file", ssh_key::HashAlg::Sha256, b"x").unwrap();
        assert!(key.public_key().verify("file", b"x", &signed).is_ok());
    }

    #[test]
    fn what_is_no_ready_key_is_refused_at_both_ends() {
        let encrypted = PrivateKey::from_openssh(ENCRYPTED).unwrap();
        assert_eq!(to_wire(&encrypted).err(), Some(Unfit::Encrypted));
        let parse = |bytes: &[u8]| super::parse(&Secret::new(bytes.to_vec())).err();
        assert_eq!(parse(ENCRYPTED.as_bytes()), Some(Unfit::Encrypted));
        assert_eq!(parse(b""), Some(Unfit::Broken));
        assert_eq!(parse(&PLAIN.as_bytes()[..200]), Some(Unfit::Broken));
        assert_eq!(parse(&vec![b'x'; MAX_BYTES + 1]), Some(Unfit::Broken));
    }
}
