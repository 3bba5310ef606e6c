//! From a line to the commands that it runs: a walk over the parsed text that keeps what a shell keeps
//! (variables, directory, functions, what files hold by now), runs nothing, and hands each command to the policy.

mod alone;
mod apart;
mod brace;
mod brought;
mod builtin;
mod codes;
mod expand;
mod flags;
mod input;
mod invoke;
mod names;
mod parameter;
mod perhaps;
mod produce;
mod run;
mod streams;
mod variables;
mod wrapper;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use super::{
    Context, Decision, Shell, Stdin,
    field::{Data, Field, UNKNOWN},
    finding::{Finding, Findings},
    policy::{Defaults, Policy},
    syntax::{self, Command, Kind, List, Span, SyntaxError},
};

use apart::{Body, Function};
pub use flags::Arguments;
pub use names::swallows;
use streams::Streams;
use variables::{Kept, Mark, Variables};

/// Commands that one line may run, texts inside texts followed; beyond, a person looks.
const MAX_COMMANDS: usize = 4000;
/// Texts that run inside each other (`sh -c "sh -c …"`), and functions that call each other.
const MAX_TEXTS: u32 = 12;
/// Values that a variable may have by turns, and combinations of them in one command.
const MAX_VALUES: usize = 48;
/// Bytes of one value, and of all words together after expansion; what is larger is taken for unknown.
const MAX_VALUE: usize = 1 << 16;
const MAX_EXPANDED: usize = 1 << 22;
/// Bytes of texts inside the line that are read as code, altogether.
const MAX_CODE: usize = 1 << 20;

/// A command as the policy sees it.
#[derive(Debug)]
pub struct Call<'a> {
    /// The program's file name.
    pub program: &'a str,
    /// The policy says something of a program of this name.
    pub known: bool,
    pub argv: &'a [Field],
    pub arguments: &'a Arguments,
    pub reads: Vec<Field>,
    pub writes: Vec<Field>,
    pub env: &'a [(String, Field)],
    pub codes: &'a [Code],
    pub stdin: &'a Data,
    pub contexts: &'a [String],
    pub cwd: Option<String>,
    /// Nothing around it makes its words mean something else.
    pub alone: bool,
    pub span: Span,
}

/// A text that a program runs.
#[derive(Clone, Debug)]
pub struct Code {
    pub language: String,
    pub data: Data,
    /// It comes on the program's own standard input: what runs inside reads on there.
    pub input: bool,
}

/// Where the shell is, its arguments and the last word of its last command, among its variables.
const HERE: &str = "/";
const ARGUMENTS: &str = "@";
const LAST: &str = "_";

/// The values that a variable has by turns; an array is one value of several fields, and none is one of no field.
#[derive(Clone, Debug, Default)]
struct Variable {
    values: Vec<Rc<[Field]>>,
    /// It may not be set.
    perhaps: bool,
}

pub struct Walk<'a> {
    policy: &'a Policy,
    context: &'a Context<'a>,
    defaults: Defaults,
    /// The line and what comes on its standard input, whose bytes spans count.
    source: String,
    /// Where the line ends in it.
    line_end: usize,
    variables: Variables,
    functions: Kept<Function>,
    /// Every function that was made, also in a subshell.
    made: Vec<(String, Body)>,
    /// What names stood for at any time, in shells that heed it.
    aliases: BTreeMap<String, Vec<String>>,
    /// Variables that may keep what they have.
    fixed: HashSet<String>,
    /// What the functions that run gave a value of their own, and what it was before.
    locals: Vec<Vec<(String, Option<Variable>)>>,
    /// Where the function that runs may have ended.
    returns: Vec<Mark>,
    /// Where the shell still is if the last command failed.
    doubt: Option<Variable>,
    /// What files hold that the line itself wrote.
    files: HashMap<String, Data>,
    /// Places that the line itself put something into.
    moved: brought::Moved,
    /// Other names that the line gave to directories, and what they are.
    links: Vec<(String, String)>,
    /// Standard input of the command at hand.
    stdin: Data,
    /// Which of its values each variable has this time.
    choices: Vec<(String, usize)>,
    pick: usize,
    /// What runs belongs to a command whose choices are not made yet.
    choosing: bool,
    /// Inside something that may not run, or not once.
    unsure: u32,
    /// Processes that run beside each other since the last function was called.
    beside: u32,
    assignments: usize,
    commands: usize,
    guesses: usize,
    code_bytes: usize,
    expanded: usize,
    texts: u32,
    origin: Option<Span>,
    chain: Vec<String>,
    contexts: Vec<String>,
    findings: Findings,
    /// The line changed the directory.
    elsewhere: bool,
    /// `sh` is dash this time.
    dash: bool,
    /// Something was read that dash reads otherwise.
    dollar: bool,
    /// Some variables take sums for their values.
    integers: bool,
}

