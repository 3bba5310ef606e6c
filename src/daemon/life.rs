//! The daemon's one life, from the key to the end.

mod service;

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    process::ExitCode,
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Parts,
    alone::Alone,
    audit,
    authority::Authority,
    desk::{Desk, Guard, Pauses},
    door::{self, Admit, Budgets, Listeners},
    evidence::{AuditState, Evidence, Found, survive_file_size_limit},
    files::Files,
    ids::Ids,
    in_use::InUse,
    left::LeftRunning,
    memory,
    parts::now,
    policy::Policies,
    session::Sessions,
    store::log::CappedLog,
    vault::{Summary, Vault, VaultError},
};
use crate::{
    domain::{id::Kind as IdKind, record::Kind as RecordKind, seal::DataKey},
    home::{Home, HomeError, Lock, LockError, service::Service},
    protocol::{
        error::{Code, Failure},
        handover::{Answer, Handover, Ready, Start},
        noise,
    },
};

/// How often the end of the audit is remembered in the vault.
const ANCHOR: Duration = Duration::from_secs(300);
/// How often keyboards are looked at.
const KEYBOARDS: Duration = Duration::from_secs(1);
/// How often it is asked whether anybody uses sgw.
const IDLE: Duration = Duration::from_secs(1);
/// How long the end may take.
const FAREWELL: Duration = Duration::from_secs(20);

/// Lives as a daemon.
pub fn run(start: Start) -> Result<ExitCode, Failure> {
    // Before the key is read: nobody of our uid can trace us or take a core from here on.
    harden().map_err(|errno| failed(&errno))?;
    match start {
        Start::Handed(inherited) => Ok(handed(inherited)),
        Start::Service => service::run(),
    }
}

/// `inherited` is the socket over which the key comes and the first word goes back.
fn handed(inherited: OwnedFd) -> ExitCode {
    let mut line = StdUnixStream::from(inherited);
    let Ok(handover) = Handover::read(&mut line) else {
        // Nobody is there who could be told.
        return ExitCode::FAILURE;
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _gone = Answer::Failed(failed(&error)).write(&mut line);
            return ExitCode::FAILURE;
        }
    };
    live_on(runtime, live(handover, line))
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sgw")
        .enable_all()
        .build()
}

fn live_on(runtime: Runtime, life: impl Future<Output = ExitCode> + Send + 'static) -> ExitCode {
    // On the workers: accepting on this thread would cost each connection a change of threads.
    let life = runtime.spawn(life);
    let code = runtime.block_on(life).unwrap_or(ExitCode::FAILURE);
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

fn harden() -> rustix::io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let files = rustix::process::getrlimit(Resource::Nofile);
    let most = Rlimit { current: files.maximum, maximum: files.maximum };
    // Fewer descriptors mean fewer sessions, no less safety.
    let _kept = rustix::process::setrlimit(Resource::Nofile, most);
    memory::prepare();
    Ok(())
}

async fn live(handover: Handover, mut line: StdUnixStream) -> ExitCode {
    // Before anything is written, the log included.
    survive_file_size_limit();
    let (parts, listeners, ready, lock) = match begin(handover).await {
        Ok(begun) => begun,
        Err(failure) => {
            let _gone = Answer::Failed(failure).write(&mut line);
            return ExitCode::FAILURE;
        }
    };
    // `unlock` may be gone: then the daemon lives all the same.
    let _gone = Answer::Ready(ready).write(&mut line);
    drop(line);
    through(parts, listeners, lock).await
}

