//! An attachment between a person and a daemon, both played by the test.

use tokio::net::{UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf};

use super::*;
use crate::{
    cli::ui::terminal::played::Person,
    domain::{bytes::Bytes, capability::Capabilities, grant},
    protocol::{
        agent::Message,
        error::Code,
        frame::{self, Frame, Kind},
    },
};

/// The daemon's end.
struct Daemon {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    drawn: u64,
    typed: Vec<u8>,
}

const ATTACH: u32 = 1;

impl Daemon {
    async fn send(&mut self, frame: Frame) {
        frame::write(&mut self.to, &frame).await.unwrap();
    }

    async fn says(&mut self, event: &Event) {
        self.send(Frame::json(ATTACH, event).unwrap()).await;
    }

    async fn answers(&mut self, number: u32, result: &impl serde::Serialize) {
        self.send(Frame::json(number, &Message::done(result).unwrap()).unwrap()).await;
    }

    async fn refuses(&mut self, number: u32) {
        let failure = Failure::new(Code::SessionLost, "it is gone \x1b[2J", "sgw");
        self.send(Frame::json(number, &Message::Error(failure)).unwrap()).await;
    }

    async fn draws(&mut self, text: &str) {
        let frame = Frame::output(Kind::Pty, ATTACH, self.drawn, text.as_bytes());
        self.drawn += text.len() as u64;
        self.send(frame).await;
    }

    async fn announces(&mut self, rows: u16, columns: u16) {
        let session = "s-4fk".to_owned();
        self.says(&Event::Screen { session, rows, columns, title: Some("\x1b]0;x\x07".into()) })
            .await;
    }

    async fn controls(&mut self, private: bool, message: Option<&str>) {
        let (session, message) = ("s-4fk".to_owned(), message.map(str::to_owned));
        let control = view::Control::Operator;
        self.says(&Event::Control { session, control, private, message }).await;
    }

    /// The next request; what is typed before it is kept.
    async fn hears(&mut self) -> (u32, Request) {
        loop {
            let frame = frame::read(&mut self.from).await.unwrap().expect("a frame");
            if frame.kind == Kind::Json {
                return (frame.request, serde_json::from_slice(&frame.body).unwrap());
            }
            assert_eq!((frame.kind, frame.request), (Kind::Pty, ATTACH));
            self.typed.extend_from_slice(&frame.body);
        }
    }

    async fn reads(&mut self, text: &str) {
        while self.typed.len() < text.len() {
            let frame = frame::read(&mut self.from).await.unwrap().expect("a frame");
            assert_eq!(frame.kind, Kind::Pty, "{}", String::from_utf8_lossy(&frame.body));
            self.typed.extend_from_slice(&frame.body);
        }
        assert_eq!(String::from_utf8_lossy(&std::mem::take(&mut self.typed)), text);
    }

    async fn ends(&mut self, control: view::Control, ended: bool) {
        let attached =
            view::Attached { id: "s-4fk".into(), kind: view::Kind::Session, control, ended };
        self.answers(ATTACH, &attached).await;
    }
}

/// What ends while the operator types ends when they have seen it.
async fn acknowledges(person: &mut Person) {
    person.sees("ENDED - press Enter").await;
    person.types("\r");
}

fn session(id: &str, running: &[&str]) -> view::Session {
    view::Session {
        id: id.into(),
        kind: view::Kind::Session,
        name: None,
        target: "web1".into(),
        host: "web1".into(),
        port: 22,
        user: "deploy".into(),
        identity: "uid:1000".into(),
        status: view::SessionStatus::Active,
        control: view::Control::Agent,
        mode: grant::Mode::Guarded,
        left_commands: None,
        left_bytes: None,
        granted: grant::Grant {
            capabilities: Capabilities::default(),
            mode: grant::Mode::Guarded,
            expires_at: jiff::Timestamp::MAX,
            max_commands: None,
            used_commands: 0,
            opaque: grant::Opaque::Ask,
        },
        created_at: jiff::Timestamp::UNIX_EPOCH,
        expires_at: jiff::Timestamp::MAX,
        paused: false,
        paused_by: None,
        denied_rules: Vec::new(),
        returned: None,
        running: running.iter().map(|id| (*id).to_owned()).collect(),
        waiting: None,
    }
}

