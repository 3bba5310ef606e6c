//! From a line to the commands that it runs: a walk over the parsed text that keeps what a shell keeps
//! (variables, directory, functions, what files hold by now), runs nothing, and hands each command to the policy.

mod alone;
mod brace;
mod brought;
mod builtin;
mod codes;
mod expand;
mod flags;
mod invoke;
mod names;
mod parameter;
mod perhaps;
mod produce;
mod run;
mod variables;
mod wrapper;

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{
    Context, Decision, Shell, Stdin,
    field::{Data, Field, UNKNOWN},
    finding::{Finding, Findings},
    policy::{Defaults, Policy},
    syntax::{self, Command, Kind, List, Pipeline, Redirect, RedirectKind, Span, SyntaxError},
};

pub use flags::Arguments;
pub use names::swallows;
use variables::Variables;

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

/// The values that a variable has by turns; an array is one value of several fields.
#[derive(Clone, Debug, Default)]
struct Variable {
    values: Vec<Vec<Field>>,
}

/// What a redirection does to a command.
#[derive(Debug, Default)]
struct Streams {
    stdin: Option<Data>,
    reads: Vec<Field>,
    writes: Vec<Field>,
    /// Where standard output goes, if not on.
    stdout: Option<Field>,
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
    positional: Option<Rc<[Field]>>,
    functions: BTreeMap<String, Function>,
    /// What names stand for, in shells that heed it.
    aliases: BTreeMap<String, String>,
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
    last_argument: Option<Field>,
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

#[derive(Clone, Debug)]
struct Function {
    body: Rc<Command>,
    called: bool,
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
            // A line that is sent has no arguments; a script's are not known, and a prompt's may be set.
            positional: (!context.interactive && !context.script).then(|| Rc::from([])),
            functions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            files: HashMap::new(),
            moved: brought::Moved::default(),
            links: Vec::new(),
            stdin: match context.stdin {
                Stdin::Empty => Data::known(""),
                Stdin::Open | Stdin::Whole(_) => Data::unknown(Vec::new()),
            },
            choices: Vec::new(),
            pick: 0,
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
            last_argument: None,
            elsewhere: false,
            dash: false,
            dollar: false,
            integers: false,
        };
        if let Some(cwd) = context.cwd {
            walk.set("PWD", vec![Field::new(cwd, Span::default())]);
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
        let uncalled = self.functions.iter().filter(|(_, function)| !function.called);
        let bodies: Vec<_> =
            uncalled.map(|(name, function)| (name.clone(), function.body.clone())).collect();
        self.positional = None;
        for (name, body) in bodies {
            self.chain.push(name);
            self.command(&body, Data::default());
            self.chain.pop();
        }
    }

    /// A text that a shell runs: what it prints.
    fn text(&mut self, text: &str, span: Span) -> Data {
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
        let data = self.list(&script.list);
        self.broken(script.error, span);
        self.origin = origin;
        self.texts -= 1;
        data
    }

    /// Where a text stands in the line as it is, once, among the bytes of the command that runs it.
    fn place(&self, text: &str, span: Span) -> Option<usize> {
        if !text.is_empty() && self.source.get(self.line_end..) == Some(text) {
            return Some(self.line_end);
        }
        let around = self.source.get(span.start..span.end).filter(|_| !text.is_empty())?;
        let mut found = around.match_indices(text);
        let (at, _) = found.next()?;
        found.next().is_none().then_some(span.start + at)
    }

    fn list(&mut self, list: &List) -> Data {
        let mut printed = Data::known("");
        for pipeline in list {
            self.unsure += u32::from(pipeline.conditional);
            printed = printed.then(self.pipeline(pipeline));
            self.unsure -= u32::from(pipeline.conditional);
        }
        printed
    }

