//! `sgw policy check`: one line, or one a line of standard input.

use std::{
    ffi::OsString,
    io::{BufRead, Read},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};

use super::Source;
use crate::{
    cli::{
        Context, Outcome,
        ui::{Ui, exit::Exit},
    },
    domain::{
        action::{Stdin, Whole},
        digest::Sum,
        escape::visible,
        grant,
        guard::{
            self, Content, Decision, Files, Policy, Verdict,
            files::{self, Act, Canonical, Place},
            forward::Way,
            policy::EXAMPLE_HOME,
        },
        judgement::Manner,
        shell,
    },
    judge::{Judge, Question},
    protocol::error::{Code, Failure},
};

/// The longest script that is judged, in bytes.
const LONGEST: usize = 64 * 1024;
/// Bytes of a part that are shown to a person.
const SHOWN: usize = 400;
/// The longest line of standard input: six bytes an escaped character of the longest command.
const MAX_INPUT: u64 = 6 * shell::MAX_COMMAND as u64 + 1024;

/// Say what the policy says of a line: allow, approve or block
///
/// The status is 0 whatever the verdict is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy check -- 'rm -rf /srv/old'
  sgw policy check --json --target web1 -- 'systemctl restart nginx'
  sgw policy check --stdin setup.sh -- 'sudo bash -s'
  sgw policy check --script /srv/x.sh=x.sh -- 'cd /srv && ./x.sh'
  sgw policy check --files write -- /etc/cron.d/backup
  sgw policy check --forward db.internal:5432
  printf '%s\\n' '\"ls\"' '\"rm -rf /\"' | sgw policy check --jsonl")]
pub struct Check {
    #[command(flatten)]
    source: Source,
    /// As if for this target
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// As if for this token's agent
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// As if started in this directory
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// As if this were on its standard input; `-` is ours
    #[arg(long, value_name = "FILE", conflicts_with = "jsonl")]
    stdin: Option<PathBuf>,
    /// As if an agent had written it there; may be repeated
    #[arg(long, value_name = "PATH=FILE", value_parser = script)]
    script: Vec<(String, PathBuf)>,
    /// Judge each line of standard input, a JSON string, and print an object for each, in order
    #[arg(long, conflicts_with = "line")]
    jsonl: bool,
    /// Judge an operation on files instead: what follows is its path, or its two, as the server resolves them
    #[arg(long, value_name = "OPERATION", value_parser = Act::WORDS, conflicts_with = "jsonl", group = "apart")]
    files: Option<String>,
    /// Judge a forward instead: HOST:PORT or a socket's path that the server connects to; `remote HOST:PORT`: where it listens
    #[arg(long, value_name = "END", value_parser = forward, conflicts_with_all = ["jsonl", "line"], group = "apart")]
    forward: Option<Way>,
    /// With --files or --forward: in this mode
    #[arg(long, value_name = "MODE", default_value_t = grant::Mode::Guarded, requires = "apart")]
    mode: grant::Mode,
    /// With --files: the account's home on the server, `~` in the rules
    #[arg(long, value_name = "DIR", default_value = EXAMPLE_HOME, requires = "files")]
    home: String,
    /// The line, or a program and its arguments
    #[arg(value_name = "LINE", last = true, required_unless_present_any = ["jsonl", "forward"])]
    line: Vec<OsString>,
}

/// What is known beside the line.
#[derive(Default)]
struct About {
    manner: Manner,
    stdin: Option<Arc<[u8]>>,
    files: Arc<Files>,
}

impl About {
    fn read(stdin: &Option<PathBuf>, scripts: &[(String, PathBuf)]) -> Result<Self, Failure> {
        let mut about = Self::default();
        if let Some(file) = stdin {
            let bytes = contents(file)?;
            let mut sum = Sum::default();
            sum.add(&bytes);
            let whole = Whole { bytes: bytes.len() as u64, sum: sum.finish() };
            about.manner.stdin = Stdin::Whole(whole);
            about.stdin = Some(bytes.into());
        }
        let mut files = Files::default();
        for (path, file) in scripts {
            let text = String::from_utf8(contents(file)?).ok();
            let text = text.filter(|text| text.len() <= LONGEST);
            files.set(path, text.map_or(Content::Unknown, |text| Content::Text(text.into())));
        }
        about.files = Arc::new(files);
        Ok(about)
    }
}

