//! `sgw watch`: a session or a command, live.

use crate::{
    cli::{
        Context, Outcome, Run,
        proof::Proof,
        ui::{self, exit::Exit, terminal::Tty},
        watch::{self, End},
    },
    protocol::{
        error::{Code, Failure},
        operator::Request,
        view::Thing,
    },
};

/// Watch a session or a command live: its screen, and what its commands print
///
/// In a terminal it takes the window: the session's screen above, what commands print in a strip
/// below it, each line under its command's id; q leaves. Elsewhere, and with --plain, it prints plain
/// lines; with --json one event a line. Nothing that is typed here reaches the server. What happens
/// in private mode is not shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw watch s-4fk
  sgw watch x-9fd
  sgw watch s-4fk --plain | tee what-happened")]
pub struct Watch {
    /// What to watch: s-… or x-…
    #[arg(value_name = "ID", add = super::completions::ids("any"))]
    id: String,
    /// Plain lines also in a terminal
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Watch {
    fn run(self, context: &Context) -> Outcome {
        // A terminal that can't be drawn on gets lines.
        let lines = self.plain || context.ui.json || !ui::stdout_is_terminal();
        let tty = if lines { None } else { Tty::find("watch").ok() };
        let end = context.interactive(async {
            let mut connection = self.proof.open(context).await?.connect().await?;
            let thing: Thing = connection.call(&Request::Show { id: self.id }).await?;
            let id = match &thing {
                Thing::Session(session) => session.id.clone(),
                Thing::Exec(exec) => exec.run.id.clone(),
                _ => {
                    let message = "there is nothing to watch but a session or a command";
                    return Err(Failure::new(Code::UsageId, message, "sgw requests").into());
                }
            };
            let end = match tty {
                Some(tty) => watch::in_window(connection, tty, &thing, &id).await?,
                None => watch::as_lines(context, connection, &thing, &id).await?,
            };
            Ok((end, id))
        });
        let (end, id) = end?;
        match end {
            End::Over => context.ui.note(&format!("{id} has ended")),
            End::Left => {}
            End::Gone => return Ok(Exit::CLOSED),
        }
        Ok(Exit::DONE)
    }
}
