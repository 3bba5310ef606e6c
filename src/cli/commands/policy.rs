//! `sgw policy`: what the guard would say of a line, and why; and how another policy comes into force.

mod accept;
mod check;
mod corpus;
mod editor;
mod replay;
mod show;
mod told;
mod verdicts;

use std::{path::PathBuf, sync::Arc};

use crate::{
    cli::{Context, Outcome, Run},
    client::Error,
    domain::guard::{
        Policy,
        own::{self, MAX_BYTES},
    },
    protocol::{
        error::{Code, Failure},
        operator::{Request, policy},
    },
};

/// Look at the policy, try lines against it, and put another one into force
///
/// In force is what sgw comes with, and over it what you accepted. policy.toml in sgw's home is a
/// proposal: editing it changes nothing until you accept it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy check -- 'rm -rf /srv/old'
  sgw policy check --json -- 'curl https://example.com | sh'
  sgw policy edit
  sgw policy replay --since 7d")]
pub struct PolicyCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Check(check::Check),
    Show(show::Show),
    Explain(show::Explain),
    Test(corpus::Test),
    Edit(accept::Edit),
    Accept(accept::Accept),
    Replay(replay::Replay),
}

impl Run for PolicyCommand {
    fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Check(check) => check.run(context),
            What::Show(show) => show.run(context),
            What::Explain(explain) => explain.run(context),
            What::Test(test) => test.run(context),
            What::Edit(edit) => edit.run(context),
            What::Accept(accept) => accept.run(context),
            What::Replay(replay) => replay.run(context),
        }
    }
}

/// Which policy.
#[derive(Debug, Default, clap::Args)]
struct Source {
    /// Lay this file over the policy that sgw comes with [default: what is in force; where sgw is locked,
    /// what it comes with]
    #[arg(long, value_name = "FILE", conflicts_with = "builtin")]
    policy: Option<PathBuf>,
    /// The policy that sgw comes with, alone
    #[arg(long)]
    builtin: bool,
}

/// A policy, and where it comes from.
struct Loaded {
    policy: Arc<Policy>,
    /// What is laid over the built-in one.
    own: Option<String>,
    in_force: Option<policy::InForce>,
}

impl Source {
    fn load(&self, context: &Context) -> Result<Loaded, Failure> {
        let of = |own: Option<String>| -> Result<Loaded, Failure> {
            let policy = match &own {
                Some(text) => Arc::new(own::check(text).map_err(invalid)?),
                None => Policy::built_in(),
            };
            Ok(Loaded { policy, own, in_force: None })
        };
        if let Some(path) = &self.policy {
            let text = text(path, MAX_BYTES as u64)?;
            return of(Some(text)).map_err(|failure| Failure {
                message: format!("{}: {}", path.display(), failure.message),
                ..failure
            });
        }
        let in_force = if self.builtin { None } else { in_force(context)? };
        let Some(in_force) = in_force else { return of(None) };
        if let Some(problem) = &in_force.problem {
            return Err(sealed(problem));
        }
        let own = in_force.own.as_ref().map(|own| own.text.clone());
        let policy = match &own {
            // Not as strictly as when it was accepted: rules that it speaks of may have gone since.
            Some(text) => Policy::built_in().over(text).map(Arc::new),
            None => Ok(Policy::built_in()),
        };
        let policy = policy.map_err(|error| sealed(&error.to_string()))?;
        Ok(Loaded { policy, own, in_force: Some(in_force) })
    }
}

/// What the daemon judges by; none where no daemon can be asked.
fn in_force(context: &Context) -> Result<Option<policy::InForce>, Failure> {
    let request = Request::Policy(policy::Request::Show {});
    let asked = context.block_on(async {
        match context.ask::<policy::InForce>(&request).await {
            Ok(in_force) => Ok(Ok(in_force)),
            Err(Error::NotSetUp) => Ok(Err(None)),
            Err(error) => Ok(Err(Some(error.to_string()))),
        }
    });
    match asked? {
        Ok(in_force) => Ok(Some(in_force)),
        Err(why) => {
            if let Some(why) = why {
                let what = "this is the policy that sgw comes with, not what was accepted";
                context.ui.note(&format!("{what}: {why}"));
            }
            Ok(None)
        }
    }
}

/// What was accepted can't be read: nothing is judged by it.
fn sealed(problem: &str) -> Failure {
    let message = format!("the policy that was accepted can't be read by this sgw: {problem}");
    Failure::new(Code::PolicySealed, message, "sgw policy edit mends it; nothing passes until then")
}

fn invalid(what: String) -> Failure {
    Failure::new(
        Code::PolicyInvalid,
        what,
        "docs/policy.md has the format; sgw policy show fs.rm shows a rule",
    )
}

/// A file of the operator's as text.
fn text(path: &std::path::Path, most: u64) -> Result<String, Failure> {
    use std::io::Read;
    let failure = |what: String| invalid(format!("{}: {what}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| failure(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| failure(error.to_string()))?;
    if bytes.len() as u64 > most {
        return Err(failure(format!("it is larger than {most} bytes")));
    }
    utf8(bytes, path)
}

/// Text, or where it is none.
fn utf8(bytes: Vec<u8>, path: &std::path::Path) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = format!("line {line}, column {column}: it is not UTF-8");
        invalid(format!("{}: {message}", path.display()))
    })
}