/// A loop over `true` or `:` that leaves processes in the background and never waits for one.
fn endless(lists: &[List]) -> bool {
    let says = |list: &List, words: &[&str]| {
        list.iter().flat_map(|pipeline| &pipeline.stages).any(|stage| match &stage.kind {
            Kind::Simple { words: said, .. } => said
                .first()
                .and_then(syntax::Word::literal)
                .is_some_and(|name| words.contains(&name.as_str())),
            _ => false,
        })
    };
    let [condition, body, ..] = lists else { return false };
    condition.len() == 1
        && says(condition, &["true", ":"])
        && body.iter().any(|pipeline| pipeline.background)
        && !says(body, &["wait", "break", "exit", "return"])
}

impl<'a> Walk<'a> {
    pub fn new(policy: &'a Policy, context: &'a Context<'a>, defaults: Defaults) -> Self {
        let mut walk = Self {
            policy,
            context,
            defaults,
            source: String::new(),
            line_end: 0,
            variables: Variables::default(),
            functions: Kept::default(),
            made: Vec::new(),
            aliases: BTreeMap::new(),
            fixed: HashSet::new(),
            locals: Vec::new(),
            returns: Vec::new(),
            doubt: None,
            files: HashMap::new(),
            moved: brought::Moved::default(),
            links: Vec::new(),
            stdin: match context.stdin {
                Stdin::Empty => Data::known(""),
                Stdin::Open | Stdin::Whole(_) => Data::unknown(Vec::new()),
            },
            choices: Vec::new(),
            pick: 0,
            choosing: false,
            unsure: 0,
            beside: 0,
            assignments: 0,
            commands: 0,
            guesses: 0,
            code_bytes: 0,
            expanded: 0,
            texts: 0,
            origin: None,
            chain: Vec::new(),
            contexts: Vec::new(),
            findings: Findings::default(),
            elsewhere: false,
            dash: false,
            dollar: false,
            integers: false,
        };
        // A line that is sent has no arguments; a script's are not known, and a prompt's may be set.
        if !context.interactive && !context.script {
            walk.gives(ARGUMENTS, Vec::new());
        }
        if let Some(cwd) = context.cwd {
            walk.gives(HERE, vec![Field::new(cwd, Span::default())]);
        }
        walk
    }

    pub fn reads_as_dash(self, dash: bool) -> Self {
        Self { dash, ..self }
    }

    /// Whether `$'…'` is no quote of its own in what is read now.
    fn dollar(&mut self, text: &str) -> bool {
        let of_the_shell = ["eval", ".", "source", "command", "builtin", "exec", "trap"];
        let mut around = self.chain.iter().rev().map(String::as_str);
        let nearest = around.find(|name| !name.contains('/') && !of_the_shell.contains(name));
        let dash = match nearest {
            // Whatever else runs a line gives it to `sh`.
            Some(name) => !matches!(name, "bash" | "rbash" | "zsh" | "ksh" | "mksh"),
            None => matches!(self.context.shell, Shell::Unknown | Shell::Posix),
        };
        let mut quotes = text.match_indices("$'");
        self.dollar |= dash && quotes.any(|(at, _)| syntax::escapes(&text.as_bytes()[at..]));
        self.dash && dash
    }

    /// The whole line, and what comes on its standard input where that is known.
    pub fn line(mut self, text: &str, input: Option<&str>) -> Findings {
        text.clone_into(&mut self.source);
        self.line_end = text.len();
        if let Some(input) = input {
            self.source.push_str(input);
            self.stdin = Data::known(input);
        }
        self.stdin = std::mem::take(&mut self.stdin).shared();
        let plain = self.dollar(text);
        let script = syntax::parse(text, None, plain);
        self.list(&script.list);
        self.broken(script.error, Span { start: 0, end: text.len() });
        self.uncalled();
        self.findings.dollar = self.dollar;
        self.findings.written = brought::written(self.files, self.moved);
        self.findings
    }

    pub fn findings(&mut self) -> &mut Findings {
        &mut self.findings
    }

    fn broken(&mut self, error: Option<SyntaxError>, span: Span) {
        if let Some(error) = error {
            self.find(Finding::syntax(&self.defaults, error, span));
        }
    }

