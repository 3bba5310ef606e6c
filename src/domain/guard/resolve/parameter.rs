//! `$name` and `${name…}`: what the line itself makes of a variable.

use super::{ARGUMENTS, HERE, Walk};
use crate::domain::guard::{
    field::{ANY, Field, HOME, SET, STAR, UNKNOWN, with_globs},
    syntax::{Change, Parameter, Span},
};

/// What every account has, unless the line says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether a variable's name says that it is kept from others.
fn secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["SECRET", "TOKEN", "PASSW", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY", "CREDENTIAL"]
        .iter()
        .any(|part| name.contains(part))
}

impl Walk<'_> {
    /// The fields of one expansion; several only for `$@` and arrays.
    pub(super) fn parameter(&mut self, parameter: &Parameter) -> Vec<Field> {
        let mut name = parameter.name.clone();
        if parameter.indirect {
            let target = self.plain(&name).into_iter().next();
            match target.filter(Field::is_known) {
                Some(target) => name = target.text,
                None => return self.changed_unknown(parameter),
            }
        }
        if let Some(index) = &parameter.index {
            let index = self.expand_one(index);
            self.element(&name, &index, parameter)
        } else {
            let values = self.plain(&name);
            self.changed(&name, values, parameter)
        }
    }

    fn changed_unknown(&mut self, parameter: &Parameter) -> Vec<Field> {
        self.changed("", vec![self.unknown(Vec::new())], parameter)
    }

    fn element(&mut self, name: &str, index: &Field, parameter: &Parameter) -> Vec<Field> {
        self.sum(index);
        let all = self.value_of(name);
        let values = match (all, index.shown().as_str()) {
            (Some(values), "@" | "*") => values,
            (Some(values), index) => {
                match index.parse::<usize>().ok().and_then(|at| values.get(at).cloned()) {
                    Some(value) => vec![value],
                    None => vec![self.unknown(Vec::new())],
                }
            }
            (None, _) => vec![self.unknown(Vec::new())],
        };
        self.changed(name, values, parameter)
    }

    /// The value without any change; nothing where the line knows of none.
    fn plain(&mut self, name: &str) -> Vec<Field> {
        if matches!(name, "@" | "*") {
            return self.positional_fields();
        }
        if let Some(value) = self.value_of(name) {
            // An array without a subscript is its first element.
            return value.into_iter().take(1).collect();
        }
        let known = |text: &str| vec![Field::new(text, Span::default())];
        match name {
            "HOME" => known(HOME.encode_utf8(&mut [0; 4])),
            "IFS" => known(" \t\n"),
            "PATH" => known(PATH),
            // The shell itself: which one matters little.
            "0" | "SHELL" | "BASH" => known("/bin/sh"),
            "PWD" => match self.value_of(HERE) {
                Some(value) => value,
                None => vec![self.unknown(Vec::new())],
            },
            name => match name.parse::<usize>() {
                Ok(number) => match self.value_of(ARGUMENTS) {
                    Some(fields) => {
                        fields.get(number.wrapping_sub(1)).cloned().into_iter().collect()
                    }
                    None => vec![self.unknown(Vec::new())],
                },
                // What is not known still has a name that says what it is.
                Err(_) if secret(name) => {
                    vec![self.unknown(vec![format!("${}", name.to_ascii_uppercase()).into()])]
                }
                Err(_) => vec![self.unknown(Vec::new())],
            },
        }
    }

    fn changed(&mut self, name: &str, values: Vec<Field>, parameter: &Parameter) -> Vec<Field> {
        match &parameter.change {
            Change::None => values,
            Change::Length => vec![Field::new(UNKNOWN, Span::default())],
            Change::Default { operator, word, .. } => {
                // Never assigned here: it may be unset, and then the word counts.
                let assigned = self.variables.contains_key(name)
                    || values.iter().any(|v| v.is_known() && !v.text.is_empty());
                // Where it is set only perhaps both may be.
                let perhaps = self.variables.get(name).is_some_and(|variable| variable.perhaps);
                let assigned = assigned && !(perhaps && self.choose(&format!("{name}:"), 2) == 1);
                // What stands in the word happens only where it counts.
                self.unsure += 1;
                let fallback = self.expand_one(word);
                self.unsure -= 1;
                if *operator == b'=' {
                    match name {
                        "IFS" => self.names_unknown(name, word.span),
                        _ => self.names(name, &fallback, word.span),
                    }
                }
                match (operator, assigned) {
                    (b'+', true) => vec![fallback],
                    (b'+', false) => vec![fallback],
                    (b'?', _) => values,
                    (b'=', false) => {
                        self.set(name, vec![fallback.clone()]);
                        vec![fallback]
                    }
                    (_, false) => vec![fallback],
                    (_, true) if values.iter().all(|value| value.text.is_empty()) => vec![fallback],
                    (_, true) => values,
                }
            }
            Change::Strip { end, longest, pattern } => {
                let pattern = self.expand_one(pattern);
                self.each(values, |text| strip(text, &pattern.text, *end, *longest))
            }
            Change::Replace { all, pattern, with } => {
                let pattern = self.expand_one(pattern);
                let with = self.expand_one(with);
                match pattern.is_known() && with.is_known() {
                    true => {
                        self.each(values, |text| replace(text, &pattern.text, &with.text, *all))
                    }
                    false => vec![self.unknown(with.from)],
                }
            }
            Change::Slice(word) => {
                let word = self.expand_one(word);
                // `${name::=value}` of zsh.
                if word.text.starts_with(":=") {
                    self.names_unknown(name, word.span);
                }
                self.sum(&word);
                let text = word.text.clone();
                if matches!(name, "@" | "*") {
                    return slice_fields(values, &text)
                        .unwrap_or_else(|| vec![self.unknown(Vec::new())]);
                }
                self.each_option(values, |value| slice(value, &text))
            }
            Change::Case { upper, all } => self.each(values, |text| {
                let change = |char: char| match upper {
                    true => char.to_ascii_uppercase(),
                    false => char.to_ascii_lowercase(),
                };
                let first = if *all { usize::MAX } else { 1 };
                text.chars()
                    .enumerate()
                    .map(|(at, c)| if at < first { change(c) } else { c })
                    .collect()
            }),
            Change::Opaque(word) => {
                let word = self.expand_one(word);
                // `@P` and zsh's `(e)` run what stands in the value.
                let runs = |text: &str| text.contains("$(") || text.contains('`');
                let marks = word.shown();
                if marks.starts_with("@P") || marks.starts_with('(') {
                    match values.iter().any(|value| value.is_known() && !runs(&value.text)) {
                        true => {}
                        false => self.opaque("opaque.prompt", word.span),
                    }
                }
                // `@U`, `@L`, `@Q`, `@E` change no more than the letters or quotes.
                match marks.as_str() {
                    "@L" => self.each(values, str::to_ascii_lowercase),
                    "@U" => self.each(values, str::to_ascii_uppercase),
                    "@E" => self.each(values, super::produce::unescape),
                    "@Q" | "@P" => values,
                    _ => vec![
                        self.unknown(values.into_iter().flat_map(|value| value.from).collect()),
                    ],
                }
            }
        }
    }

    fn each(&self, values: Vec<Field>, change: impl Fn(&str) -> String) -> Vec<Field> {
        self.each_option(values, |text| Some(change(text)))
    }

    fn each_option(
        &self,
        values: Vec<Field>,
        change: impl Fn(&str) -> Option<String>,
    ) -> Vec<Field> {
        let changed = |value: Field| match value.is_known().then(|| change(&value.text)).flatten() {
            Some(text) => Field { text, ..value },
            None => Field { text: UNKNOWN.to_string(), ..value },
        };
        values.into_iter().map(changed).collect()
    }
}

