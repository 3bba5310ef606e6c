//! Ends remote processes: closing a channel without a PTY ends nothing.
//!
//! Every command line starts with `export SGW_EXEC=<marker>;`, so the marker is in the environment
//! of all that it starts and in the command line of its shell. A script on a channel of its own
//! looks for it in `/proc` and signals what it finds.

use std::time::Duration;

use tokio::time::timeout;

use super::{Event, OpenError, Pool, Reader, slots::Need};

/// For everything together: a channel, the script, its answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// Of the script's output this much is read.
const OUTPUT: usize = 64 * 1024;

/// What is known of the processes on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteEnd {
    /// None is left of those that carried the marker, nor of the sessions that they led. A program
    /// put in the shell's own place without its environment (`exec env -i …`) is not found: a
    /// channel that does not close soon after this tells it.
    Ended,
    /// Nobody could look, or something is left that we may not end.
    Unknown,
}

pub(super) async fn end_processes(pool: &Pool, markers: &[String]) -> RemoteEnd {
    if markers.is_empty() {
        return RemoteEnd::Ended;
    }
    let Some(script) = script(markers) else { return RemoteEnd::Unknown };
    match timeout(PATIENCE, run(pool, script)).await {
        Ok(Ok(output)) if says_ended(&output) => RemoteEnd::Ended,
        Ok(Ok(_)) | Err(_) => RemoteEnd::Unknown,
        Ok(Err(error)) => {
            tracing::info!(%error, "no channel to end processes");
            RemoteEnd::Unknown
        }
    }
}

/// Signals the foreground process group of the terminal that the marker's processes are on.
pub(super) async fn signal_foreground(pool: &Pool, marker: &str, signal: &str) -> bool {
    let Some(pattern) = pattern(marker) else { return false };
    if !signal.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let script = FOREGROUND.replace("PATTERN", &pattern).replace("SIGNAL", signal);
    let sent = timeout(PATIENCE, run(pool, script)).await;
    matches!(sent, Ok(Ok(output)) if output.trim_ascii_end().ends_with(b"sgw: sent"))
}

/// Runs a script on a channel of its own; what it prints, as far as it is looked at.
pub(super) async fn run(pool: &Pool, script: String) -> Result<Vec<u8>, OpenError> {
    let channel = pool.obtain(Need::Ending, None).await?;
    // Any login shell understands this; what follows is read by `sh` alone.
    let started = channel.exec(b"exec /bin/sh -s").await;
    let (mut reader, writer) = started.map_err(|_| OpenError::Lost)?;
    let feed = async {
        let _ = writer.write(script).await;
        let _ = writer.eof().await;
    };
    let ((), output) = tokio::join!(feed, collect(&mut reader));
    Ok(output)
}

async fn collect(reader: &mut Reader) -> Vec<u8> {
    let mut output = Vec::new();
    loop {
        match reader.next().await {
            Event::Stdout(bytes) if output.len() + bytes.len() <= OUTPUT => {
                output.extend_from_slice(&bytes);
            }
            Event::Closed | Event::Lost | Event::Refused => return output,
            _ => {}
        }
    }
}

fn says_ended(output: &[u8]) -> bool {
    output.trim_ascii_end().rsplit(|byte| *byte == b'\n').next() == Some(b"sgw: ended")
}

/// `None` when a marker is not one of ours: it goes into a regular expression.
fn script(markers: &[String]) -> Option<String> {
    let patterns: Option<String> = markers.iter().map(|marker| pattern(marker)).collect();
    Some(SCRIPT.replace("PATTERNS", &patterns?))
}

/// Finds the marker of a process, and never the search for it.
pub(super) fn pattern(marker: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let (last, rest) = marker.as_bytes().split_last()?;
    if !(8..=64).contains(&marker.len()) || !marker.bytes().all(plain) {
        return None;
    }
    let rest = std::str::from_utf8(rest).ok()?;
    // The brackets keep the search from finding itself.
    Some(format!(" -e 'SGW_EXEC={rest}[{}]'", char::from(*last)))
}

