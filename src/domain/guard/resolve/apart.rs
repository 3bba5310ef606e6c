//! Lists and pipelines: what a subshell, the background or a function keeps to itself, and what stays although
//! it may not have happened.

use std::{cell::Cell, rc::Rc};

use super::{HERE, Variable, Walk, variables::Either};
use crate::domain::guard::{
    field::{Data, Field},
    syntax::{Command, Join, Kind, List, Pipeline, RedirectKind, Word},
};

/// Ends of one function that are told apart; behind more of them nothing is sure.
const MAX_RETURNS: usize = 64;
/// Bodies that a function may have.
const MAX_BODIES: usize = 16;

/// What a name runs, by turns.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) bodies: Vec<Body>,
    /// It may not be there, and then the name is a program's.
    pub(super) perhaps: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) command: Rc<Command>,
    pub(super) called: Rc<Cell<bool>>,
}

impl Either for Function {
    fn either(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(mut one), Some(other)) => {
                let new = |body: &Body, all: &[Body]| {
                    !all.iter().any(|known| Rc::ptr_eq(&known.called, &body.called))
                };
                for body in other.bodies {
                    if one.bodies.len() < MAX_BODIES && new(&body, &one.bodies) {
                        one.bodies.push(body);
                    }
                }
                one.perhaps |= other.perhaps;
                Some(one)
            }
            (Some(one), None) | (None, Some(one)) => Some(Self { perhaps: true, ..one }),
            (None, None) => None,
        }
    }
}

