//! The commands, in the order in which the help lists them.

mod approve;
mod attach;
mod audit;
mod close;
pub mod completions;
mod config;
pub mod daemon;
mod demo;
mod deny;
mod desk;
mod doctor;
pub mod exec;
mod files;
mod grant;
mod handoff;
mod help;
mod history;
mod init;
mod input;
mod instructions;
mod lock;
mod man;
mod output;
mod pause;
mod pin;
pub mod plan;
mod policy;
mod proxy;
mod request;
mod requests;
mod resume;
mod return_;
mod run;
mod secret;
mod sessions;
mod show;
mod signal;
mod ssh;
mod ssh_config;
pub mod status;
mod target;
mod token;
mod unlock;
mod vault;
mod wait;
mod watch;
mod whoami;

use clap::ArgMatches;

use super::{Context, Entry, Outcome, Run, Who, usage};

pub const ENTRIES: &[Entry] = &[
    entry::<status::Status>("status", Who::Agent),
    entry::<request::Request>("request", Who::Agent),
    entry::<exec::Exec>("exec", Who::Agent),
    entry::<plan::Plan>("plan", Who::Agent),
    entry::<wait::Wait>("wait", Who::Agent),
    entry::<files::Files>("files", Who::Agent),
    entry::<files::Cp>("cp", Who::Agent),
    entry::<input::Input>("input", Who::Agent),
    entry::<output::Output>("output", Who::Agent),
    entry::<signal::Signal>("signal", Who::Agent),
    entry::<handoff::Handoff>("handoff", Who::Agent),
    entry::<ssh::Ssh>("ssh", Who::Agent),
    entry::<ssh_config::SshConfig>("ssh-config", Who::Agent),
    entry::<proxy::Proxy>("proxy", Who::Agent),
    entry::<sessions::Sessions>("sessions", Who::Agent),
    entry::<history::History>("history", Who::Agent),
    entry::<show::Show>("show", Who::Agent),
    entry::<close::Close>("close", Who::Agent),
    entry::<whoami::Whoami>("whoami", Who::Agent),
    entry::<instructions::Instructions>("instructions", Who::Agent),
    entry::<help::Help>("help", Who::Agent),
    entry::<init::Init>("init", Who::Operator),
    entry::<unlock::Unlock>("unlock", Who::Operator),
    entry::<desk::Desk>("desk", Who::Operator),
    entry::<requests::Requests>("requests", Who::Operator),
    entry::<approve::Approve>("approve", Who::Operator),
    entry::<deny::Deny>("deny", Who::Operator),
    entry::<watch::Watch>("watch", Who::Operator),
    entry::<attach::Attach>("attach", Who::Operator),
    entry::<return_::Return>("return", Who::Operator),
    entry::<lock::Lock>("lock", Who::Operator),
    entry::<pause::Pause>("pause", Who::Operator),
    entry::<resume::Resume>("resume", Who::Operator),
    entry::<daemon::Daemon>("daemon", Who::Operator),
    entry::<policy::PolicyCommand>("policy", Who::Operator),
    entry::<audit::Audit>("audit", Who::Operator),
    entry::<target::Target>("target", Who::Operator),
    entry::<token::Token>("token", Who::Operator),
    entry::<grant::Grant>("grant", Who::Operator),
    entry::<run::Run>("run", Who::Operator),
    entry::<secret::Secret>("secret", Who::Operator),
    entry::<config::Config>("config", Who::Operator),
    entry::<pin::Pin>("pin", Who::Operator),
    entry::<vault::Vault>("vault", Who::Operator),
    entry::<doctor::Doctor>("doctor", Who::Operator),
    entry::<demo::Demo>("demo", Who::Operator),
    entry::<completions::Completions>("completions", Who::Operator),
    entry::<man::Man>("man", Who::Operator),
];

const fn entry<C: Run>(name: &'static str, who: Who) -> Entry {
    Entry { name, who, define: C::augment_args, run: run::<C> }
}

fn run<C: Run>(matches: &ArgMatches, context: &Context) -> Outcome {
    match C::from_arg_matches(matches) {
        Ok(command) => command.run(context),
        Err(error) => Err(usage::complaint(&error).into()),
    }
}
