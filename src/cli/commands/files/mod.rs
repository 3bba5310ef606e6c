//! `sgw files`: what people do with files on a server.

mod change;
mod content;
mod look;
mod transfer;

use std::{ffi::OsString, io};

use serde_json::{Value, json};

pub use transfer::cp::Cp;

use crate::{
    cli::{
        Context, Outcome, Run, Stop,
        context::{Asking, Patience, millis},
        follow,
        kept::{Keeper, Kept},
        ui::exit::Exit,
        values,
    },
    client::{
        Error,
        stream::{self, Cut, Ended, Feed, Sink, Streams},
    },
    domain::{
        escape,
        files::{Operation, REDACTED, Way},
        id::{Id, Kind},
    },
    protocol::{
        agent,
        error::{Code, Failure},
        files::{self, Done},
    },
};

/// Look at and change files on a server
///
/// Over SFTP, in a session that was given files:read or files:write. A relative PATH hangs on the account's
/// home. With --via exec it goes through the account's shell where a server has no SFTP: by words of sgw's own, judged
/// as over SFTP; with --sudo as root. What the policy asks about, the operator is asked about, with the content; `sgw wait r-…` finishes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files ls s-4fk /var/log
  sgw files read s-4fk /etc/nginx/nginx.conf
  sgw files write s-4fk /srv/app/.env < .env
  sgw files edit s-4fk /etc/nginx/nginx.conf --old 'listen 80;' --new 'listen 8080;'")]
pub struct Files {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Ls(look::Ls),
    Stat(look::Stat),
    Read(content::Read),
    Tail(content::Tail),
    Write(change::Write),
    Edit(change::Edit),
    Mkdir(change::Mkdir),
    Mv(change::Mv),
    Rm(change::Rm),
    Chmod(change::Chmod),
    Ln(change::Ln),
    Sum(look::Sum),
    Df(look::Df),
    Get(transfer::Get),
    Put(transfer::Put),
}

impl Run for Files {
    fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Ls(ls) => ls.run(context),
            What::Stat(stat) => stat.run(context),
            What::Read(read) => read.run(context),
            What::Tail(tail) => tail.run(context),
            What::Write(write) => write.run(context),
            What::Edit(edit) => edit.run(context),
            What::Mkdir(mkdir) => mkdir.run(context),
            What::Mv(mv) => mv.run(context),
            What::Rm(rm) => rm.run(context),
            What::Chmod(chmod) => chmod.run(context),
            What::Ln(ln) => ln.run(context),
            What::Sum(sum) => sum.run(context),
            What::Df(df) => df.run(context),
            What::Get(get) => get.run(context),
            What::Put(put) => put.run(context),
        }
    }
}

// Where, and how long this call stays.
#[derive(Clone, Debug, clap::Args)]
struct There {
    /// A session's id or name, or its target
    #[arg(value_name = "SESSION", add = super::completions::ids("sessions"))]
    session: String,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    by: By,
    /// Nothing is done: see [`files::Files::only_judged`].
    #[arg(skip)]
    only_judged: bool,
}

impl There {
    fn of(session: String, patience: Patience, asking: Asking, by: By) -> Self {
        Self { session, patience, asking, by, only_judged: false }
    }

    /// The session by its id in a hint, where that is known or what it was called by: an id is sgw's own word,
    /// as a name or a path is not.
    fn named(&self, failure: Failure) -> Failure {
        let is_id = |id: &&str| id.parse::<Id>().is_ok_and(|id| id.kind() == Kind::Session);
        let known = failure.id.as_deref().filter(is_id).or(Some(&*self.session).filter(is_id));
        match known {
            Some(id) => Failure { hint: failure.hint.replace("SESSION", id), ..failure },
            None => failure,
        }
    }

    fn stopped(&self, stop: Stop) -> Stop {
        match stop {
            Stop::Failure(failure) => Stop::Failure(self.named(failure)),
            other => other,
        }
    }