    /// What may run, or run again.
    fn perhaps(&mut self, list: &List) -> Data {
        self.unsure += 1;
        let data = self.list(list);
        self.unsure -= 1;
        data
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Data {
        let Some((last, before)) = pipeline.stages.split_last() else { return Data::default() };
        let beside = u32::from(pipeline.background || !before.is_empty());
        self.beside += beside;
        let mut data = self.stdin.clone();
        for stage in before {
            data = self.command(stage, data);
        }
        let data = self.command(last, data);
        self.beside -= beside;
        data
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
        let streams = self.streams(&command.redirects);
        self.redirected(&streams, span);
        let outer = std::mem::replace(&mut self.stdin, streams.stdin.clone().unwrap_or(stdin));
        let data = self.compound(&command.kind);
        self.stdin = outer;
        self.printed(data, &streams)
    }

    fn compound(&mut self, kind: &Kind) -> Data {
        match kind {
            Kind::Simple { .. } => Data::default(),
            Kind::Group { list, subshell: false } => self.list(list),
            Kind::Group { list, subshell: true } => self.apart(|walk| walk.list(list)),
            Kind::Branches { words, lists } => {
                for word in words {
                    let field = self.expand_one(word);
                    // `((…))` that may be a subshell is a sum first.
                    if lists.len() == 1 && words.len() == 1 {
                        self.sum(&field);
                    }
                }
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
                self.look(words);
                self.again(lists)
            }
            Kind::For { name, values, body } => {
                let fields = match values {
                    Some(words) => self.words(words),
                    None => self.positional_fields(),
                };
                for field in fields.iter().take(MAX_VALUES) {
                    self.names(name, field, field.span);
                }
                let known = fields.len() <= MAX_VALUES;
                let values =
                    if known { fields.into_iter().map(|f| vec![f]).collect() } else { Vec::new() };
                match values {
                    _ if !known => self.set_unknown(name),
                    values => self.variables.insert(name.clone(), Variable { values }),
                }
                self.again(std::slice::from_ref(body))
            }
            Kind::Function { name, body } => {
                let function = Function { body: body.clone(), called: false };
                let before = self.functions.insert(name.clone(), function);
                // The one that it replaces may have been called by what the guard can't see.
                if let Some(before) = before.filter(|before| !before.called) {
                    let mut other = name.clone();
                    other.push('\0');
                    self.functions.insert(other, before);
                }
                Data::known("")
            }
            Kind::Test(words) => {
                // `(( x ))` and `[[ -v x ]]` read variables as sums.
                let counts = |word: &syntax::Word| {
                    let literal = word.literal().unwrap_or_default();
                    ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"].contains(&literal.as_str())
                };
                let sums = words.len() == 1 || words.iter().any(counts);
                for word in words {
                    let field = self.expand_one(word);
                    match sums {
                        true => self.sum(&field),
                        false => self.hides(&field),
                    }
                }
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

    /// A subshell: what it assigns ends with it.
    fn apart<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let mark = self.variables.mark();
        let positional = self.positional.clone();
        let result = run(self);
        self.variables.go_back(mark);
        self.positional = positional;
        result
    }

    fn look(&mut self, words: &[syntax::Word]) {
        for word in words {
            let field = self.expand_one(word);
            self.sum(&field);
        }
    }

    fn streams(&mut self, redirects: &[Redirect]) -> Streams {
        let mut streams = Streams::default();
        for redirect in redirects {
            match &redirect.kind {
                RedirectKind::Read(word) => {
                    let field = self.expand_one(word);
                    streams.stdin = Some(self.content(&field));
                    streams.reads.push(field);
                }
                RedirectKind::Write(word) => {
                    let field = self.expand_one(word);
                    if redirect.fd.is_none_or(|fd| fd == 1) {
                        streams.stdout = Some(field.clone());
                    }
                    streams.writes.push(field);
                }
                RedirectKind::ReadWrite(word) => {
                    let field = self.expand_one(word);
                    streams.reads.push(field.clone());
                    streams.writes.push(field);
                }
                RedirectKind::Duplicate(word) => _ = self.expand_one(word),
                RedirectKind::HereDocument(body) => {
                    let field = body.get().map(|word| self.expand_one(word)).unwrap_or_default();
                    streams.stdin = Some(self.text_of(&field, ""));
                }
                RedirectKind::HereString(word) => {
                    let field = self.expand_one(word);
                    streams.stdin = Some(self.text_of(&field, "\n"));
                }
            }
        }
        streams
    }

    fn text_of(&self, field: &Field, end: &str) -> Data {
        let text = field.is_known().then(|| super::field::as_code(&field.text).into_owned() + end);
        Data { text, from: field.from.clone(), file: None, names: Vec::new() }
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
        let value = self.value_of("PWD")?;
        let text = value.first().map(|field| field.text.clone())?;
        (!text.contains(UNKNOWN)).then_some(text)
    }

    fn path(&self, text: &str) -> String {
        let cwd = self.variables.get("PWD").and_then(|v| v.values.first()?.first());
        let cwd = cwd.filter(|field| field.is_known()).map(|field| field.text.as_str());
        super::paths::normal(text, cwd)
    }
}
