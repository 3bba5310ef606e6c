//! What sgw asks while the operator is attached: on the status line, by keys of which none reaches
//! the server. It never asks for a passphrase here.

use super::told;
use crate::{
    cli::ui::terminal::{
        escape::Escape,
        keys::{Key, Line},
        text,
    },
    domain::escape::{exact, visible},
    protocol::view,
};

/// As many commands as have a digit.
const LISTED: usize = 9;
/// Columns that a panel's line shows of a command.
const COMMAND: usize = 200;

/// A question, or something shown until a key is pressed.
#[derive(Debug)]
pub enum Question {
    Leave,
    Word(Line),
    Close,
    Help,
    Commands(Commands),
}

/// What a question came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Back to the server, nothing changed.
    Stay,
    HandBack {
        word: Option<String>,
    },
    Keep,
    CloseSession,
    /// Ends a command.
    End(String),
}

/// The commands of the same identity on the same target that run.
#[derive(Debug, Default)]
pub struct Commands {
    pub runs: Vec<view::Run>,
    /// Answers that are still to come.
    pub awaited: usize,
    /// The one about whose end is asked.
    chosen: Option<String>,
}

/// What is to be known for it.
pub struct About<'a> {
    pub session: &'a str,
    pub escape: Escape,
    /// What the agent asks, escaped.
    pub asked: Option<&'a str>,
    pub rows: usize,
    pub columns: usize,
    /// A password may have been typed: for that the handoff asked, or what is done is private.
    pub password: bool,
}

impl Question {
    /// None: it goes on.
    pub fn take(&mut self, key: Key) -> Option<Wish> {
        if key == Key::Other {
            return None;
        }
        match self {
            Question::Help => Some(Wish::Stay),
            Question::Leave => match key {
                Key::Char('h' | 'H') => {
                    *self = Question::Word(Line::default());
                    None
                }
                Key::Char('k' | 'K') => Some(Wish::Keep),
                Key::Char('c' | 'C') => {
                    *self = Question::Close;
                    None
                }
                Key::Away => Some(Wish::Stay),
                _ => None,
            },
            Question::Word(line) => match key {
                Key::Enter => {
                    let word = Some(line.text().trim().to_owned()).filter(|word| !word.is_empty());
                    Some(Wish::HandBack { word })
                }
                Key::Away => {
                    *self = Question::Leave;
                    None
                }
                _ => {
                    line.take(key);
                    None
                }
            },
            Question::Close => match key {
                Key::Char('y' | 'Y') => Some(Wish::CloseSession),
                Key::Char('n' | 'N') | Key::Away => {
                    *self = Question::Leave;
                    None
                }
                _ => None,
            },
            Question::Commands(commands) => commands.take(key),
        }
    }

    /// The status line, and on it the column of the cursor where something is typed. What it has no
    /// room for goes to the panel.
    pub fn status(&self, about: &About, panel: &mut Vec<String>) -> (String, Option<usize>) {
        let columns = about.columns;
        let text = match self {
            Question::Leave => {
                format!(" Leave {}?  h hand back  k keep  c close  Esc stay", about.session)
            }
            Question::Close => {
                format!(" Close {} and end all that runs in it?  y yes  n no", about.session)
            }
            Question::Help => " Any key goes back".to_owned(),
            Question::Commands(commands) => match &commands.chosen {
                Some(id) => format!(" End {id}?  y yes  n no"),
                None if commands.awaited > 0 => " Looking …  Any key goes back".to_owned(),
                None if commands.runs.is_empty() => {
                    " No command runs.  Any key goes back".to_owned()
                }
                None => " Its number ends a command.  Any other key goes back".to_owned(),
            },
            Question::Word(line) => {
                let ask = " A word to the agent (Enter alone: none): ";
                let shown = line.tail(columns.saturating_sub(ask.len() + 1));
                let column = ask.len() + text::width(&shown);
                return (format!("{ask}{shown}"), Some(column));
            }
        };
        let mut lines = text::wrapped(&text, columns);
        let last = lines.pop().unwrap_or_default();
        panel.extend(lines);
        (last, None)
    }

    /// The lines above the status line.
    pub fn panel(&self, about: &About) -> Vec<String> {
        match self {
            Question::Leave | Question::Word(_) if about.password => {
                vec![" If sudo got a password: Esc, type sudo -k, then leave.".to_owned()]
            }
            Question::Help => help(about),
            Question::Commands(commands) => commands.panel(),
            _ => Vec::new(),
        }
    }
}

fn help(about: &About) -> Vec<String> {
    let escape = about.escape;
    let place =
        told::About { session: about.session, escape, rows: about.rows, columns: about.columns };
    let asked = about.asked.map_or(Vec::new(), |asked| told::words(asked, &place));
    let keys = [
        (".", "leave: hand it back with a word, keep it, or close the session"),
        ("p", "private or shared: whether the agent sees what happens"),
        ("k", "the agent's commands that run, and ending them"),
        ("^Z", "stop this client; fg goes on"),
        ("?", "this"),
    ]
    .iter()
    .map(|(key, does)| format!(" Enter {escape} {key:<3} {does}"))
    .chain([
        format!(" Enter {escape} {escape}   types {escape}"),
        " Closing the window keeps the keyboard yours. sgw asks no passphrase here.".to_owned(),
    ])
    .flat_map(|line| text::wrapped(&line, about.columns));
    asked.into_iter().chain(keys).collect()
}

impl Commands {
    /// Waits for so many answers.
    pub fn awaiting(answers: usize) -> Self {
        Self { awaited: answers, ..Self::default() }
    }

    /// Takes what ran in one session.
    pub fn add(&mut self, runs: Vec<view::Run>) {
        self.runs.extend(runs.into_iter().filter(|run| run.running));
    }

