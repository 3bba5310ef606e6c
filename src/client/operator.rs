//! The operator's proof: whoever can open the data key speaks to the daemon over a session that only
//! its holder can read, write or answer.

use super::{
    Connection, Error, Place,
    place::{again, in_time},
};
use crate::{
    domain::{
        passphrase::MIN_CHARACTERS,
        seal::{DataKey, Header, OpenError},
        secret::Secret,
    },
    home::{HEADER, Home},
    protocol::error::{Code, Failure},
};

/// The vault's header.
pub fn header(place: &Place) -> Result<Header, Error> {
    Ok(header_file(place)?.0)
}

/// The vault's header, and its file as it lies in the home.
pub fn header_file(place: &Place) -> Result<(Header, Vec<u8>), Error> {
    let json = match place.service() {
        None => Home::open(place.path())?.header()?.ok_or(Error::NotSetUp)?,
        Some(_) => asked_for_header(place)?,
    };
    Ok((Header::from_json(&json).map_err(cannot_open)?, json))
}

/// A service's home is closed to its operator: the daemon says it. On a thread of its own, since
/// callers are amid their own work.
fn asked_for_header(place: &Place) -> Result<Vec<u8>, Error> {
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let runtime = super::runtime().map_err(Error::local("start"))?;
            runtime.block_on(super::service::header(place))
        });
        asking.join().unwrap_or(Err(Error::Lost))
    })
}

/// Why the passphrase did not open the vault.
pub fn cannot_open(error: OpenError) -> Failure {
    let (code, hint) = match &error {
        OpenError::WrongPassphrase => (Code::OperatorProof, "try again".to_owned()),
        OpenError::Damaged(_) => (Code::VaultDamaged, format!("put {HEADER} back from a backup")),
        OpenError::UnknownVersion(_) => {
            (Code::VaultDamaged, "use the sgw that wrote it, or a newer one".to_owned())
        }
        OpenError::Memory(_) => (Code::DaemonFailed, "free some memory".to_owned()),
    };
    Failure::new(code, error.to_string(), hint)
}

/// Somebody who has opened the data key.
#[derive(Debug)]
pub struct Proven {
    place: Place,
    data_key: DataKey,
}

impl Proven {
    pub fn new(place: Place, data_key: DataKey) -> Self {
        Self { place, data_key }
    }

    /// Whether `text` is the passphrase, which goes to nobody. Nothing is kept that could tell sooner:
    /// a text of its length takes as long as opening the vault.
    pub fn is_passphrase(&self, text: &Secret<String>) -> Result<bool, Error> {
        if text.expose().chars().count() < MIN_CHARACTERS {
            return Ok(false);
        }
        match header(&self.place)?.open(text) {
            Ok(_) => Ok(true),
            Err(OpenError::WrongPassphrase) => Ok(false),
            Err(error) => Err(cannot_open(error).into()),
        }
    }

    /// A connection that is proven, and nobody else's to read.
    pub async fn connect(&self) -> Result<Connection, Error> {
        again(async || {
            let stream = self.place.operator_stream().await?;
            in_time(Connection::proven(stream, &self.data_key)).await
        })
        .await
    }
}
