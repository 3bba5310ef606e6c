//! `sgw init --service`: the machine's part, which is root's; the passphrase is the operator's.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    cli::{
        Context, Outcome, context,
        installation::{Names, Plan, Step, Wanted, systemd_runs, usual_prefix},
        ui::exit::Exit,
    },
    protocol::error::{Code, Failure},
};

// What `--service` takes.
#[derive(Debug, clap::Args)]
pub struct Machine {
    /// Do it: as root; what is done already is left as it is
    #[arg(long, requires = "service", help_heading = "Service options")]
    apply: bool,
    /// The operator, who alone decides: a user's name or uid [default: who called sudo]
    #[arg(long, value_name = "USER", requires = "service", help_heading = "Service options")]
    operator: Option<String>,
    /// A user who may ask as an agent (repeatable); others join the agents' group later
    #[arg(long, value_name = "USER", requires = "service", help_heading = "Service options")]
    agent: Vec<String>,
    /// Where the program goes: DIR/bin. Below /usr and /usr/local the rest is in /etc, /var/lib and /run,
    /// else below DIR [default: where it is, if only root can write there, or /usr/local]
    #[arg(long, value_name = "DIR", requires = "service", help_heading = "Service options")]
    prefix: Option<PathBuf>,
    /// The daemon's user and its group
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sgw",
        requires = "service",
        help_heading = "Service options"
    )]
    daemon_user: String,
    /// The group that the installed program gives, for the operator's socket
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sgw-operator",
        requires = "service",
        help_heading = "Service options"
    )]
    operator_group: String,
    /// The group of the agents' socket
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sgw-agents",
        requires = "service",
        help_heading = "Service options"
    )]
    agents_group: String,
    /// Write all of it, and tell systemd nothing (for images, and where something else starts services)
    #[arg(long, requires = "service", help_heading = "Service options")]
    no_start: bool,
}

impl Machine {
    pub fn run(self, context: &Context) -> Outcome {
        let apply = self.apply;
        let wanted = self.wanted()?;
        let mut plan = Plan::of(wanted.clone())?;
        let ui = context.ui;
        if apply {
            plan.apply(|step| ui.say(&format!("done: {}", step.line())))?;
            // Who is who has its numbers now.
            plan = Plan::of(wanted)?;
            if !systemd_runs() {
                ui.note("systemd does not run here: what starts services here opens the sockets");
            }
        }
        let shown: Vec<_> = plan.steps.iter().map(|step| Shown::of(step, apply)).collect();
        let steps: Vec<_> = shown.iter().map(Shown::json).collect();
        let next = next(&plan, apply);
        let result = json!({
            "kind": "service",
            "applied": apply,
            "operator": { "name": plan.operator.name, "uid": plan.operator.uid },
            "steps": steps,
            "next": next,
        });
        ui.result(&result, || match apply {
            true => next.clone(),
            false => shown.iter().map(Shown::text).collect::<Vec<_>>().join("\n"),
        });
        if !apply {
            ui.note(&format!("nothing was changed; {next}"));
        }
        Ok(Exit::DONE)
    }

    fn wanted(self) -> Result<Wanted, Failure> {
        let operator = match self.operator {
            Some(operator) => operator,
            None => context::variable("SUDO_USER")?.ok_or_else(|| {
                let message = "who is to decide? a service needs an operator";
                Failure::new(Code::UsageArguments, message, "add --operator USER")
            })?,
        };
        Ok(Wanted {
            prefix: self.prefix.unwrap_or_else(usual_prefix),
            names: Names {
                daemon: self.daemon_user,
                operators: self.operator_group,
                agents: self.agents_group,
            },
            operator,
            agents: self.agent,
            start: !self.no_start,
        })
    }
}

fn next(plan: &Plan, applied: bool) -> String {
    match applied {
        true => format!("{} types: {} init", plan.operator.name, plan.layout.program.display()),
        false => "root does it with the same line and --apply".to_owned(),
    }
}

/// A step, and whether it is done.
struct Shown<'a> {
    step: &'a Step,
    done: bool,
}

impl<'a> Shown<'a> {
    fn of(step: &'a Step, applied: bool) -> Self {
        let told = applied && matches!(step, Step::Command { .. });
        Self { step, done: told || step.is_done() }
    }

    fn text(&self) -> String {
        let mut text =
            format!("{} {}", if self.done { "done " } else { "to do" }, self.step.line());
        if let (Step::File { content, .. }, false) = (self.step, self.done) {
            for line in content.lines() {
                text.push_str(if line.is_empty() { "\n" } else { "\n    " });
                text.push_str(line);
            }
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let content = match self.step {
            Step::File { content, .. } => Some(content),
            _ => None,
        };
        json!({ "what": self.step.line(), "done": self.done, "content": content })
    }
}
