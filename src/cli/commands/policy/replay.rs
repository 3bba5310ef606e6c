//! `sgw policy replay`: what a policy would have said to the commands of the record.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::json;

use super::{Source, told, verdicts};
use crate::{
    cli::{Context, Outcome, proof::Proof, ui::exit::Exit, values},
    protocol::error::{Code, Failure},
};

/// Say what the policy would have said to the commands that were run
///
/// Each command of the record is judged again, and told where something else is said of it: by what is in
/// force now, compared with what was said then; with --policy by that file, compared with what is in
/// force. Nothing is run. The status is 0 whatever is found.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy replay
  sgw policy replay --since 30d --policy mine.toml --json")]
pub struct Replay {
    /// Commands of so long ago and later
    #[arg(long, value_name = "DUR", default_value = "7d", value_parser = values::duration)]
    since: Duration,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    proof: Proof,
}

impl Replay {
    pub fn run(self, context: &Context) -> Outcome {
        let judged_by = self.source.load(context)?;
        let given = self.source.policy.is_some() || self.source.builtin;
        let since = SignedDuration::try_from(self.since)
            .ok()
            .and_then(|ago| Timestamp::now().checked_sub(ago).ok())
            .ok_or_else(|| {
                Failure::new(
                    Code::UsageArguments,
                    "--since is too long ago",
                    "sgw policy replay --since 30d",
                )
            })?;
        let commands = context.interactive(async {
            let proven = self.proof.open(context).await?;
            let mut connection = proven.connect().await?;
            verdicts::of_audit(&mut connection, since).await
        })?;
        let before = match given {
            true => Some(Source::default().load(context)?.policy),
            false => None,
        };
        let today = Zoned::now().date();
        let others = verdicts::compare(&commands, before.as_ref(), &judged_by.policy, today)?;
        if commands.left_out > 0 {
            context
                .ui
                .note(&format!("{} commands were too many to be compared", commands.left_out));
        }
        let result = json!({
            "kind": "replay",
            "since": since,
            "commands": commands.len(),
            "left_out": commands.left_out,
            "newly_asked": others.newly_asked,
            "newly_allowed": others.newly_allowed,
            "newly_blocked": others.newly_blocked,
        });
        context.ui.result(&result, || {
            format!("{} different commands\n{}", commands.len(), told::all(&others))
        });
        Ok(Exit::DONE)
    }
}
