//! The server, seen by a client of the same library.

use std::time::{Duration, Instant};

use russh::{
    ChannelMsg, Sig,
    client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse},
    keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};

use super::*;

const PASSWORD: &str = "a loopback password";

/// Notes the host key and the banner.
#[derive(Clone, Default)]
struct Client(Arc<std::sync::Mutex<(String, usize)>>);

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        self.0.lock().unwrap().0 = key.fingerprint(HashAlg::Sha256).to_string();
        Ok(true)
    }

    async fn auth_banner(
        &mut self,
        banner: &str,
        _session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        self.0.lock().unwrap().1 = banner.len();
        Ok(())
    }
}

async fn server(oddness: Oddness) -> Server {
    let account = Account {
        user: "demo".into(),
        password: Some(Secret::new(PASSWORD.into())),
        key: None,
        directory: std::env::temp_dir(),
    };
    Server::start(account, oddness).await.unwrap()
}

async fn connect(server: &Server) -> (Handle<Client>, Client) {
    let noted = Client::default();
    let config = Arc::new(client::Config::default());
    let handle = client::connect(config, server.address(), noted.clone()).await.unwrap();
    (handle, noted)
}

async fn login(server: &Server) -> Handle<Client> {
    let (mut handle, _) = connect(server).await;
    let result = handle.authenticate_password("demo", PASSWORD).await.unwrap();
    assert!(matches!(result, AuthResult::Success));
    handle
}

#[derive(Debug, Default, PartialEq)]
struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: Option<u32>,
    signal: Option<String>,
}

async fn run(handle: &Handle<Client>, command: &str, stdin: &'static [u8]) -> Ran {
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, command).await.unwrap();
    channel.data_bytes(stdin).await.unwrap();
    channel.eof().await.unwrap();
    let mut ran = Ran::default();
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => ran.stdout.extend(&data[..]),
            ChannelMsg::ExtendedData { data, .. } => ran.stderr.extend(&data[..]),
            ChannelMsg::ExitStatus { exit_status } => ran.status = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name: Sig::Custom(name), .. } => {
                ran.signal = Some(name)
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                ran.signal = Some(format!("{signal_name:?}"));
            }
            _ => {}
        }
    }
    ran
}