/// Attaches in a window of 10 by 60, and plays both parts until the end. The daemon is there until
/// then, unless it is taken away.
fn scene(part: impl AsyncFnOnce(&mut Option<Daemon>, &mut Person)) -> Result<End, Stop> {
    crate::client::runtime().unwrap().block_on(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut person, tty) = Person::sits_down(10, 60);
        let before = person.modes();
        let how = How { fresh: false, private: None, take: false, escape: Escape::default() };
        let session = session("s-4fk", &[]);
        let played = async {
            let (from, to) = theirs.into_split();
            let mut daemon = Daemon { from, to, drawn: 0, typed: Vec::new() };
            let (number, request) = daemon.hears().await;
            assert_eq!(number, ATTACH);
            let Request::Attach { rows: 9, columns: 60, fresh: false, .. } = request else {
                panic!("{request:?}");
            };
            let mut daemon = Some(daemon);
            part(&mut daemon, &mut person).await;
            (daemon, person)
        };
        let taken = Cell::default();
        let attached = run(Connection::played(ours), tty, &session, how, &taken);
        let (end, (_daemon, person)) = tokio::join!(attached, played);
        person.gets_back(&before).await;
        end
    })
}

/// A scene that begins with a prompt on a shared screen.
fn attached(part: impl AsyncFnOnce(&mut Daemon, &mut Person)) -> Result<End, Stop> {
    scene(async |daemon, person| {
        let daemon = daemon.as_mut().unwrap();
        daemon.controls(false, None).await;
        daemon.announces(9, 60).await;
        daemon.draws("\x1b[2J\x1b[Hdeploy@web1:~$ ").await;
        person.sees("deploy@web1:~$").await;
        part(daemon, person).await;
    })
}

#[test]
fn keys_go_to_the_server_and_the_last_line_is_sgws() {
    let end = attached(async |daemon, person| {
        person.types("ls\r~");
        daemon.reads("ls\r").await;
        person.sees(". leave  p private").await;
        person.types("/bin\r");
        daemon.reads("~/bin\r").await;
        daemon.draws("ls\r\n\x1b[99;1Hover\r\n\n\nand over").await;
        person.sees("and over").await;
        assert!(
            person.last_line().starts_with(" SHARED  deploy@web1 s-4fk"),
            "{}",
            person.last_line()
        );
        daemon.ends(view::Control::Operator, true).await;
        acknowledges(person).await;
    });
    assert!(end.unwrap().attached.unwrap().ended);
}

#[test]
fn the_keyboard_is_handed_back_with_a_word() {
    let end = attached(async |daemon, person| {
        person.types("\r~.");
        daemon.reads("\r").await;
        person.sees("h hand back").await;
        person.types("h");
        person.sees("A word to the agent").await;
        person.types("logged in\r");
        let (number, request) = daemon.hears().await;
        assert!(daemon.typed.is_empty(), "an answer reached the server");
        let word = Some("logged in".to_owned());
        assert_eq!(request, Request::Return { session: "s-4fk".into(), message: word.clone() });
        daemon.ends(view::Control::Agent, false).await;
        let returned = view::Returned {
            id: "s-4fk".into(),
            kind: view::Kind::Session,
            control: view::Control::Agent,
            word,
            private: false,
            duration_ms: 1,
            changed: view::Changed::default(),
            line_left: false,
        };
        daemon.answers(number, &returned).await;
    });
    assert_eq!(end.unwrap().returned.unwrap().word.as_deref(), Some("logged in"));
}

