//! One approval, from what is shown to what is sent: bound to the digest of what was shown, to the
//! route that it leads over, and to the credentials chosen for each machine on it.

mod change;
mod credentials;
pub mod key_file;
pub mod named;
mod plan;
mod quoted;
mod send;
mod shown;

use std::{path::PathBuf, rc::Rc};

use self::credentials::Chosen;
#[cfg(test)]
pub use self::plan::rows as plan_rows;
pub use self::shown::{Extent, Row, folded};
use super::{
    Context, Stop,
    resolve::{
        account::Account,
        known_hosts,
        route::{self, Resolved},
        ssh_config::{ConfigError, Resolver, Sources},
    },
    views,
};
use crate::{
    client::{Connection, operator::Proven},
    domain::{
        capability::{Capabilities, Capability},
        escape::visible,
        grant::{Mode, Opaque, Terms},
        known_hosts::Known,
        plan::numbers as line_numbers,
        target::Destination,
    },
    protocol::{
        error::{Code, Failure},
        operator::{Remember, Request, target},
        view,
    },
};

/// What flags have answered in advance.
#[derive(Debug, Default)]
pub struct Answers {
    /// They are for one request: what says nothing of its kind is refused.
    pub for_one: bool,
    pub yes: bool,
    pub identities: Vec<PathBuf>,
    pub identity_passphrase: Option<PathBuf>,
    pub password: Option<PathBuf>,
    pub use_agent: bool,
    pub ssh_config: Option<PathBuf>,
    pub accept_host_keys: Vec<String>,
    pub duration_s: Option<u64>,
    pub only: Option<Capabilities>,
    pub mode: Option<Mode>,
    pub opaque: Option<Opaque>,
    pub max_commands: Option<u32>,
    /// For a command: what of it passes from now on.
    pub remember: Option<Remember>,
    /// For a plan: which lines pass, as a person names them.
    pub lines: Option<String>,
}

/// A request that was shown, and is claimed by this connection.
pub struct Approval<'a> {
    context: &'a Context,
    proven: Rc<Proven>,
    answers: &'a Answers,
    question: view::Question,
    /// What is given; `None` for kinds that have no terms.
    terms: Option<Terms>,
    /// What of a command passes from now on.
    remember: Option<Remember>,
    /// Of a plan: which lines pass; `None` for all of them.
    lines: Option<Vec<u32>>,
    /// Where it leads; `None` for a command, or more time.
    way: Option<Way>,
    /// A service's operator is asked by a program of their own uid.
    own_uid: bool,
}

struct Way {
    resolved: Resolved,
    /// For each hop: what known_hosts files say.
    known: Vec<Vec<Known>>,
    /// Where it leads to a named target: as the vault has it.
    named: Option<target::Way>,
}

impl<'a> Approval<'a> {
    /// Claims a request, works out where it leads, and shows it all.
    pub async fn look(
        context: &'a Context,
        proven: &Rc<Proven>,
        connection: &mut Connection,
        id: &str,
        answers: &'a Answers,
    ) -> Result<Self, Stop> {
        claim(connection, id).await?;
        let ask = Request::Question { id: id.to_owned() };
        let question: view::Question = connection.call(&ask).await?;
        if question.request.kind == view::Kind::Handoff {
            return Err(to_the_keyboard(&question.request).into());
        }
        let approval = Self::of(context, proven, question, answers).await?;
        if !context.ui.json {
            context.ui.say(&approval.text());
        }
        Ok(approval)
    }

    /// Works out where a request leads; nothing is claimed or shown.
    pub async fn of(
        context: &'a Context,
        proven: &Rc<Proven>,
        question: view::Question,
        answers: &'a Answers,
    ) -> Result<Self, Stop> {
        if answers.for_one {
            fit(&question, answers)?;
        }
        let terms = match &question.terms {
            Some(asked) => {
                let mut given = narrowed(asked, answers)?;
                if let Some(named) = &question.named {
                    narrowed_by(named, &mut given);
                }
                Some(given)
            }
            None => None,
        };
        let way = match question.request.kind {
            view::Kind::Access if question.prolongs.is_none() => {
                Some(find_way(&question, answers).await?)
            }
            view::Kind::Login => Some(known_way(&question, answers).await?),
            _ => None,
        };
        let lines = match (&answers.lines, question.request.kind) {
            (Some(named), view::Kind::Plan) => Some(numbers(&question.request, named)?),
            (Some(_), _) => return Err(not_a_plan(&question.request).into()),
            (None, _) => None,
        };
        let (proven, remember) = (proven.clone(), answers.remember);
        let service = context.place()?.service().map(|service| service.who.operator);
        let own_uid = service.is_some() && service == question.uid;
        Ok(Self { context, proven, answers, question, terms, remember, lines, way, own_uid })
    }

