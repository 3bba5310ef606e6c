//! Looks at what runs in the foreground of a terminal, from a channel of its own: what the answer says
//! is the target's word, read as such.

use std::time::Duration;

use tokio::time::timeout;

use super::{Pool, Running, end};

/// For everything together: a channel, the script, its answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest name of a user or a program, in bytes.
const NAME: usize = 64;
/// The longest list of what runs there, in bytes.
const LIST: usize = 48 * 1024;
/// The longest directory: PATH_MAX.
const DIRECTORY: usize = 4096;

/// What is in a terminal's foreground. `None` is what could not be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub user: Option<String>,
    pub program: Option<String>,
    pub cwd: Option<Vec<u8>>,
    pub running: Option<Running>,
}

pub(super) async fn look(pool: &Pool, marker: &str) -> Option<Look> {
    let script = SCRIPT.replace("PATTERN", &end::pattern(marker)?);
    let printed = timeout(PATIENCE, end::run(pool, script)).await.ok()?.ok()?;
    read(&printed)
}

/// Login shells may print before, nothing prints behind.
fn read(printed: &[u8]) -> Option<Look> {
    let at = |text: &[u8], word: &[u8]| text.windows(word.len()).rposition(|one| one == word);
    let begin = b"sgw: look\n";
    let told = printed.trim_ascii_end().strip_suffix(b"\nsgw: looked")?;
    let mut lines = told[at(told, begin)? + begin.len()..].splitn(4, |byte| *byte == b'\n');
    let mut name = || {
        let line = lines.next().filter(|line| !line.is_empty() && line.len() <= NAME)?;
        Some(String::from_utf8_lossy(line).into_owned())
    };
    let (user, program) = (name(), name());
    let list = lines.next().filter(|list| list.len() <= LIST);
    let running = list.and_then(|list| Running::read(std::str::from_utf8(list).ok()?));
    // A directory may have lines in its name, so that it comes last.
    let cwd = lines.next().filter(|cwd| cwd.starts_with(b"/") && cwd.len() <= DIRECTORY);
    Some(Look { user, program, cwd: cwd.map(<[u8]>::to_vec), running })
}

/// The fields of a stat are those of proc_pid_stat(5), from the state on, as in `end`. The
/// foreground's group is known to all on the terminal, also where its leader is somebody else's. Of the
/// terminal's number the device is made as in makedev(3). Names of programs are told where they are plain.
const SCRIPT: &str = r#"
LC_ALL=C; export LC_ALL; unset SGW_EXEC
PATH=$PATH:/usr/bin:/bin; export PATH
cd /proc 2>/dev/null || exit 0
for file in $(grep -lsPATTERN [0-9]*/environ); do
  line=; read -r line < "${file%/*}/stat" 2>/dev/null || continue
  set -f; set -- ${line##*") "}; set +f
  [ "$5" -gt 0 ] 2>/dev/null || continue
  [ "$6" -gt 1 ] 2>/dev/null || continue
  front=$6 leader=$4 uid= program= mode= wchan=
  tty=$(( ((($5 >> 8) & 4095) - 136) * 256 + (($5 & 255) | (($5 >> 12) & 1048320)) ))
  case $(stty -a < "/dev/pts/$tty") in *-icanon*) mode=keys ;; *) mode=lines ;; esac
  read -r wchan < "$front/wchan"
  cwd=$(readlink "$front/cwd")
  while read -r word real effective rest; do
    [ "$word" = Uid: ] && uid=$effective
  done < "$front/status"
  read -r program < "$front/comm"
  printf 'sgw: look\n%s\n%s\n' "$(id -un "$uid" 2>/dev/null || echo "$uid")" "$program"
  printf '%s %s %s %s' "$front" "$leader" "$mode" "${wchan:-0}"
  for stat in [0-9]*/stat; do
    line=; read -r line < "$stat" || continue
    name=${line#*"("}; name=${name%") "*}
    case $name in *[!a-zA-Z0-9-]*) name=- ;; esac
    set -f; set -- ${line##*") "}; set +f
    [ "$5" -gt 0 ] || continue
    printf ' %s' "${stat%/stat}:$2:$3:$5:$6:$1:${20}:$name"
  done
  printf '\n%s\nsgw: looked\n' "$cwd"
  exit 0
done 2>/dev/null
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_what_is_not_is_not() {
        let look = read(b"Welcome!\nsgw: look\nroot\nvim\n\n/srv/a\nb\nsgw: looked\n").unwrap();
        assert_eq!(look.user.as_deref(), Some("root"));
        assert_eq!(look.program.as_deref(), Some("vim"));
        assert_eq!(look.cwd.as_deref(), Some(&b"/srv/a\nb"[..]));
        let unseen =
            read(b"sgw: look\nroot\nsudo\n10 10 keys 0 10:9:10:1:10:S:7:sh\n\nsgw: looked")
                .unwrap();
        assert_eq!((unseen.user.as_deref(), unseen.cwd), (Some("root"), None));
        assert_eq!(unseen.running.unwrap().rest(None), crate::daemon::upstream::Rest::Shell);
        let long = [b"sgw: look\n".as_slice(), &[b'x'; 100], b"\nsh\n/\nsgw: looked"].concat();
        assert_eq!(read(&long).unwrap().user, None);
        for odd in [&b""[..], b"sgw: looked", b"sgw: look\nroot\nvim\n/", b"\xff\nsgw: looked\n"] {
            assert_eq!(read(odd), None, "{odd:?}");
        }
    }
}
