//! A policy's words for hosts and ports. A name's pattern never fits an address, nor an address' a name that
//! only looks like it: `10.0.*` would fit `10.0.evil.example`.

use core::net::IpAddr;

use serde::Deserialize;

use super::Host;
use crate::domain::guard::paths::glob;

/// One entry of `host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: every host, and listening on all addresses.
    Any,
    /// `localhost`: the server itself, by whatever name.
    Localhost,
    /// An address, or `10.0.0.0/8`.
    Network(IpAddr, u8),
    /// A name; `*` and `?` match, dots too.
    Name(String),
}

impl HostPattern {
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        if let Some((address, bits)) = text.split_once('/') {
            let network = address.parse::<IpAddr>().ok().zip(bits.parse::<u8>().ok());
            let longest = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
            return match network {
                Some((address, bits)) if bits <= longest(&address) => {
                    Ok(Self::Network(address, bits))
                }
                _ => Err(format!("{text:?} is no network: 10.0.0.0/8")),
            };
        }
        match text.as_str() {
            "*" => return Ok(Self::Any),
            "localhost" => return Ok(Self::Localhost),
            _ => {}
        }
        let wild = text.contains(['*', '?', '[']);
        if wild && !text.contains(|char: char| char.is_ascii_alphabetic()) {
            return Err(format!("{text:?} looks like an address: give its network, 10.0.0.0/8"));
        }
        if wild {
            let sound = |char: char| char.is_ascii_alphanumeric() || "._-*?[]".contains(char);
            return match text.chars().all(sound) {
                true => Ok(Self::Name(text)),
                false => Err(format!("{text:?} is no pattern for names")),
            };
        }
        match Host::to(&text) {
            Ok(Host::Name(name)) => Ok(Self::Name(name)),
            Ok(Host::Address(address)) => {
                Ok(Self::Network(address, if address.is_ipv4() { 32 } else { 128 }))
            }
            Ok(Host::All) => Ok(Self::Any),
            Err(error) => Err(format!("{text:?}: {error}")),
        }
    }

    /// Whether it surely means this host.
    pub fn means(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Localhost, host) => host.is_loopback(),
            (Self::Network(network, bits), Host::Address(address)) => {
                within(*address, *network, *bits)
            }
            (Self::Name(pattern), Host::Name(name)) => glob(pattern, name),
            _ => false,
        }
    }

    /// Whether it may mean this host: what carries such an address within does.
    pub fn may_mean(&self, host: &Host) -> bool {
        let may_be = host.may_be();
        self.means(host)
            || match self {
                Self::Any => true,
                Self::Localhost => may_be.iter().any(IpAddr::is_loopback) || *host == Host::All,
                Self::Network(network, bits) => {
                    let itself = host.is_loopback() && network.is_loopback();
                    itself
                        || *host == Host::All
                        || may_be.iter().any(|one| within(*one, *network, *bits))
                }
                Self::Name(_) => false,
            }
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(u32::from(a)), u128::from(u32::from(n)), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (u128::from(a), u128::from(n), 128),
        _ => return false,
    };
    let low = width - u32::from(bits);
    let cut = |all: u128| all.checked_shr(low).unwrap_or(0);
    cut(address) == cut(network)
}

/// One entry of `port`: `5432`, `"8000-8999"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PortText")]
pub struct Ports {
    from: u16,
    to: u16,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PortText {
    One(i64),
    Text(String),
}

impl TryFrom<PortText> for Ports {
    type Error = String;

    fn try_from(text: PortText) -> Result<Self, String> {
        let text = match text {
            PortText::One(port) => match u16::try_from(port) {
                Ok(port) => return Ok(Self { from: port, to: port }),
                Err(_) => port.to_string(),
            },
            PortText::Text(text) => text,
        };
        let (from, to) = text.split_once('-').unwrap_or((&text, &text));
        match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) if from <= to => Ok(Self { from, to }),
            _ => Err(format!("{text:?} is no port: 5432, or \"8000-8999\"")),
        }
    }
}

impl Ports {
    pub fn has(&self, port: u16) -> bool {
        (self.from..=self.to).contains(&port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::new(text).unwrap()
    }

    fn host(text: &str) -> Host {
        Host::to(text).unwrap()
    }

    #[test]
    fn a_name_that_looks_like_an_address_is_none() {
        assert!(HostPattern::new("10.0.*").is_err());
        assert!(HostPattern::new("10.0.0.0/33").is_err());
        assert!(HostPattern::new("10.0.0.0/x").is_err());
        assert!(HostPattern::new("a b").is_err() && HostPattern::new("").is_err());
        assert!(!pattern("10.0.0.0/16").means(&host("10.0.evil.example")));
        assert!(!pattern("*.internal").means(&host("10.0.0.1")));
        assert!(!pattern("db").means(&host("db.internal")));
        assert!(pattern("DB.Internal").means(&host("db.internal.")));
        assert!(pattern("*.internal").means(&host("a.b.internal")));
    }

    #[test]
    fn networks_end_at_their_bits() {
        let ten = pattern("10.0.0.0/8");
        assert!(ten.means(&host("10.255.0.1")) && ten.means(&host("::ffff:10.1.1.1")));
        assert!(!ten.means(&host("11.0.0.1")) && !ten.means(&host("::1")));
        assert!(pattern("0.0.0.0/0").means(&host("8.8.8.8")));
        assert!(pattern("fd00::/8").means(&host("fd12::1")));
        assert!(!pattern("127.1").means(&host("localhost")));
        assert!(pattern("127.0.0.1").may_mean(&host("localhost")));
        assert!(pattern("localhost").means(&host("127.1")));
    }

    #[test]
    fn what_may_be_an_address_is_stopped_with_it_and_not_allowed_with_it() {
        let metadata = pattern("169.254.0.0/16");
        for text in ["169.254.169.254.nip.io", "64:ff9b::a9fe:a9fe"] {
            assert!(metadata.may_mean(&host(text)) && !metadata.means(&host(text)), "{text}");
        }
        assert!(!metadata.may_mean(&host("db.internal")));
        assert!(metadata.may_mean(&Host::All) && !metadata.means(&Host::All));
    }

    #[test]
    fn ports_are_one_or_a_range() {
        let ports = |text: &str| Ports::try_from(PortText::Text(text.to_owned()));
        assert!(ports("8000-8999").unwrap().has(8999) && !ports("80").unwrap().has(81));
        for odd in ["", "-", "9-8", "70000", "a", "1-2-3"] {
            assert!(ports(odd).is_err(), "{odd}");
        }
    }
}
