//! `sgw policy edit` and `accept`: another policy comes into force. What is sealed is the text whose
//! difference was shown, read once.

use std::{path::PathBuf, sync::Arc, thread};

use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::json;

use super::{
    editor::Copy,
    invalid, told,
    verdicts::{self, Others},
};
use crate::{
    cli::{
        Context, Outcome, Stop,
        proof::Proof,
        ui::{self, exit::Exit, prompt},
    },
    client::{Connection, operator::Proven},
    domain::{
        digest::Digest,
        escape::visible,
        guard::{
            Policy, own,
            policy::{changes, check},
        },
    },
    home::{Home, HomeError, POLICY},
    protocol::{
        error::{Code, Failure},
        operator::{
            Request,
            policy::{InForce, Request as Ask},
        },
    },
};

/// Commands of so many days are judged by both.
const DAYS: i64 = 7;
/// As much stack as the judge's thread has: examples are lines like others.
const STACK_BYTES: usize = 16 << 20;
/// Columns of an example that its rule does not bear out.
const SHOWN: usize = 200;
const NEW: &str = "\
# Yours, laid over the policy that sgw comes with (sgw policy show --builtin): only what differs.
# Nothing here holds until you accept it. The format: docs/policy.md.
version = 1
";

/// Edit your policy and put it into force
///
/// Your editor ($VISUAL, $EDITOR, vi) opens a copy of policy.toml. What differs from what is in force is
/// shown: part by part, line by line, and in what is said of the commands of the last 7 days. Only your
/// yes seals it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy edit
  EDITOR='nano -w' sgw policy edit")]
pub struct Edit {
    /// Don't ask: what is shown comes into force
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    proof: Proof,
}

/// Put a file into force as your policy
///
/// What differs from what is in force is shown first, as `sgw policy edit` shows it. What is sealed is
/// what was shown: a file that changes meanwhile changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy accept
  sgw policy accept ./team.toml
  sgw policy accept --yes --json --passphrase-file ~/.sgw-passphrase")]
pub struct Accept {
    /// The file [default: policy.toml in sgw's home; a service has none]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Don't ask: what is shown comes into force
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    proof: Proof,
}

/// A text that may come into force.
struct Draft {
    text: String,
    /// The digest of the policy.toml that follows it; none: where there is none.
    follows: Option<Digest>,
}

/// policy.toml in the home, as text where it is one. A service has none: its home is closed to its operator.
fn proposed(context: &Context) -> Result<Option<String>, Failure> {
    let place = context.place()?;
    if place.service().is_some() {
        return Ok(None);
    }
    let told = |error: HomeError| {
        let hint = error.hint().unwrap_or_else(|| "sgw policy edit".to_owned());
        Failure::new(error.code(), error.to_string(), hint)
    };
    let home = Home::open(place.path()).map_err(told)?;
    let bytes = home.read_proposal(POLICY, own::MAX_BYTES as u64).map_err(|error| match error {
        HomeError::TooLarge { .. } => invalid(error.to_string()),
        error => told(error),
    })?;
    bytes.map(|bytes| super::utf8(bytes, &home.path_of(POLICY))).transpose()
}

fn nothing_proposed(context: &Context) -> Result<Failure, Failure> {
    let place = context.place()?;
    let (message, hint) = match place.service() {
        Some(_) => (
            "which file? A service's home holds no policy.toml".to_owned(),
            "sgw policy accept FILE, or: sgw policy edit",
        ),
        None => (format!("there is no {}", place.path().join(POLICY).display()), "sgw policy edit"),
    };
    Ok(Failure::new(Code::PolicyInvalid, message, hint))
}