/// The fields of a stat are those of proc_pid_stat(5), from the state on: group, session, terminal
/// and the terminal's foreground group. All marked processes know the terminal; a program that runs
/// as somebody else is found through them.
const FOREGROUND: &str = r#"
LC_ALL=C; export LC_ALL; unset SGW_EXEC
PATH=$PATH:/usr/bin:/bin; export PATH
cd /proc 2>/dev/null || exit 0
for file in $(grep -lsPATTERN [0-9]*/environ); do
  line=; read -r line < "${file%/*}/stat" 2>/dev/null || continue
  set -f; set -- ${line##*") "}; set +f
  [ "$5" -gt 0 ] 2>/dev/null || continue
  [ "$6" -gt 1 ] 2>/dev/null || continue
  kill -s SIGNAL -- -"$6" && echo 'sgw: sent'
  exit 0
done
"#;

/// `found` sets `pids` to what carries a marker and to what is in a session whose leader did (a
/// child that cleared its environment, a `sudo` that we may not read). Sessions are never led by a
/// server: sshd makes one for each command. TERM once, KILL after two seconds; two looks in a row
/// without a find are the end, since a process may be between fork and exec at the first. All are
/// stopped before the first is told, and go on only when all are: a shell whose command alone had
/// ended would begin with the next one.
const SCRIPT: &str = r#"
LC_ALL=C; export LC_ALL; unset SGW_EXEC
PATH=$PATH:/usr/bin:/bin; export PATH
unknown() { echo 'sgw: unknown'; exit 0; }
cd /proc 2>/dev/null || unknown
[ -n "$(SGW_PROBE=here grep -ls -e 'SGW_PROBE=her[e]' self/environ)" ] || unknown
marked() {
  grep -lsPATTERNS [0-9]*/environ; [ $? -le 2 ] || echo failed/
  grep -lsPATTERNS [0-9]*/cmdline; [ $? -le 2 ] || echo failed/
}
leaders=' '
found() {
  pids=' '
  for file in $(marked); do
    pid=${file%%/*}
    [ "$pid" = failed ] && unknown
    case $pids in *" $pid "*) ;; *) pids="$pids$pid " ;; esac
  done
  [ "$pids$leaders" = '  ' ] && return
  others=
  for stat in [0-9]*/stat; do
    line=; read -r line < "$stat" || continue
    pid=${stat%/stat}
    set -f; set -- ${line##*") "}; set +f
    case $1 in Z|X) continue ;; esac
    case $4 in ''|*[!0-9]*|0|1) continue ;; esac
    case $pids in *" $pid "*)
      [ "$4" = "$pid" ] && case $leaders in *" $pid "*) ;; *) leaders="$leaders$pid " ;; esac
      continue ;;
    esac
    others="$others $pid:$4"
  done 2>/dev/null
  for other in $others; do
    case $leaders in *" ${other#*:} "*) pids="$pids${other%:*} " ;; esac
  done
}
told=' '
tell() {
  new=
  for pid in $pids; do
    case $told in *" $pid "*) ;; *) told="$told$pid "; new="$new $pid" ;; esac
  done
  [ "$new" ] || return
  for word in STOP TERM CONT; do kill -$word $new; done 2>/dev/null
}
signal=TERM
empty=
for nap in 0.1 0.1 0.2 0.2 0.4 0.5 0.5 KILL 0.1 0.1 0.2 0.3 0.5 0.1 0.1; do
  [ $nap = KILL ] && { signal=KILL; continue; }
  found
  if [ "$pids" = ' ' ]; then
    [ -n "$empty" ] && { echo 'sgw: ended'; exit 0; }
    empty=once
    nap=0.1
  else
    empty=
    case $signal in TERM) tell ;; KILL) kill -KILL $pids 2>/dev/null ;; esac
  fi
  sleep $nap 2>/dev/null || sleep 1
done
unknown
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_markers_become_part_of_the_script() {
        let odd = ["", "short", "x-4fk-'; rm -rf /; '", "x-4fk-[a]bcdefgh", "x-4fk-äbcdefgh"];
        for marker in odd {
            assert_eq!(script(&[marker.to_owned()]), None, "{marker}");
        }
        let script = script(&[String::from("x-4fk-9f3c2a1b77d0e455")]).unwrap();
        assert!(script.contains(" -e 'SGW_EXEC=x-4fk-9f3c2a1b77d0e45[5]'"));
        assert!(!script.contains("9f3c2a1b77d0e455"), "it would find itself");
    }

    #[test]
    fn only_the_last_line_counts() {
        assert!(says_ended(b"Welcome!\nsgw: ended\n"));
        assert!(!says_ended(b"sgw: ended\nsgw: unknown\n"));
        assert!(!says_ended(b""));
    }
}
