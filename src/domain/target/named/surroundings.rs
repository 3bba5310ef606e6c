//! What commands find on a target unless they say otherwise: directory and variables that the operator
//! set once, in front of each command's own.

use super::{Shell, Surroundings};
use crate::domain::{
    served,
    shell::{self, ShellError},
};

/// Names and values.
type Variables = Vec<(String, Vec<u8>)>;

impl Surroundings {
    /// What goes on the wire for a command. Where no shell reads as sh does, it goes as it is, without
    /// the marker: its processes can't be found again. Nor is there one in front of a server's program that
    /// finds nothing set: an account may be for that program alone. It ends with its connection.
    pub fn wire(
        &self,
        marker: &str,
        env: Variables,
        cwd: Option<Vec<u8>>,
        line: &[u8],
    ) -> Result<Vec<u8>, ShellError> {
        let (env, cwd) = self.with(env, cwd);
        if self.shell != Some(Shell::Other) {
            let wrapped = shell::wrap(marker, &env, cwd.as_deref(), line)?;
            let bare = env.is_empty() && cwd.is_none() && served::is_server(line);
            return Ok(if bare { line.to_vec() } else { wrapped });
        }
        if !env.is_empty() || cwd.is_some() {
            return Err(ShellError::NoShell);
        }
        shell::line(&[line.to_vec()])
    }

    /// The end of a command's wire in which nothing is the operator's but the directory: none where all
    /// of it is. What the operator set comes first there, unless the command sets it too.
    pub fn own_part(
        &self,
        env: &[(String, Vec<u8>)],
        cwd: Option<&[u8]>,
        line: &[u8],
    ) -> Result<Option<Vec<u8>>, ShellError> {
        if self.environment.is_empty() || self.shell == Some(Shell::Other) {
            return Ok(None);
        }
        let directory = self.directory.as_ref().map(|directory| directory.as_bytes());
        let wire = shell::wrap("", env, cwd.or(directory), line)?;
        let marker = shell::export_marker("").into_bytes();
        Ok(wire.strip_prefix(marker.as_slice()).map(<[u8]>::to_vec))
    }

    /// What opens a terminal.
    pub fn terminal(&self, marker: &str) -> Result<Vec<u8>, ShellError> {
        let (env, cwd) = self.with(Vec::new(), None);
        shell::login(marker, &env, cwd.as_deref())
    }

    /// What opens a terminal for somebody who sits at it.
    pub fn shell(&self, marker: &str, env: Variables) -> Result<Vec<u8>, ShellError> {
        let (env, cwd) = self.with(env, None);
        shell::shell(marker, &env, cwd.as_deref())
    }