    fn find(&mut self, finding: Finding) {
        let finding = Finding { chain: self.chain.clone(), ..finding };
        self.findings.add(finding);
    }

    fn opaque(&mut self, rule: &'static str, span: Span) {
        self.find(Finding::opaque(&self.defaults, rule, span));
    }

    /// Functions that nobody called may still be called by what the guard can't see.
    fn uncalled(&mut self) {
        let uncalled: Vec<_> =
            self.made.iter().filter(|(_, body)| !body.called.get()).cloned().collect();
        self.variables.remove(ARGUMENTS);
        for (name, body) in uncalled {
            self.chain.push(name);
            self.command(&body.command, Data::default());
            self.chain.pop();
        }
    }

    /// A text that a shell runs: what it prints.
    fn text(&mut self, text: &str, span: Span) -> Data {
        self.text_up_to(text, span, |_| {})
    }

    /// The same, with a look before the last command of it.
    fn text_up_to(&mut self, text: &str, span: Span, look: impl FnOnce(&mut Self)) -> Data {
        self.code_bytes += text.len();
        if self.texts >= MAX_TEXTS || self.code_bytes > MAX_CODE {
            self.opaque("limit.texts", span);
            return Data::default();
        }
        self.texts += 1;
        let plain = self.dollar(text);
        let (origin, script) = match self.place(text, span) {
            Some(base) => (self.origin.take(), syntax::parse_at(text, base, plain)),
            None => (self.origin.replace(span), syntax::parse(text, Some(span), plain)),
        };
        let whole = script.error.is_none();
        let chains = script.list.iter().rposition(|pipeline| pipeline.join == syntax::Join::Then);
        let (before, last) = script.list.split_at(chains.filter(|_| whole).unwrap_or_default());
        let doubt = self.doubt.take();
        let mut data = Data::known("");
        if !before.is_empty() {
            data = self.list(before);
            self.settle();
            look(self);
        }
        data = data.then(self.list(last));
        self.doubt = variables::Either::either(doubt, self.doubt.take());
        self.broken(script.error, span);
        self.origin = origin;
        self.texts -= 1;
        data
    }

    /// Where a text stands in the line as it is, once, among the bytes of the command that runs it.
    fn place(&self, text: &str, span: Span) -> Option<usize> {
        let input = self.source.get(self.line_end..).filter(|input| !input.is_empty());
        if input.is_some_and(|input| text.starts_with(input)) {
            return Some(self.line_end);
        }
        let around = self.source.get(span.start..span.end).filter(|_| !text.is_empty())?;
        let mut found = around.match_indices(text);
        let (at, _) = found.next()?;
        found.next().is_none().then_some(span.start + at)
    }

    fn command(&mut self, command: &Command, stdin: Data) -> Data {
        self.commands += 1;
        if self.commands > MAX_COMMANDS {
            if self.commands == MAX_COMMANDS + 1 {
                self.opaque("limit.commands", self.origin.unwrap_or(command.span));
            }
            return Data::default();
        }
        if let Kind::Simple { assignments, words } = &command.kind {
            return self.simple(command, assignments, words, stdin);
        }
        let span = self.origin.unwrap_or(command.span);
        let all = self.each_way(span, |walk| {
            let streams = walk.streams(&command.redirects);
            walk.redirected(&streams, span);
            streams
        });
        let streams = Streams::any(all);
        let stdin = streams.stdin.clone().unwrap_or(stdin).shared();
        let outer = std::mem::replace(&mut self.stdin, stdin);
        let data = match streams.may_fail {
            true => self.in_doubt(|walk| walk.compound(&command.kind, span)),
            false => self.compound(&command.kind, span),
        };
        self.stdin = outer;
        self.printed(data, &streams)
    }

