//! Passwords and tokens in files that many programs share, and in the environment: by where they are
//! and by the words around them. The secrets themselves are neither kept nor shown.

use std::{io::Read, path::Path};

use zeroize::Zeroizing;

use super::{Check, Finding, Ground, quoted, shown};
use crate::cli::resolve::file;

const FILES: Check = Check {
    id: "credentials.files",
    why: "every program of your uid, an agent too, can read it and use it without sgw",
};
const ENVIRONMENT: Check = Check {
    id: "credentials.environment",
    why: "every program that is started from here inherits it",
};
/// The part of a file that is looked at.
const MOST_BYTES: u64 = 1 << 20;

/// A file below a home.
struct Place {
    name: &'static str,
    /// One of these words stands beside a secret; without any the file itself is the secret.
    signs: &'static [&'static str],
    opens: &'static str,
    /// What takes it away; without one the file is to be removed.
    remedy: Option<&'static str>,
}

const fn place(
    name: &'static str,
    signs: &'static [&'static str],
    opens: &'static str,
    remedy: Option<&'static str>,
) -> Place {
    Place { name, signs, opens, remedy }
}

const PLACES: &[Place] = &[
    place(".netrc", &["password"], "passwords of hosts", None),
    place(
        ".git-credentials",
        &["://"],
        "git servers",
        Some("git credential-cache exit; shred -u ~/.git-credentials"),
    ),
    place(".config/git/credentials", &["://"], "git servers", None),
    place(
        ".aws/credentials",
        &["aws_secret_access_key", "aws_session_token"],
        "an AWS account",
        None,
    ),
    place(".config/gh/hosts.yml", &["oauth_token"], "a GitHub account", Some("gh auth logout")),
    place(".config/hub", &["oauth_token"], "a GitHub account", None),
    place(
        ".config/glab-cli/config.yml",
        &["token: "],
        "a GitLab account",
        Some("glab auth logout"),
    ),
    place(
        ".docker/config.json",
        &["\"auth\"", "\"identitytoken\""],
        "container registries",
        Some("docker logout"),
    ),
    place(
        ".config/containers/auth.json",
        &["\"auth\""],
        "container registries",
        Some("podman logout --all"),
    ),
    place(
        ".kube/config",
        &["token: ", "client-key-data: ", "password: "],
        "Kubernetes clusters",
        None,
    ),
    place(
        ".config/gcloud/application_default_credentials.json",
        &["refresh_token", "private_key"],
        "a Google Cloud account",
        Some("gcloud auth application-default revoke"),
    ),
    place(
        ".config/gcloud/credentials.db",
        &["refresh_token"],
        "a Google Cloud account",
        Some("gcloud auth revoke --all"),
    ),
    place(".azure/msal_token_cache.json", &["\"secret\""], "an Azure account", Some("az logout")),
    place(
        ".config/doctl/config.yaml",
        &["access-token: "],
        "a DigitalOcean account",
        Some("doctl auth remove --context default"),
    ),
    place(".config/hcloud/cli.toml", &["token = "], "a Hetzner Cloud account", None),
    place(
        ".terraform.d/credentials.tfrc.json",
        &["\"token\""],
        "Terraform Cloud",
        Some("terraform logout"),
    ),
    place(
        ".vault-token",
        &[],
        "a HashiCorp Vault",
        Some("vault token revoke -self; shred -u ~/.vault-token"),
    ),
    place(
        ".npmrc",
        &["_authToken", "_password", "_auth="],
        "a package registry",
        Some("npm logout"),
    ),
    place(".pypirc", &["password"], "a package registry", None),
    place(".cargo/credentials.toml", &["token"], "a package registry", Some("cargo logout")),
    place(".gem/credentials", &["_api_key"], "a package registry", None),
    place(".pgpass", &[":"], "databases", None),
    place(".my.cnf", &["password"], "databases", None),
    place(
        ".config/rclone/rclone.conf",
        &["pass = ", "token = ", "secret"],
        "storage",
        Some("rclone config encryption set"),
    ),
    place(".s3cfg", &["secret_key"], "storage", None),
    place(
        ".config/sops/age/keys.txt",
        &["AGE-SECRET-KEY-"],
        "files that are encrypted with sops",
        None,
    ),
    place(".smbcredentials", &["password"], "file servers", None),
    place(".vnc/passwd", &[], "a remote desktop", None),
];

/// Variables that carry a secret by themselves.
const VARIABLES: &[&str] = &[
    "ANSIBLE_VAULT_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "CARGO_REGISTRY_TOKEN",
    "CLOUDFLARE_API_TOKEN",
    "DIGITALOCEAN_ACCESS_TOKEN",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GITLAB_TOKEN",
    "HCLOUD_TOKEN",
    "KUBE_TOKEN",
    "MYSQL_PWD",
    "NPM_TOKEN",
    "PGPASSWORD",
    "SSHPASS",
    "SUDO_PASSWORD",
    "VAULT_TOKEN",
];

pub fn files(ground: &Ground) -> Vec<Finding> {
    let mut found = Vec::new();
    for home in ground.homes() {
        for place in PLACES {
            let path = home.join(place.name);
            if holds(&path, place.signs) {
                let remedy = match place.remedy {
                    Some(remedy) => remedy.to_owned(),
                    None => format!("shred -u {}", quoted(&path)),
                };
                found.push(FILES.warn(format!("{} opens {}", shown(&path), place.opens), remedy));
            }
        }
    }
    FILES.all(found, "no passwords or tokens in the files that programs usually keep them in")
}

fn holds(path: &Path, signs: &[&str]) -> bool {
    let Ok((file, _)) = file::open(path) else { return false };
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    // What could be read counts: the rest would not take it back.
    let _ = file.take(MOST_BYTES).read_to_end(&mut bytes);
    let has = |sign: &&str| bytes.windows(sign.len()).any(|window| window == sign.as_bytes());
    if signs.is_empty() { !bytes.trim_ascii().is_empty() } else { signs.iter().any(has) }
}

pub fn environment(ground: &Ground) -> Vec<Finding> {
    let set = VARIABLES.iter().filter(|name| ground.variable(name).is_some());
    let found = set.map(|name| {
        ENVIRONMENT.warn(format!("the environment has {name}"), format!("unset {name}"))
    });
    ENVIRONMENT.all(found.collect(), "no known secret in this environment")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Every file of the table, with a text in which its secret is `secret`, and one without any.
    pub fn samples(secret: &str) -> Vec<(&'static str, String, &'static str)> {
        let sample = |place: &Place| {
            let sign = place.signs.first().copied().unwrap_or_default();
            (
                place.name,
                format!("# x\n{sign} {secret}\n"),
                if sign.is_empty() { " \n" } else { "# x\n" },
            )
        };
        PLACES.iter().map(sample).collect()
    }
}