impl Accept {
    pub fn run(self, context: &Context) -> Outcome {
        ask_or_yes(context, &self.proof, self.yes, "sgw policy accept")?;
        let text = match &self.file {
            Some(path) => super::text(path, own::MAX_BYTES as u64)?,
            None => match proposed(context)? {
                Some(text) => text,
                None => return Err(nothing_proposed(context)?.into()),
            },
        };
        let name = self.file.as_ref().map_or(POLICY.into(), |path| path.display().to_string());
        review(&text).map_err(|failure| Failure {
            message: format!("{name}: {}", failure.message),
            ..failure
        })?;
        context.interactive(async {
            let proven = self.proof.open(context).await?;
            let in_force = show(&mut proven.connect().await?).await?;
            let beside = proposed(context).unwrap_or(None);
            let sealed = in_force.own.as_ref().map(|own| own.text.as_str());
            let follows = match beside.as_deref() {
                None => None,
                // Somebody's edits that nobody accepted stay where they are.
                beside if beside != sealed => Some(own::digest(&text)),
                Some(beside) => Some(own::digest(beside)),
            };
            decide(context, &proven, &in_force, Draft { text, follows }, self.yes).await
        })
    }
}

impl Edit {
    pub fn run(self, context: &Context) -> Outcome {
        ask_or_yes(context, &self.proof, self.yes, "sgw policy edit")?;
        let (proven, in_force) = context.interactive(async {
            let proven = self.proof.open(context).await?;
            let in_force = show(&mut proven.connect().await?).await?;
            Ok((proven, in_force))
        })?;
        let sealed = in_force.own.as_ref().map(|own| own.text.clone());
        let (base, follows) = match proposed(context) {
            Ok(Some(text)) => {
                let follows = Some(own::digest(&text));
                if Some(&text) != sealed.as_ref() {
                    context
                        .ui
                        .note("policy.toml differs from what is in force: you edit policy.toml");
                }
                (text, follows)
            }
            Ok(None) => (sealed.unwrap_or_else(|| NEW.to_owned()), None),
            Err(failure) => {
                context.ui.note(&format!("{}: you edit what is in force", failure.message));
                let base = sealed.unwrap_or_else(|| NEW.to_owned());
                let follows = Some(own::digest(&base));
                (base, follows)
            }
        };
        let copy = Copy::of(&base)?;
        let outcome = self.edit(context, &proven, &in_force, &copy, follows);
        match &outcome {
            Ok(Exit::DONE) => copy.remove(),
            _ => context.ui.note(&format!("your text is kept: {}", copy.path().display())),
        }
        outcome
    }

    fn edit(
        &self,
        context: &Context,
        proven: &Proven,
        in_force: &InForce,
        copy: &Copy,
        follows: Option<Digest>,
    ) -> Outcome {
        let text = loop {
            let read = copy.edited().and_then(|text| review(&text).map(|()| text));
            let failure = match read {
                Ok(text) => break text,
                Err(failure) => failure,
            };
            if context.ui.json
                || self.yes
                || !ui::can_prompt()
                || failure.code != Code::PolicyInvalid
            {
                return Err(failure.into());
            }
            context.ui.failure_text(&failure);
            if !context.interactive(prompt::confirm("Edit it again?"))? {
                return Ok(Exit::FAILED);
            }
        };
        let draft = Draft { text, follows };
        context.interactive(decide(context, proven, in_force, draft, self.yes))
    }
}

/// Whether a person can be asked, where nothing says yes in advance.
fn ask_or_yes(context: &Context, proof: &Proof, yes: bool, line: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    proof.can_ask(context, "your yes").map_err(|failure| Failure {
        hint: format!("the person types it in a terminal, or: {line} --yes --passphrase-file FILE"),
        ..failure
    })
}

/// Refuses what no policy can say, with its place; and rules that don't do what their own examples say.
fn review(text: &str) -> Result<(), Failure> {
    let policy = own::check(text).map_err(invalid)?;
    let own = text.parse::<toml::Table>().unwrap_or_default();
    let rules = own.get("rule").and_then(toml::Value::as_array).into_iter().flatten();
    let ids: Vec<&str> = rules.filter_map(|rule| rule.get("id")?.as_str()).collect();
    let checking = |policy: &Policy| check(policy);
    let wrong = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, || checking(&policy)).ok()?.join().ok()
    });
    let wrong = wrong.ok_or_else(|| invalid("its examples could not be tried".to_owned()))?;
    let Some(wrong) = wrong.iter().find(|wrong| ids.contains(&wrong.rule.as_str())) else {
        return Ok(());
    };
    let at = text.find(&format!("\"{}\"", wrong.rule)).unwrap_or(0);
    let line = text[..at].matches('\n').count() + 1;
    let says = if wrong.expected { "does not speak of" } else { "speaks of" };
    let example = visible(&wrong.line, SHOWN);
    Err(invalid(format!("line {line}, rule {} {says} its example {example}", wrong.rule)))
}

