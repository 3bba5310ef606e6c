//! Texts that a program runs: where they stand among its words, or come on its standard input.

use super::{Arguments, Code, Walk, invoke::file_name};
use crate::domain::guard::{
    field::{Data, Field, Taken, as_code},
    policy::Program,
};

impl Walk<'_> {
    /// Texts that a program runs: from its flags, its operands, its standard input.
    pub(super) fn codes(
        &mut self,
        program: &Program,
        fields: &[Field],
        arguments: &Arguments,
    ) -> Vec<Code> {
        let mut codes = Vec::new();
        let code = |language: &str, field: &Field| {
            let text = field.is_known().then(|| as_code(&field.text).into_owned());
            let data = Data { text, from: field.from.clone(), ..Data::default() };
            Code { language: language.to_owned(), data, input: false }
        };
        for (flag, language) in &program.code_flags {
            let given = arguments.flags.iter().filter(|given| given.is(flag));
            for field in given.filter_map(|given| given.value.as_ref()) {
                codes.push(code(language, field));
            }
        }
        for (prefix, language) in &program.code_prefixes {
            for field in &fields[1..] {
                if let Some(at) = find_prefix(&field.text, prefix) {
                    let rest = Field { text: field.text[at..].to_owned(), ..field.clone() };
                    codes.push(code(language, &rest));
                }
            }
        }
        let Some(language) = &program.language else { return codes };
        for flag in &program.script_flags {
            if let Some(field) = arguments.value(flag) {
                let input = field.text == "-";
                let data = if input { self.stdin.clone() } else { self.content(field) };
                codes.push(Code { language: language.clone(), data, input });
            }
        }
        if let Some(named) = program.module_flag.as_ref().and_then(|flag| arguments.value(flag))
            && !program.code_modules.contains(&named.text)
        {
            codes.extend(self.module(named).map(|data| Code {
                language: language.clone(),
                data,
                input: false,
            }));
            return codes;
        }
        let with_flag = !codes.is_empty();
        let module = program.module_flag.as_ref().and_then(|flag| arguments.value(flag));
        let debugs = module.is_some_and(|module| matches!(module.text.as_str(), "pdb" | "ipdb"))
            && !arguments.operands.is_empty()
            || language == "perl" && arguments.has("d") && with_flag;
        // A debugger takes its orders from standard input, whatever it looks at.
        if debugs && self.stdin.text.as_deref() != Some("") {
            let data = self.stdin.clone();
            codes.push(Code { language: language.clone(), data, input: true });
        }
        if let [verb, text, ..] = arguments.operands.as_slice()
            && program.code_verbs.contains(&verb.text)
        {
            codes.push(code(language, text));
            return codes;
        }
        if let Some(at) = program.code_operand.filter(|_| !with_flag) {
            if let Some(field) = arguments.operands.get(at) {
                codes.push(code(language, field));
                return codes;
            }
            if !program.stdin_code {
                return codes;
            }
        }
        let script = arguments.operands.first().filter(|_| program.script && !with_flag);
        // `bash -n` reads and runs nothing.
        if language == "sh"
            && checks_only(&fields[0].text)
            && arguments.has("n")
            && !arguments.has("i")
        {
            return Vec::new();
        }
        // `deno run -`.
        let behind_verb = matches!(arguments.operands.as_slice(), [verb, .., last] if verb.text == "run" && last.text == "-");
        let from_stdin = program.stdin_code
            && !with_flag
            && (!program.script
                || behind_verb
                || arguments.has("s") && language == "sh"
                || script.is_none_or(|field| matches!(field.text.as_str(), "-" | "/dev/stdin")));
        if from_stdin {
            let data = self.stdin.clone();
            let nothing = data.text.as_deref() == Some("");
            // What others left of it begins nobody knows where.
            if !nothing && data.taken() != Taken::Nothing {
                let data = Data { text: None, ..data.clone() };
                codes.push(Code { language: language.clone(), data, input: true });
            }
            if !nothing {
                codes.push(Code { language: language.clone(), data, input: true });
            }
        } else if let Some(field) = script {
            let data = self.content(field);
            codes.push(Code { language: language.clone(), data, input: false });
        }
        codes
    }

    /// The file of a module that the line itself wrote, or an agent; the interpreter's own are no code of the line's.
    fn module(&self, name: &Field) -> Option<Data> {
        let path = name.text.replace('.', "/");
        [format!("{path}.py"), format!("{path}/__main__.py"), format!("{path}/__init__.py")]
            .iter()
            .map(|file| self.path(file))
            .find(|file| self.files.contains_key(file) || self.is_brought(file))
            .map(|file| self.content(&Field::new(file, name.span)))
    }
}

/// Whether `-n` of a shell means that it only looks for mistakes.
fn checks_only(program: &str) -> bool {
    matches!(
        file_name(program),
        "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "mksh" | "fish" | "rbash"
    )
}

/// Where a code begins behind its prefix: at the start of a word, or behind `-o`-like letters.
fn find_prefix(text: &str, prefix: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let prefix = prefix.to_ascii_lowercase();
    let at = lower.find(&prefix)?;
    (at == 0 || at == 2 && text.starts_with('-')).then_some(at + prefix.len())
}