/// As much as could be judged, and a byte more.
fn contents(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes),
        _ => {
            std::fs::File::open(file).and_then(|file| file.take(MAX_INPUT).read_to_end(&mut bytes))
        }
    };
    read.map(|_| bytes).map_err(|error| {
        let shown = visible(&file.to_string_lossy(), 200);
        Failure::new(Code::UsageArguments, format!("{shown}: {error}"), "give another file")
    })
}

fn forward(text: &str) -> Result<Way, String> {
    let way = Way::read(text).or_else(|| Way::read(&format!("local {text}")));
    way.ok_or_else(|| "give HOST:PORT, the path of a socket, or \"remote HOST:PORT\"".to_owned())
}

fn script(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((path, file)) if path.starts_with('/') && !file.is_empty() => {
            Ok((path.to_owned(), file.into()))
        }
        _ => Err("give PATH=FILE, PATH from the root".to_owned()),
    }
}

impl Check {
    pub fn run(self, context: &Context) -> Outcome {
        let policy = self.source.load(context)?.policy;
        if let Some(way) = &self.forward {
            let (target, token) = (self.target.as_deref(), self.token.as_deref());
            let today = Some(jiff::Zoned::now().date());
            let there = guard::Context { target, token, today, ..guard::Context::default() };
            let verdict = guard::forward::judge(way, &there, self.mode, &policy);
            context.ui.result(&object(&verdict), || text(&verdict, way.to_string().as_bytes()));
            return Ok(Exit::DONE);
        }
        if let Some(operation) = &self.files {
            return self.of_files(context.ui, operation, &policy);
        }
        let judge = Judge::start().map_err(|error| local(&error.to_string()))?;
        let about = About::read(&self.stdin, &self.script)?;
        if self.jsonl {
            return self.many(context.ui, &judge, &policy, &about);
        }
        let argv: Vec<Vec<u8>> = self.line.iter().cloned().map(OsString::into_vec).collect();
        let line = shell::line(&argv).map_err(|error| {
            Failure::new(Code::UsageCommand, error.to_string(), "sgw policy check -- 'ls'")
        })?;
        let verdict = self.judge(&judge, &policy, &about, line.clone())?;
        let judged = [line.as_slice(), about.stdin.as_deref().unwrap_or_default()].concat();
        context.ui.result(&object(&verdict), || text(&verdict, &judged));
        Ok(Exit::DONE)
    }

    fn judge(
        &self,
        judge: &Judge,
        policy: &Arc<Policy>,
        about: &About,
        line: Vec<u8>,
    ) -> Result<Verdict, Failure> {
        let question = Question {
            line,
            target: self.target.clone(),
            token: self.token.clone(),
            cwd: self.cwd.clone(),
            today: Some(jiff::Zoned::now().date()),
            manner: about.manner,
            stdin: about.stdin.clone(),
            files: about.files.clone(),
            policy: policy.clone(),
        };
        judge.wait(question).map_err(|error| local(&error.to_string()))
    }

    fn of_files(&self, ui: Ui, operation: &str, policy: &Policy) -> Outcome {
        let usage = |what: String| {
            let hint = "sgw policy check --files write -- /etc/hosts";
            Failure::new(Code::UsageArguments, what, hint)
        };
        let canonical = |path: &[u8]| {
            let shown = || visible(&String::from_utf8_lossy(path), SHOWN);
            Canonical::new(path).ok_or_else(|| {
                usage(format!(
                    "{} is no path as a server resolves it: from / on, without . and ..",
                    shown()
                ))
            })
        };
        let home = canonical(self.home.as_bytes())?;
        let paths = self.line.iter().map(|path| canonical(path.as_bytes()));
        let paths = paths.collect::<Result<Vec<_>, _>>()?;
        let act = match paths.as_slice() {
            [path] => Act::named(operation, path, None),
            [path, other] => Act::named(operation, path, Some(other)),
            _ => None,
        };
        let act = act.ok_or_else(|| usage(format!("{operation} is not on so many paths")))?;
        let context = guard::Context {
            target: self.target.as_deref(),
            token: self.token.as_deref(),
            today: Some(jiff::Zoned::now().date()),
            ..guard::Context::default()
        };
        let verdict = files::judge(&act, &Place { context, mode: self.mode, home: &home }, policy);
        ui.result(&json!(verdict), || text_of_files(&verdict));
        Ok(Exit::DONE)
    }

