//! What servers ask at login, and who answers.

use std::{collections::VecDeque, time::Duration};

use russh::{
    MethodKind,
    server::{self, Auth, Response, VerifiedPublicKey},
};
use tokio::{net::TcpListener, sync::Notify};

use super::{sshd::new_key, *};
use crate::domain::{hostkey::Unknown, secret::Secret};

/// A person who has these answers ready; `None` is a no. Without any left they think for ever.
#[derive(Default)]
struct Ready {
    answers: Mutex<VecDeque<Option<&'static str>>>,
    heard: Mutex<Vec<(String, bool)>>,
    /// Questions that were taken back.
    withdrawn: Notify,
}

impl Ready {
    fn with(answers: &[&'static str]) -> Self {
        let answers = answers.iter().map(|answer| Some(*answer)).collect();
        Self { answers: Mutex::new(answers), ..Self::default() }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|(text, _)| text.clone()).collect()
    }
}

struct TakenBack<'a>(Option<&'a Notify>);

impl Drop for TakenBack<'_> {
    fn drop(&mut self) {
        if let Some(notify) = self.0 {
            notify.notify_one();
        }
    }
}

impl AskOperator for Ready {
    fn accepts<'a>(
        &'a self,
        _: &'a Hop,
        _: &'a str,
        _: &'a str,
        _: &'a Unknown,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(async { Answer::Yes })
    }

    fn answers<'a>(&'a self, hop: &'a Hop, text: &'a str, echo: bool) -> BoxFuture<'a, Typed> {
        assert_eq!(hop.user, "me");
        self.heard.lock().unwrap().push((text.to_owned(), echo));
        let next = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            match next {
                Some(Some(word)) => Typed::Text(Secret::new(word.to_owned())),
                Some(None) => Typed::No,
                None => {
                    let _taken_back = TakenBack(Some(&self.withdrawn));
                    std::future::pending().await
                }
            }
        })
    }
}

/// What a server says to the answers of a round; the first time there are none.
type Says = fn(round: usize, answers: Option<Vec<String>>) -> Auth;

#[derive(Clone)]
struct Server {
    says: Says,
    round: usize,
    hang_up: Arc<Notify>,
    /// Every answer and password that came.
    got: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(first: MethodKind, says: Says) -> (Hop, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::new(server::Config {
            keys: vec![new_key()],
            methods: [first][..].into(),
            auth_rejection_time: Duration::ZERO,
            ..Default::default()
        });
        let (hang_up, got) = (Arc::default(), Arc::default());
        let server = Self { says, round: 0, hang_up, got };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (config, handler) = (config.clone(), serving.clone());
                tokio::spawn(async move {
                    let stream = stream.into_std().unwrap();
                    let wire = stream.try_clone().unwrap();
                    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                    let hang_up = handler.hang_up.clone();
                    let Ok(running) = server::run_stream(config, stream, handler).await else {
                        return;
                    };
                    tokio::select! {
                        _ = running => {}
                        () = hang_up.notified() => {
                            wire.shutdown(std::net::Shutdown::Both).unwrap();
                        }
                    }
                });
            }
        });
        (Hop { user: "me".into(), host: "127.0.0.1".into(), port }, server)
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        let methods = [MethodKind::KeyboardInteractive][..].into();
        Ok(Auth::Reject { proceed_with_methods: Some(methods), partial_success: true })
    }

    async fn channel_open_session(
        &mut self,
        _: russh::Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    /// Neither yes nor no, as where a password has to be changed first.
    async fn auth_password(&mut self, _: &str, _: &str) -> Result<Auth, russh::Error> {
        std::future::pending().await
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let answers = response.map(|answers| {
            let text = |answer: bytes::Bytes| String::from_utf8(answer.to_vec()).unwrap();
            answers.map(text).collect::<Vec<_>>()
        });
        self.round = if answers.is_none() { 0 } else { self.round + 1 };
        self.got.lock().unwrap().extend(answers.iter().flatten().cloned());
        Ok((self.says)(self.round, answers))
    }
}

