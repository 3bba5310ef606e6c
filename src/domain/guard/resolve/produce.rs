//! What a command prints, where that stands in the line: the producers of piped code.

use base64::Engine;

use super::{Arguments, Walk};
use crate::domain::guard::field::{Data, Field, as_code, merge};

impl Walk<'_> {
    pub(super) fn output(&mut self, name: &str, fields: &[Field], arguments: &Arguments) -> Data {
        let stdin = self.stdin.clone();
        let mut from = stdin.from.clone();
        merge(&mut from, &[name.into()]);
        let unknown = Data::unknown(from.clone());
        let known =
            |text: String| Data { text: Some(text), from: stdin.from.clone(), ..Data::default() };
        let operands = &arguments.operands;
        let words = fields.get(1..).unwrap_or_default();
        match name {
            "echo" => {
                let mut from = vec!["echo".into()];
                words.iter().for_each(|word| merge(&mut from, &word.from));
                match words.iter().all(Field::is_known) {
                    true => Data { text: Some(echo(words)), from, ..Data::default() },
                    false => Data::unknown(from),
                }
            }
            "printf" => {
                let mut from = vec!["printf".into()];
                words.iter().for_each(|word| merge(&mut from, &word.from));
                let words: Vec<&Field> = match words.first() {
                    Some(flag) if flag.text == "-v" => words.iter().skip(2).collect(),
                    Some(flag) if flag.text == "--" => words.iter().skip(1).collect(),
                    _ => words.iter().collect(),
                };
                let text =
                    words.iter().all(|word| word.is_known()).then(|| printf(&words)).flatten();
                Data { text, from, ..Data::default() }
            }
            "cat" | "tac" | "head" | "tail" | "sort" | "uniq" | "tee" | "nl" | "pv" | "sponge" => {
                let mut source = match name {
                    "tee" | "sponge" => stdin.clone(),
                    _ => self.source(operands),
                };
                merge(&mut source.from, &[name.into()]);
                // From here on it is a stream of text, no file that can be looked at.
                source.file = None;
                // One line of text is the same sorted, headed and tailed.
                let single =
                    source.text.as_deref().is_some_and(|text| text.trim_end().lines().count() <= 1);
                let same = matches!(name, "cat" | "tee" | "pv" | "sponge") || single;
                match same && only(arguments, keeps_lines(name)) {
                    true => source,
                    false => Data { text: None, ..source },
                }
            }
            "dd" => {
                let mut data = self.converted(words);
                merge(&mut data.from, &[name.into()]);
                data
            }
            "base64" | "base32" | "basenc"
                if arguments.has("d") || arguments.has("decode") || arguments.has("D") =>
            {
                let plain = ["d", "D", "decode", "base64"];
                let sure = only(arguments, &plain)
                    && (name != "basenc" || arguments.flags.iter().any(|f| f.name == "base64"));
                let source = self.source(operands);
                let text = source.text.filter(|_| sure).and_then(|text| decode(name, &text));
                Data { text, from: source.from, ..Data::default() }
            }
            "openssl"
                if words
                    .iter()
                    .any(|w| w.text == "base64" || w.text == "-base64" || w.text == "-a")
                    && words.iter().any(|w| w.text == "-d") =>
            {
                let plain = ["enc", "base64", "-base64", "-a", "-A", "-d"];
                let sure = words.iter().all(|word| plain.contains(&word.text.as_str()));
                let text = stdin.text.filter(|_| sure).and_then(|text| decode("base64", &text));
                Data { text, from: stdin.from, ..Data::default() }
            }
            "xxd" if arguments.has("r") || words.iter().any(|w| w.text == "-r") => {
                let plain = ["-p", "-rp", "-pr", "-ps", "-plain"];
                let is_flag = |word: &&Field| word.text.len() > 1 && word.text.starts_with('-');
                let flags = || words.iter().filter(is_flag).map(|word| word.text.as_str());
                let sure = flags().any(|flag| plain.contains(&flag))
                    && flags().all(|flag| flag == "-r" || plain.contains(&flag))
                    && operands.len() < 2;
                let source = self.source(operands);
                let text = source.text.filter(|_| sure).and_then(|text| unhex(&text));
                Data { text, from: source.from, ..Data::default() }
            }
            "rev" => {
                let source = self.source(operands);
                let text = source.text.filter(|_| only(arguments, &[])).map(|text| {
                    text.lines().map(|line| line.chars().rev().collect::<String>() + "\n").collect()
                });
                Data { text, from: source.from, ..Data::default() }
            }
            "tr" => {
                let text = stdin.text.as_deref().and_then(|text| translate(text, arguments));
                Data { text, from: stdin.from.clone(), ..Data::default() }
            }
            "sed" => {
                let given = arguments.value("e").or_else(|| arguments.value("expression"));
                let (script, files) = match (given, operands.split_first()) {
                    (Some(script), _) => (Some(script), operands.as_slice()),
                    (None, Some((script, files))) => (Some(script), files),
                    (None, None) => (None, operands.as_slice()),
                };
                let plain = ["e", "expression", "E", "r", "u", "regexp-extended"];
                let sure = only(arguments, &plain)
                    && arguments.flags.iter().filter(|flag| flag.value.is_some()).count() <= 1;
                let source = self.source(files);
                let script = script.and_then(Field::literal).filter(|_| sure);
                let text = source
                    .text
                    .as_deref()
                    .zip(script)
                    .and_then(|(text, script)| substitute(text, script));
                Data { text, from: source.from, ..Data::default() }
            }
            "cut" | "awk" | "gawk" | "mawk" | "fold" | "fmt" | "paste" | "expand" => {
                Data { text: None, file: None, ..stdin }
            }
            "basename" => match operands
                .first()
                .filter(|field| field.is_known() && operands.len() == 1 && only(arguments, &[]))
            {
                Some(field) => {
                    known(field.text.rsplit('/').next().unwrap_or_default().to_owned() + "\n")
                }
                None => unknown,
            },
            "which" | "type" | "command" | "whereis" | "readlink" | "realpath" => {
                // The path of a program: its name is what counts.
                match operands
                    .last()
                    .or(fields.last())
                    .filter(|field| field.is_known() && fields.len() > 1)
                {
                    Some(field) => known(as_code(&field.text).into_owned() + "\n"),
                    None => unknown,
                }
            }
            "pwd" => match self.cwd() {
                Some(cwd) => Data::known(cwd + "\n"),
                None => Data::default(),
            },
            "yes" => match words.iter().all(Field::is_known) {
                true => {
                    Data::known(words.iter().map(Field::shown).collect::<Vec<_>>().join(" ") + "\n")
                }
                false => unknown,
            },
            "mktemp" => Data::known("/tmp/tmp.sgw/file\n"),
            // What they print is paths at or below those that they are given.
            "ls" | "dir" | "fd" | "fdfind" | "du" | "locate" | "plocate" | "tree" => {
                let paths = operands.iter().filter(|field| field.is_known());
                let names = paths.map(|field| field.text.clone()).take(8).collect();
                Data { names, ..unknown }
            }
            "true" | ":" | "false" | "cd" | "sleep" => Data::known(""),
            // With `-v` they tell what they are given.
            "mkdir" | "touch" | "rm" | "chmod"
                if only(arguments, &["p", "m", "c", "d", "r", "R", "f", "i", "I"]) =>
            {
                Data::known("")
            }
            _ => unknown,
        }
    }

    /// Standard input, or what the files that are named instead hold, one behind the other.
    fn source(&self, operands: &[Field]) -> Data {
        let content = |field: &Field| match field.text.as_str() {
            "-" => self.stdin.clone(),
            _ => self.content(field),
        };
        match operands {
            [] => self.stdin.clone(),
            [one] => content(one),
            all => all.iter().map(content).fold(Data::known(""), Data::then),
        }
    }

    /// What `dd` copies, where it copies all of it as it is.
    fn converted(&self, words: &[Field]) -> Data {
        let mut source = self.stdin.clone();
        let mut whole = true;
        for word in words {
            match word.text.split_once('=') {
                Some(("if", path)) => {
                    source = self.content(&Field { text: path.to_owned(), ..word.clone() });
                }
                Some(("of" | "bs" | "ibs" | "obs" | "status", _)) => {}
                _ => whole = false,
            }
        }
        let text = source.text.filter(|_| whole);
        Data { text, file: None, ..source }
    }
}