    /// The same, where no person is to be asked.
    fn without_asking(&self) -> Self {
        Self { asking: Asking { no_ask: true }, ..self.clone() }
    }

    /// The same, where it is only to be found out whether a person would be asked.
    fn only_judged(&self) -> Self {
        Self { only_judged: true, ..self.without_asking() }
    }
}

// By what means, and as whom.
#[derive(Clone, Copy, Debug, clap::Args)]
struct By {
    /// How the server is reached: exec where it offers no SFTP
    #[arg(long, value_name = "WAY", value_enum, default_value_t = Via::Sftp)]
    via: Via,
    /// As root, where the session has sudo and sudo there wants no password
    #[arg(long)]
    sudo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Via {
    Sftp,
    /// A program of sgw's own, read by the account's sh: slower, and a put that was cut off begins anew
    Exec,
}

impl By {
    fn way(self) -> Way {
        match (self.sudo, self.via) {
            (true, _) => Way::Sudo,
            (false, Via::Exec) => Way::Exec,
            (false, Via::Sftp) => Way::Sftp,
        }
    }

    /// Whether what is cut off can go on later.
    fn leaves_parts(self) -> bool {
        self.way() == Way::Sftp
    }
}

/// A call as it ended.
struct Told {
    done: Done,
    /// Nobody read our output to its end.
    cut: Option<Cut>,
}

/// One operation: what it reads goes to `out`.
async fn call(
    context: &Context,
    there: &There,
    operation: Operation,
    out: Sink,
    feed: Feed,
) -> Result<Told, Stop> {
    let request = agent::Request::Files(files::Files {
        session: there.session.clone(),
        operation,
        way: there.by.way(),
        wait_ms: there.patience.holds()?.map(millis),
        no_ask: there.asking.never(),
        only_judged: there.only_judged,
    });
    let streams =
        Streams { stdout: out, stderr: Box::new(io::sink()), stdin: feed, leave_at: None };
    let connection = context.agent().await?;
    let ui = context.ui;
    let tell = &mut |told| follow::tell(ui, told);
    let Ended { result, cut, .. } = stream::run(connection, &request, streams, tell).await?;
    match result {
        Some(Ok(_)) | None if cut == Some(Cut::Interrupted) => Err(Stop::Exit(Exit::INTERRUPTED)),
        Some(Ok(value)) => {
            let done = serde_json::from_value(value).map_err(Error::from)?;
            Ok(Told { done, cut })
        }
        Some(Err(failure)) => Err(there.named(failure).into()),
        None => Err(Error::Lost.into()),
    }
}

/// One operation that gives nothing but its end.
async fn end(context: &Context, there: &There, operation: Operation) -> Result<Done, Stop> {
    let told = call(context, there, operation, Box::new(io::sink()), Feed::Nothing).await?;
    Ok(told.done)
}

/// One operation with what it gave, `most` bytes of it.
async fn captured(
    context: &Context,
    there: &There,
    operation: Operation,
    most: usize,
) -> Result<(Done, Vec<u8>, u64), Stop> {
    let keeper = Keeper::new(Kept::new(most, 0));
    let told = call(context, there, operation, Box::new(keeper.clone()), Feed::Nothing).await?;
    let (bytes, cut) = keeper.with(|kept| (kept.joined(|_| String::new()), kept.cut()));
    Ok((told.done, bytes, cut))
}

/// The same for each of several paths, in their order. What fails at one path alone stops no other.
fn each(
    context: &Context,
    there: &There,
    paths: Vec<OsString>,
    operation: impl Fn(OsString) -> Operation,
    text: impl Fn(&Done) -> String,
) -> Outcome {
    let all = paths.len();
    let is_pattern =
        |path: &OsString| path.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte));
    let (mut results, mut failed) = (Vec::new(), None);
    context.interactive(async {
        for path in paths {
            let pattern = is_pattern(&path);
            let ended = end(context, there, operation(path)).await;
            match ended.map_err(|stop| if pattern { no_pattern(there, stop) } else { stop }) {
                Ok(done) => {
                    let text = text(&done);
                    if !context.ui.json && !text.is_empty() {
                        context.ui.line(&text);
                    }
                    results.push(json!(done));
                }
                Err(Stop::Failure(failure)) if all > 1 && failure.code.is_of_files() => {
                    if !context.ui.json {
                        context.ui.failure(&failure);
                    }
                    results.push(json!({ "error": failure }));
                    failed.get_or_insert(failure);
                }
                Err(stop) => {
                    if all > 1 {
                        context.ui.note(&format!("{} of {all} were done before", results.len()));
                    }
                    return Err(stop);
                }
            }
        }
        Ok(())
    })?;
    if context.ui.json {
        match (results.as_slice(), &failed) {
            ([one], _) => context.ui.object(one),
            (several, None) => context.ui.object(&json!({ "results": several })),
            (several, Some(first)) => {
                context.ui.object(&json!({ "results": several, "error": first }));
            }
        }
    }
    Ok(if failed.is_some() { Exit::FAILED } else { Exit::DONE })
}