/// From the first answer to the last record.
async fn through(parts: Arc<Parts>, listeners: Listeners, lock: Lock) -> ExitCode {
    serve(&parts, &listeners).await;
    drop(listeners);
    let ended = tokio::time::timeout(FAREWELL, end(&parts)).await.is_ok();
    drop(lock);
    if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The last is the home's lock, held to the end.
type Begun = (Arc<Parts>, Listeners, Ready, Lock);

/// Takes the home, opens what it holds, and listens.
async fn begin(handover: Handover) -> Result<Begun, Failure> {
    let Handover { data_key, home } = handover;
    memory::keep_bytes(data_key.expose());
    let (home, lock) = take(&home)?;
    let opened = open(home.clone(), &data_key).await?;
    home.make_run().map_err(|error| not_home(&error))?;
    let listeners = Listeners::bind(
        home.agent_socket().map_err(|error| not_home(&error))?,
        home.operator_socket().map_err(|error| not_home(&error))?,
    )
    .map_err(|error| failed(&error))?;
    let (parts, ready) = opened.parts(home, &data_key, None)?;
    Ok((parts, listeners, ready, lock))
}

/// One daemon a home.
fn take(home: &std::path::Path) -> Result<(Arc<Home>, Lock), Failure> {
    let home = Arc::new(Home::open(home).map_err(|error| not_home(&error))?);
    let lock = home.lock().map_err(|error| match error {
        LockError::Held { .. } => Failure::new(
            Code::HomeBusy,
            error.to_string(),
            "sgw lock ends it; sgw daemon status says whether it answers",
        ),
        LockError::Home(error) => not_home(&error),
    })?;
    start_log(&home);
    Ok((home, lock))
}

/// What the key opens.
struct Opened {
    vault: Arc<Vault>,
    evidence: Arc<Evidence>,
    summary: Summary,
    found: Found,
    alone: Alone,
}

async fn open(home: Arc<Home>, data_key: &DataKey) -> Result<Opened, Failure> {
    let vault = Vault::open(home.clone(), data_key).map_err(|error| no_vault(&error))?;
    let vault = Arc::new(vault);
    // Before the audit is opened, where two would write over each other.
    let alone = Alone::with(&vault.name()).await?;
    let summary = vault.summary();
    let (evidence, found) =
        Evidence::open(home, vault.audit_keys(), summary.anchor).map_err(|error| failed(&error))?;
    let evidence = Arc::new(evidence);
    audit::daemon(&evidence, RecordKind::DaemonStarted, summary.revision).await?;
    Ok(Opened { vault, evidence, summary, found, alone })
}

impl Opened {
    fn parts(
        self,
        home: Arc<Home>,
        data_key: &DataKey,
        service: Option<Service>,
    ) -> Result<(Arc<Parts>, Ready), Failure> {
        let Self { vault, evidence, summary, found, alone } = self;
        let mut ready = ready(&summary, &found);
        let ids = Arc::new(Ids::new(vault.clone()));
        let authority = Arc::new(Authority::load(vault.clone(), now));
        let for_desk = ids.clone();
        let proposals = service.is_none().then(|| home.clone());
        let policies = Arc::new(Policies::new(vault.clone(), proposals));
        let guard = Guard::start(policies.clone(), now).map_err(|error| failed(&error))?;
        let operator_key = noise::session_key(data_key);
        memory::keep(&operator_key);
        let pauses = Arc::new(Pauses::default());
        let (spools, to_ask) = (home.path().to_owned(), pauses.clone());
        let sessions = Arc::new(Sessions::new(spools, evidence.clone(), to_ask, now));
        let parts = Parts {
            desk: Arc::new(Desk::new(
                move || for_desk.next(IdKind::Request),
                authority.clone(),
                guard,
                pauses,
                now,
            )),
            files: Arc::new(Files::new(evidence.clone(), sessions.scripts.clone())),
            sessions,
            left_running: LeftRunning::new(&found.unfinished),
            operator_key: RwLock::new(Arc::new(operator_key)),
            in_use: InUse::new(),
            inboxes: Budgets::default(),
            started: Instant::now(),
            end: CancellationToken::new(),
            service,
            _alone: alone,
            policies,
            home,
            vault,
            authority,
            evidence,
            ids,
        };
        let notes = parts.policies.notes(parts.today());
        let warnings: Vec<String> = ready.warning.take().into_iter().chain(notes).collect();
        ready.warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Ok((Arc::new(parts), ready))
    }
}

/// What `unlock` shows, so that a person sees when an older state was put back.
fn ready(summary: &Summary, found: &Found) -> Ready {
    let mut warnings = Vec::new();
    match found.state {
        AuditState::Whole => {}
        AuditState::Broken(bad) => warnings.push(format!("the audit is damaged: {bad}")),
        AuditState::Behind { last, anchor } => warnings.push(format!(
            "the audit ends at record {last}, but record {anchor} was written: it was cut or put back"
        )),
    }
    if found.revision.is_some_and(|recorded| recorded > summary.revision) {
        warnings.push(
            "the vault is older than the audit: an earlier state of it was put back".to_owned(),
        );
    }
    if found.torn_bytes > 0 {
        warnings.push(format!(
            "the last record was unfinished ({} bytes, a crash) and was cut off",
            found.torn_bytes
        ));
    }
    if !found.unfinished.is_empty() {
        warnings.push(format!(
            "{} commands were running when the last daemon was killed; the next connection to their target ends them",
            found.unfinished.len()
        ));
    }
    Ready {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: summary.revision,
        changed_at: summary.changed_at,
        audit_records: found.tip.seq,
        audit_head: (found.tip.seq > 0).then(|| found.tip.hash.to_string()),
        audit_at: None,
        warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
    }
}

/// Who is let in at the two sockets.
struct Admits {
    agents: Admit,
    operators: Admit,
}

impl Admits {
    fn of(service: Option<&Service>) -> Self {
        match service.map(|service| service.who) {
            None => Self { agents: Admit::Own, operators: Admit::Own },
            // Whom the socket's group lets in: their uid is who they are.
            Some(who) => Self {
                agents: Admit::Anyone,
                operators: Admit::Both { uid: who.operator, gid: who.operator_group },
            },
        }
    }
}

/// Answers both sockets until the daemon is to end.
async fn serve(parts: &Arc<Parts>, listeners: &Listeners) {
    let (desk, waiting) = (parts.desk.clone(), parts.desk.clone());
    let time = tokio::spawn(parts.sessions.clone().keep_time(
        move |session| desk.session_ended(session),
        move |exec| waiting.waits_for(exec),
    ));
    let anchors = tokio::spawn(keep_anchor(parts.clone()));
    let keyboards = tokio::spawn(settle_keyboards(parts.clone()));
    let authority = tokio::spawn(parts.clone().keep_authority());
    let idle = tokio::spawn(lock_when_idle(parts.clone()));
    let admits = Admits::of(parts.service.as_ref());
    let agents = door::accept(&listeners.agent, admits.agents, &parts.end, |stream, peer| {
        door::agent::serve(parts.clone(), stream, peer)
    });
    let places = door::Places::default();
    let operators =
        door::accept(&listeners.operator, admits.operators, &parts.end, |stream, peer| {
            door::operator::serve(parts.clone(), stream, peer, places.enter(peer.pid))
        });
    tokio::join!(agents, operators, end_on_signals(parts));
    time.abort();
    anchors.abort();
    keyboards.abort();
    authority.abort();
    idle.abort();
}

async fn lock_when_idle(parts: Arc<Parts>) {
    loop {
        tokio::time::sleep(IDLE).await;
        parts.lock_when_idle();
    }
}

/// Time alone ends handoffs; what they gave away comes back.
async fn settle_keyboards(parts: Arc<Parts>) {
    loop {
        tokio::time::sleep(KEYBOARDS).await;
        parts.settle_keyboards().await;
    }
}

/// SIGTERM and SIGINT are a `lock`.
async fn end_on_signals(parts: &Parts) {
    let Some(mut signals) = End::watch() else { return parts.end.cancelled().await };
    tokio::select! {
        why = signals.comes() => parts.lock(why),
        () = parts.end.cancelled() => {}
    }
}

/// The signals that end a daemon. SIGHUP is nothing to one without a terminal.
struct End([Signal; 3]);

impl End {
    fn watch() -> Option<Self> {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [Ok(term), Ok(int), Ok(hup)] = kinds.map(signal) else {
            tracing::error!("no signal handlers");
            return None;
        };
        Some(Self([term, int, hup]))
    }

    async fn comes(&mut self) -> &'static str {
        let [term, int, hup] = &mut self.0;
        loop {
            tokio::select! {
                _ = term.recv() => return "SIGTERM",
                _ = int.recv() => return "SIGINT",
                _ = hup.recv() => {}
            }
        }
    }
}

