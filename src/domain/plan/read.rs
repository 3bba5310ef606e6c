//! The text of a plan: one shell line a line, directives that begin with `@`, comments and blank lines.

use crate::domain::nearest::nearest;

/// The most commands of one plan: more than a person reads is no plan.
pub const MAX_LINES: usize = 200;
/// The most bytes of its text.
pub const MAX_BYTES: usize = 64 * 1024;
/// Hexadecimal digits of a SHA-256.
const SUM: usize = 64;
const DIRECTIVES: [&str; 3] = ["@cwd", "@sudo", "@put"];

/// What a line of a plan wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Run {
        number: u32,
        /// By the last `@cwd` before it.
        cwd: Option<Vec<u8>>,
        line: Vec<u8>,
    },
    /// A local file is written to the target, if it has this SHA-256.
    Put { number: u32, file: Vec<u8>, path: Vec<u8>, sum: String },
}

/// Why a text is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("there is no command in it")]
    Empty,
    #[error("it has {0} bytes; at most {MAX_BYTES} are taken")]
    TooLong(usize),
    #[error("it has more than {MAX_LINES} commands")]
    TooMany,
    #[error("line {0}: @cwd needs a directory: @cwd DIR")]
    NoDirectory(u32),
    #[error(
        "line {0}: @sudo needs the sudo capability, which this sgw can't give; \
         ask your user to run what needs it"
    )]
    Sudo(u32),
    #[error(
        "line {0}: @put needs three words without blanks, the last a SHA-256: @put FILE PATH SUM"
    )]
    Put(u32),
    #[error("line {0}: there is no such directive; a plan knows @cwd, @sudo and @put{1}")]
    Directive(u32, String),
    #[error("line {0} ends in a backslash: a plan has a whole shell line on each of its lines")]
    GoesOn(u32),
}

/// # Errors
/// Something in it is no line of a plan, or it is too long, or empty.
pub fn read(text: &[u8]) -> Result<Vec<Step>, Unread> {
    if text.len() > MAX_BYTES {
        return Err(Unread::TooLong(text.len()));
    }
    let (mut steps, mut cwd) = (Vec::new(), None);
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let shown = line.trim_ascii();
        match shown.first() {
            None | Some(b'#') => continue,
            Some(b'@') => match directive(shown, number)? {
                Directive::Cwd(directory) => cwd = Some(directory),
                Directive::Put(step) => steps.push(step),
            },
            Some(_) if goes_on(line) => return Err(Unread::GoesOn(number)),
            Some(_) => steps.push(Step::Run { number, cwd: cwd.clone(), line: line.to_vec() }),
        }
        if steps.len() > MAX_LINES {
            return Err(Unread::TooMany);
        }
    }
    if steps.is_empty() { Err(Unread::Empty) } else { Ok(steps) }
}

enum Directive {
    Cwd(Vec<u8>),
    Put(Step),
}

fn directive(line: &[u8], number: u32) -> Result<Directive, Unread> {
    let blank = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (name, rest) = (&line[..blank], line[blank..].trim_ascii());
    match name {
        b"@cwd" if rest.is_empty() => Err(Unread::NoDirectory(number)),
        b"@cwd" => Ok(Directive::Cwd(rest.to_vec())),
        b"@sudo" => Err(Unread::Sudo(number)),
        b"@put" => put(rest, number).map(Directive::Put),
        _ => {
            let near = nearest(&String::from_utf8_lossy(name), DIRECTIVES);
            let near = near.map_or_else(String::new, |near| format!("; did you mean {near}"));
            Err(Unread::Directive(number, near))
        }
    }
}

fn put(rest: &[u8], number: u32) -> Result<Step, Unread> {
    let words: Vec<&[u8]> =
        rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [file, path, sum] if sum.len() == SUM && sum.iter().all(u8::is_ascii_hexdigit) => {
            let sum = String::from_utf8_lossy(sum).to_ascii_lowercase();
            Ok(Step::Put { number, file: file.to_vec(), path: path.to_vec(), sum })
        }
        _ => Err(Unread::Put(number)),
    }
}

