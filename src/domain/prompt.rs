//! Whether a terminal seems to ask for a secret. Whether it echoes can't be seen from outside, so
//! this is a guess from the words before the cursor, and is called one.

use std::sync::LazyLock;

use regex::Regex;

/// The end of a question, from the word that names a secret on. "Password" begins with either case;
/// "code", "pin" and "otp" must be words, since much else contains them; "token" is also what parsers
/// complain of, so it must be the last.
static ASKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = concat!(
        r"(?i:passphrase|passwort|kennwort|mot de passe|contraseña|contrasena",
        r"|\bcode|\bpin|\botp)|[Pp]assword|PASSWORD"
    );
    Regex::new(&format!(r"(?:(?:{words})\b.*|(?i:\btoken)\s*)[:?]\s*$")).ok()
});
/// A question is short; of an overlong line the end is looked at.
const QUESTION: usize = 512;

/// The unfinished line at the cursor ends in a word for a password, `code`, `PIN` or `OTP`, any more
/// words, and `:` or `?`; or in `token` and one of these.
pub fn asks_for_secret(unfinished_line: &str) -> bool {
    let start = unfinished_line.floor_char_boundary(unfinished_line.len().saturating_sub(QUESTION));
    ASKS.as_ref().is_some_and(|asks| asks.is_match(&unfinished_line[start..]))
}

/// A shell's prompt as most set it: the unfinished line ends in `$`, `#` or `%` and at most a blank. `>` is
/// what programs end theirs with, and a program's own name before `#` (`db=#`) is none of a shell's.
pub fn looks_like_a_shells(unfinished_line: &str) -> bool {
    let line = unfinished_line.strip_suffix(' ').unwrap_or(unfinished_line);
    let Some(before) = line.strip_suffix(['$', '#', '%']) else { return false };
    !before.ends_with(['=', '-', '(', '\'', '"', '*', '^']) && !line.ends_with("##")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_for_secrets_are_seen() {
        for line in [
            "Password:",
            "Password: ",
            "password:",
            "PASSWORD:",
            "[sudo] password for me: ",
            "me@web1's password: ",
            "(me@web1) Password: ",
            "Password for user postgres: ",
            "Enter password: ",
            "Current password: ",
            "New password (again): ",
            "Password for 'https://me@example.org': ",
            "Verification code: ",
            "Enter the 6-digit code? ",
            "One-time code for me?",
            "Enter passphrase for key '/home/me/.ssh/id_ed25519': ",
            "Enter PIN for 'PIV Card': ",
            "Enter PIN: ",
            "Passphrase:\t",
            "[sudo] Passwort für me: ",
            "Kennwort:",
            "[sudo] Mot de passe de me\u{a0}: ",
            "[sudo] contraseña para me: ",
            "OTP: ",
            "Enter OTP for me:",
            "Security token: ",
            "host$ sudo -k ls; [sudo] password for me: ",
        ] {
            assert!(asks_for_secret(line), "{line}");
        }
    }

    #[test]
    fn a_shells_prompt_is_told_from_a_programs() {
        for line in ["$ ", "# ", "me@web1:~$ ", "[root@web1 ~]# ", "web1% ", "web1$"] {
            assert!(looks_like_a_shells(line), "{line}");
        }
        for line in
            ["", "> ", ">>> ", "db=# ", "db-# ", "mysql> ", "Continue? [y/N] ", "$ ls", "$  "]
        {
            assert!(!looks_like_a_shells(line), "{line}");
        }
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "",
            "$ ",
            "Username: ",
            "Password: hunter2",
            "password",
            "no password was given",
            "Spin: ",
            "Decode? no",
            "Encoder: ",
            "pins and needles",
            "syntax error near unexpected token 5: ",
            "tokens: ",
            "laptop: ",
            "hotpatch? ",
            "passworttresor: ",
            "kein Kennwort",
            "barcode: ",
            "mapping: ",
            "Continue? [y/N] ",
            "error: code 5: cannot open file: no such file: x",
            "password: wrong\nlogin: ",
        ] {
            assert!(!asks_for_secret(line), "{line}");
        }
        assert!(!asks_for_secret(&"password ".repeat(1_000_000)));
        assert!(asks_for_secret(&format!("{}Password: ", "é".repeat(1000))));
    }
}
