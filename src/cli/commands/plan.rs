//! `sgw plan`: many steps that a person decides on at once, and then run one by one.

mod run;

use std::{
    ffi::OsString,
    fs::File,
    io::{IsTerminal as _, Read},
    path::Path,
};

use serde_json::Value;

use crate::{
    cli::{
        Context, Outcome, Run, context,
        context::{Asking, Patience, millis},
        follow::{self, Budget, Call},
        times,
        ui::{Table, exit::Exit},
    },
    domain::{
        bytes::Bytes,
        escape::{exact, visible},
        guard::Decision,
        plan::{HOLDS, MAX_BYTES},
    },
    protocol::{
        agent,
        error::{Code, Failure},
        view::{self, Kind, PlanLine, RequestStatus},
    },
};

/// Columns for a command.
const WIDE: usize = 200;

/// Put many steps before the operator at once, and run what they approve
///
/// A plan is a shell line a line. `@cwd DIR` has the lines behind it run in DIR; blank lines and lines
/// that begin with `#` are passed over. Each line is judged at once; one that the policy blocks refuses
/// the plan whole (77, guard.blocked), and names its line. The operator sees every line with its number
/// and verdict, and approves all, some or none. Each approved line passes once, in order, byte for byte,
/// for 30 minutes: `sgw plan run` runs what is left, and `sgw exec` with the same line passes too.
/// Prints the plan's id. A plan is asked about even where no line of it would ask by itself; --dry-run
/// says so beforehand.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  sgw plan s-4fk --reason 'deploy 1.4.2' --file deploy.plan
  printf '%s\\n' '@cwd /srv/app' './migrate' 'systemctl restart app' |
      sgw plan web1 --reason 'migrate and restart'
  sgw plan s-4fk --dry-run --file deploy.plan
  sgw plan run r-7k3"
)]
pub struct Plan {
    #[command(subcommand)]
    what: Option<What>,
    /// A session's id or name, or its target [default: SGW_SESSION]
    #[arg(value_name = "SESSION", add = super::completions::ids("sessions"))]
    session: Option<String>,
    /// What all of it is for: the person decides by it
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// The plan (-: standard input) [default: -]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<OsString>,
    /// Only say each line's verdict: nobody is asked, nothing is kept
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Run what is left of an approved plan, in order, up to the first line that fails
    ///
    /// The output is that of the lines, one after the other; the status is that of the last one that
    /// ran. Run again, it goes on with the line behind; a line that ran never runs again. Where nobody
    /// has decided yet this waits for it.
    #[command(after_help = "\
Examples:
  sgw plan run r-7k3
  sgw plan run r-7k3 --json --wait 60s")]
    Run {
        /// The plan: r-…
        #[arg(value_name = "ID", add = super::completions::ids("requests"))]
        id: String,
        #[command(flatten)]
        patience: Patience,
        #[command(flatten)]
        budget: Budget,
    },
}

impl Run for Plan {
    fn run(self, context: &Context) -> Outcome {
        if let Some(What::Run { id, patience, budget }) = self.what {
            return run::run(context, &id, patience, budget);
        }
        let request = agent::Request::Plan(agent::Plan {
            session: context::session_or_default(self.session)?,
            text: Bytes(text(self.file)?),
            reason: self.reason.unwrap_or_else(|| "dry run".to_owned()),
            dry_run: self.dry_run,
            wait_ms: self.patience.holds()?.map(millis),
            no_ask: self.asking.never(),
        });
        let budget = Budget { max_output: None, tail: false };
        let call = Call { budget, patience: self.patience, results_too: false, stdin: false };
        Ok(context.block_on(async {
            let connection = context.agent().await?;
            follow::follow(context, connection, &request, call, |value| given(context, value)).await
        })?)
    }
}

/// The plan's text, of no more bytes than one may have.
fn text(file: Option<OsString>) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    let file = file.filter(|file| file != "-");
    let read = match &file {
        Some(file) => {
            File::open(Path::new(file)).and_then(|file| file.take(most).read_to_end(&mut text))
        }
        None if std::io::stdin().is_terminal() => {
            let message = "there is no plan: standard input is a terminal";
            let hint = "sgw plan SESSION --reason TEXT --file FILE";
            return Err(Failure::new(Code::UsagePlan, message, hint));
        }
        None => std::io::stdin().lock().take(most).read_to_end(&mut text),
    };
    if let Err(error) = read {
        let message = format!("the plan can't be read: {error}");
        return Err(Failure::new(Code::UsagePlan, message, "sgw plan SESSION --file FILE"));
    }
    if text.len() > MAX_BYTES {
        let message = format!("the plan has more than {MAX_BYTES} bytes");
        let hint = "make several plans of it, or put what is long into a file on the target";
        return Err(Failure::new(Code::LimitCommand, message, hint));
    }
    Ok(text)
}

