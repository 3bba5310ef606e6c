//! What is read off the command line before, or instead of, its meaning: which command it is, whose
//! exit statuses hold, and how a mistake in it is told.

use std::ffi::{OsStr, OsString};

use clap::{Command, error::ErrorKind};

use super::{
    Who,
    commands::ENTRIES,
    ui::{
        self, Ui,
        exit::{self, Exit, Owner},
    },
};
use crate::protocol::error::{Code, Failure};

pub const ABOUT: &str = "\
Secure gateway: AI agents use SSH servers without ever holding a credential.

An agent asks for a session, a person approves it in a terminal, and the agent works through a \
daemon that keeps the credentials and the warm connections. Agents start with `sgw instructions`, \
people with `sgw init`.";

const EXITS: &str = "\
Exit statuses:
  0    done (exec: the remote command's own status; 128+N when signal N ended it)
  1,2  failed, usage (exec, ssh, plan run, wait x-…: the command's; sgw's own are 125)
  69   no daemon: locked, another version, or not set up
  75   not yet: don't repeat it, sgw wait ID
  77   no: repeating or rephrasing won't help
  124  ended by --timeout
  255  the target can't be reached, or the connection broke";

/// The one command that has to be built, when the line names it first.
pub fn only(args: &[OsString]) -> Option<&'static str> {
    let first = first_word(args)?;
    ENTRIES.iter().map(|entry| entry.name).find(|name| first == *name)
}

/// `exec`, `ssh` and `proxy`, and `wait` for one, give the remote command's status, `run` its program's: 1 and 2 are never
/// sgw's there.
pub fn owner(args: &[OsString]) -> Owner {
    let starts = |arg: &OsString| arg.as_encoded_bytes().starts_with(b"x-");
    match first_word(args).and_then(OsStr::to_str) {
        Some("exec" | "ssh" | "proxy") => Owner::Command,
        Some("run") => Owner::Program,
        Some("wait") if args.iter().any(starts) => Owner::Command,
        Some("plan") if args.iter().any(|arg| arg == "run") => Owner::Command,
        _ => Owner::Sgw,
    }
}

fn first_word(args: &[OsString]) -> Option<&OsStr> {
    // All global flags stand alone, so that the first bare word is the command.
    args.iter()
        .skip(1)
        .map(OsString::as_os_str)
        .find(|arg| !arg.as_encoded_bytes().starts_with(b"-"))
}

/// Tells what is wrong with the command line, or prints the help that it asked for.
pub fn tell(error: &clap::Error, args: &[OsString], owner: Owner) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        ui::clap(error);
        return Exit::DONE;
    }
    let ours = || args.iter().skip(1).take_while(|arg| *arg != "--");
    let ui = Ui::new(ours().any(|arg| arg == "--json"), ours().any(|arg| arg == "--quiet"));
    let failure = failure(error, args);
    ui.failure(&failure);
    exit::of(failure.code.class(), owner)
}

/// A mistake in the arguments of a command that is found only when they are read.
pub fn complaint(error: &clap::Error) -> Failure {
    failure(error, &[])
}

fn failure(error: &clap::Error, args: &[OsString]) -> Failure {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (said, usage) = text.split_once("\n\nUsage: ").unwrap_or((text, ""));
    let said = said.split("\n\nFor more information").next().unwrap_or(said);
    let command = command(usage).or_else(|| meant(args));
    let command = command.unwrap_or_else(|| "sgw".to_owned());
    let said = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        format!("{command} needs one of its commands")
    } else {
        said.split("\n\n").map(one_line).collect::<Vec<_>>().join("; ")
    };
    Failure::new(Code::UsageArguments, said, format!("{command} --help"))
}

/// `sgw target add`, of what was typed: not every complaint comes with a usage.
fn meant(args: &[OsString]) -> Option<String> {
    let first = only(args)?;
    let root = super::command(Some(first));
    let (mut at, mut words) = (root.find_subcommand(first)?, format!("sgw {first}"));
    let typed = args.iter().skip_while(|arg| *arg != first).skip(1).take_while(|arg| *arg != "--");
    for arg in typed {
        if let Some(next) = at.find_subcommand(arg) {
            words.push_str(&format!(" {}", next.get_name()));
            at = next;
        }
    }
    Some(words)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `sgw target add`, of a usage that goes on with options and operands.
fn command(usage: &str) -> Option<String> {
    let is_name = |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase());
    let words: Vec<&str> = usage.split_whitespace().take_while(is_name).collect();
    (words.len() > 1).then(|| words.join(" "))
}

/// The commands in two lists, and what follows them in the help.
pub fn list_commands(root: Command) -> Command {
    let list = |who: Who| {
        let mut text = String::new();
        for entry in ENTRIES.iter().filter(|entry| entry.who == who) {
            let about = root.find_subcommand(entry.name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {:<13}{}\n", entry.name, about));
        }
        text
    };
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\nWhat agents run:\n{}\nWhat the \
         operator runs:\n{}\nOptions:\n{{options}}\n\n{EXITS}\n\nEvery command has examples: sgw \
         COMMAND --help\n",
        list(Who::Agent),
        list(Who::Operator),
    );
    root.help_template(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_first_bare_word_is_the_command() {
        assert_eq!(only(&args("sgw --json exec s-4fk ls")), Some("exec"));
        assert_eq!(only(&args("sgw exce s-4fk ls")), None);
        assert_eq!(only(&args("sgw --json")), None);
    }

    #[test]
    fn the_help_is_that_of_the_command_meant() {
        assert_eq!(command("sgw target add [OPTIONS] <NAME>"), Some("sgw target add".to_owned()));
        assert_eq!(command("sgw <COMMAND>"), None);
        assert_eq!(command(""), None);
    }

    #[test]
    fn a_wrong_value_is_told_with_the_help_of_its_own_command() {
        let told = |line: &str| {
            let args = args(line);
            let error = crate::cli::command(only(&args)).try_get_matches_from(&args).unwrap_err();
            let Failure { message, hint, .. } = failure(&error, &args);
            (message, hint)
        };
        let (said, hint) = told("sgw grant add --token ci --target web1 --for -5s");
        assert!(said.contains("`-5s` is not a duration"), "{said}");
        assert_eq!(hint, "sgw grant add --help");
        assert_eq!(told("sgw target add web1 me@web1 --mode odd").1, "sgw target add --help");
        let (said, _) = told("sgw exec s-4fk --timeout -5s ls");
        assert!(said.contains("`-5s` is not a duration"), "{said}");
        let (said, _) = told("sgw grant add --target web1");
        assert!(said.contains("--token") && said.contains("--uid"), "{said}");
        let (said, _) = told("sgw grant add --uid root --target web1");
        assert!(said.contains("id -u"), "{said}");
    }

    #[test]
    fn a_commands_status_is_never_mistaken_for_ours() {
        assert_eq!(owner(&args("sgw exec --bad")), Owner::Command);
        assert_eq!(owner(&args("sgw wait --wait 5s x-7k3")), Owner::Command);
        assert_eq!(owner(&args("sgw run -- true")), Owner::Program);
        assert_eq!(owner(&args("sgw wait r-7k3")), Owner::Sgw);
        assert_eq!(owner(&args("sgw plan run r-7k3")), Owner::Command);
        assert_eq!(owner(&args("sgw plan s-4fk --reason x")), Owner::Sgw);
        assert_eq!(owner(&args("sgw show x-7k3")), Owner::Sgw);
    }
}
