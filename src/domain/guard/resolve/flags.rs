//! Flags and operands, as the program's own grammar divides its words.

use crate::domain::guard::{field::Field, policy::Program};

/// What stands behind a program's name.
#[derive(Debug, Default)]
pub struct Arguments {
    pub flags: Vec<Flag>,
    pub operands: Vec<Field>,
    /// Where among the words the operands begin, for programs that stop there.
    pub first_operand: usize,
    /// Some word may be anything, a flag too.
    pub opaque: bool,
}

#[derive(Debug)]
pub struct Flag {
    /// Without its dashes.
    pub name: String,
    pub long: bool,
    pub value: Option<Field>,
}

impl Arguments {
    /// Divides what follows the program. With `stop` the first operand ends it: what follows is another
    /// program's.
    pub fn divide(argv: &[Field], program: &Program, stop: bool) -> Self {
        let mut arguments = Self { first_operand: argv.len(), ..Self::default() };
        let mut at = 1;
        let mut only_operands = false;
        while let Some(field) = argv.get(at) {
            let text = field.text.as_str();
            let is_flag = !only_operands && is_flag(text, program);
            if !is_flag {
                arguments.opaque |= !field.is_known() && !text.contains('/');
                if arguments.operands.is_empty() {
                    arguments.first_operand = at;
                }
                if stop {
                    break;
                }
                arguments.operands.push(field.clone());
                at += 1;
                continue;
            }
            at += 1;
            if text == "--" {
                only_operands = true;
                if stop {
                    arguments.first_operand = at;
                    break;
                }
                continue;
            }
            at += arguments.flag(field, argv.get(at), program);
        }
        if stop {
            arguments.operands = argv.get(arguments.first_operand..).unwrap_or_default().to_vec();
        }
        arguments
    }

    /// Takes a flag; how many further words are its value.
    fn flag(&mut self, field: &Field, next: Option<&Field>, program: &Program) -> usize {
        let text = field.text.as_str();
        let long = text.starts_with("--") || program.long_single;
        if let Some((name, value)) = text.split_once('=').filter(|_| long) {
            let name = name.trim_start_matches(['-', '+']).to_owned();
            let value = Some(Field { text: value.to_owned(), ..field.clone() });
            self.flags.push(Flag { name, long, value });
            return 0;
        }
        if long {
            let takes = program.takes_value(text);
            let name = text.trim_start_matches(['-', '+']).to_owned();
            self.flags.push(Flag { name, long, value: next.filter(|_| takes).cloned() });
            return usize::from(takes && next.is_some());
        }
        // `-iname`, where the program takes it whole.
        if program.takes_value(text) {
            self.flags.push(Flag {
                name: text[1..].to_owned(),
                long: text.len() > 2,
                value: next.cloned(),
            });
            return usize::from(next.is_some());
        }
        let letters = &text[1..];
        for (at, letter) in letters.char_indices() {
            let name = letter.to_string();
            if program.attaches_value(&format!("-{letter}")) {
                let rest = &letters[at + letter.len_utf8()..];
                let value = Field { text: rest.to_owned(), ..field.clone() };
                let value = (!rest.is_empty()).then_some(value);
                self.flags.push(Flag { name, long: false, value });
                return 0;
            }
            if program.takes_value(&format!("-{letter}")) {
                let rest = &letters[at + letter.len_utf8()..];
                let (value, taken) = match rest.is_empty() {
                    true => (next.cloned(), usize::from(next.is_some())),
                    false => (Some(Field { text: rest.to_owned(), ..field.clone() }), 0),
                };
                self.flags.push(Flag { name, long: false, value });
                return taken;
            }
            self.flags.push(Flag { name, long: false, value: None });
        }
        0
    }

    /// Whether a flag was given: a letter, or a long name, or as much of it as GNU's getopt takes.
    pub fn has(&self, wanted: &str) -> bool {
        self.flags.iter().any(|flag| flag.is(wanted))
    }

    pub fn value(&self, wanted: &str) -> Option<&Field> {
        self.flags.iter().find(|flag| flag.is(wanted)).and_then(|flag| flag.value.as_ref())
    }
}

impl Flag {
    pub fn is(&self, wanted: &str) -> bool {
        let wanted = wanted.trim_start_matches('-');
        if self.name == wanted {
            return true;
        }
        if let Some(start) = wanted.strip_suffix('*') {
            return self.name.starts_with(start);
        }
        self.long && self.name.len() > 1 && wanted.len() > 2 && wanted.starts_with(&self.name)
    }
}

impl Flag {
    /// By its whole name, or a pattern's beginning.
    pub fn is_exactly(&self, wanted: &str) -> bool {
        match wanted.strip_suffix('*') {
            Some(start) => self.name.starts_with(start),
            None => self.name == wanted,
        }
    }
}

fn is_flag(text: &str, program: &Program) -> bool {
    if program.plus_flags && text.starts_with('+') && text.len() > 1 {
        return true;
    }
    text.len() > 1 && text.starts_with('-') && !program.no_flags
}