impl Walk<'_> {
    pub(super) fn list(&mut self, list: &[Pipeline]) -> Data {
        let outer = self.doubt.take();
        let mut printed = Data::known("");
        let mut rest = list;
        while !rest.is_empty() {
            // Whoever goes on behind `;` does not ask whether it worked.
            self.settle();
            let ends = rest.iter().skip(1).position(|next| next.join == Join::Then);
            let (chain, behind) = rest.split_at(ends.map_or(rest.len(), |at| at + 1));
            let beside = chain.last().is_some_and(|last| last.background);
            let data = match beside {
                true => self.apart(|walk| walk.chain(chain)),
                false => self.chain(chain),
            };
            printed = printed.then(data);
            rest = behind;
        }
        self.doubt = Either::either(outer, self.doubt.take());
        printed
    }

    /// What `&&` and `||` join.
    fn chain(&mut self, chain: &[Pipeline]) -> Data {
        let mut printed = Data::known("");
        for pipeline in chain {
            let conditional = u32::from(pipeline.join != Join::Then);
            let otherwise = (pipeline.join == Join::Or).then(|| {
                let alone = self.variables.get(HERE).cloned();
                self.settle();
                alone
            });
            self.unsure += conditional;
            printed = printed.then(self.pipeline(pipeline));
            self.unsure -= conditional;
            if pipeline.negated {
                self.settle();
            }
            // `cd X || exit`: whoever goes on is there.
            if let Some(alone) = otherwise
                && self.leaves(pipeline)
            {
                self.variables.put_back(HERE, alone);
            }
        }
        printed
    }

    /// Whether nothing behind it runs in this shell.
    fn leaves(&self, pipeline: &Pipeline) -> bool {
        let [stage] = pipeline.stages.as_slice() else { return false };
        let plain =
            stage.redirects.iter().all(|one| matches!(one.kind, RedirectKind::Duplicate(_)));
        plain
            && !pipeline.background
            && !pipeline.negated
            && match &stage.kind {
                Kind::Simple { words, .. } => {
                    let name = words.first().and_then(Word::literal).unwrap_or_default();
                    let ends = name == "exit" || name == "return" && !self.locals.is_empty();
                    ends && words.len() < 3
                        && stage.redirects.is_empty()
                        && !self.functions.contains_key(&name)
                        && !self.aliases.contains_key(&name)
                }
                Kind::Group { list, subshell: false } => {
                    list.last().is_some_and(|last| last.join == Join::Then && self.leaves(last))
                }
                _ => false,
            }
    }

    /// Nobody asked whether the last command failed: both may be.
    pub(super) fn settle(&mut self) {
        if let Some(before) = self.doubt.take() {
            let both = Variable::either(Some(before), self.variables.get(HERE).cloned());
            self.variables.put_back(HERE, both);
        }
    }

    /// What may run, or run again.
    pub(super) fn perhaps(&mut self, list: &List) -> Data {
        self.unsure += 1;
        let data = self.by_itself(|walk| walk.list(list));
        self.unsure -= 1;
        data
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Data {
        let stages = pipeline.stages.as_slice();
        let beside = u32::from(pipeline.background || stages.len() > 1);
        self.beside += beside;
        let simple = |stage: &Command| matches!(stage.kind, Kind::Simple { .. });
        let data = match stages {
            [] => Data::default(),
            [alone] => {
                let stdin = self.stdin.clone();
                self.command(alone, stdin)
            }
            // What one stage says another may run.
            [first, ..] if stages.iter().all(simple) => {
                let ways = self.each_way(first.span, |walk| {
                    let outer = std::mem::replace(&mut walk.choosing, true);
                    let data = walk.stages(stages);
                    walk.choosing = outer;
                    data
                });
                Data::any(ways)
            }
            stages => self.stages(stages),
        };
        self.beside -= beside;
        data
    }

    /// Each in a shell of its own; the last one is this shell in zsh, and in bash with `lastpipe`.
    fn stages(&mut self, stages: &[Command]) -> Data {
        let Some((last, before)) = stages.split_last() else { return Data::default() };
        let mut data = self.stdin.clone();
        for stage in before {
            data = self.apart(|walk| walk.command(stage, data)).piped();
        }
        self.in_doubt(|walk| walk.command(last, data))
    }

    /// A subshell: what it changes ends with it.
    pub(super) fn apart<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let variables = self.variables.mark();
        let functions = self.functions.mark();
        let doubt = self.doubt.take();
        let returns = self.returns.len();
        let local = self.locals.last().map_or(0, Vec::len);
        let result = run(self);
        if let Some(locals) = self.locals.last_mut() {
            locals.truncate(local);
        }
        self.forget_returns(returns);
        self.doubt = doubt;
        self.functions.go_back(functions);
        self.variables.go_back(variables);
        result
    }

    /// Something that may not happen, or elsewhere: what was before it counts, too.
    pub(super) fn in_doubt<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let variables = self.variables.mark();
        let functions = self.functions.mark();
        let doubt = self.doubt.take();
        let result = run(self);
        self.settle();
        self.doubt = doubt;
        self.functions.doubt(functions);
        self.variables.doubt(variables);
        result
    }

    fn forget_returns(&mut self, down_to: usize) {
        while self.returns.len() > down_to {
            if let Some(mark) = self.returns.pop() {
                self.variables.keep(mark);
            }
        }
    }

    pub(super) fn settle_returns(&mut self, down_to: usize) {
        while self.returns.len() > down_to {
            if let Some(mark) = self.returns.pop() {
                self.variables.doubt(mark);
            }
        }
    }

    /// `return`: what follows may not happen.
    pub(super) fn may_return(&mut self) {
        match self.returns.len() < MAX_RETURNS {
            true => {
                let mark = self.variables.mark();
                self.returns.push(mark);
            }
            false => self.unsure += 1,
        }
    }

    /// Something that `return` ends.
    pub(super) fn up_to_return<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let (outer, unsure) = (std::mem::take(&mut self.returns), self.unsure);
        let result = run(self);
        self.settle_returns(0);
        self.unsure = unsure;
        self.returns = outer;
        result
    }

    /// A loop's body with the values of its variable, one after the other.
    pub(super) fn runs_through(&mut self, name: &str, fields: Vec<Field>, body: &List) -> Data {
        let old = self.variables.get(name).cloned();
        let may_be_none = !fields.iter().all(Field::is_known);
        let new = Variable::of(fields.into_iter().map(|field| vec![field]));
        // Over nothing it stays what it was.
        if !new.values.is_empty() {
            let news =
                |old: &Variable| new.fields().any(|f| !old.fields().any(|o| o.text == f.text));
            self.assignments += usize::from(old.as_ref().is_none_or(news));
            self.variables.insert(name.to_owned(), new);
        }
        let data = self.again(std::slice::from_ref(body));
        if self.unsure > 0 || may_be_none || self.fixed.contains(name) {
            let both = Either::either(old, self.variables.get(name).cloned());
            self.variables.put_back(name, both);
        }
        data
    }

    pub(super) fn make_function(&mut self, name: &str, command: &Rc<Command>) {
        let body = Body { command: command.clone(), called: Rc::default() };
        self.made.push((name.to_owned(), body.clone()));
        let new = Some(Function { bodies: vec![body], perhaps: false });
        let old = self.functions.get(name).cloned();
        let both = if self.unsure > 0 { Either::either(old, new) } else { new };
        self.functions.put_back(name, both);
    }
}