async fn show(connection: &mut Connection) -> Result<InForce, Stop> {
    Ok(connection.call(&Request::Policy(Ask::Show {})).await?)
}

/// Shows what differs, asks, and seals exactly that.
async fn decide(
    context: &Context,
    proven: &Proven,
    in_force: &InForce,
    draft: Draft,
    yes: bool,
) -> Result<Exit, Stop> {
    let Draft { text, follows } = draft;
    let before = in_force.own.as_ref().map(|own| own.text.as_str());
    if before == Some(text.as_str()) {
        let same = json!({ "kind": "policy", "status": "same", "revision": in_force.revision });
        context.ui.result(&same, || "that is in force already".to_owned());
        return Ok(Exit::DONE);
    }
    let parts = changes(before.unwrap_or_default(), &text);
    let mut connection = proven.connect().await?;
    let (examples, audit) = said_otherwise(context, &mut connection, before, &text).await?;
    let ui = context.ui;
    ui.say("What differs from what is in force:");
    told::parts(ui, &parts);
    told::lines(ui, before.unwrap_or_default(), &text);
    told::verdicts(ui, &examples, "of the rules' examples");
    if let Some(audit) = &audit {
        told::verdicts(ui, audit, &format!("of the commands of the last {DAYS} days"));
    }
    if !yes && !prompt::confirm("Put it into force?").await? {
        ui.note("nothing was changed");
        return Ok(Exit::FAILED);
    }
    let accept = Ask::Accept { text, was: in_force.revision, file: follows };
    // Another connection: a person may have thought for long.
    let mut connection = proven.connect().await?;
    let accepted: InForce = connection.call(&Request::Policy(accept)).await?;
    let result = json!({
        "kind": "policy",
        "status": "accepted",
        "revision": accepted.revision,
        "digest": accepted.own.as_ref().map(|own| own.digest),
        "changes": parts,
        "examples": examples,
        "audit": audit,
        "notes": accepted.notes,
    });
    ui.result(&result, || "in force from now on".to_owned());
    accepted.notes.iter().for_each(|note| ui.note(&visible(note, 300)));
    Ok(Exit::DONE)
}

/// What is said otherwise of the rules' examples, and of what was run; none where the audit can't be read.
async fn said_otherwise(
    context: &Context,
    connection: &mut Connection,
    before: Option<&str>,
    after: &str,
) -> Result<(Others, Option<Others>), Stop> {
    let today = Zoned::now().date();
    let after = Arc::new(own::check(after).map_err(invalid)?);
    let before = match Policy::built_in().over(before.unwrap_or("version = 1")) {
        Ok(before) => Arc::new(before),
        Err(_) => {
            context
                .ui
                .note("what was accepted before can't be read: compared with what sgw comes with");
            Policy::built_in()
        }
    };
    let examples = verdicts::examples(&[&before, &after]);
    let examples = verdicts::compare(&examples, Some(&before), &after, today)?;
    let since = Timestamp::now() - SignedDuration::from_hours(24 * DAYS);
    let commands = match verdicts::of_audit(connection, since).await {
        Ok(commands) => commands,
        Err(Stop::Failure(failure)) if failure.code == Code::EvidenceFailed => {
            context.ui.note(&format!("{}: its commands are not compared", failure.message));
            return Ok((examples, None));
        }
        Err(stop) => return Err(stop),
    };
    let audit = verdicts::compare(&commands, Some(&before), &after, today)?;
    Ok((examples, Some(audit)))
}