    fn take(&mut self, key: Key) -> Option<Wish> {
        if let Some(id) = self.chosen.take() {
            return match key {
                Key::Char('y' | 'Y') => Some(Wish::End(id)),
                Key::Char('n' | 'N') | Key::Away => None,
                _ => {
                    self.chosen = Some(id);
                    None
                }
            };
        }
        match key {
            Key::Char(digit) => {
                let number = digit.to_digit(10).and_then(|digit| digit.checked_sub(1));
                let mut listed = self.runs.iter().take(LISTED);
                let run = number.and_then(|number| listed.nth(number as usize));
                self.chosen = run.map(|run| run.id.clone());
                // As in the help: what means nothing goes back.
                self.chosen.is_none().then_some(Wish::Stay)
            }
            _ => Some(Wish::Stay),
        }
    }

    fn panel(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .runs
            .iter()
            .take(LISTED)
            .enumerate()
            .map(|(index, run)| {
                let (id, command) = (visible(&run.id, 20), exact(&run.command.0, COMMAND));
                format!(" {}  {id}  {command}", index + 1)
            })
            .collect();
        if self.runs.len() > LISTED {
            lines.push(format!("    … and {} more", self.runs.len() - LISTED));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bytes::Bytes;

    fn answer(question: &mut Question, keys: &str) -> Option<Wish> {
        let mut read = crate::cli::ui::terminal::keys::Keys::default();
        let mut keys = read.read(keys.as_bytes()).into_iter();
        keys.find_map(|key| question.take(key))
    }

    fn about(password: bool) -> About<'static> {
        let (rows, columns) = (24, 80);
        let asked = Some("log in to the database, please, and tell me when it is done");
        About { session: "s-4fk", escape: Escape::default(), asked, rows, columns, password }
    }

    #[test]
    fn leaving_takes_a_decision_that_enter_does_not_make() {
        for (keys, wish) in [
            ("\r\r \x1b[A", None),
            ("h", None),
            ("hdone\r", Some(Wish::HandBack { word: Some("done".into()) })),
            ("h  \r", Some(Wish::HandBack { word: None })),
            ("hoops\x15ok\x7fh\r", Some(Wish::HandBack { word: Some("oh".into()) })),
            ("k", Some(Wish::Keep)),
            ("c", None),
            ("c\r", None),
            ("cy", Some(Wish::CloseSession)),
            ("cnk", Some(Wish::Keep)),
            ("\x1b", Some(Wish::Stay)),
        ] {
            assert_eq!(answer(&mut Question::Leave, keys), wish, "{keys:?}");
        }
        // A terminal sends Esc by itself.
        let mut question = Question::Leave;
        assert_eq!(answer(&mut question, "hword\x1b"), None);
        assert_eq!(answer(&mut question, "\x03"), Some(Wish::Stay));
    }

    fn run(id: &str, command: &str, running: bool) -> view::Run {
        view::Run {
            id: id.into(),
            kind: view::Kind::Exec,
            command: Bytes(command.into()),
            exit_code: None,
            signal: None,
            running,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            duration_ms: None,
            request: None,
        }
    }

    #[test]
    fn a_command_is_ended_by_its_number_and_a_yes() {
        let listed = || {
            let mut commands = Commands::default();
            commands.add(vec![
                run("x-1", "done", false),
                run("x-2", "tail -f \x1b[2Jlog", true),
                run("x-3", "make", true),
            ]);
            Question::Commands(commands)
        };
        let shown = listed().panel(&about(false)).join("\n");
        assert!(
            shown.contains("1  x-2  tail -f \\x1b[2Jlog") && !shown.contains("done"),
            "{shown}"
        );
        assert_eq!(answer(&mut listed(), "2y"), Some(Wish::End("x-3".into())));
        assert_eq!(answer(&mut listed(), "2n1\ry"), Some(Wish::End("x-2".into())));
        for other in ["0", "3", "y", "\r", " "] {
            assert_eq!(answer(&mut listed(), other), Some(Wish::Stay), "{other:?}");
        }
        assert_eq!(answer(&mut listed(), "\x03"), Some(Wish::Stay));
    }

    #[test]
    fn what_is_typed_stands_on_the_status_line() {
        let mut question = Question::Leave;
        answer(&mut question, "hlogged in");
        let (status, cursor) = question.status(&about(true), &mut Vec::new());
        assert!(status.ends_with(": logged in"), "{status}");
        assert_eq!(cursor, Some(status.len()));
        assert!(question.panel(&about(true))[0].contains("sudo -k"));
        assert!(question.panel(&about(false)).is_empty());
        answer(&mut question, &"x".repeat(600));
        let (status, _) = question.status(&About { columns: 60, ..about(true) }, &mut Vec::new());
        assert!(status.len() < 60, "{status}");
        let mut panel = Vec::new();
        let (status, _) =
            Question::Leave.status(&About { columns: 20, ..about(false) }, &mut panel);
        assert_eq!((panel.join("\n") + "\n" + &status).as_str(), {
            " Leave s-4fk? h hand\n back k keep c close\n Esc stay"
        });
    }

    #[test]
    fn the_help_fits_and_says_what_the_agent_asks() {
        for columns in [80, 60, 40] {
            let about = About { columns, ..about(false) };
            let lines = Question::Help.panel(&about);
            assert!(lines.iter().all(|line| text::width(line) <= columns), "{lines:?}");
            let all: String = lines.iter().map(|line| format!("{} ", line.trim())).collect();
            assert!(all.contains("close the session") && all.contains("passphrase here."), "{all}");
            assert!(all.replace(' ', "").contains("tellmewhenitisdone"), "{all}");
        }
    }
}