/// A name that looks like a pattern, and is none here.
fn no_pattern(there: &There, stop: Stop) -> Stop {
    match stop {
        Stop::Failure(failure) if failure.code == Code::FilesNotFound => {
            let message =
                format!("{}; names are taken as they are, with `*`, `?` and `[`", failure.message);
            let hint = "sgw files ls SESSION 'PATTERN' tells what fits it: name that".to_owned();
            Stop::Failure(there.named(Failure { message, hint, ..failure }))
        }
        other => other,
    }
}

/// Mostly it is the directory that is missing.
fn name_directory(stop: Stop, flag: &str) -> Stop {
    match stop {
        Stop::Failure(failure)
            if failure.code == Code::FilesNotFound && !failure.hint.contains(flag) =>
        {
            let hint = format!("its directory is missing, perhaps: {flag} makes it");
            Stop::Failure(Failure { hint, ..failure })
        }
        other => other,
    }
}

fn odd() -> Failure {
    super::wait::odd()
}

/// A path as people read it: one line, nothing hidden.
fn shown(path: &crate::domain::bytes::Bytes) -> String {
    escape::visible_bytes(path.as_slice(), usize::MAX)
}

/// The end of an operation that `sgw wait` finished; `None` where it is none.
pub fn done(value: &Value) -> Option<Done> {
    serde_json::from_value(value.clone()).ok()
}

/// What is said of an end, beside what it gave.
pub fn said(done: &Done) -> String {
    match done {
        Done::Listing { .. } | Done::Content { .. } => String::new(),
        Done::File(entry) => look::long(entry),
        Done::Sum { path, sha256, .. } => format!("{sha256}  {}", shown(path)),
        Done::Space { .. } => look::space(done),
        Done::Written { .. } => change::written(done),
        Done::Changed { .. } | Done::Transferred { .. } => String::new(),
    }
}

/// An octal mode, as chmod(1) takes it.
fn mode(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is no mode like 644 or 0755");
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(mode),
        _ => Err(wrong()),
    }
}

/// What stands for a secret can't be meant to be written.
fn check_unredacted(content: &[u8]) -> Result<(), Failure> {
    let mark = REDACTED.as_bytes();
    match content.windows(mark.len()).any(|part| part == mark) {
        false => Ok(()),
        true => Err(Failure::new(
            Code::FilesRedacted,
            "what is to be written holds a mark that stands for a secret",
            "change the lines around it alone: sgw files edit SESSION PATH --old TEXT --new TEXT",
        )
        .sent(false)),
    }
}

fn path(path: OsString) -> crate::domain::bytes::Bytes {
    values::bytes(path)
}
