//! Remote processes really end.

use std::{fs, process};

use futures::future::join_all;

use super::*;

fn marker(number: u32) -> String {
    format!("x-4fk-{:08x}{number:08x}", process::id())
}

/// Processes on this machine whose command line holds `word`.
fn alive(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.windows(word.len()).any(|window| window == word.as_bytes()) {
            found.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    found
}

/// Each leaves a process with `WORD` in its command line.
const COMMANDS: &[&str] = &[
    "sleep WORD",
    "exec sleep WORD",
    "setsid sleep WORD & sleep WORD",
    "env -i /bin/sleep WORD; true",
    "sh -c 'trap \"\" TERM; while :; do :; done # WORD'",
    "setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 0.2; done # WORD'",
];

async fn ends_everything_for(sshd: &Sshd, user: &str, first: u32) {
    let pool = sshd::pool(sshd.plan_for(user, sshd.port), true).await;
    for (number, command) in (first..).zip(COMMANDS) {
        let marker = marker(number);
        let word = format!("77{number}.{}", process::id());
        let line = format!("export SGW_EXEC={marker}; {}", command.replace("WORD", &word));
        let (mut reader, _writer) = pool.exec(line.as_bytes()).await.unwrap();
        // fish says a lot here, in small pieces; unread, that would hold up the whole connection.
        let reading = tokio::spawn(async move { read_all(&mut reader).await });
        until("it runs", || alive(&word).iter().any(|line| !line.contains("SGW_EXEC"))).await;
        let start = std::time::Instant::now();
        let end = pool.end_processes(&[marker]).await;
        println!("{user}: {command}: {end:?} after {:?}", start.elapsed());
        assert_eq!(end, RemoteEnd::Ended, "{user}: {command}");
        assert_eq!(alive(&word), Vec::<String>::new(), "{user}: {command}");
        soon(reading).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_end_for_whoever_runs_them() {
    let sshd = Sshd::start("");
    ends_everything_for(&sshd, &sshd::me(), 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_end_for_ordinary_users_of_any_shell() {
    if !sshd::is_root() {
        eprintln!("not root: no users made");
        return;
    }
    let sshd = Sshd::start("");
    let shells = ["/bin/bash", "/bin/dash", "/usr/bin/zsh", "/usr/bin/fish"];
    let there = shells.iter().filter(|shell| fs::exists(shell).unwrap());
    join_all(there.enumerate().map(async |(place, shell)| {
        let account = Account::with_shell(shell);
        ends_everything_for(&sshd, &account.0, 200 + 100 * place as u32).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_carries_the_marker_ends() {
    let sshd = Sshd::start("MaxSessions 2");
    let pool = sshd.pool().await;
    let (mine, other) = (marker(1), marker(2));
    let (mut spared, writer) =
        pool.exec(format!("export SGW_EXEC={other}; cat").as_bytes()).await.unwrap();
    let (mut ended, _held) =
        pool.exec(format!("export SGW_EXEC={mine}; echo; cat").as_bytes()).await.unwrap();
    soon(ended.next()).await;
    assert_eq!(pool.end_processes(&[mine]).await, RemoteEnd::Ended);
    assert_eq!(read_all(&mut ended).await.signal.as_deref(), Some("TERM"));
    writer.write("still here").await.unwrap();
    writer.eof().await.unwrap();
    assert_eq!(read_all(&mut spared).await.stdout, b"still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_whose_command_ends_does_not_begin_with_the_next() {
    let sshd = Sshd::start("");
    let pool = sshd.pool().await;
    for number in 10..15 {
        let marker = marker(number);
        let line = format!("export SGW_EXEC={marker}; echo; sleep 600; echo after");
        let (mut reader, _writer) = pool.exec(line.as_bytes()).await.unwrap();
        soon(reader.next()).await;
        assert_eq!(pool.end_processes(&[marker]).await, RemoteEnd::Ended);
        assert_eq!(read_all(&mut reader).await.stdout, b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_a_connection_is_enough_to_end_it() {
    let sshd = Sshd::start("MaxSessions 1");
    let pool = sshd.pool().await;
    let marker = marker(3);
    let (mut reader, _writer) =
        pool.exec(format!("export SGW_EXEC={marker}; echo; cat").as_bytes()).await.unwrap();
    soon(reader.next()).await;
    assert_eq!(pool.end_processes(&[marker]).await, RemoteEnd::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_look_the_end_is_unknown() {
    let sshd = Sshd::start("ForceCommand echo welcome");
    let pool = sshd.pool().await;
    assert_eq!(pool.end_processes(&[marker(4)]).await, RemoteEnd::Unknown);
    assert_eq!(pool.end_processes(&[]).await, RemoteEnd::Ended);
}