/// Waits for what must come true; the test's own time limit is the last word.
async fn until(claim: impl Fn() -> bool) {
    let start = Instant::now();
    while !claim() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_command_gets_its_input_and_gives_streams_and_status_apart() {
    let server = server(Oddness::None).await;
    let handle = login(&server).await;
    let ran = run(&handle, "cat; echo problem >&2; exit 7", b"in\xff").await;
    let expected = Ran {
        stdout: b"in\xff".to_vec(),
        stderr: b"problem\n".to_vec(),
        status: Some(7),
        signal: None,
    };
    assert_eq!(ran, expected);
    assert_eq!((server.connections(), server.credentials(), server.commands()), (1, 1, 1));
    assert!(server.bytes() > 0);
}

#[tokio::test]
async fn a_command_sees_nothing_of_the_servers_environment() {
    let server = server(Oddness::None).await;
    let handle = login(&server).await;
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let ran = run(&handle, "echo [$CARGO_MANIFEST_DIR]; pwd", b"").await;
    let expected = format!("[]\n{}\n", std::env::temp_dir().display());
    assert_eq!(String::from_utf8_lossy(&ran.stdout), expected);
}

#[tokio::test]
async fn a_signal_is_told_from_a_status() {
    let server = server(Oddness::None).await;
    let handle = login(&server).await;
    let ran = run(&handle, "kill -TERM $$", b"").await;
    assert_eq!((ran.status, ran.signal.as_deref()), (None, Some("TERM")));
}

#[tokio::test]
async fn megabytes_come_whole() {
    let server = server(Oddness::None).await;
    let handle = login(&server).await;
    let ran = run(&handle, "head -c 8000000 /dev/zero", b"").await;
    assert_eq!((ran.stdout.len(), ran.status), (8_000_000, Some(0)));
}

#[tokio::test]
async fn a_closed_channel_and_a_dropped_server_end_what_runs() {
    for by_closing in [true, false] {
        let server = server(Oddness::None).await;
        let handle = login(&server).await;
        let mut channel = handle.channel_open_session().await.unwrap();
        channel.exec(true, "trap '' TERM HUP; echo $$; sleep 1000; sleep 1000").await.unwrap();
        let pid = loop {
            if let Some(ChannelMsg::Data { data }) = channel.wait().await {
                break String::from_utf8_lossy(&data).trim().to_owned();
            }
        };
        let process = PathBuf::from(format!("/proc/{pid}"));
        assert!(process.exists());
        if by_closing {
            channel.close().await.unwrap();
        } else {
            drop(server);
        }
        until(|| !process.exists()).await;
    }
}

#[tokio::test]
async fn the_right_key_gets_in_and_no_other() {
    let right = new_host_key().unwrap();
    let account = Account {
        user: "demo".into(),
        password: None,
        key: Some(right.public_key().clone()),
        directory: std::env::temp_dir(),
    };
    let server = Server::start(account, Oddness::None).await.unwrap();
    for (key, gets_in) in [(right, true), (new_host_key().unwrap(), false)] {
        let (mut handle, _) = connect(&server).await;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        let result = handle.authenticate_publickey("demo", key).await.unwrap();
        assert_eq!(matches!(result, AuthResult::Success), gets_in);
    }
}

#[tokio::test]
async fn it_asks_its_questions_and_takes_only_the_right_answers() {
    let question = |text: &str, echo, answer: &str| Question {
        text: text.into(),
        echo,
        answer: answer.into(),
    };
    let questions =
        vec![question("Password: ", false, PASSWORD), question("Code: ", true, "123456")];
    let rounds = vec![Round { questions, ..Round::default() }];
    let interview = Interview { rounds, ..Interview::default() };
    let server = server(Oddness::Asks(interview)).await;
    for (code, gets_in) in [("123456", true), ("000000", false)] {
        let (mut handle, _) = connect(&server).await;
        let asked = handle.authenticate_keyboard_interactive_start("demo", None).await.unwrap();
        let KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } = asked else {
            panic!("{asked:?}")
        };
        assert_eq!(prompts.iter().map(|p| p.echo).collect::<Vec<_>>(), [false, true]);
        let answers = vec![PASSWORD.to_owned(), code.to_owned()];
        let result = handle.authenticate_keyboard_interactive_respond(answers).await.unwrap();
        assert_eq!(matches!(result, KeyboardInteractiveAuthResponse::Success), gets_in);
    }
}

#[tokio::test]
async fn a_channel_beyond_the_allowed_number_is_refused_until_one_closes() {
    let server = server(Oddness::MaxSessions(1)).await;
    let handle = login(&server).await;
    let first = handle.channel_open_session().await.unwrap();
    assert!(handle.channel_open_session().await.is_err());
    first.close().await.unwrap();
    assert!(handle.channel_open_session().await.is_ok());
}

#[tokio::test]
async fn odd_banners_arrive_before_the_login() {
    let lines = server(Oddness::LinesBeforeVersion(300)).await;
    login(&lines).await;
    let banner = server(Oddness::Banner(100_000)).await;
    let (mut handle, noted) = connect(&banner).await;
    handle.authenticate_password("demo", PASSWORD).await.unwrap();
    assert_eq!(noted.0.lock().unwrap().1, 100_000);
}

#[tokio::test]
async fn a_changing_host_key_is_another_each_time_and_never_the_shown_one() {
    let server = server(Oddness::NewHostKeyEachTime).await;
    let (_first, one) = connect(&server).await;
    let (_second, two) = connect(&server).await;
    let (one, two) = (one.0.lock().unwrap().0.clone(), two.0.lock().unwrap().0.clone());
    assert!(one != two && one != server.fingerprint() && two != server.fingerprint());
}

#[tokio::test]
async fn it_drops_the_connection_when_told_to() {
    let early = server(Oddness::ClosesAfterAuth).await;
    let (mut handle, _) = connect(&early).await;
    // Whether the client hears of its success before the end is a race that both may win.
    let _ = handle.authenticate_password("demo", PASSWORD).await;
    until(|| handle.is_closed()).await;

    let late = server(Oddness::DropsDuringExec).await;
    let handle = login(&late).await;
    let ran = run(&handle, "echo first; sleep 1000", b"").await;
    assert_eq!(ran, Ran { stdout: b"first\n".to_vec(), ..Ran::default() });
}
