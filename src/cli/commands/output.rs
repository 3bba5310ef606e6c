//! `sgw output`: what a command or a terminal printed.

use serde_json::Value;

use crate::{
    cli::{
        Context, Outcome, Run, follow,
        ui::{Stream, exit::Exit},
    },
    client::{
        Error,
        stream::{self, Streams},
    },
    protocol::{agent, view},
};

/// Show what a command or a session's terminal printed
///
/// Of a command also while it runs, and for a day afterwards. Lines, without escape sequences. --new goes on from your last read, --since from a cursor that an
/// earlier answer gave (--json): every line comes exactly once. Of a very long output the first and the
/// last 5 MB are kept, and what is missing is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw output x-9fd --tail 50
  sgw output x-9fd --new
  sgw output x-9fd --grep 'error|warn'
  sgw output x-9fd --raw > core.bin
  sgw output s-4fk --new
  sgw output s-4fk --screen")]
pub struct Output {
    /// What printed it: x-…, or a session for its terminal
    #[arg(value_name = "ID", required = true, add = super::completions::ids("any"))]
    ids: Vec<String>,
    /// Only what came since your last read
    #[arg(long, conflicts_with = "since")]
    new: bool,
    /// Only what came after this cursor
    #[arg(long, value_name = "CURSOR")]
    since: Option<u64>,
    /// At most the first so many lines
    #[arg(long, value_name = "LINES", conflicts_with = "tail")]
    limit: Option<u64>,
    /// At most the last so many lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
    /// Only lines in which this regular expression is found
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// The bytes as they came, not lines
    #[arg(long, conflicts_with_all = ["limit", "tail", "grep"])]
    raw: bool,
    /// The terminal as a person sees it now
    #[arg(long, conflicts_with_all = ["limit", "tail", "grep", "raw", "follow", "new", "since"])]
    screen: bool,
    /// Go on until the command ends
    #[arg(long)]
    follow: bool,
}

impl Run for Output {
    fn run(self, context: &Context) -> Outcome {
        let ids = self.ids.clone();
        for id in ids {
            context.block_on(async {
                if self.raw { self.raw(context, id).await } else { self.lines(context, id).await }
            })?;
        }
        Ok(Exit::DONE)
    }
}

impl Output {
    fn request(&self, id: String, since: Option<u64>) -> agent::Output {
        agent::Output {
            id,
            since,
            new: self.new && since.is_none(),
            limit: self.limit,
            tail: self.tail,
            grep: self.grep.clone(),
            raw: self.raw,
            screen: self.screen,
            follow: self.follow,
        }
    }

    /// One page, or with `--follow` page after page until the end.
    async fn lines(&self, context: &Context, id: String) -> Result<(), Error> {
        let mut connection = context.agent().await?;
        let mut request = self.request(id, self.since);
        loop {
            let page: view::Output =
                connection.call(&agent::Request::Output(request.clone())).await?;
            show(context, &page);
            let over = page.status == view::OutputStatus::Ended && page.lines.is_empty();
            if !self.follow || over {
                connection.close().await;
                return Ok(());
            }
            // The tail was of the first page alone.
            request = agent::Output { since: Some(page.cursor), new: false, tail: None, ..request };
        }
    }

    async fn raw(&self, context: &Context, id: String) -> Result<(), Error> {
        let connection = context.agent().await?;
        let request = agent::Request::Output(self.request(id, self.since));
        let streams = Streams {
            stdout: Box::new(Stream::Stdout.open().map_err(Error::local("open our own output"))?),
            stderr: Box::new(Stream::Stderr.open().map_err(Error::local("open our own output"))?),
            stdin: false,
            leave_at: None,
        };
        let ui = context.ui;
        let ended =
            stream::run(connection, &request, streams, &mut |told| follow::tell(ui, told)).await?;
        match ended.result {
            Some(Err(failure)) => Err(failure.into()),
            Some(Ok(page)) => {
                missed(context, page.get("missed").and_then(Value::as_u64).unwrap_or(0));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn show(context: &Context, page: &view::Output) {
    if context.ui.json {
        return context.ui.object(page);
    }
    missed(context, page.missed);
    page.lines.iter().for_each(|line| context.ui.line(line));
}

pub fn missed(context: &Context, bytes: u64) {
    if bytes > 0 {
        context.ui.note(&format!("{bytes} bytes before this are no longer kept"));
    }
}
