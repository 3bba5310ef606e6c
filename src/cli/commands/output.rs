//! `sgw output`: what a command or a terminal printed.

use std::cell::Cell;

use futures::future::join_all;
use serde_json::Value;

use crate::{
    cli::{
        Context, Outcome, Run, follow, pages,
        ui::{Stream, exit::Exit},
    },
    client::{
        Error,
        stream::{self, Streams},
    },
    protocol::{
        agent,
        error::{Code, Failure},
        view,
    },
};

/// Show what a command or a session's terminal printed
///
/// Of a command also while it runs, and for a day afterwards. Lines, without escape sequences. --new goes on from your last read, --since from a cursor that an
/// earlier answer gave (--json): every line comes exactly once. Of a very long output the first and the
/// last 5 MB are kept, of a session's terminal the last 768 KiB, and what is missing is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw output x-9fd --tail 50
  sgw output x-9fd --new
  sgw output x-9fd --grep 'error|warn'
  sgw output x-9fd --raw > core.bin
  sgw output s-4fk --new
  sgw output x-9fd x-2km --follow
  sgw output s-4fk --screen")]
pub struct Output {
    /// What printed it: x-…, or a session for its terminal; several each come under their name, with --json
    /// as a line each
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
    /// Go on until all have ended, or Ctrl-C; with --limit until so many lines have come
    #[arg(long)]
    follow: bool,
}

impl Run for Output {
    fn run(self, context: &Context) -> Outcome {
        self.check()?;
        let headers = self.ids.len() > 1;
        let (following, tail) = (self.follow, self.tail.is_some());
        let shown = Shown { context, headers, following, tail, last: Cell::new(None) };
        let mut failed = None;
        // Several can be followed at once; what is there already is shown one after the other.
        let together = if self.follow { self.ids.len() } else { 1 };
        for ids in self.ids.chunks(together) {
            let all = ids.iter().map(|id| async {
                let shown = &shown;
                match self.raw {
                    true => self.raw(context, id.clone()).await,
                    false => self.lines(shown, id.clone()).await,
                }
            });
            for ended in context.block_on(async { Ok(join_all(all).await) })? {
                let Err(error) = ended else { continue };
                // Told when the others are done.
                if let Some(earlier) = failed.replace(Failure::from(error)) {
                    context.ui.failure(&earlier);
                }
            }
        }
        failed.map_or(Ok(Exit::DONE), |failure| Err(failure.into()))
    }
}

impl Output {
    /// What clap can't say: a cursor, and bytes as they come, are of one output.
    fn check(&self) -> Result<(), Failure> {
        let several = self.ids.len() > 1;
        let wrong = match (several, self.since, self.raw && self.follow) {
            (true, Some(_), _) => "a cursor is of one output, and several were named",
            (true, None, true) => "the bytes of several outputs can't be followed at once",
            _ => return Ok(()),
        };
        Err(Failure::new(Code::UsageArguments, wrong, "name one ID, or leave the flag out"))
    }

    fn request(&self, id: String, since: Option<u64>) -> agent::Output {
        agent::Output {
            id,
            since,
            new: self.new,
            limit: self.limit,
            tail: self.tail,
            grep: self.grep.clone(),
            raw: self.raw,
            screen: self.screen,
            follow: self.follow,
        }
    }

    /// All there is, or with `--follow` page after page until the end.
    async fn lines(&self, shown: &Shown<'_>, id: String) -> Result<(), Error> {
        let mut connection = shown.context.agent().await?;
        let mut request = self.request(id, self.since);
        if !self.follow {
            let first = connection.call(&agent::Request::Output(request.clone())).await?;
            let limit = self.limit;
            if shown.context.ui.json {
                shown.page(&pages::all(&mut connection, request, first, None).await?);
            } else {
                let mut show = |page: &view::Output| shown.page(page);
                let last = pages::all(&mut connection, request, first, Some(&mut show)).await?;
                if limit.is_none() {
                    more(shown.context, &last);
                }
            }
            connection.close().await;
            return Ok(());
        }
        loop {
            let mut page: view::Output =
                connection.call(&agent::Request::Output(request.clone())).await?;
            // It comes again when it is whole; one that says so with JSON leaves that to the reader.
            let unfinished = page.partial && !shown.context.ui.json;
            if unfinished {
                page.lines.pop();
            }
            shown.page(&page);
            let over = page.status == view::OutputStatus::Ended && page.lines.is_empty();
            let whole = page.lines.len() - usize::from(page.partial && !unfinished);
            let left = request.limit.map(|limit| limit.saturating_sub(whole as u64));
            if over && !page.more || left == Some(0) {
                connection.close().await;
                return Ok(());
            }
            // The tail was of the first page alone.
            request =
                agent::Output { since: Some(page.cursor), tail: None, limit: left, ..request };
        }
    }

    async fn raw(&self, context: &Context, id: String) -> Result<(), Error> {
        let connection = context.agent().await?;
        let request = agent::Request::Output(self.request(id, self.since));
        let streams = Streams {
            stdout: Box::new(Stream::Stdout.open().map_err(Error::local("open our own output"))?),
            stderr: Box::new(Stream::Stderr.open().map_err(Error::local("open our own output"))?),
            stdin: stream::Feed::Nothing,
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

/// The pages of one or several outputs, on one stdout.
struct Shown<'a> {
    context: &'a Context,
    /// Each begins under its name where another's came before, as `tail` does it.
    headers: bool,
    /// Then a page may be empty, and is not worth a name.
    following: bool,
    tail: bool,
    last: Cell<Option<String>>,
}

impl Shown<'_> {
    fn page(&self, page: &view::Output) {
        let ui = self.context.ui;
        if ui.json {
            return ui.object(page);
        }
        if self.headers && (!page.lines.is_empty() || !self.following) {
            self.header(&page.id);
        }
        // A tail is not all there is, by nature.
        if !self.tail {
            missed(self.context, page.missed);
        }
        page.lines.iter().for_each(|line| ui.line(line));
    }

    fn header(&self, id: &str) {
        let last = self.last.take();
        if last.as_deref() != Some(id) {
            let space = if last.is_some() { "\n" } else { "" };
            self.context.ui.line(&format!("{space}==> {id} <=="));
        }
        self.last.set(Some(id.to_owned()));
    }
}

/// Where a bound was reached.
pub fn more(context: &Context, page: &view::Output) {
    if page.more {
        context.ui.note(&format!("there is more: sgw output {} --since {}", page.id, page.cursor));
    }
}

pub fn missed(context: &Context, bytes: u64) {
    if bytes > 0 {
        context.ui.note(&format!("{bytes} bytes before this are no longer kept"));
    }
}
