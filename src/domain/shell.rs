//! How a command goes on the wire: sshd hands one line to the account's shell, whichever that is, so
//! words are quoted, and environment, directory and marker are put in front, in the one way that sh,
//! bash, dash, zsh and fish all read the same.

/// The most that goes on the wire as one command, in bytes. 131,072 is the kernel's limit for a word
/// of an argv (MAX_ARG_STRLEN, execve(2)); beyond, sshd's shell fails as if the command had.
pub const MAX_COMMAND: usize = 128_000;

/// The variable that marks all processes of one exec, so that they can be found and ended.
pub const MARKER: &str = "SGW_EXEC";

/// Why there is nothing to send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    #[error("the command is empty")]
    Empty,
    #[error("a NUL byte can't be part of a command")]
    Nul,
    #[error("the command is {0} bytes long with what sgw puts in front; at most {MAX_COMMAND} fit")]
    TooLong(usize),
    #[error("{0:?} is no name for an environment variable")]
    Name(String),
    #[error("{MARKER} is sgw's own variable")]
    Reserved,
    #[error("the directory is empty")]
    NoDirectory,
    #[error(
        "the target has no shell that reads as sh does: a directory or variables can't be set there"
    )]
    NoShell,
}

/// One word is a line for the shell, as it is; several are an argv, each quoted.
pub fn line(argv: &[Vec<u8>]) -> Result<Vec<u8>, ShellError> {
    match argv {
        [line] if line.contains(&0) => Err(ShellError::Nul),
        [line] if line.trim_ascii().is_empty() => Err(ShellError::Empty),
        [line] => Ok(line.clone()),
        words => quote_argv(words),
    }
}

/// Words that the shell will read as just these words.
pub fn quote_argv(argv: &[Vec<u8>]) -> Result<Vec<u8>, ShellError> {
    if argv.first().is_none_or(Vec::is_empty) {
        return Err(ShellError::Empty);
    }
    let mut line = Vec::new();
    for word in argv {
        if !line.is_empty() {
            line.push(b' ');
        }
        quote(word, &mut line)?;
    }
    Ok(line)
}

/// What every command line begins with.
pub fn export_marker(marker: &str) -> String {
    format!("export {MARKER}={marker}; ")
}

/// What goes on the wire: `export SGW_EXEC=x-…; `, then variables and directory, then the line. It is
/// put in front on the line's first line and nothing behind, so that comments, here-documents and
/// syntax errors mean what they would alone. A relative directory is one below the shell's first.
pub fn wrap(
    marker: &str,
    env: &[(String, Vec<u8>)],
    cwd: Option<&[u8]>,
    line: &[u8],
) -> Result<Vec<u8>, ShellError> {
    let mut wire = export_marker(marker).into_bytes();
    if !env.is_empty() {
        wire.extend_from_slice(b"export");
        for (name, value) in env {
            check_name(name)?;
            wire.push(b' ');
            wire.extend_from_slice(name.as_bytes());
            wire.push(b'=');
            quote(value, &mut wire)?;
        }
        // Not `|| exit`: fish's export of a PATH without a colon succeeds with status 1.
        wire.extend_from_slice(b"; ");
    }
    if let Some(directory) = cwd {
        wire.extend_from_slice(b"cd -- ");
        quote(&anchored(directory)?, &mut wire)?;
        wire.extend_from_slice(b" || exit 1; ");
    }
    wire.extend_from_slice(line);
    if wire.contains(&0) {
        return Err(ShellError::Nul);
    }
    if wire.len() > MAX_COMMAND {
        return Err(ShellError::TooLong(wire.len()));
    }
    Ok(wire)
}

/// What opens a terminal: the account's login shell, whichever it is, with its marker, and with pagers
/// that don't wait for a key. The account's shell may not read `${…:-…}`, so that `sh` is asked.
pub fn login(
    marker: &str,
    env: &[(String, Vec<u8>)],
    cwd: Option<&[u8]>,
) -> Result<Vec<u8>, ShellError> {
    let pagers = "export PAGER=cat GIT_PAGER=cat SYSTEMD_PAGER=cat MANPAGER=cat; ";
    wrap(marker, env, cwd, [pagers, LOGIN].concat().as_bytes())
}

