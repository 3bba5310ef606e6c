//! What a flag's value may look like: durations, sizes, capabilities, `K=V`.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    time::Duration,
};

use crate::domain::{bytes::Bytes, hostkey::said_fingerprint};

/// Longer than any wait that means something, and far from overflow.
const LONGEST_S: u64 = 10 * 365 * 24 * 3600;

/// `90s 5m 2h 1d`, also `250ms`, also together (`1h30m`); a bare `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let complaint = || format!("`{text}` is not a duration like 90s, 5m, 2h or 1d");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| complaint())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let part = match &rest[..letters] {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            "d" => number.checked_mul(86_400).map(Duration::from_secs),
            _ => return Err(complaint()),
        };
        rest = &rest[letters..];
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| total.as_secs() <= LONGEST_S)
            .ok_or_else(|| format!("`{text}` is longer than ten years"))?;
    }
    if text.is_empty() { Err(complaint()) } else { Ok(total) }
}

/// The fingerprint of a host key. Whether it is one, the daemon says.
pub fn fingerprint(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(said_fingerprint(text))
}

/// A duration of a second at least, for what lives in whole seconds.
pub fn seconds(text: &str) -> Result<u64, String> {
    match duration(text)?.as_secs() {
        0 => Err(format!("`{text}` is less than a second")),
        seconds => Ok(seconds),
    }
}

/// `64k 10M 1G`, in units of 1024; without a letter bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let complaint = || format!("`{text}` is not a size like 4096, 64k or 10M");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| complaint())?;
    let unit: u64 = match &text[digits..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return Err(complaint()),
    };
    number.checked_mul(unit).ok_or_else(complaint)
}

/// `K=V`, where V may be any bytes and K is a name that a shell can export.
pub fn assignment(text: &OsStr) -> Result<(String, Bytes), String> {
    let bytes = text.as_bytes();
    let shown = crate::domain::escape::exact(bytes, 60);
    let at = bytes
        .iter()
        .position(|byte| *byte == b'=')
        .ok_or_else(|| format!("`{shown}` is not NAME=VALUE"))?;
    let (name, value) = (&bytes[..at], &bytes[at + 1..]);
    let fits = |(index, byte): (usize, &u8)| {
        *byte == b'_' || byte.is_ascii_alphabetic() || (index > 0 && byte.is_ascii_digit())
    };
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| {
            !name.is_empty() && name.bytes().enumerate().all(|(at, byte)| fits((at, &byte)))
        })
        .ok_or_else(|| format!("`{shown}` has a name that no shell can export"))?;
    if value.contains(&0) {
        return Err(format!("`{shown}` has a NUL byte in its value"));
    }
    Ok((name.to_owned(), Bytes(value.to_vec())))
}

/// An argument that goes to the remote side as it is.
pub fn bytes(text: OsString) -> Bytes {
    Bytes(text.into_vec())
}

/// `1h`, `1h 5m`, `40s`: the two largest units.
pub fn spoken(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, letter) in units {
        let count = rest / unit;
        rest %= unit;
        if count > 0 {
            parts.push(format!("{count}{letter}"));
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in
            [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("1h30m", 5400), ("0", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in
            ["", "5", "m", "1.5h", "-1s", "1 h", "99999999999999999999s", "5y", "4000d", "ä"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(seconds("500ms").is_err());
    }

    #[test]
    fn sizes_are_powers_of_two() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("64k", 65_536), ("10M", 10_485_760)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1.5M", "10MB", "99999999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_assignment_is_a_name_and_any_value() {
        assert_eq!(assignment(OsStr::new("A_1=x=y")), Ok(("A_1".into(), "x=y".into())));
        let odd = OsStr::from_bytes(b"A=\xff");
        assert_eq!(assignment(odd), Ok(("A".into(), Bytes(vec![0xff]))));
        for text in ["A", "=x", "1A=x", "A B=x", "A;id=x"] {
            assert!(assignment(OsStr::new(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_spoken_in_two_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (3600, "1h"), (3_900, "1h 5m"), (90_061, "1d 1h")]
        {
            assert_eq!(spoken(seconds), text);
        }
    }
}