/// An odd number of backslashes at its end: a shell would read on.
fn goes_on(line: &[u8]) -> bool {
    line.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Numbers of lines as a person writes them (`1,3-5`), of those that `known` has, in its order.
///
/// # Errors
/// What in it is no number of a line, in words for the person.
pub fn numbers(text: &str, known: &[u32]) -> Result<Vec<u32>, String> {
    let mut named = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let (Some(from), Some(to)) = (number(from), number(to)) else {
            return Err("lines are named by their numbers, like 1,3-5".to_owned());
        };
        let last = known.last().copied().unwrap_or_default();
        let here = known.iter().filter(|known| (from..=to).contains(known));
        if to > last || here.clone().next().is_none() {
            let which = if from == to { format!("{from}") } else { format!("{from}-{to}") };
            return Err(format!("no command of the plan has the number {which}"));
        }
        named.extend(here.copied());
    }
    Ok(known.iter().copied().filter(|number| named.contains(number)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(number: u32, cwd: Option<&str>, line: &str) -> Step {
        Step::Run { number, cwd: cwd.map(|cwd| cwd.into()), line: line.into() }
    }

    #[test]
    fn a_plan_is_a_shell_line_a_line_with_directories_comments_and_blanks() {
        let text = b"# deploy\n\nls  -l \n@cwd /srv/my app\n  ./stop # now\n\t\n@cwd /\nid";
        assert_eq!(
            read(text).unwrap(),
            [
                run(3, None, "ls  -l "),
                run(5, Some("/srv/my app"), "  ./stop # now"),
                run(8, Some("/"), "id"),
            ]
        );
    }

    #[test]
    fn what_is_no_plan_says_which_line_and_why() {
        let many = "id\n".repeat(MAX_LINES + 1);
        for (text, said) in [
            ("", "no command"),
            ("# nothing\n@cwd /srv\n", "no command"),
            ("ls\n@cwd", "line 2: @cwd needs a directory"),
            ("@sudo id", "line 1: @sudo needs the sudo capability"),
            ("id\n\n@put a b", "line 3: @put needs three words"),
            ("@put a b 12", "line 1: @put needs"),
            ("@cmd /srv", "did you mean @cwd"),
            ("@", "no such directive"),
            ("ls \\\n-l", "line 1 ends in a backslash"),
            (&many, "more than 200 commands"),
            (&"x".repeat(MAX_BYTES + 1), "at most 65536"),
        ] {
            let why = read(text.as_bytes()).unwrap_err().to_string();
            assert!(why.contains(said), "{text:.20}: {why}");
        }
        assert!(read(b"echo \\\\").is_ok());
        assert!(read("id\n".repeat(MAX_LINES).as_bytes()).is_ok());
    }

    #[test]
    fn a_file_to_put_is_read_with_its_sum() {
        let sum = "aB".repeat(32);
        let put = read(format!("@put  app.conf\t/etc/app.conf {sum}").as_bytes()).unwrap();
        let [Step::Put { number: 1, file, path, sum }] = put.as_slice() else { panic!("{put:?}") };
        assert_eq!((file.as_slice(), path.as_slice()), (&b"app.conf"[..], &b"/etc/app.conf"[..]));
        assert_eq!(*sum, "ab".repeat(32));
    }

    #[test]
    fn numbers_are_those_of_lines_that_are_there() {
        let known = [1, 3, 4, 7];
        assert_eq!(numbers("1,3-5", &known).unwrap(), [1, 3, 4]);
        assert_eq!(numbers(" 7 , 1-4,1", &known).unwrap(), [1, 3, 4, 7]);
        for wrong in ["", "1,", "a", "2", "8", "5-6", "4-9", "3-1", "-1", "1-2-3"] {
            assert!(numbers(wrong, &known).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_line_that_runs_is_a_line_of_the_text(text: Vec<u8>) {
            let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            for step in read(&text).unwrap_or_default() {
                if let Step::Run { number, line, .. } = step {
                    prop_assert_eq!(lines[number as usize - 1], line);
                }
            }
        }
    }
}
