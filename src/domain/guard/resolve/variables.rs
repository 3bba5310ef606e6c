//! Variables: the values that they have by turns, and which of them each has this time.

use super::{MAX_VALUE, MAX_VALUES, Variable, Walk};
use crate::domain::guard::{
    field::{Field, UNKNOWN},
    syntax::Span,
};

impl Walk<'_> {
    pub(super) fn set(&mut self, name: &str, mut value: Vec<Field>) {
        if value.iter().map(|field| field.text.len()).sum::<usize>() > MAX_VALUE {
            value = vec![Field::new(UNKNOWN, Span::default())];
        }
        self.assignments += 1;
        let unsure = self.unsure > 0 || self.pick > 0;
        match self.variables.get_mut(name) {
            Some(variable) if unsure => {
                let same = |old: &Vec<Field>| {
                    old.len() == value.len()
                        && old.iter().zip(&value).all(|(a, b)| a.text == b.text)
                };
                if variable.values.iter().any(same) {
                    self.assignments -= 1;
                } else if variable.values.len() < MAX_VALUES {
                    variable.values.push(value);
                } else {
                    variable.values = vec![vec![Field::new(UNKNOWN, Span::default())]];
                }
            }
            _ => _ = self.variables.insert(name.to_owned(), Variable { values: vec![value] }),
        }
    }

    pub(super) fn set_unknown(&mut self, name: &str) {
        self.set(name, vec![Field::new(UNKNOWN, Span::default())]);
    }

    /// The value of a variable that the line itself gave it, this time.
    pub(super) fn value_of(&mut self, name: &str) -> Option<Vec<Field>> {
        let count = self.variables.get(name)?.values.len();
        let choice = match count {
            0 => return None,
            1 => 0,
            count => self.choose(name, count),
        };
        self.variables.get(name)?.values.get(choice).cloned()
    }

    pub(super) fn choose(&mut self, name: &str, count: usize) -> usize {
        let mut stride = 1usize;
        for (chosen, count) in &self.choices {
            if chosen == name {
                return self.pick / stride % count;
            }
            stride = stride.saturating_mul(*count);
        }
        self.choices.push((name.to_owned(), count));
        self.pick / stride % count
    }

    pub(super) fn combinations(&self) -> usize {
        self.choices.iter().fold(1usize, |all, (_, count)| all.saturating_mul(*count))
    }
}