fn numbers(text: &str) -> Option<(i64, Option<i64>)> {
    let mut parts = text.splitn(2, ':').map(|part| part.trim().parse::<i64>());
    let offset = parts.next()?.ok()?;
    match parts.next() {
        None => Some((offset, None)),
        Some(length) => Some((offset, Some(length.ok()?))),
    }
}

fn range(count: usize, offset: i64, length: Option<i64>) -> Option<(usize, usize)> {
    let count = i64::try_from(count).ok()?;
    let start = if offset < 0 { count + offset } else { offset.min(count) };
    let end = match length {
        None => count,
        Some(length) if length < 0 => count + length,
        Some(length) => start.checked_add(length)?.min(count),
    };
    (start >= 0 && end >= start)
        .then_some((usize::try_from(start).ok()?, usize::try_from(end).ok()?))
}

fn slice(text: &str, bounds: &str) -> Option<String> {
    let (offset, length) = numbers(bounds)?;
    let chars: Vec<char> = text.chars().collect();
    let (start, end) = range(chars.len(), offset, length)?;
    Some(chars[start..end].iter().collect())
}

fn slice_fields(fields: Vec<Field>, bounds: &str) -> Option<Vec<Field>> {
    if fields.iter().any(|field| !field.is_known()) {
        return None;
    }
    let (offset, length) = numbers(bounds)?;
    let (start, end) = range(fields.len(), offset - 1, length)?;
    Some(fields[start..end].to_vec())
}