    fn compound(&mut self, kind: &Kind, span: Span) -> Data {
        match kind {
            Kind::Simple { .. } => Data::default(),
            Kind::Group { list, subshell: false } => self.list(list),
            Kind::Group { list, subshell: true } => self.apart(|walk| walk.list(list)),
            Kind::Branches { words, lists } => {
                self.each_way(span, |walk| {
                    for word in words {
                        let field = walk.expand_one(word);
                        // `((…))` that may be a subshell is a sum first.
                        if lists.len() == 1 && words.len() == 1 {
                            walk.sum(&field);
                        }
                    }
                });
                let mut printed = Data::known("");
                for list in lists {
                    printed = printed.then(self.perhaps(list));
                }
                Data { text: None, ..printed }
            }
            Kind::Loop { words, lists } => {
                if endless(lists) {
                    let span =
                        self.origin.or_else(|| Some(lists.first()?.first()?.stages.first()?.span));
                    self.find(Finding::new(
                        Decision::Approve,
                        "shell.endless-background",
                        "starts processes without end",
                        span.unwrap_or_default(),
                    ));
                }
                self.each_way(span, |walk| walk.look(words));
                self.again(lists)
            }
            Kind::For { name, values, body } => {
                let fields = self.each_way(span, |walk| match values {
                    Some(words) => walk.words(words),
                    None => walk.positional_fields(),
                });
                let fields = fields.concat();
                for field in fields.iter().take(MAX_VALUES) {
                    self.names(name, field, field.span);
                }
                let fields = match fields.len() <= MAX_VALUES {
                    true => fields,
                    false => vec![Field::new(UNKNOWN, Span::default())],
                };
                self.runs_through(name, fields, body)
            }
            Kind::Function { name, body } => {
                self.make_function(name, body);
                Data::known("")
            }
            Kind::Test(words) => {
                // `(( x ))` and `[[ -v x ]]` read variables as sums.
                let counts = |word: &syntax::Word| {
                    let literal = word.literal().unwrap_or_default();
                    ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"].contains(&literal.as_str())
                };
                let sums = words.len() == 1 || words.iter().any(counts);
                // What it matched stands there then.
                if words.iter().any(|word| word.literal().as_deref() == Some("=~")) {
                    self.unsure += 1;
                    self.set_unknown("BASH_REMATCH");
                    self.unsure -= 1;
                }
                self.each_way(span, |walk| {
                    for word in words {
                        let field = walk.expand_one(word);
                        match sums {
                            true => walk.sum(&field),
                            false => walk.hides(&field),
                        }
                    }
                });
                Data::known("")
            }
        }
    }

    /// A loop's lists: what one round assigns the next one uses.
    fn again(&mut self, lists: &[List]) -> Data {
        let mut data = Data::default();
        let before = self.assignments;
        for list in lists {
            data = data.then(self.perhaps(list));
        }
        if self.assignments != before {
            for list in lists {
                self.perhaps(list);
            }
        }
        Data { text: None, ..data }
    }

    fn look(&mut self, words: &[syntax::Word]) {
        for word in words {
            let field = self.expand_one(word);
            self.sum(&field);
        }
    }

    fn text_of(&self, field: &Field, end: &str) -> Data {
        let text = field.is_known().then(|| super::field::as_code(&field.text).into_owned() + end);
        Data { text, from: field.from.clone(), ..Data::default() }
    }

    /// What a file holds, as far as the line itself wrote it.
    fn content(&self, field: &Field) -> Data {
        if let Some(data) = &field.data {
            return Data::clone(data);
        }
        let path = self.path(&field.text);
        match self.files.get(&path) {
            Some(data) => data.clone(),
            None if path == "/dev/null" => Data::known(""),
            None if matches!(path.as_str(), "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0") => {
                self.stdin.clone()
            }
            None => {
                self.brought(&path).unwrap_or_else(|| Data { file: Some(path), ..Data::default() })
            }
        }
    }

    /// Standard output, after the redirections: into a file, or on.
    fn printed(&mut self, data: Data, streams: &Streams) -> Data {
        match &streams.stdout {
            None => data,
            Some(field) => {
                let path = self.path(&field.text);
                if matches!(path.as_str(), "/dev/stdout" | "/dev/stderr" | "/dev/fd/1" | "/dev/tty")
                {
                    return data;
                }
                self.write(path, data);
                Data::known("")
            }
        }
    }

    fn write(&mut self, path: String, data: Data) {
        self.behind_link(&path);
        // Bounded: each entry costs the line at least a few bytes.
        let data = match self.files.remove(&path).or_else(|| self.brought(&path)) {
            // Appended or written: both texts count.
            Some(before) => before.then(data),
            None => data,
        };
        self.files.insert(path, data);
    }

    fn cwd(&mut self) -> Option<String> {
        let value = self.value_of(HERE)?;
        let text = value.first().map(|field| field.text.clone())?;
        (!text.contains(UNKNOWN)).then_some(text)
    }

    fn path(&self, text: &str) -> String {
        let cwd = self.here().filter(|field| field.is_known()).map(|field| field.text.as_str());
        super::paths::normal(text, cwd)
    }

    /// The directory this time.
    fn here(&self) -> Option<&Field> {
        let values = &self.variables.get(HERE)?.values;
        values.get(self.chosen(HERE).unwrap_or_default()).or(values.first())?.first()
    }
}
