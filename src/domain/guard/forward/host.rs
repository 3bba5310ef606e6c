//! A host as a forward names it: in the one form in which it is judged, shown, and sent on.
//!
//! Resolvers take many texts for one address (inet_aton(3): `127.1`, `0x7f000001`, `2130706433`), and what
//! a rule does not recognise it can't stop. So an address has one form here, and what could be read as
//! one and is none is refused.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

/// The longest name (RFC 1035, 2.3.4), in bytes.
const LONGEST: usize = 253;

/// Where a forward leads, or listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Address(IpAddr),
    /// In small letters, without a dot at its end. What it leads to the server's resolver says.
    Name(String),
    /// All addresses of the machine; to listen on alone.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAHost {
    #[error("it names no host")]
    Empty,
    #[error("a host is a name of letters, digits, dots, dashes and underscores, or an address")]
    Characters,
    #[error("it ends in a number, and is no address")]
    Number,
    #[error("it is longer than a name may be")]
    Long,
}

impl Host {
    /// Where a connection is to go.
    pub fn to(text: &str) -> Result<Self, NotAHost> {
        if text.len() > LONGEST + 1 {
            return Err(NotAHost::Long);
        }
        if text.contains(':') {
            let address: Ipv6Addr = text.parse().map_err(|_| NotAHost::Characters)?;
            return Ok(Self::address(address.into()));
        }
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let sound = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
        if text.is_empty() {
            return Err(NotAHost::Empty);
        }
        if !text.chars().all(sound) || text.split('.').any(str::is_empty) || text.starts_with('-') {
            return Err(NotAHost::Characters);
        }
        // What ends in a number is an address, or nothing: see inet_aton(3) and the URL standard.
        match text.rsplit('.').next().is_some_and(is_number) {
            true => aton(&text).map(|v4| Self::address(v4.into())).ok_or(NotAHost::Number),
            false => Ok(Self::Name(text)),
        }
    }

    /// Where connections are to be listened for (RFC 4254, 7.1).
    pub fn listening(text: &str) -> Result<Self, NotAHost> {
        match text {
            "" | "*" | "0.0.0.0" | "::" => Ok(Self::All),
            text => Self::to(text),
        }
    }

    /// One that is an address says it in the shortest way; whoever connects to no address in particular comes to
    /// the machine itself (ip(7)).
    fn address(address: IpAddr) -> Self {
        let address = match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
            v4 @ IpAddr::V4(_) => v4,
        };
        Self::Address(match address {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            other => other,
        })
    }

    /// As the server is told it.
    pub fn wire(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Name(name) => name.clone(),
            Self::All => String::new(),
        }
    }

    /// Whether it is the server itself, by its own word or by everyone's (RFC 6761, 6.3).
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => {
                let last = name.rsplit('.').next().unwrap_or_default();
                last == "localhost"
                    || last == "localdomain" && name.starts_with("localhost")
                    || matches!(name.as_str(), "ip6-localhost" | "ip6-loopback" | "loopback")
            }
            Self::All => false,
        }
    }

    /// Addresses that it may lead to: its own, those that it carries within (RFC 6052, RFC 3056), and what the
    /// name itself spells, as names of nip.io do. For what is to be stopped.
    pub fn may_be(&self) -> Vec<IpAddr> {
        match self {
            Self::Address(IpAddr::V6(v6)) => {
                let mut all = vec![IpAddr::V6(*v6)];
                all.extend(carried(*v6).map(IpAddr::V4));
                all
            }
            Self::Address(v4) => vec![*v4],
            Self::Name(name) => spelled(name),
            Self::All => Vec::new(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::All => f.write_str("*"),
        }
    }
}

fn is_number(label: &str) -> bool {
    let hex = label
        .strip_prefix("0x")
        .is_some_and(|rest| rest.chars().all(|char| char.is_ascii_hexdigit()));
    hex || !label.is_empty() && label.chars().all(|char| char.is_ascii_digit())
}

/// As inet_aton(3): one to four numbers, decimal, octal or hexadecimal, the last of which fills what is left.
fn aton(text: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    if first.len() > 3 || first.iter().any(|byte| *byte > 255) {
        return None;
    }
    let left = 4 - first.len() as u32;
    if *last >= 1 << (8 * left) {
        return None;
    }
    let high = first.iter().fold(0, |all, byte| all << 8 | byte);
    u32::try_from(high << (8 * left) | last).ok().map(Ipv4Addr::from)
}

