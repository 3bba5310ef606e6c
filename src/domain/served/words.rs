//! The words of a line that every shell reads alike: quotes and backslashes, and nothing that a shell does.

/// One word, as a program gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    pub bytes: Vec<u8>,
    /// Something in it stands in quotes, or behind a backslash.
    pub quoted: bool,
    /// It begins with a `~/` that the shell makes the account's home.
    pub home: bool,
}

impl Word {
    /// Where it is written as it is.
    pub fn plain(&self) -> Option<&[u8]> {
        (!self.quoted && !self.home).then_some(&self.bytes)
    }
}

/// The words; `None` where a shell would do anything but take them apart.
pub fn words(line: &[u8]) -> Option<Vec<Word>> {
    let mut all = Vec::new();
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().take_while(|byte| **byte == b' ').count()..];
        if rest.is_empty() {
            return Some(all);
        }
        let (word, left) = word(rest)?;
        all.push(word);
        rest = left;
    }
}

fn word(line: &[u8]) -> Option<(Word, &[u8])> {
    let mut word = Word::default();
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b' ' => return Some((word, rest)),
            b'\'' => {
                let end = rest.iter().position(|byte| *byte == b'\'')?;
                let inner = &rest[..end];
                // fish reads a backslash there, and a shell with history a `!`.
                if inner.iter().any(|byte| matches!(byte, 0 | b'\\' | b'!')) {
                    return None;
                }
                word.bytes.extend_from_slice(inner);
                word.quoted = true;
                rest = &rest[end + 1..];
            }
            b'"' => {
                let end = rest.iter().position(|byte| *byte == b'"')?;
                let inner = &rest[..end];
                if inner.iter().any(|byte| matches!(byte, 0 | b'\\' | b'!' | b'$' | b'`')) {
                    return None;
                }
                word.bytes.extend_from_slice(inner);
                word.quoted = true;
                rest = &rest[end + 1..];
            }
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                // In fish a letter behind it is another character; a newline is none in any.
                if escaped.is_ascii_alphanumeric() || escaped < b' ' || escaped == 0x7f {
                    return None;
                }
                word.bytes.push(escaped);
                word.quoted = true;
                rest = after;
            }
            b'~' if word.bytes.is_empty() && !word.quoted => {
                if !matches!(rest.first(), None | Some(b'/' | b' ')) {
                    return None;
                }
                (word.home, word.bytes) = (true, b"~".to_vec());
            }
            byte if is_plain(byte) || byte == b'=' && !word.bytes.is_empty() => {
                word.bytes.push(byte);
            }
            _ => return None,
        }
    }
    Some((word, rest))
}

/// What no shell gives a meaning.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:@,+%".contains(&byte) || byte >= 0x80
}
