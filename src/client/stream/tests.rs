//! The caller's side of a stream, against a daemon that the test plays frame by frame.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::net::UnixStream;

use super::*;
use crate::protocol::{error::Code, hello::Welcome};

/// The daemon's end of a connection.
struct Daemon(UnixStream);

impl Daemon {
    async fn says(&mut self, message: &Message) {
        frame::write(&mut self.0, &Frame::json(1, message).unwrap()).await.unwrap();
    }

    async fn prints(&mut self, offset: u64, text: &str) {
        let frame = Frame::output(Kind::Stdout, 1, offset, text.as_bytes());
        frame::write(&mut self.0, &frame).await.unwrap();
    }

    async fn starts(&mut self, stdout: u64) {
        self.says(&Message::Started { id: "x-7k3".into(), stdout, stderr: 0 }).await;
    }

    async fn ends(&mut self) {
        self.says(&Message::Done { result: json!({ "over": true }) }).await;
    }

    async fn hears(&mut self) -> Request {
        let frame = frame::read(&mut self.0).await.unwrap().expect("a frame");
        serde_json::from_slice(&frame.body).unwrap()
    }
}

/// Plays the daemon's part against one call whose standard output is `sink`.
fn call(
    sink: impl Write + Send + 'static,
    leave_after: Option<Duration>,
    part: impl AsyncFnOnce(Daemon),
) -> Result<Ended, Error> {
    let runtime = crate::client::runtime().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let connection = Connection::agent(ours, None).await.unwrap();
        let streams = Streams {
            stdout: Box::new(sink),
            stderr: Box::new(io::sink()),
            stdin: Feed::Nothing,
            leave_at: leave_after.map(|after| Instant::now() + after),
        };
        let played = async {
            let _hello = frame::read(&mut theirs).await.unwrap();
            let welcome = Frame::json(0, &Welcome::new(None)).unwrap();
            frame::write(&mut theirs, &welcome).await.unwrap();
            let mut daemon = Daemon(theirs);
            assert_eq!(daemon.hears().await, Request::Status {});
            part(daemon).await;
        };
        let mut tell = |_| ();
        let (ended, ()) =
            tokio::join!(run(connection, &Request::Status {}, streams, &mut tell), played);
        ended
    })
}

/// A sink that the test can look into.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>);

impl Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that has gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_written_is_acknowledged_by_its_offset_while_the_command_runs() {
    let seen = Seen::default();
    let ended = call(seen.clone(), None, async |mut daemon| {
        daemon.starts(100).await;
        daemon.prints(100, "one").await;
        assert_eq!(daemon.hears().await, Request::Ack { stdout: 103, stderr: 0 });
        daemon.ends().await;
    });
    let ended = ended.unwrap();
    assert_eq!(*seen.0.lock().unwrap(), b"one");
    assert_eq!((ended.started.as_deref(), ended.cut), (Some("x-7k3"), None));
}

#[test]
fn what_came_before_the_last_word_is_written_and_acknowledged_after_it() {
    let seen = Seen::default();
    let ended = call(seen.clone(), None, async |mut daemon| {
        daemon.starts(0).await;
        daemon.prints(0, "last words").await;
        daemon.ends().await;
        assert_eq!(daemon.hears().await, Request::Ack { stdout: 10, stderr: 0 });
    });
    assert!(matches!(ended.unwrap().result, Some(Ok(_))));
    assert_eq!(*seen.0.lock().unwrap(), b"last words");
}

#[test]
fn a_closed_standard_output_cancels_the_command_and_its_end_is_waited_for() {
    let ended = call(Gone, None, async |mut daemon| {
        daemon.starts(0).await;
        daemon.prints(0, "nobody reads this").await;
        // What nobody took still counts, or the daemon would wait for it.
        loop {
            match daemon.hears().await {
                Request::Cancel {} => break,
                Request::Ack { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        daemon.ends().await;
    });
    assert_eq!(ended.unwrap().cut, Some(Cut::Closed));
}

#[test]
fn a_call_that_has_waited_long_enough_says_that_it_leaves() {
    let ended = call(io::sink(), Some(Duration::from_millis(10)), async |mut daemon| {
        daemon.starts(0).await;
        assert_eq!(daemon.hears().await, Request::Leave {});
        daemon.ends().await;
    });
    let ended = ended.unwrap();
    assert_eq!(ended.cut, Some(Cut::Left));
    assert!(matches!(ended.result, Some(Ok(_))));
}

#[test]
fn a_daemon_that_vanishes_is_told_with_the_commands_id_and_that_it_may_have_run() {
    let lost = call(io::sink(), None, async |mut daemon| daemon.starts(0).await).unwrap_err();
    let failure = Failure::from(lost);
    assert_eq!(failure.code, Code::DaemonLost);
    assert_eq!((failure.id.as_deref(), failure.sent), (Some("x-7k3"), Some(true)));
}