    /// A line in, a line out: what is held is one of each.
    fn many(&self, ui: Ui, judge: &Judge, policy: &Arc<Policy>, about: &About) -> Outcome {
        let mut input = std::io::BufReader::with_capacity(64 << 10, std::io::stdin().lock());
        let mut bytes = Vec::new();
        let mut number = 0u64;
        let mut out = ui.results();
        loop {
            bytes.clear();
            let read = input.by_ref().take(MAX_INPUT).read_until(b'\n', &mut bytes);
            if read.map_err(|error| local(&error.to_string()))? == 0 {
                break;
            }
            number += 1;
            let line = string(&bytes).map_err(|what| {
                let message = format!("standard input, line {number}, {what}");
                Failure::new(
                    Code::UsageArguments,
                    message,
                    "printf '\"ls\"\\n' | sgw policy check --jsonl",
                )
            })?;
            if line.len() > shell::MAX_COMMAND {
                let message = format!(
                    "standard input, line {number}, column 1: longer than a command may be"
                );
                return Err(Failure::new(
                    Code::UsageArguments,
                    message,
                    "sgw policy check -- 'ls'",
                )
                .into());
            }
            out.object(&object(&self.judge(judge, policy, about, line.into_bytes())?));
            // Somebody who writes a line and waits gets its answer.
            if input.buffer().is_empty() {
                out.flush();
            }
            if !out.is_open() {
                break;
            }
        }
        Ok(Exit::DONE)
    }
}

/// A JSON string, or where it is none.
fn string(bytes: &[u8]) -> Result<String, String> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(format!("column {}: it is not UTF-8", error.valid_up_to() + 1));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| format!("column {}: it is not a JSON string", error.column().max(1)))
}

fn local(what: &str) -> Failure {
    Failure::new(Code::UsageCommand, format!("can't judge: {what}"), "sgw policy check -- 'ls'")
}

/// The shape that checks rely on.
pub fn object(verdict: &Verdict) -> Value {
    json!({
        "verdict": verdict.decision,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "resolved": verdict.resolved,
        "span": verdict.span.map(|span| [span.start, span.end]),
        "chain": verdict.chain,
        "scripts": verdict.scripts,
        "findings": verdict.findings.iter().map(|finding| json!({
            "verdict": finding.decision,
            "rule": finding.rule,
            "reason": finding.reason,
            "command": finding.argv,
            "chain": finding.chain,
            "span": [finding.span.start, finding.span.end],
        })).collect::<Vec<_>>(),
    })
}

pub fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Approve => "approve",
        Decision::Block => "block",
    }
}

/// For a person: the verdict, and the name that it comes from.
fn text_of_files(verdict: &files::Verdict) -> String {
    let mut text = word(verdict.decision).to_owned();
    if let (Some(rule), Some(reason)) = (&verdict.rule, &verdict.reason) {
        text.push_str(&format!("  {rule}: {reason}"));
    }
    text.push('\n');
    if let Some(path) = &verdict.path {
        text.push_str(&format!("  for   {}\n", visible(&path.to_text_lossy(), SHOWN)));
    }
    if let Some(bytes) = verdict.up_to {
        text.push_str(&format!("  up to {bytes} bytes\n"));
    }
    for finding in verdict.findings.iter().skip(1) {
        text.push_str(&format!("  also  {} ({})\n", finding.rule, word(finding.decision)));
    }
    text
}

/// For a person: the verdict, where in the line it comes from, and the commands that were understood.
/// `judged` is the line, and behind it what comes on its standard input.
fn text(verdict: &Verdict, judged: &[u8]) -> String {
    let mut text = word(verdict.decision).to_owned();
    if let (Some(rule), Some(reason)) = (&verdict.rule, &verdict.reason) {
        text.push_str(&format!("  {rule}: {reason}"));
    }
    text.push('\n');
    if let Some(part) = verdict.span.and_then(|span| judged.get(span.start..span.end)) {
        text.push_str(&format!("  in    {}\n", visible(&String::from_utf8_lossy(part), SHOWN)));
    }
    if !verdict.chain.is_empty() {
        text.push_str(&format!("  by    {}\n", visible(&verdict.chain.join(" > "), SHOWN)));
    }
    for argv in &verdict.resolved {
        text.push_str(&format!("  runs  {}\n", visible(&argv.join(" "), SHOWN)));
    }
    for finding in
        verdict.findings.iter().filter(|finding| Some(&finding.rule) != verdict.rule.as_ref())
    {
        text.push_str(&format!("  also  {} ({})\n", finding.rule, word(finding.decision)));
    }
    text
}
