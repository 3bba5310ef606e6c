//! Variables: the values that they have by turns, and which of them each has this time.

use std::collections::HashMap;

use super::{MAX_VALUE, MAX_VALUES, Variable, Walk};
use crate::domain::guard::{
    field::{Field, UNKNOWN},
    syntax::Span,
};

/// The variables by name, and what to put back where a subshell ends: a copy of them all for each would cost
/// the line's length squared.
#[derive(Debug, Default)]
pub(super) struct Variables {
    now: HashMap<String, Variable>,
    /// What stood there before each change, the newest last, while someone wants to go back.
    before: Vec<(String, Option<Variable>)>,
    marks: usize,
}

/// How much had changed when a subshell began.
#[must_use]
pub(super) struct Mark(usize);

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&Variable> {
        self.now.get(name)
    }

    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.now.contains_key(name)
    }

    pub(super) fn insert(&mut self, name: String, variable: Variable) {
        self.remember(&name);
        self.now.insert(name, variable);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.remember(name);
        self.now.remove(name);
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Variable> {
        self.remember(name);
        self.now.get_mut(name)
    }

    fn remember(&mut self, name: &str) {
        if self.marks > 0 {
            self.before.push((name.to_owned(), self.now.get(name).cloned()));
        }
    }

    pub(super) fn mark(&mut self) -> Mark {
        self.marks += 1;
        Mark(self.before.len())
    }

    pub(super) fn go_back(&mut self, mark: Mark) {
        while self.before.len() > mark.0 {
            match self.before.pop() {
                Some((name, Some(variable))) => _ = self.now.insert(name, variable),
                Some((name, None)) => _ = self.now.remove(&name),
                None => break,
            }
        }
        self.marks -= 1;
    }

    /// What changed since stays, until an outer mark goes back.
    pub(super) fn keep(&mut self, _: Mark) {
        self.marks -= 1;
        if self.marks == 0 {
            self.before.clear();
        }
    }
}

impl Walk<'_> {
    pub(super) fn set(&mut self, name: &str, mut value: Vec<Field>) {
        if value.iter().map(|field| field.text.len()).sum::<usize>() > MAX_VALUE {
            value = vec![Field::new(UNKNOWN, Span::default())];
        }
        self.assignments += 1;
        let unsure = self.unsure > 0 || self.pick > 0;
        match unsure.then(|| self.variables.get_mut(name)).flatten() {
            Some(variable) => {
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
            None => self.variables.insert(name.to_owned(), Variable { values: vec![value] }),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(variables: &Variables, name: &str) -> Option<String> {
        let variable = variables.get(name)?;
        Some(variable.values[0][0].text.clone())
    }

    fn give(variables: &mut Variables, name: &str, value: &str) {
        let values = vec![vec![Field::new(value, Span::default())]];
        variables.insert(name.to_owned(), Variable { values });
    }

    #[test]
    fn what_a_subshell_changes_ends_with_it() {
        let mut all = Variables::default();
        give(&mut all, "a", "1");
        let outer = all.mark();
        give(&mut all, "a", "2");
        let inner = all.mark();
        all.remove("a");
        give(&mut all, "b", "3");
        all.go_back(inner);
        assert_eq!((text(&all, "a").as_deref(), text(&all, "b")), (Some("2"), None));
        let kept = all.mark();
        give(&mut all, "a", "4");
        all.keep(kept);
        assert_eq!(text(&all, "a").as_deref(), Some("4"));
        all.go_back(outer);
        assert_eq!(text(&all, "a").as_deref(), Some("1"));
    }

    #[test]
    fn a_subshell_costs_what_it_changes_however_many_there_are() {
        let mut all = Variables::default();
        (0..1000).for_each(|at| give(&mut all, &format!("a{at}"), "x"));
        assert!(all.before.is_empty(), "nobody wants to go back");
        let mark = all.mark();
        give(&mut all, "a1", "y");
        assert_eq!(all.before.len(), 1);
        all.go_back(mark);
        assert!(all.before.is_empty());
    }
}