fn number(label: &str) -> Option<u64> {
    let (digits, radix) = match label {
        label if label.starts_with("0x") => (&label[2..], 16),
        label if label.len() > 1 && label.starts_with('0') => (&label[1..], 8),
        label => (label, 10),
    };
    match digits {
        // `0x` alone is nought to some.
        "" => Some(0),
        digits if digits.chars().all(|char| char.is_digit(radix)) => {
            u64::from_str_radix(digits, radix).ok()
        }
        _ => None,
    }
}

/// The IPv4 address within an IPv6 one: compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn carried(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let at = v6.segments();
    let low = (u32::from(at[6]) << 16) | u32::from(at[7]);
    match at {
        [0, 0, 0, 0, 0, 0, ..] if low > 0xffff => Some(low.into()),
        [0x64, 0xff9b, ..] => Some(low.into()),
        [0x2002, high, low, ..] => Some(((u32::from(high) << 16) | u32::from(low)).into()),
        _ => None,
    }
}

/// Four bytes in a name, with dots or dashes between them, or eight hexadecimal digits as a label's end.
fn spelled(name: &str) -> Vec<IpAddr> {
    let parts: Vec<&str> = name.split(['.', '-']).collect();
    let byte = |part: &&str| part.parse::<u8>().ok().filter(|_| part.len() <= 3);
    let quads = parts.windows(4).filter_map(|four| {
        let four: Vec<u8> = four.iter().map(byte).collect::<Option<_>>()?;
        Some(IpAddr::V4(<[u8; 4]>::try_from(four).ok()?.into()))
    });
    let whole = parts
        .iter()
        .filter(|part| part.len() == 8)
        .filter_map(|part| u32::from_str_radix(part, 16).ok().map(|all| IpAddr::V4(all.into())));
    quads.chain(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Host::to(text).map_or_else(|error| format!("{error:?}"), |host| host.to_string())
    }

    #[test]
    fn whatever_resolvers_take_for_one_address_is_one() {
        for same in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "0x7F.0.0.0x1",
            "127.0.0.1.",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "0.0.0.0",
            "0",
            "0x0",
            "127.0.0.01",
        ] {
            assert_eq!(shown(same), "127.0.0.1", "{same}");
        }
        assert_eq!(shown("0:0::1"), "[::1]");
        assert_eq!(shown("::"), "[::1]");
        assert_eq!(shown("169.254.43518"), "169.254.169.254");
        assert_eq!(shown("FE80::1"), "[fe80::1]");
    }

    #[test]
    fn a_name_is_in_small_letters_and_ends_in_no_dot() {
        assert_eq!(shown("DB.Internal."), "db.internal");
        assert_eq!(shown("my_db-1"), "my_db-1");
        assert_eq!(shown("1.2.3.com"), "1.2.3.com");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for (odd, why) in [
            ("", "Empty"),
            (".", "Empty"),
            ("a..b", "Characters"),
            ("db internal", "Characters"),
            ("db\n", "Characters"),
            ("a;b", "Characters"),
            ("[::1]", "Characters"),
            ("fe80::1%eth0", "Characters"),
            ("bücher.example", "Characters"),
            ("-x", "Characters"),
            ("１２７.0.0.1", "Characters"),
            ("256.1.1.1", "Number"),
            ("1.2.3.4.5", "Number"),
            ("08.1", "Number"),
            ("host.1", "Number"),
            ("4294967296", "Number"),
            ("a.0x7f", "Number"),
            ("*", "Characters"),
        ] {
            assert_eq!(shown(odd), why, "{odd:?}");
        }
        assert_eq!(shown(&"a".repeat(300)), "Long");
    }

    #[test]
    fn what_a_name_or_address_carries_within_is_seen() {
        let metadata: IpAddr = "169.254.169.254".parse().unwrap();
        for text in [
            "169.254.169.254",
            "::ffff:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "169.254.169.254.nip.io",
            "x.169-254-169-254.sslip.io",
            "a9fea9fe.nip.io",
        ] {
            let host = Host::to(text).unwrap();
            assert!(host.may_be().contains(&metadata), "{text}: {:?}", host.may_be());
        }
        assert!(Host::to("db.internal").unwrap().may_be().is_empty());
    }

    #[test]
    fn localhost_has_many_names() {
        for text in [
            "localhost",
            "LOCALHOST.",
            "x.localhost",
            "127.9.9.9",
            "::1",
            "ip6-localhost",
            "localhost.localdomain",
            "localhost6.localdomain",
        ] {
            assert!(Host::to(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["localhost.example.com", "10.0.0.1", "db"] {
            assert!(!Host::to(text).unwrap().is_loopback(), "{text}");
        }
        assert_eq!(Host::listening("*"), Ok(Host::All));
        assert_eq!(Host::listening("").unwrap().wire(), "");
    }
}
