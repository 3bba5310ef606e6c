//! Tells the operator, through a command of theirs, that a request waits.

use std::{process::Stdio, sync::LazyLock, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command, sync::Semaphore, time::timeout};

use crate::protocol::view::Request;

/// How long the command may run.
const LIMIT: Duration = Duration::from_secs(10);
/// How many may run at once; a request beyond that is not announced, and waits all the same.
static RUNNING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(4));

/// Runs `command` with the request as JSON on its standard input. Failures are logged.
pub fn tell(command: &[String], request: &Request) {
    let [program, arguments @ ..] = command else { return };
    let Ok(body) = serde_json::to_vec(request) else { return };
    let Ok(permit) = RUNNING.try_acquire() else {
        tracing::warn!(request = request.id, "notify is busy");
        return;
    };
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(%error, "notify did not start");
            return;
        }
    };
    tokio::spawn(async move {
        let _permit = permit;
        let running = async {
            if let Some(mut stdin) = child.stdin.take() {
                // A command that reads nothing is fine too.
                let _unread = stdin.write_all(&body).await;
            }
            child.wait().await
        };
        if timeout(LIMIT, running).await.is_err() {
            tracing::warn!("notify took longer than {} s and was ended", LIMIT.as_secs());
        }
    });
}
