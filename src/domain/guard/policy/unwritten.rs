//! What is found of a line by no `[[rule]]`: names that prompts and verdicts give, and what they mean.

/// Something that the guard itself finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritten {
    pub id: &'static str,
    pub meaning: &'static str,
    /// What of the policy says what becomes of it; none where nothing does.
    pub setting: Option<&'static str>,
}

impl Unwritten {
    /// That of this name.
    pub fn of(id: &str) -> Option<Self> {
        let mut all = ALL.iter().flat_map(|(setting, ids)| {
            ids.iter().map(|(id, meaning)| Self { id, meaning, setting: *setting })
        });
        all.find(|one| one.id == id)
    }
}

type Group = (Option<&'static str>, &'static [(&'static str, &'static str)]);

const ALL: &[Group] = &[
    (
        Some("unmatched"),
        &[
            (
                "unmatched",
                "No rule speaks of the command, and the policy's word for those is not `allow`.",
            ),
            (
                "read.unknown",
                "In read mode: the command is not known to read and to do nothing else. A rule with `mode = \"read\"` that allows lets it pass.",
            ),
        ],
    ),
    (
        Some("opaque"),
        &[
            (
                "opaque.program",
                "Which program runs is known only on the server: a name out of a variable, a substitution or a glob.",
            ),
            (
                "opaque.code",
                "Code is run that is known only on the server: what another command prints, or comes on standard input.",
            ),
            (
                "opaque.input",
                "A script comes on standard input, and a command in it may read there what comes behind it.",
            ),
            (
                "opaque.script",
                "A script is run whose content is not known, where anybody may have written it.",
            ),
            (
                "opaque.target",
                "Whether a rule that blocks holds depends on a word that only the server knows.",
            ),
            ("opaque.arithmetic", "A sum may run code that hides in the subscript of an array."),
            ("opaque.prompt", "A value is expanded again as a prompt is, and may run code."),
            (
                "opaque.builtin",
                "A builtin runs what stands elsewhere: in the history, in a library, in a key's binding.",
            ),
            ("opaque.shell", "Another shell than the guard reads may make something else of it."),
            (
                "opaque.wrapper",
                "A program that is not known is given words that look like another command.",
            ),
            ("limit.texts", "Texts run inside each other deeper, or are larger, than is followed."),
            ("limit.commands", "The line runs more commands than are followed."),
            ("limit.values", "A variable has more values by turns than are followed."),
            ("limit.words", "Its words become larger than is followed."),
            ("limit.braces", "Its braces become more words than are followed."),
            ("line.history", "Typed at a prompt: the shell would put an older line in its place."),
        ],
    ),
    (
        Some("parse_error"),
        &[
            (
                "line.syntax",
                "The line is no complete shell line, so that what it runs is not certain.",
            ),
            ("line.encoding", "The line is not UTF-8."),
            ("line.control", "The line holds a control character other than tab and newline."),
            (
                "line.bidi",
                "The line holds a character that turns the direction of writing, so that it looks like another.",
            ),
            ("line.blank", "The line holds a blank that is none to a shell."),
            ("line.invisible", "The line holds a character that can't be seen."),
            ("line.character", "The line holds a character that stands for none."),
            ("line.homograph", "A word mixes letters of alphabets that look alike."),
            ("line.length", "The line is longer than `max_bytes`."),
            ("line.size", "The line opens more constructs than are followed."),
            (
                "line.comment",
                "Typed at a prompt of zsh, which runs what stands behind a `#`, unless it was told otherwise.",
            ),
            (
                "opaque.names",
                "A name is made to stand for another one, or to change what it is given.",
            ),
            (
                "opaque.alias",
                "A name is made to stand for more than plain words, so that lines behind it read otherwise.",
            ),
            (
                "opaque.keyword",
                "The shell is told to read words in another way: assignments behind a program's name, comments as words.",
            ),
            (
                "env.charset",
                "An encoding in which a letter may hide a backslash: the shell would read another line.",
            ),
        ],
    ),
    (
        Some("pty"),
        &[
            (
                "pty.session",
                "A terminal is asked for: the policy's `pty` says that a person decides.",
            ),
            ("pty.off", "A terminal is asked for, and the policy's `pty` is `off`."),
        ],
    ),
    (
        None,
        &[
            (
                "line.unjudged",
                "The line could not be judged: judging it failed or took too long. A person decides.",
            ),
            (
                "shell.fork-bomb",
                "A function calls itself beside itself: it starts processes without end. Always blocked.",
            ),
            (
                "shell.endless-background",
                "A loop without end leaves a process behind in each round. A person decides.",
            ),
            (
                "pty.keys",
                "Keys are pressed that make another line of it than was sent, or that act by themselves.",
            ),
            ("pty.lines", "More lines are typed at once than are judged."),
            ("pty.bindings", "What is typed changes what keys mean, or what was typed before did."),
            (
                "pty.ahead",
                "It is typed ahead of a prompt: which program will read it is not known.",
            ),
            ("pty.unfinished", "The command goes on in another line, which is not known yet."),
            ("pty.pending", "What stands in the terminal's line already is not known."),
        ],
    ),
];