fn asks(name: &'static str, instructions: &'static str, prompts: &[(&'static str, bool)]) -> Auth {
    let prompts: Vec<_> = prompts.iter().map(|(text, echo)| ((*text).into(), *echo)).collect();
    Auth::Partial { name: name.into(), instructions: instructions.into(), prompts: prompts.into() }
}

fn plan(hop: &Hop, credentials: Vec<Credential>) -> Plan {
    let credentials = credentials.into_iter().map(Arc::new).collect();
    Plan { hops: vec![HopPlan { hop: hop.clone(), credentials }], ..Plan::default() }
}

fn word(word: &str) -> Credential {
    Credential::Password(Secret::new(word.to_owned()))
}

/// Where a person had to answer, or how the login ended.
async fn login(plan: &Plan, person: Option<&Ready>) -> Result<Vec<Hop>, ConnectFault> {
    let ask = person.map(|person| person as &dyn AskOperator);
    match soon(connect_asking(plan, Judge::trusting(), ask)).await {
        Ok(connection) => Ok(connection.asked_at().to_vec()),
        Err(error) => Err(error.cause),
    }
}

/// Password and code at once, then a remark without a question.
fn two_factors(round: usize, answers: Option<Vec<String>>) -> Auth {
    match (round, answers.as_deref()) {
        (0, _) => asks("Two factors", "for me", &[("Password: ", false), ("Code: ", true)]),
        (1, Some([word, code])) if word == "right" && code == "123456" => asks("", "Hello.", &[]),
        (2, Some([])) => Auth::Accept,
        _ => Auth::reject(),
    }
}

const ASKING: MethodKind = MethodKind::KeyboardInteractive;

#[tokio::test(flavor = "multi_thread")]
async fn the_password_that_was_given_is_used_and_a_person_asked_for_the_rest() {
    let (hop, server) = Server::start(ASKING, two_factors).await;
    let person = Ready::with(&["123456"]);
    let asked = login(&plan(&hop, vec![word("right")]), Some(&person)).await.unwrap();
    assert_eq!(asked, [hop]);
    assert_eq!(*person.heard.lock().unwrap(), [("Two factors\nfor me\nCode: ".into(), true)]);
    assert_eq!(server.got(), ["right", "123456"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_alone_needs_no_person() {
    let (hop, _) = Server::start(ASKING, |round, answers| match (round, answers) {
        (0, _) => asks("", "", &[("Password: ", false)]),
        (_, Some(answers)) if answers == ["right"] => Auth::Accept,
        _ => Auth::reject(),
    })
    .await;
    let person = Ready::default();
    assert_eq!(login(&plan(&hop, vec![word("right")]), Some(&person)).await.unwrap(), []);
    // A wrong one is not offered again: the person is asked.
    let person = Ready::with(&["right"]);
    assert_eq!(login(&plan(&hop, vec![word("wrong")]), Some(&person)).await.unwrap(), [hop]);
    assert_eq!(person.heard(), ["Password: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_wrong_code_the_password_serves_again_three_times_in_all() {
    let (hop, server) = Server::start(ASKING, two_factors).await;
    let person = Ready::with(&["000000", "123456"]);
    let asked = login(&plan(&hop, vec![word("right")]), Some(&person)).await.unwrap();
    assert_eq!(asked, std::slice::from_ref(&hop));
    assert_eq!(server.got(), ["right", "000000", "right", "123456"]);
    let person = Ready::with(&["1", "2", "3", "4"]);
    let fault = login(&plan(&hop, vec![word("right")]), Some(&person)).await.unwrap_err();
    assert!(matches!(fault, ConnectFault::AuthRefused { .. }), "{fault}");
    assert_eq!(person.heard().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_then_a_code_with_what_was_remarked_before() {
    let (hop, _) = Server::start(MethodKind::PublicKey, |round, answers| match (round, answers) {
        (0, _) => asks("", "Your password expires in 3 days.", &[]),
        (1, _) => asks("", "", &[("Code: ", false)]),
        (2, Some(answers)) if answers == ["42"] => Auth::Accept,
        _ => Auth::reject(),
    })
    .await;
    let key = || Credential::Key(Arc::new(new_key()));
    let person = Ready::with(&["42"]);
    let asked = login(&plan(&hop, vec![key()]), Some(&person)).await.unwrap();
    assert_eq!(asked, std::slice::from_ref(&hop));
    assert_eq!(person.heard(), ["Your password expires in 3 days.\nCode: "]);
    let nobody = login(&plan(&hop, vec![key()]), None).await.unwrap_err();
    assert!(matches!(nobody, ConnectFault::LoginInteractive), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_must_change_is_changed_by_the_person() {
    let (hop, server) = Server::start(ASKING, |round, answers| match (round, answers.as_deref()) {
        (0, _) => asks("", "", &[("Password: ", false)]),
        (1, Some([old])) if old == "old" => {
            asks("", "You must change it now.", &[("Current password: ", false)])
        }
        (2, Some([old])) if old == "old" => asks("", "", &[("New password: ", false)]),
        (3, Some(_)) => asks("", "", &[("Retype new password: ", false)]),
        (4, Some([new])) if new == "new" => Auth::Accept,
        _ => Auth::reject(),
    })
    .await;
    let person = Ready::with(&["old", "new", "new"]);
    let asked = login(&plan(&hop, vec![word("old")]), Some(&person)).await.unwrap();
    assert_eq!(asked, [hop]);
    assert_eq!(
        person.heard(),
        ["You must change it now.\nCurrent password: ", "New password: ", "Retype new password: "]
    );
    assert_eq!(server.got(), ["old", "old", "new", "new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_ends_the_login_and_answers_nothing() {
    let (hop, server) = Server::start(ASKING, two_factors).await;
    let person = Ready::default();
    person.answers.lock().unwrap().push_back(None);
    let fault = login(&plan(&hop, vec![word("right")]), Some(&person)).await.unwrap_err();
    assert!(matches!(fault, ConnectFault::LoginDeclined), "{fault}");
    assert!(server.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_takes_its_question_back() {
    let (hop, server) = Server::start(ASKING, two_factors).await;
    let person = Ready::default();
    let plan = plan(&hop, vec![word("right")]);
    let logging_in = login(&plan, Some(&person));
    let hanging_up = async {
        until("the question is asked", || !person.heard().is_empty()).await;
        server.hang_up.notify_one();
        soon(person.withdrawn.notified()).await;
    };
    let (fault, ()) = tokio::join!(logging_in, hanging_up);
    let fault = fault.unwrap_err();
    assert!(matches!(fault, ConnectFault::Closed { at: Step::Login, .. }), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_without_end_is_given_up() {
    let rounds: Says = |_, _| asks("", "", &[("More? ", true)]);
    let remarks: Says = |_, _| asks("", "Wait for it.", &[]);
    let prompts: Says = |_, _| asks("", "", &[("More? ", true); 1000]);
    for (says, most) in [(rounds, 16), (remarks, 0), (prompts, 0)] {
        let (hop, _) = Server::start(ASKING, says).await;
        let person = Ready::with(&["yes"; 40]);
        let fault = login(&plan(&hop, vec![]), Some(&person)).await.unwrap_err();
        assert!(matches!(fault, ConnectFault::LoginEndless(_)), "{fault}");
        assert_eq!(person.heard().len(), most);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_gets_neither_yes_nor_no_is_told() {
    let (hop, _) = Server::start(MethodKind::Password, |_, _| Auth::reject()).await;
    let fault = login(&plan(&hop, vec![word("old")]), None).await.unwrap_err();
    assert!(fault.to_string().contains("PASSWD_CHANGEREQ"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_person_answered_there_is_one_connection_and_no_second_login() {
    let sshd = Sshd::start("");
    let relay = Relay::to(sshd.port, Duration::ZERO).await;
    let plan = sshd.plan_for(&sshd::me(), relay.port);
    let pool = sshd::pool(plan, false).await;
    let all = futures::future::join_all((0..4).map(|_| run(&pool, "sleep 1; echo x"))).await;
    assert!(all.iter().all(|ran| ran.stdout == b"x\n"));
    assert_eq!(pool.connections(), 1);
    assert!(!pool.needs_login());
    relay.cut();
    soon(pool.lost()).await;
    assert!(pool.needs_login());
    assert!(matches!(pool.exec(b"true").await, Err(OpenError::Lost)));
    // A person has logged in: it goes on in place.
    let again = Arc::new(sshd.plan());
    let first = connect(&again, Judge::trusting()).await.unwrap();
    assert!(pool.renew(again.clone(), first).is_ok());
    assert!(!pool.needs_login());
    assert_eq!(run(&pool, "echo back").await.stdout, b"back\n");
    pool.close().await;
    let first = connect(&again, Judge::trusting()).await.unwrap();
    assert!(pool.renew(again, first).is_err(), "a closed pool takes none");
}
