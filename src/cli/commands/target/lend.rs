//! What borrowed credentials on the way to a target need, for one walk there.

use std::path::PathBuf;

use ssh_key::HashAlg;

use super::call;
use crate::{
    cli::{
        Context, Stop,
        approval::key_file,
        resolve::{account::Account, ssh_agent::Agent},
    },
    client::Connection,
    domain::{key, target::named},
    protocol::{
        error::{Code, Failure},
        operator::{
            Credential,
            target::{Lent, Request, Shown},
        },
    },
};

/// Numbers of the secrets; those of other things begin elsewhere.
const FIRST: u32 = 100;

/// Sends what is borrowed ahead of the request that names it.
pub async fn lend(
    context: &Context,
    connection: &mut Connection,
    name: &str,
) -> Result<Vec<Lent>, Stop> {
    let last: Shown = call(connection, Request::Show { name: name.to_owned() }).await?;
    let mut all = Vec::new();
    for jump in last.way.clone() {
        all.push(call::<Shown>(connection, Request::Show { name: jump }).await?);
    }
    all.push(last);
    let (mut lent, mut secret, mut socket) = (Vec::new(), FIRST, 0);
    for Shown { target, .. } in all {
        let credentials = match &target.credential {
            named::Credential::KeyFile { path, .. } => {
                let path = PathBuf::from(path);
                let key = key_file::load(context, &path, None, Code::TargetCredential).await?;
                let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
                let wire = key::to_wire(&key).map_err(|error| unusable(error.to_string()))?;
                connection.send_secret(0, secret, wire.expose()).await?;
                secret += 1;
                vec![Credential::Key { secret: secret - 1, fingerprint }]
            }
            named::Credential::Agent { fingerprint } => {
                let keys = agent(connection, fingerprint.as_deref()).await?;
                socket += 1;
                let lent = |fingerprint| Credential::Agent { socket: socket - 1, fingerprint };
                keys.into_iter().map(lent).collect()
            }
            _ => continue,
        };
        lent.push(Lent { target: target.name.to_string(), credentials });
    }
    Ok(lent)
}

/// The keys of the ssh-agent that fit; its connection goes with the next message.
async fn agent(connection: &Connection, wanted: Option<&str>) -> Result<Vec<String>, Failure> {
    let account = Account::current();
    let path = account.variable("SSH_AUTH_SOCK").map(PathBuf::from);
    let path = path.ok_or_else(|| unusable("no ssh-agent runs".to_owned()))?;
    let agent = Agent::connect(&path).await.map_err(|error| unusable(error.to_string()))?;
    let fits = |key: &&String| wanted.is_none_or(|wanted| *key == wanted);
    let all = agent.keys.iter().map(|key| &key.fingerprint);
    let keys: Vec<String> = all.filter(fits).cloned().collect();
    if keys.is_empty() {
        return Err(unusable("the ssh-agent does not hold the key that logs in there".to_owned()));
    }
    connection.luggage().add(agent.into_fd().map_err(|error| unusable(error.to_string()))?);
    Ok(keys)
}

fn unusable(message: String) -> Failure {
    Failure::new(Code::TargetCredential, message, "ssh-add FILE; sgw target show NAME")
}
