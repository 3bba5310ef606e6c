//! `sgw demo`: the whole story, on this machine alone.

use crate::{
    cli::{
        Context, Outcome, Run, play,
        ui::{self, exit::Exit},
    },
    protocol::error::{Code, Failure},
};

/// Play the whole story on this machine: request, approval, command, record
///
/// Starts an SSH server of its own on 127.0.0.1 and works in a temporary directory; your settings are
/// not touched, and nothing is left behind. You play the person who approves.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw demo
  sgw demo --auto     # asks nothing")]
pub struct Demo {
    /// Answer the questions too: needs no keyboard
    #[arg(long)]
    auto: bool,
}

impl Run for Demo {
    fn run(self, context: &Context) -> Outcome {
        if context.place()?.service().is_some() {
            let message = "this program belongs to a service of the machine, and a demo has a daemon of its own";
            let hint = "cp $(command -v sgw) ./sgw-demo && ./sgw-demo demo";
            return Err(Failure::new(Code::ServiceUnfit, message, hint).into());
        }
        let auto = self.auto || context.ui.json || !ui::can_prompt();
        let story = context.interactive(play::play(context, auto));
        story?;
        context.ui.result(&serde_json::json!({ "demo": "done" }), String::new);
        Ok(Exit::DONE)
    }
}