/// Whether no flags are given but these.
fn only(arguments: &Arguments, known: &[&str]) -> bool {
    !arguments.opaque && arguments.flags.iter().all(|flag| known.contains(&flag.name.as_str()))
}

/// Flags with which the lines that come out are some of those that went in.
fn keeps_lines(name: &str) -> &'static [&'static str] {
    match name {
        "cat" => &["u", "s"],
        "head" | "tail" => &[
            "n", "q", "f", "F", "lines", "quiet", "silent", "follow", "0", "1", "2", "3", "4", "5",
            "6", "7", "8", "9",
        ],
        "sort" => &["r", "n", "u", "f", "b", "d", "h", "V", "g", "M", "R", "s", "k", "t", "unique"],
        "uniq" => &["u", "d", "i"],
        "tee" => &["a", "i", "p", "append"],
        "pv" => &["q", "p", "t", "e", "r", "b", "n", "f", "W"],
        "sponge" => &["a"],
        _ => &[],
    }
}

fn echo(words: &[Field]) -> String {
    let mut newline = true;
    let mut escapes = false;
    let flag = |text: &str| {
        text.len() > 1 && text.starts_with('-') && text[1..].bytes().all(|b| b"neE".contains(&b))
    };
    let mut words = words;
    while let Some((first, rest)) = words.split_first().filter(|(first, _)| flag(&first.text)) {
        newline &= !first.text.contains('n');
        escapes |= first.text.contains('e');
        words = rest;
    }
    let text = words.iter().map(Field::shown).collect::<Vec<_>>().join(" ");
    // dash and zsh read escapes without being asked; a text that has them is read so.
    let text = if escapes || text.contains('\\') { unescape(&text) } else { text };
    if newline { text + "\n" } else { text }
}

