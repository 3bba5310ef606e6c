//! `sgw request`: asks for a session.

use std::time::Duration;

use serde_json::json;

use crate::{
    cli::{
        Context, Outcome, Run,
        context::{Asking, Patience, millis},
        follow,
        ui::exit::{self, Exit, Owner},
        values,
    },
    client::{Connection, Error, connection},
    domain::{capability::Capability, grant::Mode, id},
    protocol::{
        agent::{self, Access, Message},
        error::{Code, Failure},
        view,
    },
};

/// Ask for a session on a server, and wait for the person's decision
///
/// Prints the session's id. DEST is [USER@]HOST[:PORT] or a Host of the operator's ssh_config; several,
/// separated by commas, are asked for at once. A session's id in its place asks for more time there.
/// Asking again is asking once: where you have a session it is returned, where you have asked you join
/// that request.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw request web1 --reason 'read the nginx logs: 502s since 14:00'
  sgw request deploy@10.0.0.5:2222 --for 20m --only exec --max-commands 10 --reason 'restart the worker'
  sgw request web1,web2 --reason 'compare their configuration'
  sgw request s-4fk --for 1h --reason 'the backup takes longer'")]
pub struct Request {
    /// Where to: [USER@]HOST[:PORT][,…], or a session to prolong
    #[arg(value_name = "DEST[,DEST…]", value_delimiter = ',', required = true)]
    destination: Vec<String>,
    /// What for, in one line: the person decides by it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// A name for the session
    #[arg(long)]
    name: Option<String>,
    /// How long the session lives [default: 1h]
    #[arg(long = "for", value_name = "DUR", value_parser = values::seconds, allow_hyphen_values = true)]
    duration: Option<u64>,
    /// Capabilities: exec, pty, files:read, files:write, forward, sudo
    /// [default: exec,pty,files:read,files:write]
    #[arg(long, value_name = "CAP,…", value_delimiter = ',')]
    only: Option<Vec<Capability>>,
    /// How commands are judged: by the policy (guarded), each asked for (each), or all but what only
    /// reads asked for (read) [default: guarded]
    #[arg(long)]
    mode: Option<Mode>,
    /// How many commands at most; each input into the terminal is one [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_commands: Option<u32>,
    /// How long the request waits in the operator's queue [default: 24h]
    #[arg(long, value_name = "DUR", value_parser = values::seconds, allow_hyphen_values = true)]
    expires: Option<u64>,
    /// Another session, even where you have one
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    asking: Asking,
}

impl Run for Request {
    fn run(self, context: &Context) -> Outcome {
        let wait = self.patience.holds()?;
        let requests: Vec<agent::Request> = self
            .destination
            .iter()
            .map(|destination| Ok(agent::Request::Request(self.access(destination, wait)?)))
            .collect::<Result<_, Failure>>()?;
        let answers = context.block_on(async {
            let connection = context.agent().await?;
            ask(context, connection, &requests).await
        })?;
        match <[Answer; 1]>::try_from(answers) {
            Ok([answer]) => {
                let session = answer?;
                context.ui.result(&session, || session.id.clone());
                Ok(Exit::DONE)
            }
            Err(answers) => Ok(tell_all(context, answers)),
        }
    }
}

type Answer = Result<view::Session, Failure>;

impl Request {
    fn access(&self, destination: &str, wait: Option<Duration>) -> Result<Access, Failure> {
        let prolongs = id::prefix_kind(destination) == Some(id::Kind::Session);
        let reason = match &self.reason {
            Some(reason) => reason.clone(),
            None if prolongs => String::new(),
            None => {
                let message = "a person decides by the reason, and there is none";
                let hint = "add --reason 'what you will do there, and why'";
                return Err(Failure::new(Code::UsageReason, message, hint));
            }
        };
        let only = self.only.as_ref();
        Ok(Access {
            destination: destination.to_owned(),
            reason,
            name: self.name.clone(),
            duration_s: self.duration,
            only: only.map(|only| only.iter().map(ToString::to_string).collect()),
            mode: self.mode,
            max_commands: self.max_commands,
            new: self.new,
            expires_s: self.expires,
            wait_ms: wait.map(millis),
            no_ask: self.asking.never(),
        })
    }
}

/// All at once, over one connection; the answers in the order of the questions.
async fn ask(
    context: &Context,
    mut connection: Connection,
    requests: &[agent::Request],
) -> Result<Vec<Answer>, Error> {
    let mut numbers = Vec::new();
    for request in requests {
        numbers.push(connection.begin(request).await?);
    }
    let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
    while answers.iter().any(Option::is_none) {
        let frame = connection.read().await?;
        let message = connection::message(&frame)?;
        if let (0, Message::Error(failure)) = (frame.request, &message) {
            return Err(failure.clone().into());
        }
        let Some(at) = numbers.iter().position(|number| *number == frame.request) else { continue };
        match message {
            Message::Waiting { id, kind } => follow::waiting(context.ui, &id, kind),
            Message::Note { text } => context.ui.note(&text),
            Message::Done { result } => answers[at] = Some(Ok(serde_json::from_value(result)?)),
            Message::Error(failure) => answers[at] = Some(Err(failure)),
            Message::Started { .. } | Message::Credit { .. } => {}
        }
    }
    connection.close().await;
    Ok(answers.into_iter().flatten().collect())
}

/// Several answers: the ids of what was given, the failures of what was not, and the status of the
/// first failure.
fn tell_all(context: &Context, answers: Vec<Answer>) -> Exit {
    let (mut sessions, mut failures) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(session) => sessions.push(session),
            Err(failure) => failures.push(failure),
        }
    }
    if context.ui.json {
        context.ui.object(&json!({ "sessions": sessions, "errors": failures }));
    } else {
        sessions.iter().for_each(|session| context.ui.line(&session.id));
        failures.iter().for_each(|failure| context.ui.failure_text(failure));
    }
    failures.first().map_or(Exit::DONE, |first| exit::of(first.code.class(), Owner::Sgw))
}
