//! The play behind `sgw demo`: this very program is run step by step, as an agent and as its operator
//! would type it, against the embedded server.

mod stage;

use self::stage::Stage;
use super::{Context, Stop};
use crate::protocol::error::{Code, Failure};

/// The agent's reason in the play.
const REASON: &str = "find out why the shop answers 502";
/// How the server's log looks, which the agent comes to read.
pub const LOG: &str = "\
14:01:07 GET /cart 200 12ms
14:01:09 GET /checkout 502 upstream timed out
14:01:12 GET /cart 200 9ms
14:01:15 GET /checkout 502 upstream timed out
14:01:16 worker 3: out of memory, restarting
";

/// Plays it. Whatever ends it, the stage is cleared when this returns.
pub async fn play(context: &Context, auto: bool) -> Result<(), Stop> {
    let stage = Stage::build(context).await?;
    let (destination, files) = (stage.destination(), stage.files());
    let proof = ["--passphrase-file", files.passphrase.as_str()];
    stage.explain("The person sets up sgw once: a passphrase seals the vault.");
    stage.operator("sgw init", &["init", proof[0], proof[1]]).await?;
    stage.explain("They unlock it: a daemon starts and holds the key, in memory alone.");
    stage.operator("sgw unlock", &["unlock", proof[0], proof[1]]).await?;

    stage.explain("An agent wants to look at a server. It has no password and no key: it asks.");
    let asked = format!("sgw request {destination} --reason '{REASON}' --for 10m --only exec");
    let words = [
        "request",
        &destination,
        "--reason",
        REASON,
        "--for",
        "10m",
        "--only",
        "exec",
        "--no-wait",
    ];
    stage.agent(&asked, &words).await?;
    stage.explain("75 means: not yet, a person decides. Nothing was sent to the server so far.");
    let request = stage.pending().await?;
    if !approve(&stage, &request, auto).await? {
        return refuse(&stage, &request).await;
    }

    stage.explain("The agent comes back for its answer: a session.");
    let session = stage.agent(&format!("sgw wait {request}"), &["wait", &request]).await?.stdout;
    stage.explain(
        "It runs commands over the daemon's warm connection, and never sees the password.",
    );
    let tail = ["exec", &session, "--", "tail", "-n", "3", "shop.log"];
    stage.agent(&format!("sgw exec {session} -- tail -n 3 shop.log"), &tail).await?;
    let line = "grep -c 502 shop.log; exit 3";
    stage.explain("A line for the remote shell; the exit status is the command's own.");
    stage.agent(&format!("sgw exec {session} '{line}'"), &["exec", &session, line]).await?;
    stage.agent(&format!("sgw close {session}"), &["close", &session]).await?;

    stage.explain("The person reads what happened: each record is chained to the one before.");
    stage.operator("sgw audit list", &["audit", "list", proof[0], proof[1]]).await?;
    stage.operator("sgw audit verify", &["audit", "verify", proof[0], proof[1]]).await?;
    stage.explain("Locked, the key is gone from memory. The demo leaves nothing behind.");
    stage.operator("sgw lock", &["lock"]).await?;
    Ok(())
}

/// The person's part: in this terminal, or by flags.
async fn approve(stage: &Stage, request: &str, auto: bool) -> Result<bool, Stop> {
    let (files, host_key) = (stage.files(), stage.host_key());
    let mut words = vec!["approve", request];
    words.extend(["--passphrase-file", &files.passphrase, "--password-file", &files.password]);
    if auto {
        stage.explain("The person looks at it and says yes (--auto: with flags for the answers).");
        words.extend(["--yes", "--accept-host-key", &host_key]);
        let typed =
            format!("sgw approve {request} --yes --password-file … --accept-host-key {host_key}");
        return Ok(stage.operator(&typed, &words).await?.code == 0);
    }
    stage.explain(&format!(
        "Your turn: look at it, and decide. The server's real host key is\n# {host_key}"
    ));
    stage.ask(&format!("sgw approve {request} --password-file …"), &words).await
}

/// It was not given: the agent learns that, and the play is over.
async fn refuse(stage: &Stage, request: &str) -> Result<(), Stop> {
    stage.explain("Not given. A no costs nothing, and needs no passphrase.");
    stage.operator(&format!("sgw deny {request}"), &["deny", request]).await?;
    stage.explain("The agent learns it: 77.");
    stage.agent(&format!("sgw wait {request}"), &["wait", request]).await?;
    stage.operator("sgw lock", &["lock"]).await?;
    Ok(())
}

fn broken(message: impl Into<String>) -> Failure {
    Failure::new(Code::DaemonFailed, message, "sgw demo --auto")
}
