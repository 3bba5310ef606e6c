//! The environment of a program that runs with a token: without what leads past sgw.

use std::ffi::{OsStr, OsString};

/// What is taken out, and why. A name that ends in `*` stands for all that begin so.
const REMOVED: &[(&str, &str)] = &[
    ("SSH_AUTH_SOCK", "the ssh-agent: whoever reaches it logs in with its keys"),
    ("SSH_AGENT_PID", "the same agent's process"),
    ("GPG_AGENT_INFO", "an agent that may serve ssh"),
    ("SSH_ASKPASS*", "a window in which ssh asks the person for a password"),
    ("SSHPASS", "a password for ssh, as sshpass takes it"),
    ("RSYNC_PASSWORD", "a password for rsync's servers"),
    ("RSYNC_RSH", "a way to ssh, with its key"),
    ("GIT_SSH*", "a way to ssh, with its key"),
    ("CVS_RSH", "a way to ssh"),
    ("ANSIBLE_*PASS*", "passwords for what ansible logs in to"),
    ("ANSIBLE_PRIVATE_KEY*", "a key for what ansible logs in to"),
    ("ANSIBLE_SSH_*", "how ansible logs in"),
    ("SGW_TOKEN*", "another identity's token"),
    ("SGW_SESSION", "another identity's session"),
];

/// What stays and is told: it gives access to other things, which sgw has no say in.
const TOLD: &[&str] = &[
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AZURE_CLIENT_SECRET",
    "BW_SESSION",
    "CLOUDFLARE_API_*",
    "CLOUDSDK_*TOKEN*",
    "CONSUL_HTTP_TOKEN",
    "DATABASE_URL",
    "DIGITALOCEAN_*TOKEN",
    "DOCKER_HOST",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HCLOUD_TOKEN",
    "KUBECONFIG",
    "LINODE_TOKEN",
    "MYSQL_PWD",
    "NETRC",
    "NPM_TOKEN",
    "OP_SESSION*",
    "OP_SERVICE_ACCOUNT_TOKEN",
    "PGPASSFILE",
    "PGPASSWORD",
    "TF_TOKEN_*",
    "VAULT_TOKEN",
];

/// What an agent's calls stay for a person, where nothing else was said: shorter than its shell tool.
const WAIT: &str = "45s";
/// What an agent's calls print at most, where nothing else was said.
const MAX_OUTPUT: &str = "64k";

type Variable = (OsString, OsString);

/// The program's environment.
pub fn of(vars: &[Variable], token: &str) -> Vec<Variable> {
    let mut kept: Vec<Variable> =
        vars.iter().filter(|(name, _)| !is_removed(name)).cloned().collect();
    for (name, value) in [("SGW_WAIT", WAIT), ("SGW_MAX_OUTPUT", MAX_OUTPUT)] {
        if !kept.iter().any(|(known, _)| known == name) {
            kept.push((name.into(), value.into()));
        }
    }
    kept.push(("SGW_TOKEN".into(), token.into()));
    kept
}

/// What is not in it, of what is there.
pub fn removed(vars: &[Variable]) -> Vec<String> {
    named(vars, |name| is_removed(name))
}

/// What is in it and gives access elsewhere.
pub fn told(vars: &[Variable]) -> Vec<String> {
    named(vars, |name| TOLD.iter().any(|pattern| is_like(name, pattern)))
}

fn is_removed(name: &OsStr) -> bool {
    REMOVED.iter().any(|(pattern, _)| is_like(name, pattern))
}

fn named(vars: &[Variable], which: impl Fn(&OsStr) -> bool) -> Vec<String> {
    let mut names: Vec<String> = vars
        .iter()
        .filter(|(name, _)| which(name))
        .filter_map(|(name, _)| name.clone().into_string().ok())
        .collect();
    names.sort();
    names
}

/// `*` stands for any characters.
fn is_like(name: &OsStr, pattern: &str) -> bool {
    let Some(mut rest) = name.to_str() else { return false };
    let mut parts = pattern.split('*');
    let Some(after) = parts.next().and_then(|start| rest.strip_prefix(start)) else { return false };
    rest = after;
    let mut open = false;
    for part in parts {
        open = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    open || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(names: &[&str]) -> Vec<Variable> {
        names.iter().map(|name| ((*name).into(), "x".into())).collect()
    }

    #[test]
    fn what_leads_to_ssh_servers_goes_and_the_rest_stays() {
        let all = vars(&[
            "HOME",
            "PATH",
            "SSH_AUTH_SOCK",
            "SSH_AGENT_PID",
            "SSH_ASKPASS",
            "SSH_ASKPASS_REQUIRE",
            "GIT_SSH_COMMAND",
            "GITHUB_TOKEN",
            "SGW_HOME",
            "SGW_TOKEN",
            "SGW_TOKEN_FILE",
            "SGW_SESSION",
            "ANSIBLE_BECOME_PASSWORD_FILE",
            "ANSIBLE_CONFIG",
            "SSH_CONNECTION",
        ]);
        let names: Vec<String> = of(&all, "sg_x")
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            names,
            [
                "HOME=x",
                "PATH=x",
                "GITHUB_TOKEN=x",
                "SGW_HOME=x",
                "ANSIBLE_CONFIG=x",
                "SSH_CONNECTION=x",
                "SGW_WAIT=45s",
                "SGW_MAX_OUTPUT=64k",
                "SGW_TOKEN=sg_x",
            ]
        );
        assert_eq!(told(&all), ["GITHUB_TOKEN"]);
        assert!(removed(&all).contains(&"SSH_AUTH_SOCK".to_owned()));
    }

    #[test]
    fn what_the_person_set_stays() {
        let all = vec![("SGW_WAIT".into(), "5s".into())];
        assert!(of(&all, "t").contains(&("SGW_WAIT".into(), "5s".into())));
    }

    #[test]
    fn a_star_is_any_characters_and_nothing_else_is_special() {
        for (name, pattern) in
            [("A", "A"), ("AB", "A*"), ("A", "A*"), ("ANSIBLE_SSH_PASS", "ANSIBLE_*PASS*")]
        {
            assert!(is_like(OsStr::new(name), pattern), "{name} {pattern}");
        }
        for (name, pattern) in [("AB", "A"), ("B", "A*"), ("ANSIBLE_CONFIG", "ANSIBLE_*PASS*")] {
            assert!(!is_like(OsStr::new(name), pattern), "{name} {pattern}");
        }
    }
}
