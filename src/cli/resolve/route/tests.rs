//! With the real ssh.

use crate::cli::resolve::ssh_config::tests::Config;

use super::*;

fn way(resolved: &Resolved) -> Vec<String> {
    resolved.route.hops().iter().map(Hop::to_string).collect()
}

#[tokio::test]
async fn each_jump_is_resolved_by_itself_as_ssh_does() {
    let config = Config::new(
        "Host web1\n HostName 10.0.0.5\n User deploy\n ProxyJump j1,ssh://x@j2:2200,[::1]:5\n\
         Host j1\n HostName jump1\n ProxyJump outer\n\
         Host j2\n User ignored\n ProxyJump never\n ProxyCommand never\n\
         Host outer\n Port 443\n\
         Host *\n User me\n",
    );
    let resolved = config.resolve("web1").await.unwrap();
    assert_eq!(
        way(&resolved),
        ["me@outer:443", "me@jump1:22", "x@j2:2200", "me@[::1]:5", "deploy@10.0.0.5:22"]
    );
    assert_eq!(resolved.hops[4].asked.host, "web1");
    let two = resolved.hops.iter().map(|hop| &hop.hop).eq(resolved.route.hops());
    assert!(two);
}

#[tokio::test]
async fn tokens_in_a_jump_are_expanded() {
    let config = Config::new("Host db-?\n User u\n ProxyJump %r@%n-gate\n");
    let resolved = config.resolve("db-1").await.unwrap();
    assert_eq!(way(&resolved), ["u@db-1-gate:22", "u@db-1:22"]);
}

#[tokio::test]
async fn circles_and_endless_ways_end_with_an_error() {
    let circle = Config::new("Host a\n ProxyJump b\nHost b\n ProxyJump a\n");
    assert!(matches!(circle.resolve("a").await, Err(ConfigError::TooFar(_))));
    let own = Config::new("Host *\n ProxyJump b\n");
    let error = own.resolve("a").await.unwrap_err().to_string();
    assert!(error.contains("jumphost loop via b"), "{error}");
    let far = Config::new("Host a\n ProxyJump 1,2,3,4,5,6,7,8\n");
    assert!(matches!(far.resolve("a").await, Err(ConfigError::TooFar(_))));
    let just = Config::new("Host a\n ProxyJump 1,2,3,4,5,6,7\n");
    assert_eq!(just.resolve("a").await.unwrap().hops.len(), 8);
}

#[tokio::test]
async fn a_host_that_sgw_would_not_pass_on_is_refused() {
    let config = Config::new("Host a\n HostName x;id\nHost b\n User $(id)\n");
    for name in ["a", "b"] {
        let error = config.resolve(name).await.unwrap_err();
        assert!(matches!(error, ConfigError::Route(..) | ConfigError::Ssh(_)), "{error}");
    }
}

#[tokio::test]
async fn keys_agent_and_known_hosts_are_proposed_as_they_exist() {
    let mut config = Config::new(
        "Host web1\n IdentityFile HERE/%n.key\n IdentityFile HERE/agent-only\n \
         IdentityFile HERE/missing\n IdentityAgent $MY_AGENT\n UserKnownHostsFile HERE/kh-%h\n \
         CertificateFile HERE/%n.key\n CertificateFile HERE/missing\n HostKeyAlias Alias\n\
         Host web2\n IdentityAgent none\n\
         Host web3\n IdentityAgent HERE/%n.sock\n",
    );
    let here = config.folder.path().to_owned();
    for name in ["web1.key", "web1.key.pub", "agent-only.pub"] {
        std::fs::write(here.join(name), "x").unwrap();
    }
    let mut set = |name: &str, value: &str| {
        config.account.environment.insert(name.to_owned(), value.to_owned());
    };
    set("MY_AGENT", "/run/mine");
    set("SSH_AUTH_SOCK", "/run/usual");
    let one = |resolved: Resolved| resolved.hops.into_iter().next_back().unwrap();
    let web1 = one(config.resolve("web1").await.unwrap());
    let paths: Vec<_> = web1.identities.iter().map(|key| (key.path.clone(), key.file)).collect();
    assert_eq!(paths, [(here.join("web1.key"), true), (here.join("agent-only"), false)]);
    assert_eq!(web1.identities[1].public, Some(here.join("agent-only.pub")));
    assert_eq!(web1.certificates, [here.join("web1.key")]);
    assert_eq!(web1.agent, Some("/run/mine".into()));
    assert_eq!(web1.known_hosts[0], here.join("kh-web1"));
    assert_eq!(web1.known_hosts_name(), "alias");
    assert_eq!(one(config.resolve("web2").await.unwrap()).agent, None);
    assert_eq!(one(config.resolve("web3").await.unwrap()).agent, Some(here.join("web3.sock")));
    let web4 = one(config.resolve("web4:2222").await.unwrap());
    assert_eq!(web4.agent, Some("/run/usual".into()));
    assert_eq!(web4.known_hosts_name(), "[web4]:2222");
}

#[tokio::test]
async fn what_was_made_of_the_question_is_told() {
    let config =
        Config::new("Host web1\n HostName 10.0.0.5\n Port 2222\n User u\nHost *\n User me\n");
    let differences = |resolved: Resolved| -> Vec<String> {
        let hop = resolved.hops.into_iter().next_back().unwrap();
        let told = hop.differences().into_iter();
        told.map(|it| format!("{} {:?} {}", it.what, it.asked, it.resolved)).collect()
    };
    assert_eq!(
        differences(config.resolve("Web1").await.unwrap()),
        Vec::<String>::from(["user None me".to_owned()])
    );
    assert_eq!(
        differences(config.resolve("web1").await.unwrap()),
        ["host Some(\"web1\") 10.0.0.5", "port None 2222", "user None u"]
    );
    assert!(differences(config.resolve("me@plain:22").await.unwrap()).is_empty());
}
