//! What the files of a service say. `packaging/` has the same texts, for distributions.

use std::path::PathBuf;

use super::Names;
use crate::home::service::{Layout, Who};

/// One file that root owns and everybody may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub path: PathBuf,
    pub content: String,
}

/// What systemd reads: units, users, directories.
pub fn of(layout: &Layout, names: &Names) -> Vec<Text> {
    let at = |name: &str, content: String| Text { path: layout.systemd.join(name), content };
    vec![
        at("sysusers.d/sgw.conf", users(layout, names)),
        at("tmpfiles.d/sgw.conf", directories(layout, names)),
        at("systemd/system/sgw-agent.socket", agent_socket(layout, names)),
        at("systemd/system/sgw-operator.socket", operator_socket(layout, names)),
        at("systemd/system/sgw.service", service(layout, names)),
    ]
}

/// Who is who; the numbers of those who are still to be made are not known yet.
pub fn who(names: &Names, operator: u32, who: Option<Who>) -> String {
    let Names { daemon, operators, agents } = names;
    let number = |of: fn(Who) -> u32| who.map_or_else(|| "?".to_owned(), |who| of(who).to_string());
    format!(
        "# Who is who to sgw, by number. Root's file: sgw init --service --apply writes it.\n\
         # The daemon: the user {daemon}.\n\
         daemon = {}\n\
         # The operator, who decides.\n\
         operator = {operator}\n\
         # The group {operators}, which only the installed program gives.\n\
         operator_group = {}\n\
         # The group {agents}, whose members may ask.\n\
         agents_group = {}\n",
        number(|who| who.daemon),
        number(|who| who.operator_group),
        number(|who| who.agents_group),
    )
}

fn users(layout: &Layout, names: &Names) -> String {
    let Names { daemon, operators, agents } = names;
    format!(
        "# sysusers.d(5): the daemon's user, and the groups of its two sockets.\n\
         # {operators} has no members: the installed program gives it (setgid).\n\
         g {operators} -\n\
         # Whoever is a member may ask as an agent.\n\
         g {agents} -\n\
         u {daemon} - \"sgw daemon\" {}\n",
        layout.home.display()
    )
}

fn directories(layout: &Layout, names: &Names) -> String {
    let Names { daemon, operators, .. } = names;
    let Layout { program, etc, home, run, .. } = layout;
    format!(
        "# tmpfiles.d(5): sgw's directories, and the group of its program.\n\
         d {etc} 0755 root root -\n\
         d {run} 0755 root root -\n\
         d {home} 0700 {daemon} {daemon} -\n\
         z {program} 2755 root {operators} -\n",
        etc = etc.display(),
        run = run.display(),
        home = home.display(),
        program = program.display(),
    )
}

fn agent_socket(layout: &Layout, names: &Names) -> String {
    socket("the agents' socket", "agent", layout, &names.agents)
}

fn operator_socket(layout: &Layout, names: &Names) -> String {
    socket("the operator's socket", "operator", layout, &names.operators)
}

fn socket(what: &str, name: &str, layout: &Layout, group: &str) -> String {
    format!(
        "[Unit]\n\
         Description=sgw, {what}\n\
         Documentation=man:sgw(1)\n\
         \n\
         [Socket]\n\
         ListenStream={}\n\
         FileDescriptorName={name}\n\
         SocketUser=root\n\
         SocketGroup={group}\n\
         SocketMode=0660\n\
         DirectoryMode=0755\n\
         RemoveOnStop=yes\n\
         Service=sgw.service\n\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n",
        layout.socket(name).display()
    )
}

fn service(layout: &Layout, names: &Names) -> String {
    let daemon = &names.daemon;
    format!(
        "[Unit]\n\
         Description=sgw, the gateway of AI agents to SSH servers\n\
         Documentation=man:sgw(1)\n\
         Requires=sgw-agent.socket sgw-operator.socket\n\
         After=network.target\n\
         \n\
         [Service]\n\
         Type=exec\n\
         ExecStart={program} daemon run --service\n\
         Sockets=sgw-agent.socket sgw-operator.socket\n\
         User={daemon}\n\
         Group={daemon}\n\
         # Without it the operator unlocks: sgw unlock. With it the machine does, at each start:\n\
         # the passphrase in /etc/credstore/sgw.passphrase, or /etc/credstore.encrypted (systemd-creds).\n\
         LoadCredential=sgw.passphrase\n\
         TimeoutStopSec=30\n\
         UMask=0077\n\
         LimitCORE=0\n\
         LimitNOFILE=65536\n\
         \n\
         # What it needs: its own directory, the network, the two sockets.\n\
         ReadWritePaths={home}\n\
         ProtectSystem=strict\n\
         ProtectHome=yes\n\
         PrivateTmp=yes\n\
         PrivateDevices=yes\n\
         ProtectClock=yes\n\
         ProtectControlGroups=yes\n\
         ProtectHostname=yes\n\
         ProtectKernelLogs=yes\n\
         ProtectKernelModules=yes\n\
         ProtectKernelTunables=yes\n\
         # Not PrivateUsers and ProtectProc: who asks is told by uid, and shown by name.\n\
         NoNewPrivileges=yes\n\
         CapabilityBoundingSet=\n\
         RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\n\
         RestrictNamespaces=yes\n\
         RestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\n\
         RemoveIPC=yes\n\
         LockPersonality=yes\n\
         MemoryDenyWriteExecute=yes\n\
         SystemCallArchitectures=native\n\
         SystemCallFilter=@system-service\n\
         SystemCallErrorNumber=EPERM\n",
        program = layout.program.display(),
        home = layout.home.display(),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");

    /// `SGW_WRITE_PACKAGING=1` writes them.
    #[test]
    fn packaging_is_what_the_program_writes() {
        let layout = Layout::below(Path::new("/usr"));
        for Text { path, content } in of(&layout, &Names::usual()) {
            let path = path.strip_prefix("/etc").unwrap();
            // As the directories of packaging/ are called: not below systemd/system.
            let path = Path::new(DIRECTORY).join(path.to_str().unwrap().replace("system/", "/"));
            if std::env::var_os("SGW_WRITE_PACKAGING").is_some() {
                std::fs::write(&path, &content).unwrap();
            }
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(kept, content, "{} differs", path.display());
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let numbers = Who { daemon: 1, operator: 7, operator_group: 3, agents_group: 4 };
        let text = who(&Names::usual(), 7, Some(numbers));
        assert_eq!(toml::from_str::<Who>(&text).unwrap(), numbers);
        assert!(toml::from_str::<Who>(&who(&Names::usual(), 7, None)).is_err());
    }

    #[test]
    fn another_prefix_names_nothing_of_the_machine() {
        let layout = Layout::below(Path::new("/opt/x"));
        for Text { path, content } in of(&layout, &Names::usual()) {
            assert!(path.starts_with("/opt/x"), "{}", path.display());
            for place in ["/usr/bin", " /etc/sgw", "=/run/", " /run/", "=/var/", " /var/"] {
                assert!(!content.contains(place), "{} has {place}", path.display());
            }
        }
    }
}