/// The same for somebody who sits there and reads page by page.
pub fn shell(
    marker: &str,
    env: &[(String, Vec<u8>)],
    cwd: Option<&[u8]>,
) -> Result<Vec<u8>, ShellError> {
    wrap(marker, env, cwd, LOGIN.as_bytes())
}

const LOGIN: &str = "exec /bin/sh -c 'exec \"${SHELL:-/bin/sh}\" -l'";

/// What opens a terminal of the operator's own: a shell that nothing in the account's environment or
/// start-up files reaches.
pub fn fresh(marker: &str) -> Vec<u8> {
    let shell = format!(
        "exec /usr/bin/env -i {MARKER}={marker} TERM=xterm-256color PATH=/usr/sbin:/usr/bin:/sbin:/bin \
         /bin/sh"
    );
    [export_marker(marker), shell].concat().into_bytes()
}

/// The first of several words that looks as if it were meant for the shell (`&&`, `|`, `2>&1`), where
/// it is going to be an argument.
pub fn looks_like_operator_word(argv: &[Vec<u8>]) -> Option<&[u8]> {
    let several = argv.get(1..).filter(|rest| !rest.is_empty())?;
    several.iter().map(Vec::as_slice).find(|word| is_operator(word) || is_redirection(word))
}

fn is_operator(word: &[u8]) -> bool {
    [&b"&&"[..], b"||", b"|", b"|&", b";", b"&"].contains(&word)
}

fn is_redirection(word: &[u8]) -> bool {
    let rest = match word {
        [b'0'..=b'9' | b'&', rest @ ..] if matches!(rest.first(), Some(b'<' | b'>')) => rest,
        word => word,
    };
    let target = [&b">>"[..], b">&", b">|", b">", b"<<<", b"<<", b"<&", b"<"]
        .iter()
        .find_map(|operator| rest.strip_prefix(*operator));
    match target {
        None => false,
        Some([] | [b'/' | b'.', ..] | [b'0'..=b'9' | b'-']) => true,
        Some(_) => false,
    }
}

/// `cd` goes to CDPATH for `name` and back for `-`, but never for what starts with `./` or `/`.
fn anchored(directory: &[u8]) -> Result<Vec<u8>, ShellError> {
    match directory {
        [] => Err(ShellError::NoDirectory),
        [b'/', ..] => Ok(directory.to_vec()),
        _ => Ok([b"./", directory].concat()),
    }
}

fn check_name(name: &str) -> Result<(), ShellError> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let fits = name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit());
    match name {
        MARKER => Err(ShellError::Reserved),
        _ if fits => Ok(()),
        _ => Err(ShellError::Name(name.to_owned())),
    }
}

/// Single quotes around everything but quotes and backslashes, which stand outside behind a
/// backslash: in fish a backslash escapes both even inside single quotes, elsewhere it does not.
fn quote(word: &[u8], line: &mut Vec<u8>) -> Result<(), ShellError> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:@,+".contains(byte);
    if word.contains(&0) {
        return Err(ShellError::Nul);
    }
    if !word.is_empty() && word.iter().all(plain) && !is_reserved(word) {
        line.extend_from_slice(word);
        return Ok(());
    }
    if word.is_empty() {
        line.extend_from_slice(b"''");
        return Ok(());
    }
    let mut quoted = false;
    for &byte in word {
        let outside = byte == b'\'' || byte == b'\\';
        if outside == quoted {
            line.push(b'\'');
            quoted = !quoted;
        }
        if outside {
            line.push(b'\\');
        }
        line.push(byte);
    }
    if quoted {
        line.push(b'\'');
    }
    Ok(())
}

/// Words of plain letters that a shell would not take for a program's name.
fn is_reserved(word: &[u8]) -> bool {
    const RESERVED: &[&str] = &[
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "do",
        "done",
        "case",
        "esac",
        "while",
        "until",
        "for",
        "in",
        "select",
        "function",
        "time",
        "coproc",
        "repeat",
        "foreach",
        "end",
        "nocorrect",
    ];
    RESERVED.iter().any(|reserved| reserved.as_bytes() == word)
}

#[cfg(test)]
mod tests;
