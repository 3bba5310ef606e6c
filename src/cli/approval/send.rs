//! Sends a yes, and answers what comes up on the way: a host key that the daemon does not know, and what
//! servers ask at login. Such a question may be withdrawn at any moment.

use std::io::ErrorKind;

use super::{Approval, credentials::Chosen, quoted};
use crate::{
    cli::{
        Context, Stop,
        ui::{self, prompt},
    },
    client::{Connection, Error, connection::message, operator::Proven},
    domain::{escape::exact, secret::Secret},
    protocol::{
        agent::Message,
        error::{Code, Failure},
        operator::{self, Answer, Approve, Ask, Event, Question, Reply, Request},
        view,
    },
};

/// Numbers of answers that are secrets; those of credentials begin at 1.
const ANSWERS: u32 = 1 << 16;

pub async fn approve(
    approval: Approval<'_>,
    chosen: Chosen,
    connection: &mut Connection,
) -> Result<view::Decided, Stop> {
    let Approval { context, proven, answers, question, terms, remember, lines, way, .. } = approval;
    let connects = way.is_some();
    let way = way.map(|way| operator::Way {
        route: way.resolved.route,
        credentials: chosen.credentials,
        known: way.known,
        target: way.named.map(|named| named.digest),
    });
    for agent in chosen.agents {
        connection.luggage().add(agent);
    }
    for (number, secret) in (1..).zip(&chosen.secrets) {
        connection.send_secret(0, number, secret.expose()).await?;
    }
    let request = Request::Approve(Box::new(Approve {
        id: question.request.id,
        digest: question.digest,
        terms,
        way,
        accept_host_keys: answers.accept_host_keys.clone(),
        interactive: !answers.yes && !context.ui.json && ui::can_prompt(),
        remember,
        lines,
    }));
    let number = connection.begin(&request).await?;
    drop(chosen.secrets);
    if connects {
        context.ui.note("connecting …");
    }
    loop {
        match next(context, connection, number).await? {
            Next::Decided(decided) => return Ok(decided),
            Next::Asked(question) => {
                let person = Person { context, proven: &proven };
                if let Some(decided) = person.ask(connection, number, question).await? {
                    return Ok(decided);
                }
            }
            Next::Withdrawn(_) => {}
        }
    }
}

enum Next {
    Decided(view::Decided),
    Asked(Question),
    Withdrawn(u32),
}

/// The next that matters. Cancel-safe.
async fn next(context: &Context, connection: &mut Connection, number: u32) -> Result<Next, Stop> {
    loop {
        let frame = connection.read().await?;
        if frame.request != number && frame.request != 0 {
            continue;
        }
        match serde_json::from_slice(&frame.body) {
            Ok(Event::Question(question)) => return Ok(Next::Asked(question)),
            Ok(Event::Withdrawn { question }) => return Ok(Next::Withdrawn(question)),
            Ok(_) => continue,
            Err(_) => {}
        }
        match message(&frame)? {
            Message::Done { result } => {
                let decided = serde_json::from_value(result).map_err(Error::from)?;
                return Ok(Next::Decided(decided));
            }
            Message::Error(failure) => return Err(failure.into()),
            Message::Note { text } => context.ui.note(&text),
            _ => {}
        }
    }
}

/// Whoever sits at the terminal, and has proven the passphrase.
struct Person<'a> {
    context: &'a Context,
    proven: &'a Proven,
}

enum Given {
    Yes,
    No,
    Text(Secret<String>),
}

impl Person<'_> {
    /// Asks until there is an answer, or the daemon takes the question back or needs none.
    async fn ask(
        &self,
        connection: &mut Connection,
        number: u32,
        question: Question,
    ) -> Result<Option<view::Decided>, Stop> {
        let reply = {
            let answer = self.answer(&question);
            tokio::pin!(answer);
            loop {
                tokio::select! {
                    reply = &mut answer => break reply?,
                    next = next(self.context, connection, number) => match next? {
                        Next::Withdrawn(which) if which == question.number => {
                            self.context.ui.note("the question was taken back");
                            return Ok(None);
                        }
                        Next::Withdrawn(_) => {}
                        Next::Decided(decided) => return Ok(Some(decided)),
                        Next::Asked(_) => {
                            let message = "the daemon asks two things at once";
                            let hint = "sgw daemon status";
                            return Err(Failure::new(Code::DaemonFailed, message, hint).into());
                        }
                    },
                }
            }
        };
        let reply = match reply {
            Given::Yes => Reply::Yes,
            Given::No => Reply::No,
            Given::Text(text) => {
                let secret = ANSWERS + question.number;
                connection.send_secret(0, secret, text.expose().as_bytes()).await?;
                Reply::Secret(secret)
            }
        };
        let answer = Request::Answer(Answer { question: question.number, reply });
        connection.say(number, &answer).await?;
        Ok(None)
    }

    async fn answer(&self, question: &Question) -> Result<Given, Stop> {
        let ui = self.context.ui;
        let hop = exact(question.hop.as_bytes(), 200);
        match &question.ask {
            Ask::HostKey { .. } => {
                ui.say(&host_key(&hop, &question.ask));
                loop {
                    let typed = prompt::line("Is this the right machine? (yes/no)", true).await;
                    match typed.map_err(no_answer)?.expose().trim() {
                        "yes" => return Ok(Given::Yes),
                        "no" | "n" => return Ok(Given::No),
                        _ => ui.say("Type the whole word: yes or no."),
                    }
                }
            }
            Ask::Text { text, echo } => {
                ui.say(&quoted::text(ui, &hop, text));
                self.typed(*echo).await
            }
        }
    }

    /// What goes to a server. The passphrase goes to nobody.
    async fn typed(&self, echo: bool) -> Result<Given, Stop> {
        let question = match echo {
            true => "Your answer (Ctrl-D: none):",
            false => "Your answer, not shown here (Ctrl-D: none):",
        };
        loop {
            let typed = match prompt::line(question, echo).await {
                Ok(typed) => typed,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.context.ui.say("");
                    return Ok(Given::No);
                }
                Err(error) => return Err(no_answer(error)),
            };
            if !self.proven.is_passphrase(&typed)? {
                return Ok(Given::Text(typed));
            }
            let words =
                "That is the passphrase of sgw: it was not sent. No server needs it. Once more.";
            self.context.ui.say(words);
        }
    }
}

fn no_answer(error: std::io::Error) -> Stop {
    Failure::new(Code::OperatorProof, format!("no answer: {error}"), "sgw approve ID").into()
}

fn host_key(hop: &str, ask: &Ask) -> String {
    let Ask::HostKey {
        algorithm,
        fingerprint,
        known_to_ssh,
        certificate_expected,
        other_types,
        same_key_as,
    } = ask
    else {
        return String::new();
    };
    let word = |text: &String| exact(text.as_bytes(), 120);
    let words = |texts: &[String]| texts.iter().map(word).collect::<Vec<_>>().join(", ");
    let mut text = format!("\n{hop} shows a host key that sgw does not know:\n");
    text.push_str(&format!("  {} {}", word(algorithm), word(fingerprint)));
    if *known_to_ssh {
        text.push_str("\n  known to ssh (your known_hosts has it), new to sgw");
    }
    if *certificate_expected {
        text.push_str("\n  known_hosts expects a certificate here, and this is none");
    }
    if !other_types.is_empty() {
        text.push_str(&format!("\n  known by keys of other types: {}", words(other_types)));
    }
    if !same_key_as.is_empty() {
        text.push_str(&format!("\n  the same key as {}", words(same_key_as)));
    }
    text
}
