//! Brace expansion, which comes before all others and knows only what is outside quotes.

use crate::domain::guard::syntax::{Part, Word};

/// Words that one word may become.
const MAX_WORDS: usize = 256;

/// A character outside quotes, or something that braces don't look into.
#[derive(Clone)]
enum Unit {
    Char(char),
    Whole(Part),
}

/// The words that a word becomes, or `None` where they are too many.
pub fn expand(word: &Word) -> Option<Vec<Word>> {
    let has = |char| {
        word.parts.iter().any(|part| matches!(part, Part::Bare(text) if text.contains(char)))
    };
    if !(has('{') && has('}')) {
        return Some(vec![word.clone()]);
    }
    let mut units = Vec::new();
    for part in &word.parts {
        match part {
            Part::Bare(text) => units.extend(text.chars().map(Unit::Char)),
            part => units.push(Unit::Whole(part.clone())),
        }
    }
    let mut results = Vec::new();
    spread(&units, 0, &mut results)?;
    Some(results.into_iter().map(|units| Word { parts: join(units), span: word.span }).collect())
}

fn is(unit: Option<&Unit>, char: char) -> bool {
    matches!(unit, Some(Unit::Char(found)) if *found == char)
}

fn spread(units: &[Unit], depth: u32, results: &mut Vec<Vec<Unit>>) -> Option<()> {
    if depth > 16 {
        return None;
    }
    let mut from = 0;
    while let Some(open) = (from..units.len()).find(|at| is(units.get(*at), '{')) {
        let Some((close, commas)) = closing(units, open) else {
            from = open + 1;
            continue;
        };
        let inside = &units[open + 1..close];
        let choices = match commas.is_empty() {
            true => match sequence(inside)? {
                Some(choices) => choices,
                None => {
                    from = open + 1;
                    continue;
                }
            },
            false => {
                let mut start = open + 1;
                let mut choices = Vec::new();
                for end in commas.into_iter().chain([close]) {
                    spread(&units[start..end], depth + 1, &mut choices)?;
                    start = end + 1;
                }
                choices
            }
        };
        let mut tails = Vec::new();
        spread(&units[close + 1..], depth + 1, &mut tails)?;
        for choice in &choices {
            for tail in &tails {
                let mut whole = units[..open].to_vec();
                whole.extend(choice.iter().chain(tail).cloned());
                results.push(whole);
                if results.len() > MAX_WORDS {
                    return None;
                }
            }
        }
        return Some(());
    }
    results.push(units.to_vec());
    Some(())
}

/// Where the brace closes, and its own commas.
fn closing(units: &[Unit], open: usize) -> Option<(usize, Vec<usize>)> {
    let mut depth = 0;
    let mut commas = Vec::new();
    for (at, unit) in units.iter().enumerate().skip(open) {
        match unit {
            Unit::Char('{') => depth += 1,
            Unit::Char('}') => {
                depth -= 1;
                if depth == 0 {
                    return Some((at, commas));
                }
            }
            Unit::Char(',') if depth == 1 => commas.push(at),
            _ => {}
        }
    }
    None
}

/// `1..5`, `a..e`, with a step; `None` inside where it is none, outside where it is too long.
fn sequence(inside: &[Unit]) -> Option<Option<Vec<Vec<Unit>>>> {
    let char = |unit: &Unit| match unit {
        Unit::Char(char) => Some(*char),
        Unit::Whole(_) => None,
    };
    let Some(text) = inside.iter().map(char).collect::<Option<String>>() else { return Some(None) };
    let parts: Vec<&str> = text.split("..").collect();
    let (&[first, last] | &[first, last, _]) = parts.as_slice() else { return Some(None) };
    let step = parts.get(2).map_or(Some(1), |step| step.parse::<i64>().ok());
    let letter = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|c| c.is_ascii_alphabetic() && chars.next().is_none()).map(|c| c as i64)
    };
    let numbers = first.parse::<i64>().ok().zip(last.parse::<i64>().ok());
    let letters = letter(first).zip(letter(last));
    let (Some((from, to)), Some(step)) = (numbers.or(letters), step) else { return Some(None) };
    let step = step.unsigned_abs().max(1);
    if from.abs_diff(to) / step >= MAX_WORDS as u64 {
        return None;
    }
    let mut values = Vec::new();
    for count in 0..=from.abs_diff(to) / step {
        let offset = i64::try_from(count * step).ok()?;
        let value = if from <= to { from + offset } else { from - offset };
        let text = match numbers {
            Some(_) => value.to_string(),
            None => u8::try_from(value).ok().map(char::from)?.to_string(),
        };
        values.push(text.chars().map(Unit::Char).collect());
    }
    Some(Some(values))
}

fn join(units: Vec<Unit>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    for unit in units {
        match unit {
            Unit::Char(char) => text.push(char),
            Unit::Whole(part) => {
                if !text.is_empty() {
                    parts.push(Part::Bare(std::mem::take(&mut text)));
                }
                parts.push(part);
            }
        }
    }
    if !text.is_empty() {
        parts.push(Part::Bare(text));
    }
    parts
}
