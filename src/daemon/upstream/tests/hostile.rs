//! Servers that hang, babble, or go away. Each is told apart, in bounded time and memory.

use std::{future::Future, io::ErrorKind};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::*;

fn plan(port: u16) -> Plan {
    let hop = Hop { user: "me".into(), host: "127.0.0.1".into(), port };
    Plan { hops: vec![HopPlan { hop, credentials: Vec::new() }], ..Plan::default() }
}

async fn fault(port: u16) -> ConnectFault {
    match soon(connect(&plan(port), Judge::trusting())).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error.cause,
    }
}

/// Serves one connection.
async fn server<F: Future<Output = ()> + Send>(
    serve: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await;
    });
    port
}

#[tokio::test]
async fn nobody_there_has_the_systems_reason() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let ConnectFault::Unreachable(reason) = fault(port).await else { panic!() };
    assert_eq!(reason.kind(), ErrorKind::ConnectionRefused);
    let mut nowhere = plan(22);
    nowhere.hops[0].hop.host = "no-such-host.invalid".into();
    let Err(error) = soon(connect(&nowhere, Judge::trusting())).await else { panic!() };
    assert!(matches!(error.cause, ConnectFault::NoSuchHost(_)), "{error}");
    let Err(error) = connect(&Plan::default(), Judge::trusting()).await else { panic!() };
    assert!(matches!(error.cause, ConnectFault::NoRoute));
}

#[tokio::test]
async fn ten_megabytes_of_banner_are_not_read() {
    for line in [&b"x"[..], b"welcome to this machine, please be patient\r\n"] {
        let (told, written) = oneshot::channel();
        let port = server(move |mut stream| async move {
            let banner = line.repeat((10 << 20) / line.len());
            let _ = told.send(stream.write_all(&banner).await.is_err());
        });
        let fault = fault(port.await).await;
        assert!(matches!(fault, ConnectFault::NoSsh(_)), "{fault}");
        assert!(soon(written).await.unwrap(), "all of it was taken");
    }
}

#[tokio::test]
async fn another_protocol_is_quoted() {
    let port = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let ConnectFault::NoSsh(said) = fault(port.await).await else { panic!() };
    assert_eq!(said, "HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn a_server_that_closes_at_once_or_after_its_version() {
    for greeting in [&b""[..], b"SSH-2.0-odd\r\n"] {
        let port = server(move |mut stream| async move {
            let _ = stream.write_all(greeting).await;
            let mut version = [0; 8];
            let _ = stream.read_exact(&mut version).await;
        });
        let fault = fault(port.await).await;
        let expected = matches!(fault, ConnectFault::Closed { at: Step::Handshake, .. });
        assert!(expected, "{fault}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for() {
    for greeting in [&b""[..], b"SSH-2.0-odd\r\n"] {
        let (told, accepted) = oneshot::channel();
        let (ended, gone) = oneshot::channel();
        let port = server(move |mut stream| async move {
            let _ = stream.write_all(greeting).await;
            told.send(()).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let _ = ended.send(());
        })
        .await;
        let connecting = tokio::spawn(async move { connect(&plan(port), Judge::trusting()).await });
        accepted.await.unwrap();
        let start = std::time::Instant::now();
        let Err(error) = soon(connecting).await.unwrap() else { panic!("it connected") };
        assert!(matches!(error.cause, ConnectFault::TimedOut(Step::Handshake, _)), "{error}");
        assert!(start.elapsed() < connect::PATIENCE * 3 / 2, "{:?}", start.elapsed());
        soon(gone).await.unwrap();
    }
}

/// Thinks until told.
struct Slow(Mutex<Option<oneshot::Receiver<()>>>);

impl HostKeyJudge for Slow {
    fn preferred(&self, _: &Hop) -> Vec<Algorithm> {
        Vec::new()
    }

    fn judge<'a>(
        &'a self,
        _: &'a Hop,
        _: &'a PublicKey,
    ) -> BoxFuture<'a, Result<(), HostKeyRefusal>> {
        let told = self.0.lock().unwrap().take().unwrap();
        Box::pin(async move {
            let _ = told.await;
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_person_may_think_longer_than_a_server() {
    let sshd = Sshd::start("LoginGraceTime 0");
    let (tell, told) = oneshot::channel();
    let judge = Arc::new(Slow(Mutex::new(Some(told))));
    let plan = sshd.plan();
    let watched = Arc::clone(&judge);
    let connecting = tokio::spawn(async move { connect(&plan, judge).await });
    until("the key is shown", || watched.0.lock().unwrap().is_none()).await;
    tokio::time::sleep(connect::PATIENCE * 3 / 2).await;
    assert!(!connecting.is_finished());
    tell.send(()).unwrap();
    assert!(soon(connecting).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_opens_no_session_is_found_out_at_once() {
    let sshd = Sshd::start("MaxSessions 0");
    let Err(error) = connect(&sshd.plan(), Judge::trusting()).await else { panic!() };
    assert!(matches!(error.cause, ConnectFault::NoSession(_)), "{error}");
}