    pub fn rows(&self, extent: Extent) -> Vec<Row> {
        shown::rows(self, extent)
    }

    /// A yes that holds beyond this once.
    ///
    /// # Errors
    /// It can be for this once only.
    pub fn remember(&mut self, remember: Remember) -> Result<(), Failure> {
        check_lasting(&self.question)?;
        self.remember = Some(remember);
        Ok(())
    }

    /// Whether lines of a plan are to be chosen yet.
    pub fn has_a_choice(&self) -> bool {
        self.question.request.kind == view::Kind::Plan && self.lines.is_none()
    }

    /// Of a plan only these lines pass, as a person names them (`1,3-5`); all of them by `all`.
    ///
    /// # Errors
    /// What in it is no number of a line.
    pub fn choose(&mut self, named: &str) -> Result<(), Failure> {
        if self.question.request.kind != view::Kind::Plan {
            return Err(not_a_plan(&self.question.request));
        }
        self.lines = match named.trim() {
            "all" => None,
            named => Some(numbers(&self.question.request, named)?),
        };
        Ok(())
    }

    pub fn text(&self) -> String {
        shown::text(self.context.ui, self)
    }

    /// Chooses how to log in, and says yes.
    pub async fn give(self, connection: &mut Connection) -> Result<view::Decided, Stop> {
        let id = self.question.request.id.clone();
        self.decide(connection).await.map_err(|stop| still(stop, &id))
    }

    async fn decide(self, connection: &mut Connection) -> Result<view::Decided, Stop> {
        let chosen = match &self.way {
            Some(way) => credentials::choose(&self, way).await?,
            None => Chosen::default(),
        };
        send::approve(self, chosen, connection).await
    }
}

/// What goes wrong on the way leaves the request open: the next line to type names it.
fn still(stop: Stop, id: &str) -> Stop {
    match stop {
        Stop::Failure(failure) => {
            let hint = failure.hint.replace("sgw approve ID", &format!("sgw approve {id}"));
            Stop::Failure(Failure { hint, ..failure })
        }
        other => other,
    }
}

/// The lines of a plan that a person names.
fn numbers(request: &view::Request, named: &str) -> Result<Vec<u32>, Failure> {
    let known: Vec<u32> = request.lines.iter().map(|line| line.number).collect();
    line_numbers(named, &known).map_err(|why| {
        let hint = format!("sgw approve {} --lines 1,3-5; to refuse all: sgw deny {0}", request.id);
        Failure::new(Code::UsageArguments, why, hint).about(&request.id)
    })
}

fn not_a_plan(request: &view::Request) -> Failure {
    let message = format!("{} is no plan: it has no lines", request.id);
    let hint = format!("sgw approve {}", request.id);
    Failure::new(Code::UsageArguments, message, hint).about(&request.id)
}