#[test]
fn a_return_that_fails_is_told_and_nobody_leaves() {
    let end = attached(async |daemon, person| {
        person.types("~.h\r");
        // What came in the same read as the escape was not typed as an answer.
        person.sees("h hand back").await;
        person.types("h");
        person.sees("A word").await;
        person.types("\r");
        let (number, _) = daemon.hears().await;
        daemon.refuses(number).await;
        person.sees("it is gone \\x1").await;
        person.types("x");
        daemon.reads("x").await;
        daemon.ends(view::Control::Operator, true).await;
        acknowledges(person).await;
    });
    assert!(end.unwrap().returned.is_none());
}

#[test]
fn whoever_keeps_the_keyboard_leaves_without_it_being_returned() {
    let end = attached(async |daemon, person| {
        person.types("~.");
        person.sees("k keep").await;
        person.types("k");
        assert_eq!(daemon.hears().await, (ATTACH, Request::Cancel {}));
        daemon.ends(view::Control::Operator, false).await;
    });
    assert_eq!(end.unwrap().attached.unwrap().control, view::Control::Operator);
}

#[test]
fn private_mode_is_shown_when_the_daemon_says_so() {
    let end = attached(async |daemon, person| {
        person.types("~p");
        let (number, request) = daemon.hears().await;
        assert_eq!(request, Request::Private { on: true });
        assert!(person.last_line().contains("SHARED"));
        daemon.controls(true, Some("type the sudo password")).await;
        daemon.answers(number, &()).await;
        person.sees("PRIVATE - the agent sees nothing").await;
        person.types("~p");
        let (number, request) = daemon.hears().await;
        assert_eq!(request, Request::Private { on: false });
        daemon.controls(false, None).await;
        daemon.answers(number, &()).await;
        person.sees("SHARED").await;
        person.types("~.");
        person.sees("sudo -k").await;
        person.types("k");
        daemon.hears().await;
        daemon.ends(view::Control::Operator, false).await;
    });
    end.unwrap();
}

#[test]
fn sharing_again_leaves_the_operators_own_picture_until_something_comes() {
    let end = attached(async |daemon, person| {
        daemon.controls(true, None).await;
        daemon.draws("mysql> select 1;\r\n").await;
        person.sees("mysql>").await;
        daemon.controls(false, None).await;
        person.sees("The agent sees what comes").await;
        daemon.draws("\x1b[m\x1b[2J\x1b[H").await;
        // Behind what was drawn.
        daemon.controls(false, Some("are you there?")).await;
        person.sees("are you there?").await;
        assert!(person.screen().contains("mysql>"), "{}", person.screen());
        person.types("\r");
        daemon.reads("\r").await;
        daemon.draws("fresh prompt").await;
        person.sees("fresh prompt").await;
        person.sees_no_more("mysql>").await;
        daemon.ends(view::Control::Operator, true).await;
        acknowledges(person).await;
    });
    end.unwrap();
}

#[test]
fn what_the_agent_takes_back_is_told_and_gone() {
    let end = attached(async |daemon, person| {
        daemon.controls(true, Some("type the sudo password")).await;
        person.sees("The agent asks:").await;
        daemon.controls(true, None).await;
        person.sees("taken back what it asked").await;
        assert!(!person.screen().contains("sudo password"), "{}", person.screen());
        daemon.ends(view::Control::Operator, true).await;
    });
    end.unwrap();
}

#[test]
fn a_daemon_that_is_locked_is_no_daemon() {
    let end = attached(async |daemon, _person| {
        let ends = Failure::new(Code::DaemonLost, "the daemon ends", "sgw unlock");
        daemon.send(Frame::json(ATTACH, &Message::Error(ends)).unwrap()).await;
    });
    let Err(Stop::Failure(failure)) = end else { panic!("{end:?}") };
    assert_eq!(failure.code, Code::DaemonUnreachable);
}