    /// A command's own words count more.
    fn with(&self, env: Variables, cwd: Option<Vec<u8>>) -> (Variables, Option<Vec<u8>>) {
        let usual = self.environment.iter();
        let usual = usual.filter(|(name, _)| !env.iter().any(|(own, _)| own == *name));
        let mut all: Vec<_> =
            usual.map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
        all.extend(env);
        (all, cwd.or_else(|| self.directory.clone().map(String::into_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings() -> Surroundings {
        Surroundings {
            shell: None,
            directory: Some("/srv".into()),
            environment: [("A".into(), "1".into()), ("B".into(), "2".into())].into(),
        }
    }

    fn wire(
        of: &Surroundings,
        env: &[(&str, &str)],
        cwd: Option<&str>,
    ) -> Result<String, ShellError> {
        let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let wire = of.wire("x-1-aa", env, cwd.map(|cwd| cwd.into()), b"ls")?;
        Ok(String::from_utf8(wire).unwrap())
    }

    #[test]
    fn a_servers_program_goes_as_it_is_where_nothing_is_set() {
        let wire = |of: &Surroundings, line: &str| {
            let wire = of.wire("x-1-aa", Vec::new(), None, line.as_bytes()).unwrap();
            String::from_utf8(wire).unwrap()
        };
        let nothing = Surroundings::default();
        for line in [
            "git-upload-pack '/srv/a b.git'",
            "git-receive-pack 'me/it.git'",
            "git-upload-archive x",
            "git upload-pack '/srv/x.git'",
            "rsync --server --sender -vlogDtpre.iLsfxCIvu . /srv/",
            "scp -r -p -t /srv",
            "scp -p -f -- file",
            "borg serve --umask=077 --info",
        ] {
            assert_eq!(wire(&nothing, line), line);
            assert!(wire(&surroundings(), line).starts_with("export SGW_EXEC=x-1-aa; "), "{line}");
        }
        for line in [
            "git-upload-pack x; id",
            "git-upload-pack $(id)",
            "rsync -a a b",
            "scp a -t",
            "scp -- -t",
            "scp -S/tmp/tf file 127.0.0.1:y",
            "scp -S /tmp/x -t file 127.0.0.1:y",
            "scp -oConnectTimeout=1 -oProxyCommand=/tmp/x file 127.0.0.1:y",
            "scp -F/tmp/conf -t file 127.0.0.1:y",
            "scp -t -S/tmp/x file",
            "rsync --server --daemon .",
            "rsync --server --daemon --config=/tmp/x.conf .",
            "rsync --server -s .",
            "rsync --server --sender -e/tmp/x . a",
            "rsync --server --rsh=/tmp/x . host:a b",
            "git -c core.sshCommand=/tmp/x upload-pack /srv/x.git",
            "git-upload-pack --upload-pack=/tmp/x /srv/x.git",
            "git-shell -c 'git-upload-pack /srv/x.git'",
            "git-shell",
            "borg list",
            "borg serve --rsh=/tmp/x",
            "borg serve --remote-path /tmp/x",
            "borg serve '--info'",
            "borg serve x",
            "echo git-upload-pack",
        ] {
            assert_eq!(wire(&nothing, line), format!("export SGW_EXEC=x-1-aa; {line}"));
        }
    }

    #[test]
    fn the_target_s_come_first_and_the_command_s_own_count_more() {
        let own = wire(&surroundings(), &[("B", "3")], Some("/tmp")).unwrap();
        let expected = wire(&Surroundings::default(), &[("A", "1"), ("B", "3")], Some("/tmp"));
        assert_eq!(own, expected.unwrap());
        let usual = wire(&surroundings(), &[], None).unwrap();
        let expected = wire(&Surroundings::default(), &[("A", "1"), ("B", "2")], Some("/srv"));
        assert_eq!(usual, expected.unwrap());
    }

    #[test]
    fn what_is_the_command_s_own_ends_what_goes_on_the_wire() {
        let own = |of: &Surroundings, env: &[(&str, &str)]| {
            let env: Vec<_> =
                env.iter().map(|(a, b)| ((*a).to_owned(), b.as_bytes().to_vec())).collect();
            let own = of.own_part(&env, None, b"ls").unwrap()?;
            Some(String::from_utf8(own).unwrap())
        };
        assert_eq!(own(&Surroundings::default(), &[]), None);
        assert_eq!(own(&surroundings(), &[]).unwrap(), "cd -- /srv || exit 1; ls");
        let set = own(&surroundings(), &[("B", "3")]).unwrap();
        assert_eq!(set, "export B=3; cd -- /srv || exit 1; ls");
        assert!(wire(&surroundings(), &[], None).unwrap().ends_with("; cd -- /srv || exit 1; ls"));
    }

    #[test]
    fn what_reads_no_sh_gets_the_line_alone() {
        let router = Surroundings { shell: Some(Shell::Other), ..Surroundings::default() };
        assert_eq!(wire(&router, &[], None).unwrap(), "ls");
        assert_eq!(wire(&router, &[("A", "1")], None), Err(ShellError::NoShell));
        assert_eq!(wire(&router, &[], Some("/srv")), Err(ShellError::NoShell));
    }
}
