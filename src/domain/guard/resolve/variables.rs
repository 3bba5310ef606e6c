//! Variables: the values that they have by turns, which of them each has this time, and what ends with a subshell.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use super::{MAX_VALUE, MAX_VALUES, Variable, Walk, names::is_name};
use crate::domain::guard::{
    field::{Field, UNKNOWN},
    syntax::Span,
};

/// Things by name, and what to put back where a subshell ends: a copy of them all for each would cost the
/// line's length squared.
#[derive(Debug)]
pub(super) struct Kept<V> {
    now: HashMap<String, V>,
    /// What stood there before each change, the newest last, while someone wants to go back.
    before: Vec<(String, Option<V>)>,
    marks: usize,
}

pub(super) type Variables = Kept<Variable>;
/// What became of each name that was changed.
type Changes<V> = HashMap<String, Option<V>>;

/// How much had changed when a subshell began.
#[must_use]
#[derive(Debug)]
pub(super) struct Mark(usize);

/// Something of which nobody knows whether it was changed: both count.
pub(super) trait Either: Clone {
    fn either(one: Option<Self>, other: Option<Self>) -> Option<Self>;
}

impl Either for Variable {
    fn either(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(mut one), Some(other)) => {
                other.values.into_iter().for_each(|value| _ = one.add(value));
                one.perhaps |= other.perhaps;
                Some(one)
            }
            (Some(mut gone), None) => {
                gone.add(Rc::from([]));
                gone.perhaps = true;
                Some(gone)
            }
            (None, Some(new)) => Some(Self { perhaps: true, ..new }),
            (None, None) => None,
        }
    }
}

impl Variable {
    pub(super) fn of(values: impl IntoIterator<Item = Vec<Field>>) -> Self {
        Self { values: values.into_iter().map(Rc::from).collect(), perhaps: false }
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.values.iter().flat_map(|value| value.iter())
    }

    /// One more value; false where it is none that was not there.
    fn add(&mut self, value: Rc<[Field]>) -> bool {
        let same = |old: &Rc<[Field]>| {
            old.len() == value.len() && old.iter().zip(&*value).all(|(a, b)| a.text == b.text)
        };
        if self.values.iter().any(same) {
            return false;
        }
        match self.values.len() < MAX_VALUES {
            true => self.values.push(value),
            false => self.values = vec![Rc::from([Field::new(UNKNOWN, Span::default())])],
        }
        true
    }
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self { now: HashMap::new(), before: Vec::new(), marks: 0 }
    }
}

impl<V: Either> Kept<V> {
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        self.now.get(name)
    }

    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.now.contains_key(name)
    }

    pub(super) fn insert(&mut self, name: String, value: V) {
        self.remember(&name);
        self.now.insert(name, value);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.remember(name);
        self.now.remove(name);
    }

    /// What it was, or is nothing again.
    pub(super) fn put_back(&mut self, name: &str, value: Option<V>) {
        match value {
            Some(value) => self.insert(name.to_owned(), value),
            None => self.remove(name),
        }
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut V> {
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
                Some((name, Some(value))) => _ = self.now.insert(name, value),
                Some((name, None)) => _ = self.now.remove(&name),
                None => break,
            }
        }
        self.keep(mark);
    }

    /// What changed since stays, until an outer mark goes back.
    pub(super) fn keep(&mut self, _: Mark) {
        self.marks -= 1;
        if self.marks == 0 {
            self.before.clear();
        }
    }

    /// What changed since may not have: the old counts beside the new.
    pub(super) fn doubt(&mut self, mark: Mark) {
        let mut old = Changes::new();
        for (name, value) in self.before.get(mark.0..).unwrap_or_default() {
            if !old.contains_key(name) {
                old.insert(name.clone(), value.clone());
            }
        }
        for (name, old) in old {
            let both = V::either(old, self.now.get(&name).cloned());
            self.put_back(&name, both);
        }
        self.keep(mark);
    }

    /// The names that were changed since.
    pub(super) fn changed(&self, mark: &Mark) -> Vec<String> {
        let since = self.before.get(mark.0..).unwrap_or_default();
        since.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Goes back, and says what had become of what was changed.
    fn undo(&mut self, mark: Mark) -> Changes<V> {
        let names = self.changed(&mark).into_iter();
        let changes = names.map(|name| (name.clone(), self.now.get(&name).cloned())).collect();
        self.go_back(mark);
        changes
    }

    /// One of several things happened.
    fn one_of(&mut self, ways: &[Changes<V>]) {
        let names: BTreeSet<&String> = ways.iter().flat_map(|changes| changes.keys()).collect();
        for name in names {
            let old = self.now.get(name).cloned();
            let became = |way: &Changes<V>| way.get(name).cloned().unwrap_or_else(|| old.clone());
            let mut all = ways.iter().map(became);
            let first = all.next().flatten();
            let any = all.fold(first, V::either);
            self.put_back(name, any);
        }
    }
}

