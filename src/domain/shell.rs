//! How a command goes on the wire: words quoted so that sh, bash, dash, zsh and fish read them the
//! same, and sgw's own prefix before the line.

/// The longest command that is sent, in bytes: the kernel's limit for one word is 131,072 (execve(2),
/// MAX_ARG_STRLEN), and the remote shell gets the whole line as one.
pub const MAX_COMMAND: usize = 128_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    #[error("a NUL byte can't be part of a command")]
    Nul,
    #[error("the command is {length} bytes; at most {MAX_COMMAND} are sent")]
    TooLong { length: usize },
    #[error("{0:?} is no name for a variable of the environment")]
    VariableName(String),
    #[error("SGW_EXEC is sgw's own variable")]
    OwnVariable,
    #[error("the directory's name is empty")]
    EmptyDirectory,
}

/// The words of an argv as one line.
pub fn quote_argv(words: &[Vec<u8>]) -> Result<Vec<u8>, ShellError> {
    let mut line = Vec::new();
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            line.push(b' ');
        }
        quote(word, &mut line)?;
    }
    if line.len() > MAX_COMMAND {
        return Err(ShellError::TooLong { length: line.len() });
    }
    Ok(line)
}

/// Whether a word of several is one that only a shell line would give a meaning.
pub fn looks_like_an_operator(word: &[u8]) -> bool {
    let operators: [&[u8]; 14] = [
        b"&&", b"||", b"|", b";", b"&", b">", b">>", b"<", b"2>", b"2>&1", b">&2", b"1>&2", b"&>",
        b"|&",
    ];
    operators.contains(&word)
}

/// Single quotes, with `'` and `\` outside of them: fish reads a backslash within single quotes as
/// an escape, the others do not.
fn quote(word: &[u8], line: &mut Vec<u8>) -> Result<(), ShellError> {
    if word.contains(&0) {
        return Err(ShellError::Nul);
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:,@+".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        line.extend_from_slice(word);
        return Ok(());
    }
    let mut quoted = false;
    for byte in word {
        let special = matches!(byte, b'\'' | b'\\');
        if special == quoted {
            line.push(b'\'');
            quoted = !special;
        }
        if special {
            line.push(b'\\');
        }
        line.push(*byte);
    }
    if quoted {
        line.push(b'\'');
    }
    if word.is_empty() {
        line.extend_from_slice(b"''");
    }
    Ok(())
}

/// The exec request's bytes: the marker by which the processes are found, environment, directory,
/// then the line as it is. sshd's AcceptEnv drops variables silently, so they are set by prefix.
pub fn wrap(
    marker: &str,
    env: &[(String, Vec<u8>)],
    cwd: Option<&[u8]>,
    line: &[u8],
) -> Result<Vec<u8>, ShellError> {
    if line.contains(&0) {
        return Err(ShellError::Nul);
    }
    let mut wire = format!("export SGW_EXEC={marker}; ").into_bytes();
    for (name, value) in env {
        check_name(name)?;
        wire.extend_from_slice(format!("export {name}=").as_bytes());
        quote(value, &mut wire)?;
        wire.extend_from_slice(b"; ");
    }
    if let Some(directory) = cwd {
        if directory.is_empty() {
            return Err(ShellError::EmptyDirectory);
        }
        wire.extend_from_slice(b"cd -- ");
        quote(directory, &mut wire)?;
        wire.extend_from_slice(b" || exit 1; ");
    }
    wire.extend_from_slice(line);
    if wire.len() > MAX_COMMAND {
        return Err(ShellError::TooLong { length: wire.len() });
    }
    Ok(wire)
}

fn check_name(name: &str) -> Result<(), ShellError> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let fits = name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
        && name.len() <= 255;
    match fits {
        false => Err(ShellError::VariableName(name.chars().take(64).collect())),
        true if name == "SGW_EXEC" => Err(ShellError::OwnVariable),
        true => Ok(()),
    }
}
