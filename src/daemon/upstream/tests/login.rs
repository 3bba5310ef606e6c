//! Ways in, and ways that are shut.

use russh::{
    Preferred,
    server::{self, Auth, Response},
};
use tokio::net::TcpListener;

use super::{sshd::new_key, *};
use crate::domain::secret::Secret;

fn plan(hop: Hop, credentials: Vec<Credential>) -> Plan {
    let credentials = credentials.into_iter().map(Arc::new).collect();
    Plan { hops: vec![HopPlan { hop, credentials }], ..Plan::default() }
}

fn password(word: &str) -> Credential {
    Credential::Password(Secret::new(word.to_owned()))
}

async fn fault(plan: &Plan) -> ConnectFault {
    match soon(connect(plan, Judge::trusting())).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error.cause,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_jump_host_each_key_is_judged_once() {
    let (jump, target) = (Sshd::start(""), Sshd::start(""));
    let me = sshd::me();
    let hops = [&jump, &target]
        .map(|sshd| HopPlan { hop: sshd.hop(&me), credentials: vec![sshd.key()] })
        .into();
    let judge = Judge::trusting();
    let first = connect(&Plan { hops, ..Plan::default() }, judge.clone()).await.unwrap();
    let shown = judge.shown.lock().unwrap().clone();
    let expected = [&jump, &target].map(|sshd| (sshd.hop(&me), sshd.host_key.clone()));
    assert!(
        shown
            .iter()
            .map(|(hop, key)| (hop, key.key_data()))
            .eq(expected.iter().map(|(hop, key)| (hop, key.key_data())))
    );
    let options = PoolOptions { ahead: 1 };
    let pool = Pool::new(Arc::new(target.plan()), judge, first, options);
    assert_eq!(run(&pool, "echo through").await.stdout, b"through\n");
    drop(jump);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_host_that_does_not_forward_is_named_apart() {
    let (jump, target) = (Sshd::start("AllowTcpForwarding no"), Sshd::start(""));
    let me = sshd::me();
    let hops = [&jump, &target]
        .map(|sshd| HopPlan { hop: sshd.hop(&me), credentials: vec![sshd.key()] })
        .into();
    let Err(error) = connect(&Plan { hops, ..Plan::default() }, Judge::trusting()).await else {
        panic!()
    };
    assert_eq!(error.hop, target.hop(&me));
    assert!(matches!(&error.cause, ConnectFault::JumpRefused(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_and_the_right_one_is_found_among_them() {
    let sshd = Sshd::start("PasswordAuthentication yes");
    let hop = || sshd.hop(&sshd::me());
    let wrong = || Credential::Key(Arc::new(new_key()));
    let refused = fault(&plan(hop(), vec![wrong(), password("no such word")])).await;
    let ConnectFault::AuthRefused { offered } = refused else { panic!("{refused}") };
    assert!(offered.contains(&String::from("publickey")), "{offered:?}");
    let right = Credential::Key(Arc::clone(&sshd.user_key));
    assert!(connect(&plan(hop(), vec![wrong(), right]), Judge::trusting()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_key_opens_and_a_foreign_one_does_not() {
    let sshd = Sshd::start("");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent");
    let mut child = std::process::Command::new("ssh-agent")
        .args(["-D", "-a", socket.to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the agent listens", || socket.exists()).await;
    let stream = || std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let mut adding = russh::keys::agent::client::AgentClient::connect_uds(&socket).await.unwrap();
    adding.add_identity(&sshd.user_key, &[]).await.unwrap();
    let agent = Agent::from_std(stream()).unwrap();
    let foreign = agent.key(new_key().public_key().clone());
    let (held, _) = agent.keys().await.unwrap().remove(0);
    assert_eq!(held.public_key().key_data(), sshd.user_key.public_key().key_data());
    let hop = || sshd.hop(&sshd::me());
    let both = plan(hop(), vec![Credential::Agent(foreign.clone()), Credential::Agent(held)]);
    assert!(connect(&both, Judge::trusting()).await.is_ok());
    let refused = fault(&plan(hop(), vec![Credential::Agent(foreign)])).await;
    assert!(matches!(refused, ConnectFault::AuthRefused { .. }), "{refused}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_stops_everything_before_the_login() {
    let sshd = Sshd::start("");
    let pinned = new_key().public_key().clone();
    let judge = Judge::pinned(std::slice::from_ref(&pinned));
    let Err(error) = connect(&sshd.plan(), judge).await else { panic!("it connected") };
    let ConnectFault::HostKey(refusal) = &error.cause else { panic!("{error}") };
    let print = |key: &PublicKey| key.fingerprint(Default::default()).to_string();
    let (known, presented) = (vec![print(&pinned)], print(&sshd.host_key));
    assert!(refusal.to_string().contains(&known[0]) && refusal.to_string().contains(&presented));
    assert_eq!(*refusal, HostKeyRefusal::Changed { known, presented });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_asks_questions_needs_a_person() {
    let lines = "KbdInteractiveAuthentication yes\nAuthenticationMethods keyboard-interactive";
    let sshd = Sshd::start(lines);
    let fault = fault(&sshd.plan()).await;
    assert!(matches!(fault, ConnectFault::LoginInteractive), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_after_the_login_is_told_apart() {
    let port = questions(Questions { hangs_up: true, ..Questions::default() }).await;
    let hop = Hop { user: "me".into(), host: "127.0.0.1".into(), port };
    let fault = fault(&plan(hop, vec![password("hidden")])).await;
    assert!(matches!(fault, ConnectFault::Closed { at: Step::Session, .. }), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_methods_in_a_row_are_given_one_after_the_other() {
    let port = questions(Questions { first_password: Some("one"), ..Questions::default() });
    let hop = Hop { user: "me".into(), host: "127.0.0.1".into(), port: port.await };
    let both = vec![password("one"), password("hidden")];
    let fault = fault(&plan(hop, both)).await;
    // Both were taken; this server has no sessions.
    assert!(matches!(fault, ConnectFault::NoSession(_)), "{fault}");
}

type Expected = fn(&ConnectFault) -> bool;
type Rounds = &'static [&'static [(&'static str, bool)]];

#[tokio::test(flavor = "multi_thread")]
async fn one_hidden_question_is_answered_with_the_password_and_no_other() {
    const HIDDEN: (&str, bool) = ("Password: ", false);
    const CODE: (&str, bool) = ("Code: ", false);
    const ONE: Rounds = &[&[HIDDEN]];
    const AND_A_NOTE: Rounds = &[&[HIDDEN], &[]];
    const SHOWN: Rounds = &[&[("Name: ", true)]];
    const TWO: Rounds = &[&[HIDDEN, CODE]];
    const TWO_ROUNDS: Rounds = &[&[HIDDEN], &[CODE]];
    let in_full = |fault: &ConnectFault| matches!(fault, ConnectFault::NoSession(_));
    let refused = |fault: &ConnectFault| matches!(fault, ConnectFault::AuthRefused { .. });
    let person = |fault: &ConnectFault| matches!(fault, ConnectFault::LoginInteractive);
    let table: [(Rounds, &str, Expected); 6] = [
        (ONE, "hidden", in_full),
        (AND_A_NOTE, "hidden", in_full),
        (ONE, "wrong", refused),
        (SHOWN, "hidden", person),
        (TWO, "hidden", person),
        (TWO_ROUNDS, "hidden", person),
    ];
    for (rounds, word, expected) in table {
        let port = questions(Questions { rounds, ..Questions::default() }).await;
        let hop = Hop { user: "me".into(), host: "127.0.0.1".into(), port };
        let fault = fault(&plan(hop, vec![password(word)])).await;
        assert!(expected(&fault), "{rounds:?} {word}: {fault}");
    }
}

/// A server that asks these questions, round after round; the first wants `hidden`.
#[derive(Clone)]
struct Questions {
    first_password: Option<&'static str>,
    rounds: Rounds,
    hangs_up: bool,
}

impl Default for Questions {
    fn default() -> Self {
        Self { first_password: None, rounds: &[&[("Password: ", false)]], hangs_up: false }
    }
}

struct Asking {
    questions: Questions,
    round: usize,
}

async fn questions(questions: Questions) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let methods: &[russh::MethodKind] = match questions.first_password {
        Some(_) => &[russh::MethodKind::Password, russh::MethodKind::KeyboardInteractive],
        None => &[russh::MethodKind::KeyboardInteractive],
    };
    let config = Arc::new(server::Config {
        keys: vec![new_key()],
        methods: methods.into(),
        auth_rejection_time: Duration::ZERO,
        preferred: Preferred::DEFAULT,
        ..Default::default()
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asking = Asking { questions: questions.clone(), round: 0 };
            let running = server::run_stream(Arc::clone(&config), stream, asking).await;
            tokio::spawn(async move {
                if let Ok(running) = running {
                    let _ = running.await;
                }
            });
        }
    });
    port
}

impl server::Handler for Asking {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        let partial_success = self.questions.first_password == Some(password);
        let methods = [russh::MethodKind::KeyboardInteractive];
        Ok(Auth::Reject { proceed_with_methods: Some(methods[..].into()), partial_success })
    }

    async fn channel_open_session(
        &mut self,
        _: russh::Channel<server::Msg>,
        _: server::ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), russh::Error> {
        if self.questions.hangs_up { Err(russh::Error::Disconnect) } else { Ok(()) }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        if let Some(answers) = response {
            let answers: Vec<_> = answers.collect();
            if self.round == 1 && answers.iter().any(|answer| answer.as_ref() != b"hidden") {
                return Ok(Auth::reject());
            }
        }
        let Some(round) = self.questions.rounds.get(self.round) else { return Ok(Auth::Accept) };
        self.round += 1;
        Ok(Auth::Partial {
            name: "".into(),
            instructions: "".into(),
            prompts: round.iter().map(|(text, echo)| ((*text).into(), *echo)).collect(),
        })
    }
}