impl Walk<'_> {
    pub(super) fn set(&mut self, name: &str, value: Vec<Field>) {
        // What else is kept among them has names that no variable has.
        if !is_name(name) {
            return;
        }
        if name == "BASH_ARGV0" {
            self.gives("0", value.clone());
        }
        self.assignments += usize::from(self.gives(name, value));
    }

    /// Sets it; false where nothing became another by it.
    pub(super) fn gives(&mut self, name: &str, mut value: Vec<Field>) -> bool {
        if value.iter().map(|field| field.text.len()).sum::<usize>() > MAX_VALUE {
            value = vec![Field::new(UNKNOWN, Span::default())];
        }
        let unsure = self.unsure > 0 || self.fixed.contains(name);
        match unsure.then(|| self.variables.get_mut(name)).flatten() {
            Some(variable) => variable.add(Rc::from(value)),
            None => {
                let variable = Variable { perhaps: unsure, ..Variable::of([value]) };
                self.variables.insert(name.to_owned(), variable);
                true
            }
        }
    }

    pub(super) fn set_unknown(&mut self, name: &str) {
        self.set(name, vec![Field::new(UNKNOWN, Span::default())]);
    }

    pub(super) fn unset(&mut self, name: &str) {
        let old = self.variables.get(name).cloned();
        if self.fixed.contains(name) || self.unsure > 0 {
            let both = Either::either(old, None);
            self.variables.put_back(name, both);
        } else {
            self.variables.remove(name);
        }
    }

    /// The value of a variable that the line itself gave it, this time.
    pub(super) fn value_of(&mut self, name: &str) -> Option<Vec<Field>> {
        let count = self.variables.get(name)?.values.len();
        let choice = match count {
            0 => return None,
            1 => 0,
            count => self.choose(name, count),
        };
        self.variables.get(name)?.values.get(choice).map(|value| value.to_vec())
    }

    pub(super) fn choose(&mut self, name: &str, count: usize) -> usize {
        if let Some(choice) = self.chosen(name) {
            return choice % count;
        }
        let stride = self.combinations();
        self.choices.push((name.to_owned(), count));
        self.pick / stride % count
    }

    /// Which of its values it has this time, where that was asked before.
    pub(super) fn chosen(&self, name: &str) -> Option<usize> {
        let mut stride = 1usize;
        for (chosen, count) in &self.choices {
            if chosen == name {
                return Some(self.pick / stride % count);
            }
            stride = stride.saturating_mul(*count);
        }
        None
    }

    fn combinations(&self) -> usize {
        self.choices.iter().fold(1usize, |all, (_, count)| all.saturating_mul(*count))
    }

    /// Does something once for each combination of the values that its variables have. Inside it what is done
    /// is done for the combination at hand.
    pub(super) fn each_way<T>(
        &mut self,
        span: Span,
        mut run: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        if self.choosing || !self.choices.is_empty() || self.pick > 0 {
            return vec![run(self)];
        }
        let (mut results, mut ways) = (Vec::new(), Vec::new());
        loop {
            let mark = self.variables.mark();
            results.push(run(self));
            let all = self.combinations();
            self.choices.clear();
            self.pick += 1;
            if all <= 1 {
                self.variables.keep(mark);
                break;
            }
            ways.push(self.variables.undo(mark));
            if self.pick >= all {
                break;
            }
            if self.pick >= MAX_VALUES {
                self.pick = 0;
                self.opaque("limit.values", self.origin.unwrap_or(span));
                break;
            }
        }
        self.pick = 0;
        self.variables.one_of(&ways);
        results
    }

    /// Runs something whose choices are its own.
    pub(super) fn by_itself<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.choosing, false);
        let result = run(self);
        self.choosing = outer;
        result
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
        variables.insert(name.to_owned(), Variable::of(values));
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
