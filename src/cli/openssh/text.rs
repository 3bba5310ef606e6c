//! The text of an ssh_config (ssh_config(5)) that leads through sgw.

use std::path::Path;

use crate::protocol::ssh::{Configuration, Host, SUFFIX};

/// What the daemon's host key stands under in its known_hosts.
pub const ALIAS: &str = "sgw";

/// What a configuration leads through sgw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The identity's targets, and all that ends in `.sgw`.
    Targets,
    /// The same, before what the user has configured.
    Beside,
    /// Whatever is named.
    All,
}

/// What is said for each of sgw's hosts: no key and no agent is asked, the daemon's own key alone is
/// taken, and nothing of the environment goes along but the language.
const SETTINGS: &str = "    ProxyUseFdpass yes
    HostKeyAlias sgw
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    CheckHostIP no
    CanonicalizeHostname no
    IdentityFile none
    IdentityAgent none
    PreferredAuthentications none
    PubkeyAuthentication no
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    ForwardAgent no
    ForwardX11 no
    Compression no
    HostKeyAlgorithms ssh-ed25519
    KexAlgorithms curve25519-sha256
    Ciphers aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-gcm@openssh.com
    SendEnv LANG LANGUAGE LC_* COLORTERM
";

/// `None` where a path can't be said.
pub fn configuration(
    of: &Configuration,
    program: &Path,
    known_hosts: &Path,
    reach: Reach,
) -> Option<String> {
    let command = format!("{} proxy --pass-fd -- '%r@%n' %p", for_a_shell(program)?);
    let known_hosts = quoted(known_hosts)?;
    let mut text = format!(
        "# Made by `sgw ssh-config` for {}: it is written anew, and nothing else belongs here.\n",
        of.identity
    );
    for host in &of.hosts {
        // Of two accounts on one machine ssh is told which by whoever calls it.
        let alone = of.hosts.iter().filter(|other| other.name == host.name).count() == 1;
        if alone {
            text.push_str(&about(host));
        }
    }
    let hosts = match reach {
        Reach::All => "*".to_owned(),
        Reach::Targets | Reach::Beside => {
            let named = of.hosts.iter().filter(|host| host.port.is_none());
            let mut names: Vec<&str> = named.map(|host| host.name.as_str()).collect();
            names.dedup();
            let all = names.into_iter().map(str::to_owned).chain([format!("*{SUFFIX}")]);
            all.collect::<Vec<_>>().join(" ")
        }
    };
    text.push_str(&format!("Host {hosts}\n    ProxyCommand {command}\n{SETTINGS}"));
    text.push_str(&format!("    UserKnownHostsFile {known_hosts}\n"));
    if reach == Reach::Beside {
        text.push_str("Host *\n    Include ~/.ssh/config\n    Include /etc/ssh/ssh_config\n");
    }
    Some(text)
}

fn about(host: &Host) -> String {
    let Host { name, user, port } = host;
    match port {
        None => format!("Host {name} {name}{SUFFIX}\n    User {user}\n"),
        Some(port) => format!("Host {name}{SUFFIX}\n    User {user}\n    Port {port}\n"),
    }
}

/// A path as a word of an ssh_config, in which `%` begins a token.
pub fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let plain = !text.contains(['"', '\\', '\n', '\r', '$']) && !text.chars().any(char::is_control);
    plain.then(|| format!("\"{}\"", text.replace('%', "%%")))
}

/// A path as a word for the shell that ssh starts a ProxyCommand with; `%` as above.
fn for_a_shell(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let plain = !text.contains(['\'', '"', '\n', '\r']) && !text.chars().any(char::is_control);
    plain.then(|| format!("'{}'", text.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reach: Reach) -> String {
        let host = |name: &str, user: &str, port| Host {
            name: name.to_owned(),
            user: user.to_owned(),
            port,
        };
        let hosts = vec![
            host("10.0.0.5", "me", Some(2222)),
            host("two", "a", None),
            host("two", "b", None),
            host("web1", "deploy", None),
        ];
        let of = Configuration { identity: "uid:1000".into(), host_key: String::new(), hosts };
        let (program, known) = (Path::new("/opt/a b/100%/sgw"), Path::new("/home/me/known"));
        configuration(&of, program, known, reach).unwrap()
    }

    #[test]
    fn a_target_has_its_account_and_the_way_through_sgw() {
        let text = text(Reach::Targets);
        assert!(text.contains("Host web1 web1.sgw\n    User deploy\n"), "{text}");
        assert!(text.contains("Host 10.0.0.5.sgw\n    User me\n    Port 2222\n"), "{text}");
        assert!(text.contains("Host two web1 *.sgw\n    ProxyCommand"), "{text}");
        assert!(!text.contains("User a") && !text.contains("User b"), "{text}");
        let command = "ProxyCommand '/opt/a b/100%%/sgw' proxy --pass-fd -- '%r@%n' %p\n";
        assert!(text.contains(command), "{text}");
    }

    #[test]
    fn no_key_no_agent_and_none_of_sgws_own_variables_go_along() {
        for reach in [Reach::Targets, Reach::Beside, Reach::All] {
            let text = text(reach);
            for line in [
                "IdentityFile none",
                "IdentityAgent none",
                "PreferredAuthentications none",
                "StrictHostKeyChecking yes",
                "ForwardAgent no",
            ] {
                assert!(text.contains(line), "{line}\n{text}");
            }
            assert!(!text.contains("SGW_"), "{text}");
        }
    }

    #[test]
    fn a_path_that_ssh_would_read_as_something_else_is_not_written() {
        for odd in ["/a\"b", "/a\nHost *", "/a$HOME", "/a\\b"] {
            assert_eq!(quoted(Path::new(odd)), None, "{odd:?}");
        }
        assert_eq!(for_a_shell(Path::new("/it's")), None);
        assert_eq!(quoted(Path::new("/a b%c")), Some("\"/a b%%c\"".to_owned()));
    }
}
