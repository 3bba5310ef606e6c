//! `sgw policy`: what the guard would say of a line, and why; without a daemon.

mod check;
mod corpus;
mod show;

use std::{path::PathBuf, sync::Arc};

use crate::{
    cli::{Context, Outcome, Run},
    domain::guard::Policy,
    protocol::error::{Code, Failure},
};

/// The largest file of a policy, in bytes.
const MAX_POLICY_BYTES: u64 = 4 << 20;

/// Look at the policy, and try lines against it
///
/// Nothing is run and nothing is asked: a line is read as the remote shell would read it. Without
/// --policy it is judged by the policy that sgw comes with.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy check -- 'rm -rf /srv/old'
  sgw policy check --json -- 'curl https://example.com | sh'
  sgw policy test --corpus lines.tsv")]
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
}

impl Run for PolicyCommand {
    fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Check(check) => check.run(context),
            What::Show(show) => show.run(context),
            What::Explain(explain) => explain.run(context),
            What::Test(test) => test.run(context),
        }
    }
}

/// Which policy.
#[derive(Debug, clap::Args)]
struct Source {
    /// Lay this file over the policy that sgw comes with
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Source {
    fn load(&self) -> Result<Arc<Policy>, Failure> {
        let Some(path) = &self.policy else { return Ok(Policy::built_in()) };
        let text = text(path, MAX_POLICY_BYTES)?;
        let policy = Policy::built_in().over(&text).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            Failure::new(Code::PolicyInvalid, message, "sgw policy show")
        })?;
        Ok(Arc::new(policy))
    }
}

/// A file of the operator's as text.
fn text(path: &std::path::Path, most: u64) -> Result<String, Failure> {
    use std::io::Read;
    let failure = |what: String| {
        let message = format!("{}: {what}", path.display());
        Failure::new(Code::PolicyInvalid, message, "sgw policy show")
    };
    let file = std::fs::File::open(path).map_err(|error| failure(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|error| failure(error.to_string()))?;
    if bytes.len() as u64 > most {
        return Err(failure(format!("it is larger than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        failure(format!("line {line}, column {column}: it is not UTF-8"))
    })
}
