//! With the real ssh.

use crate::cli::resolve::route::{Resolved, resolve};

use super::*;

pub struct Config {
    pub folder: tempfile::TempDir,
    pub account: Account,
}

impl Config {
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text.replace("HERE", folder.path().to_str().unwrap())).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let mut account = Account::current();
        account.home = folder.path().to_owned();
        account.environment.remove("SSH_AUTH_SOCK");
        Self { folder, account }
    }

    pub fn resolver(&self) -> Result<Resolver, ConfigError> {
        Resolver::new(Sources::File(self.folder.path().join("config")), self.account.clone())
    }

    pub async fn resolve(&self, destination: &str) -> Result<Resolved, ConfigError> {
        resolve(&self.resolver()?, &destination.parse().unwrap()).await
    }

    fn ran(&self) -> bool {
        self.folder.path().join("ran").exists()
    }
}

#[tokio::test]
async fn settings_are_what_ssh_says() {
    let config = Config::new(
        "Host web1\n HostName 10.0.0.5\n User deploy\n Port 2222\n IdentityFile ~/a\n\
         IdentityFile ~/b\n IdentitiesOnly yes\n IdentityAgent none\n HostKeyAlias al\n\
         UserKnownHostsFile ~/kh \"/tmp/a b\"\n CertificateFile ~/c\n ProxyJump j\n",
    );
    let resolver = config.resolver().unwrap();
    let settings = resolver.settings(&"web1".parse().unwrap(), None).await.unwrap();
    let home = Account::current().home.join("kh").to_str().unwrap().to_owned();
    assert_eq!((&*settings.host, settings.port, &*settings.user), ("10.0.0.5", 2222, "deploy"));
    assert_eq!(settings.identity_files, ["~/a", "~/b"]);
    assert_eq!(settings.certificate_files, ["~/c"]);
    assert!(settings.identities_only);
    assert_eq!(settings.identity_agent.as_deref(), Some("none"));
    assert_eq!(settings.proxy_jump.as_deref(), Some("j"));
    assert_eq!(settings.host_key_alias.as_deref(), Some("al"));
    assert_eq!(settings.known_hosts[..2], [home, "/tmp/a b".into()]);
    // What is asked for comes before what is configured.
    let asked = resolver.settings(&"me@web1:99".parse().unwrap(), None).await.unwrap();
    assert_eq!((&*asked.host, asked.port, &*asked.user), ("10.0.0.5", 99, "me"));
    // With -J the configuration's own ProxyJump is out.
    let via = resolver.settings(&"web1".parse().unwrap(), Some("x")).await.unwrap();
    assert_eq!(via.proxy_jump.as_deref(), Some("x"));
}

#[tokio::test]
async fn what_would_run_a_program_is_refused_with_the_line() {
    for (text, said) in [
        ("Host web1\n ProxyCommand touch HERE/ran\n", "ProxyCommand for web1, and sgw runs none"),
        ("Host web1\n KnownHostsCommand /usr/bin/touch HERE/ran\n", "a KnownHostsCommand for web1"),
        (
            "Host web1\n LocalCommand touch HERE/ran\n PermitLocalCommand yes\n",
            "a LocalCommand for web1",
        ),
        ("\nMatch host web1 exec \"touch HERE/ran\"\n", "would run a program"),
    ] {
        let config = Config::new(text);
        let error = config.resolve("web1").await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(error.contains("/config, line 2: "), "{error}");
        assert!(!config.ran());
    }
    // Not for this host, or without effect.
    let config = Config::new(
        "Host web2\n ProxyCommand touch HERE/ran\nHost *\n LocalCommand touch HERE/ran\n \
         ProxyCommand none\n",
    );
    assert!(config.resolve("web1").await.is_ok());
    assert!(!config.ran());
}

#[tokio::test]
async fn the_line_with_the_value_is_quoted_among_several() {
    let config = Config::new("Host a\n ProxyCommand nc x\nHost b\n ProxyCommand nc y\n");
    let error = config.resolve("b").await.unwrap_err().to_string();
    assert!(error.contains("line 4: ProxyCommand nc y"), "{error}");
}

#[tokio::test]
async fn a_match_exec_that_appears_after_the_look_does_not_run() {
    let config = Config::new("User x\n");
    let resolver = config.resolver().unwrap();
    let line = format!("Match exec \"touch {}/ran\"\n", config.folder.path().display());
    std::fs::write(config.folder.path().join("config"), line).unwrap();
    let error = resolver.settings(&"web1".parse().unwrap(), None).await.unwrap_err();
    assert_eq!(error.to_string(), "ssh -G refused: a Match exec that sgw does not run");
    assert!(!config.ran());
}

#[tokio::test]
async fn no_name_is_looked_up_in_the_dns() {
    // Without its two options ssh -G would look `sgw-test.invalid` up and fail.
    let config = Config::new(
        "CanonicalizeHostname always\nCanonicalDomains invalid\nCanonicalizeFallbackLocal no\n\
         CanonicalizePermittedCNAMEs *:*\nMatch final host sgw-test*\n User last\n",
    );
    let resolved = config.resolve("sgw-test.invalid").await.unwrap();
    assert_eq!(resolved.route.target().user, "last");
    assert_eq!(resolved.notes.len(), 2);
    assert!(resolved.notes[0].contains("line 1: CanonicalizeHostname always"));
}

#[tokio::test]
async fn what_ssh_itself_refuses_is_told_in_its_words() {
    let config = Config::new("Host web1\n Nonsense \u{1b}[31m\n");
    let error = config.resolve("web1").await.unwrap_err().to_string();
    assert!(error.contains("Bad configuration option: nonsense"), "{error}");
}

#[tokio::test]
async fn an_ssh_that_hangs_or_floods_is_given_up() {
    let config = Config::new("");
    let fake = config.folder.path().join("ssh");
    std::fs::write(&fake, "#!/bin/sh\nyes\n").unwrap();
    std::fs::set_permissions(&fake, PermissionsExt::from_mode(0o700)).unwrap();
    let mut resolver = config.resolver().unwrap();
    resolver.ssh = find_ssh(config.folder.path().to_str().unwrap());
    assert_eq!(resolver.ssh, Some(fake));
    let error = resolver.settings(&"web1".parse().unwrap(), None).await.unwrap_err();
    assert!(matches!(error, ConfigError::TimeLimit | ConfigError::Ssh(_)), "{error}");
}

#[tokio::test]
async fn without_ssh_a_destination_is_what_it_says() {
    let mut config = Config::new("Host web1\n HostName other\n");
    config.account.environment.insert("PATH".into(), "relative:/nonexistent".into());
    let resolved = config.resolve("Web1:2200").await.unwrap();
    let me = &config.account.name;
    assert_eq!(resolved.route.target().to_string(), format!("{me}@web1:2200"));
    assert_eq!(resolved.notes, ["no ssh in PATH: ssh_config was not read"]);
}

#[tokio::test]
async fn the_usual_files_are_read_where_ssh_reads_them() {
    let resolver = Resolver::new(Sources::Usual, Account::current()).unwrap();
    let settings = resolver.settings(&"sgw-test.invalid:7".parse().unwrap(), None).await.unwrap();
    assert_eq!((&*settings.host, settings.port), ("sgw-test.invalid", 7));
    assert!(!settings.known_hosts.is_empty());
}