/// The escapes of `echo -e` and of printf's format.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes: Vec<u8> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '\\' {
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let mut number = |radix: u32, most: usize| {
            let mut value = 0u32;
            let mut any = false;
            for _ in 0..most {
                let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
                value = value.wrapping_mul(radix).wrapping_add(digit);
                any = true;
                chars.next();
            }
            any.then_some(value)
        };
        match text_escape(&mut number) {
            Escape::Number(value) => bytes.push(value as u8),
            Escape::Other => match chars.next() {
                Some('n') => bytes.push(b'\n'),
                Some('t') => bytes.push(b'\t'),
                Some('r') => bytes.push(b'\r'),
                Some('a') => bytes.push(7),
                Some('b') => bytes.push(8),
                Some('e') => bytes.push(27),
                Some('f') => bytes.push(12),
                Some('v') => bytes.push(11),
                Some('\\') => bytes.push(b'\\'),
                Some('c') => break,
                Some(radix @ ('x' | 'u' | 'U')) => {
                    let most = match radix {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    };
                    let mut value = 0u32;
                    for _ in 0..most {
                        let Some(digit) = chars.peek().and_then(|c| c.to_digit(16)) else { break };
                        value = value.wrapping_mul(16).wrapping_add(digit);
                        chars.next();
                    }
                    match radix {
                        'x' => bytes.push(value as u8),
                        _ => {
                            let char = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                    }
                }
                Some(char) => {
                    bytes.push(b'\\');
                    bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                }
                None => bytes.push(b'\\'),
            },
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

enum Escape {
    Number(u32),
    Other,
}

/// `\101`, `\0101`.
fn text_escape(number: &mut impl FnMut(u32, usize) -> Option<u32>) -> Escape {
    match number(8, 4) {
        Some(value) => Escape::Number(value),
        None => Escape::Other,
    }
}

/// `printf FORMAT ARG…`, the format used again while there are arguments.
fn printf(words: &[&Field]) -> Option<String> {
    let (format, arguments) = words.split_first()?;
    let format = format.shown();
    let mut arguments = arguments.iter().map(|field| field.shown());
    let mut text = String::new();
    loop {
        let mut used = false;
        let mut chars = format.chars().peekable();
        let mut plain = String::new();
        while let Some(char) = chars.next() {
            if char != '%' {
                plain.push(char);
                continue;
            }
            text.push_str(&unescape(&std::mem::take(&mut plain)));
            let mut kind = chars.next()?;
            // Digits behind a point cut the text off.
            while matches!(kind, '-' | '0'..='9' | ' ' | '+' | '#') {
                kind = chars.next()?;
            }
            match kind {
                '%' => text.push('%'),
                's' | 'q' | 'd' | 'i' | 'u' => {
                    text.push_str(&arguments.next().unwrap_or_default());
                    used = true;
                }
                'b' => {
                    text.push_str(&unescape(&arguments.next().unwrap_or_default()));
                    used = true;
                }
                'c' => {
                    text.extend(arguments.next().unwrap_or_default().chars().next());
                    used = true;
                }
                'x' | 'X' | 'o' => return None,
                _ => return None,
            }
        }
        text.push_str(&unescape(&plain));
        if !used || arguments.len() == 0 || text.len() > 65536 {
            return Some(text);
        }
    }
}

fn decode(name: &str, text: &str) -> Option<String> {
    let text: String = text.chars().filter(|char| !char.is_whitespace()).collect();
    let bytes = match name {
        "base32" => unbase32(&text)?,
        _ => {
            let engine = base64::engine::GeneralPurpose::new(
                &base64::alphabet::STANDARD,
                base64::engine::GeneralPurposeConfig::new()
                    .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
                    .with_decode_allow_trailing_bits(true),
            );
            engine.decode(text).ok()?
        }
    };
    String::from_utf8(bytes).ok()
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    let (mut buffer, mut bits, mut bytes) = (0u64, 0u32, Vec::new());
    for char in text.trim_end_matches('=').chars() {
        let value = match char {
            'A'..='Z' => char as u64 - 'A' as u64,
            '2'..='7' => char as u64 - '2' as u64 + 26,
            _ => return None,
        };
        buffer = (buffer << 5 | value) & 0xffff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
        }
    }
    Some(bytes)
}

fn unhex(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|char| !char.is_whitespace()).collect();
    String::from_utf8(hex::decode(digits).ok()?).ok()
}

