//! Names that a line sets by other ways than `NAME=value`, and what makes names and words mean something else
//! than they say.

use super::{Arguments, Walk};
use crate::domain::guard::{
    Shell,
    field::{Field, UNKNOWN},
    finding::Finding,
    syntax::Span,
};

/// Values of variables that a sum is followed through.
const MAX_FOLLOWED: usize = 32;
/// Words that a shell takes for its own before it looks for a program.
const RESERVED: [&str; 18] = [
    "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac",
    "select", "function", "time", "coproc", "{", "!",
];
/// Encodings in which no byte of a letter is a backslash, a bar or a backquote, but for digits behind the name: of
/// others (GBK, Big5, Shift_JIS, Johab) a shell that reads by them skips it.
const HONEST: [&str; 18] = [
    "utf", "iso", "eucjp", "euckr", "euctw", "euccn", "koi8r", "koi8u", "koi8t", "ascii",
    "usascii", "ansix", "", "cp125", "gb", "tis", "latin", "iso8859",
];
/// Of those that are a number behind a name the ones that are not.
const OTHERS: [&str; 1] = ["gb18030"];
/// Encodings that a locale may be named after.
const ALONE: [&str; 9] =
    ["zh_tw", "zh_hk", "big5", "gbk", "gb18030", "sjis", "shift", "johab", "uhc"];

impl Walk<'_> {
    /// What is no honest way to say something: asked for whatever is said of things that are not known.
    pub(super) fn hidden(&mut self, rule: &str, reason: &str, span: Span) {
        self.find(Finding::new(self.defaults.parse_error, rule, reason, span));
    }

    /// A name is set, by whatever means: the rules for variables hold.
    pub(super) fn names(&mut self, name: &str, value: &Field, span: Span) {
        let name = base(name);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) {
            return;
        }
        if is_integer(name) {
            self.sum(value);
        }
        // An ordinary name in other shells than zsh.
        if name == "path" && self.context.shell != Shell::Zsh {
            return;
        }
        if self.policy.minds_variable(name) || is_locale(name) {
            let env = [(name.to_owned(), value.clone())];
            self.judge_bare(&env, &super::Streams::default(), span);
        }
    }

    pub(super) fn names_unknown(&mut self, name: &str, span: Span) {
        self.names(name, &Field::new(UNKNOWN, span), span);
    }

    /// What a sum assigns, and what the variables that it reads make it assign.
    pub(super) fn sum_assigns(&mut self, sum: &Field) {
        let mut texts = vec![sum.text.clone()];
        let mut at = 0;
        while let Some(text) = texts.get(at).cloned() {
            at += 1;
            for (name, assigned) in names_in(&text) {
                if assigned {
                    self.names_unknown(name, sum.span);
                }
                let values = self.variables.get(name).into_iter().flat_map(|v| v.fields());
                for value in values {
                    if texts.len() < MAX_FOLLOWED && !texts.contains(&value.text) {
                        texts.push(value.text.clone());
                    }
                }
            }
        }
    }

    /// `declare` and its like: attributes that make a name another one, or its value another than is written.
    pub(super) fn attributes(&mut self, name: &str, fields: &[Field], span: Span) {
        let given = |letters: &str| {
            fields.iter().skip(1).any(|field| {
                field
                    .text
                    .strip_prefix('-')
                    .is_some_and(|flags| flags.contains(|c| letters.contains(c)))
            })
        };
        if matches!(name, "export" | "readonly") {
            return;
        }
        if given("n") || name == "nameref" {
            self.hidden("opaque.names", "a name that stands for another one", span);
        }
        if given("luc") {
            self.hidden("opaque.names", "a variable that changes the letters it is given", span);
        }
        self.integers |= given("i") || name == "integer";
    }

    /// `declare -a x='(a b)'` makes an array of the text.
    pub(super) fn declared(&mut self, value: &str, span: Span) {
        if value.starts_with('(') && value.ends_with(')') {
            self.hidden("opaque.names", "a text that becomes an array", span);
        }
    }

    /// Options of a shell after which words mean something else.
    pub(super) fn options(
        &mut self,
        name: &str,
        fields: &[Field],
        arguments: &Arguments,
        span: Span,
    ) {
        let behind_o = || {
            fields.windows(2).any(|pair| {
                pair[0].text.starts_with(['-', '+'])
                    && pair[0].text.ends_with(['o', 'O'])
                    && reads_otherwise(&pair[1].text)
            })
        };
        let sets = match name {
            "set" => {
                let flags = fields[1..].iter().take_while(|field| field.text != "--");
                let mut flags = flags.filter(|field| field.text.starts_with('-'));
                flags.any(|field| field.text.contains('k')) || behind_o()
            }
            // At its prompt a `#` is a word like another. What a terminal types there is judged as that shell's line.
            "zsh" if arguments.has("i") && !arguments.has("c") => {
                self.stdin.text.as_deref() != Some("")
            }
            "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "mksh" | "rbash" => {
                arguments.flags.iter().any(|flag| !flag.long && flag.name == "k") || behind_o()
            }
            "shopt" | "setopt" | "unsetopt" => {
                fields[1..].iter().any(|field| reads_otherwise(&field.text))
            }
            _ => false,
        };
        if sets {
            let reason = "the shell is to take assignments anywhere, or comments for words";
            self.hidden("opaque.keyword", reason, span);
        }
    }

    /// An element of one of zsh's tables of what names are.
    pub(super) fn table(&mut self, name: &str, span: Span) {
        let name = name.strip_prefix("dis_").unwrap_or(name);
        let tables = ["commands", "functions", "aliases", "galiases", "saliases"];
        if tables.contains(&name) && matches!(self.context.shell, Shell::Zsh | Shell::Unknown) {
            self.hidden("opaque.names", "a name of a program that is given anew", span);
        }
    }

    /// An alias whose value is more than plain words: what stands behind it is another line.
    pub(super) fn alias_is(&mut self, name: &str, value: &Field, span: Span) {
        let text = value.text.as_str();
        let plain =
            |char: char| char.is_alphanumeric() || " -_./:=,+@%~".contains(char) || char == UNKNOWN;
        let marks = !text.chars().all(|char| plain(char) || !char.is_ascii());
        let word = |text: &str| RESERVED.contains(&text);
        let joins = text.ends_with(' ') && !self.aliases.is_empty();
        if marks || word(name) || text.split(' ').any(word) || joins {
            self.hidden("opaque.alias", "a name that stands for more than plain words", span);
        }
    }

    /// Where text is read by an encoding whose letters may end in a backslash.
    pub(super) fn charset(&mut self, env: &[(String, Field)], span: Span) {
        for (name, value) in env {
            if is_locale(name) && swallows(&value.text) {
                let reason = "an encoding in which a letter may hide a backslash";
                self.hidden("env.charset", reason, span);
            }
        }
    }
}