/// Whether a shell pattern matches all of a text.
pub(super) fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(&STAR) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            None if t == text.len() => return true,
            Some(&SET) if t < text.len() => {
                set(&pattern[p + 1..], text[t]).map(|length| p + 1 + length)
            }
            Some(&char) if t < text.len() && (char == ANY || char == text[t]) => Some(p + 1),
            _ => None,
        };
        match (step, retry) {
            (Some(next), _) => {
                p = next;
                t += 1;
            }
            (None, Some((back, at))) if at < text.len() => {
                retry = Some((back, at + 1));
                p = back;
                t = at + 1;
            }
            _ => return false,
        }
    }
}

/// Whether a bracket's set holds a character, and how long it is.
fn set(pattern: &[char], char: char) -> Option<usize> {
    let end = pattern.iter().skip(1).position(|c| *c == ']')? + 1;
    let negated = matches!(pattern.first(), Some('!' | '^'));
    let inside = &pattern[usize::from(negated)..end];
    let mut found = false;
    let mut at = 0;
    while at < inside.len() {
        if at + 2 < inside.len() && inside[at + 1] == '-' {
            found |= (inside[at]..=inside[at + 2]).contains(&char);
            at += 3;
        } else {
            found |= inside[at] == char;
            at += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

fn strip(text: &str, pattern: &str, end: bool, longest: bool) -> String {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Patterns are short, and so is what they strip: the cost is bounded all the same.
    if text.len().saturating_mul(pattern.len()) > 100_000 {
        return UNKNOWN.to_string();
    }
    let mut cuts: Vec<usize> = (0..=text.len()).collect();
    if end != longest {
        cuts.reverse();
    }
    for cut in cuts {
        let (part, rest) = match end {
            true => (&text[cut..], &text[..cut]),
            false => (&text[..cut], &text[cut..]),
        };
        if matches(&pattern, part) {
            return rest.iter().collect();
        }
    }
    text.iter().collect()
}

fn replace(text: &str, pattern: &str, with: &str, all: bool) -> String {
    let (pattern, anchor) = match pattern.chars().next() {
        Some(anchor @ ('#' | '%')) if pattern.len() > 1 => (&pattern[1..], Some(anchor)),
        _ => (pattern, None),
    };
    let pattern: Vec<char> = with_globs(pattern).chars().collect();
    let chars: Vec<char> = text.chars().collect();
    if pattern.is_empty() {
        return text.to_owned();
    }
    if chars.len().saturating_mul(chars.len()) > 40_000 {
        return UNKNOWN.to_string();
    }
    let mut result = String::new();
    let mut at = 0;
    let mut done = false;
    while at < chars.len() {
        let may = !done && (anchor != Some('#') || at == 0);
        let ends = (at + 1..=chars.len()).rev();
        let mut ends = ends.filter(|end| anchor != Some('%') || *end == chars.len());
        let end = if may { ends.find(|end| matches(&pattern, &chars[at..*end])) } else { None };
        match end {
            Some(end) => {
                result.push_str(with);
                at = end;
                done = !all;
            }
            None => {
                result.push(chars[at]);
                at += 1;
            }
        }
    }
    result
}