/// Refuses flags that say nothing of this kind of request: nobody shall believe that they held.
fn fit(question: &view::Question, answers: &Answers) -> Result<(), Failure> {
    use view::Kind::{Access, Login};
    let (id, kind) = (&question.request.id, question.request.kind);
    let refuse = |message: String| {
        Err(Failure::new(Code::UsageArguments, message, format!("sgw approve {id}")).about(id))
    };
    let opens = kind == Access && question.prolongs.is_none();
    let terms: [(&str, bool); 5] = [
        ("--for", answers.duration_s.is_some()),
        ("--only", answers.only.is_some()),
        ("--mode", answers.mode.is_some()),
        ("--opaque", answers.opaque.is_some()),
        ("--max-commands", answers.max_commands.is_some()),
    ];
    let logs_in: [(&str, bool); 5] = [
        ("--identity", !answers.identities.is_empty()),
        ("--identity-passphrase-file", answers.identity_passphrase.is_some()),
        ("--password-file", answers.password.is_some()),
        ("--use-agent", answers.use_agent),
        ("--accept-host-key", !answers.accept_host_keys.is_empty()),
    ];
    let given = |flags: &[(&'static str, bool)]| {
        flags.iter().find(|(_, given)| *given).map(|(name, _)| *name)
    };
    if let Some(flag) = given(&terms).filter(|_| question.terms.is_none()) {
        return refuse(format!("{flag} is for access: {id} is a {}", views::kind(kind)));
    }
    if let Some(flag) = given(&logs_in).filter(|_| !opens && kind != Login) {
        return refuse(format!("{flag} is for logging in, and {id} needs none"));
    }
    match answers.remember {
        Some(_) => check_lasting(question),
        None => Ok(()),
    }
}

fn check_lasting(question: &view::Question) -> Result<(), Failure> {
    let Some(why) = &question.only_once else { return Ok(()) };
    let id = &question.request.id;
    let message = format!("a yes to {id} can be for this once only: {}", visible(why, 200));
    Err(Failure::new(Code::UsageArguments, message, format!("sgw approve {id}")).about(id))
}

/// A handoff asks for hands, not for a yes.
fn to_the_keyboard(request: &view::Request) -> Failure {
    let message = format!("{} asks you to the keyboard; a yes alone does nothing", request.id);
    let hint = format!("sgw attach {}", request.session.as_deref().unwrap_or("SESSION"));
    Failure::new(Code::UsageArguments, message, hint).about(&request.id)
}

/// Takes the decision: no other connection may decide while this one lives.
pub async fn claim(connection: &mut Connection, id: &str) -> Result<(), Stop> {
    let claim = Request::Claim { id: id.to_owned() };
    let _claimed: serde_json::Value = connection.call(&claim).await?;
    Ok(())
}

/// What the flags leave of what was asked; more than that can't be given.
fn narrowed(asked: &Terms, answers: &Answers) -> Result<Terms, Failure> {
    let given = Terms {
        capabilities: answers.only.clone().unwrap_or_else(|| asked.capabilities.clone()),
        mode: answers.mode.unwrap_or(asked.mode),
        duration_s: answers.duration_s.unwrap_or(asked.duration_s),
        max_commands: answers.max_commands.or(asked.max_commands),
        opaque: answers.opaque.unwrap_or(asked.opaque),
    };
    if given.within(asked) {
        return Ok(given);
    }
    let message = "an approval gives what was asked, or less";
    Err(Failure::new(
        Code::UsageArguments,
        message,
        "leave out --for, --only, --mode, --max-commands",
    ))
}

/// What the target itself gives at most.
fn narrowed_by(named: &target::Way, given: &mut Terms) {
    if !named.pty {
        given.capabilities.remove(&Capability::Pty);
    }
    let least = named.hops.last().and_then(|hop| hop.target.guard.mode);
    given.mode = given.mode.at_least(least);
}

fn named_way(request: &view::Request, named: &target::Way) -> Result<Way, Failure> {
    named::way(named.clone()).map_err(|error| {
        let hint = format!("sgw target show {}", request.target);
        Failure::new(Code::TargetWay, error.to_string(), hint)
    })
}

async fn find_way(question: &view::Question, answers: &Answers) -> Result<Way, Failure> {
    let request = &question.request;
    if let Some(named) = &question.named {
        return named_way(request, named);
    }
    let asked =
        Destination { user: request.user.clone(), host: request.host.clone(), port: request.port };
    let resolved = route::resolve(&resolver(answers)?, &asked).await;
    Ok(looked_up(resolved.map_err(|error| unresolved(&error))?))
}

/// The way of a session that is there: ssh_config only says what could log in at each machine.
async fn known_way(question: &view::Question, answers: &Answers) -> Result<Way, Failure> {
    if let Some(named) = &question.named {
        return named_way(&question.request, named);
    }
    let hops = question.place.iter().map(|place| place.hop.clone()).collect();
    let asked = question.request.target.parse::<Destination>().ok();
    let resolved = route::known(&resolver(answers)?, asked.as_ref(), hops).await;
    Ok(looked_up(resolved.map_err(|error| unresolved(&error))?))
}

fn resolver(answers: &Answers) -> Result<Resolver, Failure> {
    let sources = answers.ssh_config.clone().map_or(Sources::Usual, Sources::File);
    Resolver::new(sources, Account::current()).map_err(|error| unresolved(&error))
}

/// With what known_hosts files say.
fn looked_up(mut resolved: Resolved) -> Way {
    let mut known = Vec::new();
    for hop in &resolved.hops {
        let read = known_hosts::read(hop);
        resolved.notes.extend(read.notes);
        known.push(read.found.entries);
    }
    Way { resolved, known, named: None }
}

fn unresolved(error: &ConfigError) -> Failure {
    let hint = "change that line of ssh_config, or have the agent ask for USER@HOST:PORT itself";
    Failure::new(Code::TargetConfig, error.to_string(), hint)
}
