//! `sgw man`: the manual pages, made from the commands' own definitions.

use std::{io, path::PathBuf};

use clap::Command;
use clap_mangen::Man as Page;

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit},
    protocol::error::{Code, Failure},
};

/// Print sgw's manual page, or write all pages into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw man | man -l -
  sgw man --dir ~/.local/share/man/man1")]
pub struct Man {
    /// Write the page of sgw and of each command here [default: print sgw's own]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Run for Man {
    fn run(self, context: &Context) -> Outcome {
        let unwritable = |error: io::Error| {
            let message = format!("the pages can't be written: {error}");
            Failure::new(Code::UsageArguments, message, "sgw man --dir DIR")
        };
        let pages = pages().map_err(unwritable)?;
        match self.dir {
            Some(dir) => {
                std::fs::create_dir_all(&dir).map_err(unwritable)?;
                for (name, page) in pages {
                    std::fs::write(dir.join(name), page).map_err(unwritable)?;
                }
            }
            None => context.ui.bytes(pages.first().map_or(&[], |(_, page)| page.as_slice())),
        }
        Ok(Exit::DONE)
    }
}

/// Each page's file name and text; sgw's own first.
pub fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = crate::cli::command(None).disable_help_flag(false);
    root.build();
    let mut pages = Vec::new();
    add(&root, "sgw", &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let spaced = name.replace('-', " ");
    let mut page = Vec::new();
    let named = command.clone().name(name.to_owned()).bin_name(spaced).display_name(name);
    Page::new(named).date("").source("sgw").manual("sgw").render(&mut page)?;
    pages.push((format!("{name}.1"), page));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        add(inner, &format!("{name}-{}", inner.get_name()), pages)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_pages_in_the_repository_are_those_of_the_commands() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
        let mut names: Vec<String> = std::fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let pages = pages().unwrap();
        let mut expected: Vec<String> = pages.iter().map(|(name, _)| name.clone()).collect();
        expected.sort();
        assert_eq!(names, expected, "run: sgw man --dir man");
        for (name, page) in pages {
            let there = std::fs::read(dir.join(&name)).unwrap();
            assert!(there == page, "{name} is not what its command says: run sgw man --dir man");
        }
    }

    #[test]
    fn the_scripts_in_the_repository_are_those_of_the_program() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
        for (shell, file) in [("bash", "sgw.bash"), ("zsh", "_sgw"), ("fish", "sgw.fish")] {
            let there = std::fs::read(dir.join(file)).unwrap();
            assert!(there == crate::cli::commands::completions::script(shell).unwrap(), "{file}");
        }
    }
}