/// `tr` with plain sets and ranges.
fn translate(text: &str, arguments: &Arguments) -> Option<String> {
    let set = |at: usize| arguments.operands.get(at).and_then(Field::literal).and_then(members);
    if !only(arguments, &["d", "delete"]) {
        return None;
    }
    let first = set(0)?;
    // It works on bytes.
    if !text.is_ascii() || !first.iter().all(char::is_ascii) {
        return None;
    }
    if !arguments.flags.is_empty() {
        return Some(text.chars().filter(|char| !first.contains(char)).collect());
    }
    let second = set(1)?;
    let last = second.last().copied()?;
    let change = |char: char| match first.iter().rposition(|member| *member == char) {
        Some(at) => second.get(at).copied().unwrap_or(last),
        None => char,
    };
    Some(text.chars().map(change).collect())
}

fn members(set: &str) -> Option<Vec<char>> {
    let set =
        set.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9");
    // Classes, and a letter so many times.
    if set.contains("[:") || set.contains("[=") || set.contains('[') && set.contains('*') {
        return None;
    }
    let chars: Vec<char> = unescape(&set).chars().collect();
    let mut members = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if at + 2 < chars.len() && chars[at + 1] == '-' {
            members.extend(chars[at]..=chars[at + 2]);
            at += 3;
        } else {
            members.push(chars[at]);
            at += 1;
        }
        if members.len() > 4096 {
            return None;
        }
    }
    Some(members)
}

/// `sed s/a/b/[g]` with texts that are no patterns.
fn substitute(text: &str, script: &str) -> Option<String> {
    let rest = script.strip_prefix('s')?;
    let separator = rest.chars().next()?;
    let parts: Vec<&str> = rest[separator.len_utf8()..].split(separator).collect();
    let &[from, to, flags] = parts.as_slice() else { return None };
    let plain =
        |text: &str| !text.contains(['\\', '.', '*', '[', '^', '$', '&', '+', '?', '(', '{', '|']);
    if from.is_empty() || !plain(from) || !plain(to) || !matches!(flags, "" | "g") {
        return None;
    }
    let lines = text.lines().map(|line| match flags {
        "g" => line.replace(from, to),
        _ => line.replacen(from, to, 1),
    });
    Some(lines.map(|line| line + "\n").collect())
}