fn given(context: &Context, value: Value) -> Result<Exit, Failure> {
    if let Some(plan) = decided(&value) {
        return Ok(show(context, &plan));
    }
    match serde_json::from_value::<view::DryRun>(value) {
        Ok(dry) => {
            context.ui.result(&dry, || lines(&dry.lines));
            context.ui.note(match (dry.verdict, dry.asks) {
                (Decision::Block, _) => {
                    "the policy blocks lines of it: as a plan it would be refused whole"
                }
                (_, false) => {
                    "the operator denied what a rule finds in it: as a plan it would be refused whole"
                }
                (_, true) => "as a plan it would be put before the operator",
            });
            Ok(Exit::DONE)
        }
        Err(_) => {
            let message = "the daemon's answer is no plan";
            Err(Failure::new(Code::DaemonVersion, message, "sgw daemon status"))
        }
    }
}

/// A plan, where the answer is one.
pub fn decided(value: &Value) -> Option<view::Request> {
    let request: view::Request = serde_json::from_value(value.clone()).ok()?;
    (request.kind == Kind::Plan).then_some(request)
}

/// What was decided: the id is the result, and what to run the note.
pub fn show(context: &Context, plan: &view::Request) -> Exit {
    context.ui.result(plan, || plan.id.clone());
    let left = left(plan);
    let all = plan.lines.len();
    let id = exact(plan.id.as_bytes(), 20);
    match left.as_slice() {
        _ if plan.status == RequestStatus::Expired => {
            context.ui.note(&format!("the yes to {id} is over: nothing of it passes any more"));
        }
        [] => context.ui.note(&format!("nothing is left of {id}: sgw show {id}")),
        left => context.ui.note(&format!(
            "{} of {all} lines pass ({}), for {} minutes from the yes on: sgw plan run {id}",
            left.len(),
            numbers(left),
            HOLDS.as_mins(),
        )),
    }
    Exit::DONE
}

/// The numbers of the lines that pass yet.
pub fn left(plan: &view::Request) -> Vec<u32> {
    let open = plan.lines.iter().filter(|line| line.approved == Some(true) && line.exec.is_none());
    open.map(|line| line.number).collect()
}

pub fn numbers(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// Lines of a plan as a person reads them.
pub fn lines(lines: &[PlanLine]) -> String {
    let mut table = Table::new(&["LINE", "VERDICT", "STANDS", "RULE", "COMMAND"]);
    for line in lines {
        let verdict = match line.verdict {
            Decision::Allow => "allow",
            Decision::Approve => "approve",
            Decision::Block => "block",
        };
        let stands = match (line.approved, &line.exec) {
            (_, Some(exec)) => exact(exec.as_bytes(), 20),
            (Some(true), None) => "passes".to_owned(),
            (Some(false), None) => "not approved".to_owned(),
            (None, None) => "-".to_owned(),
        };
        table.row(vec![
            line.number.to_string(),
            verdict.to_owned(),
            stands,
            line.rule.as_deref().map_or_else(|| "-".to_owned(), |rule| visible(rule, 60)),
            exact(line.command.as_slice(), WIDE),
        ]);
    }
    table.text()
}

/// All about a plan, for `show`.
pub fn whole(plan: &view::Request) -> String {
    let reason = plan.reason.as_deref().map(|reason| visible(reason, WIDE)).unwrap_or_default();
    format!(
        "{} plan on {}, {}, asked {}: \"{reason}\"\n{}",
        exact(plan.id.as_bytes(), 20),
        exact(plan.target.as_bytes(), 60),
        status(plan.status),
        times::from_now(plan.created_at),
        lines(&plan.lines),
    )
}

fn status(status: RequestStatus) -> &'static str {
    match status {
        RequestStatus::Pending => "waits for the operator",
        RequestStatus::Approved => "approved",
        RequestStatus::Denied => "denied",
        RequestStatus::Expired => "expired",
        RequestStatus::Withdrawn => "withdrawn",
        RequestStatus::Used => "used up",
    }
}