async fn keep_anchor(parts: Arc<Parts>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(ANCHOR) => {}
            () = parts.sessions.ended.notified() => {}
        }
        anchor(&parts).await;
    }
}

/// Remembers in the vault how far the audit went.
async fn anchor(parts: &Parts) {
    match parts.evidence.sync().await {
        Ok(tip) => {
            let anchored = tokio::task::block_in_place(|| parts.vault.anchor(tip));
            if let Err(error) = anchored {
                tracing::error!(%error, "the audit's end was not remembered");
            }
        }
        Err(error) => tracing::error!(%error, "the audit was not synced"),
    }
}

/// Ends sessions and what runs in them, then the record.
async fn end(parts: &Parts) {
    let why = Failure::new(
        Code::DaemonLost,
        "the operator locked sgw",
        "the operator starts it again: sgw unlock",
    );
    parts.sessions.close_all(&why).await;
    parts.settle_authority(true);
    let revision = parts.vault.revision();
    if let Err(failure) = audit::daemon(&parts.evidence, RecordKind::DaemonEnded, revision).await {
        tracing::error!(code = %failure.code, "the daemon's end was not recorded");
    }
    anchor(parts).await;
}

/// Ids, codes and sizes; libraries that log words of commands are held at warnings.
fn start_log(home: &Arc<Home>) {
    use tracing_subscriber::EnvFilter;
    let Ok(log) = CappedLog::open(home.clone()) else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Mutex::new(log))
        .with_ansi(false)
        .with_env_filter(EnvFilter::new("warn,sgw=info"))
        .finish();
    // Set once in a process.
    let _set = tracing::subscriber::set_global_default(subscriber);
}

fn not_home(error: &HomeError) -> Failure {
    let hint = error.hint().unwrap_or_else(|| "sgw init sets it up".to_owned());
    Failure::new(error.code(), error.to_string(), hint)
}

fn no_vault(error: &VaultError) -> Failure {
    match error {
        VaultError::Damaged { .. } => Failure::new(
            Code::VaultDamaged,
            error.to_string(),
            "put back a copy of the file that you trust; nothing was changed",
        ),
        VaultError::Home(error) => not_home(error),
        _ => failed(error),
    }
}

fn failed(error: &impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::DaemonFailed,
        format!("the daemon did not start: {error}"),
        "look at the disk that holds sgw's home",
    )
}