/// Whether a shell's option of this name makes it read words in another way.
fn reads_otherwise(option: &str) -> bool {
    let option = option.replace(['_', '-'], "").to_ascii_lowercase();
    matches!(option.strip_prefix("no").unwrap_or(&option), "keyword" | "interactivecomments")
}

/// A variable's name without its subscript.
fn base(name: &str) -> &str {
    name.split(['[', '+']).next().unwrap_or_default()
}

/// Whether it may be a variable's.
pub(super) fn is_name(name: &str) -> bool {
    !name.starts_with(|char: char| char.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a shell takes sums for its values, whatever the line says of it.
pub(super) fn is_integer(name: &str) -> bool {
    let all = ["RANDOM", "SRANDOM", "SECONDS", "LINENO", "HISTCMD", "OPTIND", "BASHPID"];
    all.contains(&name)
}

fn is_locale(name: &str) -> bool {
    name == "LANG" || name.starts_with("LC_")
}

/// Whether a locale's letters may end in what means something to a shell. One that is made elsewhere (`/tmp/x`)
/// may have any letters.
pub fn swallows(locale: &str) -> bool {
    if locale.contains(['/', UNKNOWN]) {
        return true;
    }
    let locale = locale.to_ascii_lowercase();
    let locale = locale.split('@').next().unwrap_or_default();
    let Some((_, charset)) = locale.split_once('.') else {
        // The first two are Big5.
        return ALONE.iter().any(|name| locale.contains(name));
    };
    let charset: String = charset.chars().filter(char::is_ascii_alphanumeric).collect();
    let number = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    let honest = |name: &&str| charset.strip_prefix(*name).is_some_and(number);
    OTHERS.contains(&charset.as_str()) || !HONEST.iter().any(honest)
}

/// The names in a sum, and whether it assigns to them.
fn names_in(sum: &str) -> Vec<(&str, bool)> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = sum.get(at..).and_then(|rest| rest.find(is_name)).map(|n| at + n) {
        let rest = &sum[start..];
        let end = start + rest.find(|char| !is_name(char)).unwrap_or(rest.len());
        at = end;
        let name = &sum[start..end];
        if name.starts_with(|char: char| char.is_ascii_digit()) {
            continue;
        }
        let before = sum[..start].trim_end();
        let mut after = sum[end..].trim_start();
        if after.starts_with('[')
            && let Some(close) = after.find(']')
        {
            after = after[close + 1..].trim_start();
        }
        let steps = |text: &str| text == "++" || text == "--";
        let stepped = after.get(..2).is_some_and(steps)
            || before.len().checked_sub(2).and_then(|n| before.get(n..)).is_some_and(steps);
        let operators = ["<<", ">>", "*", "/", "%", "+", "-", "&", "^", "|", ""];
        let assigned = operators.iter().any(|operator| {
            after
                .strip_prefix(operator)
                .and_then(|rest| rest.strip_prefix('='))
                .is_some_and(|rest| !rest.starts_with('='))
        });
        found.push((name, stepped || assigned));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sum_assigns_is_told_from_what_it_reads() {
        for sum in ["IFS=1", " IFS += 1", "IFS++", "--IFS", "a, IFS<<=2", "IFS[0]=1", "x?IFS=1:2"] {
            assert!(names_in(sum).contains(&("IFS", true)), "{sum}");
        }
        for sum in ["IFS==1", "IFS<=1", "IFS>=1", "IFS!=1", "IFS+1", "x=IFS", "1-IFS"] {
            assert!(names_in(sum).contains(&("IFS", false)), "{sum}");
        }
    }

    #[test]
    fn encodings_that_swallow_a_backslash_are_known() {
        for locale in [
            "zh_CN.GBK",
            "zh_HK.BIG5-HKSCS",
            "zh_TW",
            "ja_JP.SJIS",
            "zh_CN.gb18030",
            "japanese.sjis",
            "ja_JP.eucjp.sjis",
            "zh_CN.euc",
            "big5",
            "/tmp/mine",
        ] {
            assert!(swallows(locale), "{locale}");
        }
        for locale in [
            "",
            "C",
            "POSIX",
            "C.UTF-8",
            "en_US.utf8",
            "de_DE.ISO-8859-15@euro",
            "ru_RU.KOI8-R",
            "zh_TW.UTF-8",
            "zh_CN",
            "ja_JP.eucJP",
        ] {
            assert!(!swallows(locale), "{locale}");
        }
    }
}
