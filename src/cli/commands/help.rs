//! `sgw help`: the help of a command, and what concerns them all.

use crate::{
    cli::{
        Context, Outcome, Run,
        commands::ENTRIES,
        ui::{self, exit::Exit},
    },
    domain::nearest::{nearest, told},
    protocol::error::{Code, Failure},
};

/// Explain a command, or what concerns them all: exit, json, desk
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw help exec
  sgw help exit    what each exit status means, and what to do then
  sgw help json    what --json prints
  sgw help desk    the keys of the operator's desk")]
pub struct Help {
    /// A command, or exit, json, desk [default: the list of commands]
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
}

/// What is told besides commands.
const TOPICS: &[(&str, &str)] = &[
    ("exit", include_str!("help/exit.txt")),
    ("json", include_str!("help/json.txt")),
    ("desk", include_str!("help/desk.txt")),
];

impl Run for Help {
    fn run(self, context: &Context) -> Outcome {
        let Some(topic) = self.topic else {
            ui::help(&mut crate::cli::command(None));
            return Ok(Exit::DONE);
        };
        let text = TOPICS.iter().find(|(name, _)| *name == topic);
        if let Some((_, text)) = text {
            context.ui.result(&serde_json::json!({ "help": text }), || (*text).to_owned());
            return Ok(Exit::DONE);
        }
        let mut root = crate::cli::command(None);
        root.build();
        if let Some(command) = root.find_subcommand_mut(&topic) {
            ui::help(command);
            return Ok(Exit::DONE);
        }
        let known = ENTRIES.iter().map(|entry| entry.name).chain(TOPICS.iter().map(|(n, _)| *n));
        let near = told(nearest(&topic, known));
        let message =
            format!("there is no help on {}{near}", crate::domain::escape::visible(&topic, 60));
        Err(Failure::new(Code::UsageArguments, message, "sgw help lists the commands").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_class_and_every_code_of_the_contract_is_explained() {
        let exits = TOPICS[0].1;
        for status in ["0", "1, 2", "69", "75", "77", "124", "125", "255"] {
            assert!(exits.lines().any(|line| line.starts_with(status)), "{status}");
        }
        for area in Code::ALL.iter().filter_map(|code| code.as_str().split('.').next()) {
            assert!(exits.contains(&format!("{area}.")), "{area}");
        }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        for (name, text) in TOPICS {
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }
}