#[test]
fn the_agents_commands_are_listed_and_ended() {
    let end = attached(async |daemon, person| {
        person.types("~k");
        let (number, request) = daemon.hears().await;
        assert_eq!(request, Request::Sessions {});
        let mut other = session("s-oth", &["x-oth"]);
        other.identity = "uid:7".into();
        let mut second = session("s-2nd", &["x-7k3"]);
        (second.control, other.control) = (view::Control::Operator, view::Control::Operator);
        let free = session("s-3rd", &["x-free"]);
        let sessions = vec![session("s-4fk", &[]), second, other, free];
        daemon.answers(number, &view::Sessions { sessions }).await;
        let (number, request) = daemon.hears().await;
        assert_eq!(request, Request::History { session: "s-2nd".into() });
        let run = view::Run {
            id: "x-7k3".into(),
            kind: view::Kind::Exec,
            command: Bytes::from("tail -f log"),
            exit_code: None,
            signal: None,
            running: true,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            duration_ms: None,
            request: None,
        };
        daemon.answers(number, &view::History { history: vec![view::Happened::Exec(run)] }).await;
        person.sees("1  x-7k3  tail -f log").await;
        person.types("1");
        person.sees("End x-7k3?").await;
        person.types("y");
        let (number, request) = daemon.hears().await;
        assert_eq!(request, Request::Close { id: "x-7k3".into() });
        daemon.answers(number, &()).await;
        person.sees("x-7k3 is ended").await;
        person.types("x");
        daemon.reads("x").await;
        person.sees_no_more("is ended").await;
        daemon.ends(view::Control::Operator, true).await;
        acknowledges(person).await;
    });
    end.unwrap();
}

#[test]
fn the_daemon_is_told_of_another_size_and_of_none_that_is_too_small() {
    let end = attached(async |daemon, person| {
        for (rows, columns, told) in [(20, 100, (19, 100)), (2, 5, (2, 20)), (10, 60, (9, 60))] {
            person.resizes(rows, columns);
            let (_, request) = daemon.hears().await;
            assert_eq!(request, Request::Resize { rows: told.0, columns: told.1 });
        }
        person.sees("deploy@web1:~$").await;
        daemon.ends(view::Control::Operator, true).await;
    });
    end.unwrap();
}

#[test]
fn a_daemon_that_goes_away_leaves_the_terminal_as_it_was() {
    let end = scene(async |daemon, person| {
        let mut there = daemon.take().unwrap();
        there.controls(true, None).await;
        there.announces(9, 60).await;
        there.draws("\x1b[?1003h\x1b[?2004h\x1b[?1hhere").await;
        person.sees("here").await;
        person.is_taken().await;
    });
    let Err(Stop::Failure(failure)) = end else { panic!("{end:?}") };
    assert_eq!(failure.code, Code::DaemonLost);
}

#[test]
fn what_is_typed_on_reaches_no_shell_after_an_end_that_nobody_asked_for() {
    let end = scene(async |daemon, person| {
        let mut there = daemon.take().unwrap();
        there.controls(true, None).await;
        there.announces(9, 60).await;
        there.draws("[sudo] password: ").await;
        person.sees("[sudo]").await;
        person.types("hun");
        there.reads("hun").await;
        drop(there);
        person.sees("ENDED - your keys go nowhere").await;
        assert!(person.modes().raw);
        person.types("ter2\r");
        person.sees("ENDED - press Enter").await;
        // An Enter at the end of something is none that answers.
        person.types("typed on\r");
        person.sees("ENDED - your keys go nowhere").await;
        assert!(person.modes().raw, "{}", person.screen());
        acknowledges(person).await;
    });
    let Err(Stop::Failure(failure)) = end else { panic!("{end:?}") };
    assert_eq!(failure.code, Code::DaemonLost);
}

#[test]
fn what_is_refused_at_once_takes_no_terminal() {
    let end = scene(async |daemon, _| daemon.as_mut().unwrap().refuses(ATTACH).await);
    assert!(matches!(end, Err(Stop::Failure(Failure { code: Code::SessionLost, .. }))));
}
