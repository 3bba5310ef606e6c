//! `sgw token`: what tells one agent from another.

use serde_json::{Value, json};

use crate::{
    cli::{
        Context, Outcome, Run, Stop,
        proof::Proof,
        times,
        ui::{Table, exit::Exit},
        values,
    },
    client::Error,
    domain::{
        secret::Secret,
        token::{Limits, TokenHash, TokenText},
    },
    home::random,
    protocol::operator::{
        self,
        token::{Request, Shown, Status, Tokens},
    },
};

/// Make, list, rotate and revoke the tokens that tell one agent from another
///
/// An agent shows its token in SGW_TOKEN, or the name of a file that holds it in SGW_TOKEN_FILE, and is then
/// known by the token's name. Among processes of one uid a token is a label, not a wall: whoever shares the
/// uid can read it. A uid for each agent, and sgw config set require_token true, make identities real.
/// An empty SGW_TOKEN, or a file of the agent's own that others may read, is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw token create ci --expires 30d
  sgw token create deploy --requests-per-hour 20 --sessions 2
  sgw token list
  sgw token rotate ci --overlap 1h
  sgw token revoke ci")]
pub struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token, and print it: it is shown this once
    #[command(after_help = "\
Examples:
  sgw token create ci --expires 30d
  sgw token create ci --json")]
    Create {
        /// Its name: [a-z0-9][a-z0-9._-]*, 63 characters at most
        name: String,
        /// How long it is valid [default: until it is revoked]
        #[arg(long, value_name = "DUR", value_parser = values::seconds, allow_hyphen_values = true)]
        expires: Option<u64>,
        /// How often an hour it may ask the operator, or have a session open by itself [default: no
        /// limit but everyone's]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        requests_per_hour: Option<u32>,
        /// How many sessions it may have open at once [default: no limit but everyone's]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        sessions: Option<u32>,
        #[command(flatten)]
        proof: Proof,
    },
    /// List the tokens, what they were last used and how long they live
    #[command(after_help = "\
Examples:
  sgw token list
  sgw token list --json")]
    List {
        #[command(flatten)]
        proof: Proof,
    },
    /// Show a token with its sessions and grants
    #[command(after_help = "\
Examples:
  sgw token show ci")]
    Show {
        /// Its name, or its id
        token: String,
        #[command(flatten)]
        proof: Proof,
    },
    /// Give a token a new secret, and print it; sessions go on
    #[command(after_help = "\
Examples:
  sgw token rotate ci
  sgw token rotate ci --overlap 1h      # the old secret is taken for another hour")]
    Rotate {
        /// Its name, or its id
        token: String,
        /// How long the old secret is still taken, a week at most [default: not at all]
        #[arg(long, value_name = "DUR", value_parser = values::seconds, allow_hyphen_values = true)]
        overlap: Option<u64>,
        #[command(flatten)]
        proof: Proof,
    },
    /// End a token, its grants, its sessions and what runs in them, at once
    #[command(after_help = "\
Examples:
  sgw token revoke ci")]
    Revoke {
        /// Its name, or its id
        token: String,
        #[command(flatten)]
        proof: Proof,
    },
}

impl Run for Token {
    fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Create { name, expires, requests_per_hour, sessions, proof } => {
                let (text, hash) = drawn()?;
                let limits = Limits { requests_per_hour, sessions };
                let request = Request::Create { name, hash, expires_s: expires, limits };
                made(context, &proof, request, &text)
            }
            What::Rotate { token, overlap, proof } => {
                let (text, hash) = drawn()?;
                let overlap_s = overlap.unwrap_or_default();
                made(context, &proof, Request::Rotate { token, hash, overlap_s }, &text)
            }
            What::List { proof } => {
                let tokens: Tokens = call(context, &proof, Request::List {})?;
                context.ui.result(&tokens, || list(&tokens.tokens));
                Ok(Exit::DONE)
            }
            What::Show { token, proof } => {
                let shown: Shown = call(context, &proof, Request::Show { token })?;
                context.ui.result(&shown, || one(&shown));
                Ok(Exit::DONE)
            }
            What::Revoke { token, proof } => {
                let shown: Shown = call(context, &proof, Request::Revoke { token })?;
                context.ui.result(&shown, || format!("revoked: {} ({})", shown.name, shown.id));
                shown.notes.iter().for_each(|note| context.ui.note(note));
                Ok(Exit::DONE)
            }
        }
    }
}

/// A new token's text, which stays here, and its hash, which goes to the daemon.
pub fn drawn() -> Result<(TokenText, TokenHash), Error> {
    let bits = Secret::new(random().map_err(Error::local("draw random bytes"))?);
    Ok((TokenText::new(&bits), TokenHash::of(&bits)))
}

fn call<T: serde::de::DeserializeOwned>(
    context: &Context,
    proof: &Proof,
    request: Request,
) -> Result<T, Stop> {
    let request = operator::Request::Token(request);
    context.interactive(async {
        Ok(proof.open(context).await?.connect().await?.call(&request).await?)
    })
}

fn made(context: &Context, proof: &Proof, request: Request, text: &TokenText) -> Outcome {
    let shown: Shown = call(context, proof, request)?;
    let result: Value = json!({
        "id": shown.id,
        "kind": "token",
        "name": shown.name,
        "token": text.expose(),
        "expires_at": shown.expires_at,
        "overlap_until": shown.overlap_until,
    });
    context.ui.result(&result, || text.expose().to_owned());
    if !context.ui.json {
        let lives = shown
            .expires_at
            .map_or("until it is revoked".to_owned(), |at| format!("until {}", times::local(at)));
        context
            .ui
            .note(&format!("this is token {}, valid {lives}. It is shown this once", shown.name));
        if let Some(until) = shown.overlap_until {
            context.ui.note(&format!("the old secret is taken until {}", times::local(until)));
        }
        let name = &shown.name;
        context.ui.note(&format!("give it to the agent in SGW_TOKEN, and access with: sgw grant add --token {name} --target NAME"));
    }
    Ok(Exit::DONE)
}

fn list(tokens: &[Shown]) -> String {
    if tokens.is_empty() {
        return "no tokens".to_owned();
    }
    let mut table =
        Table::new(&["TOKEN", "NAME", "STATUS", "EXPIRES", "LAST USED", "SESSIONS", "GRANTS"]);
    for token in tokens {
        table.row(vec![
            token.id.clone(),
            token.name.clone(),
            status(token),
            token.expires_at.map(times::from_now).unwrap_or_else(|| "never".to_owned()),
            token.last_used_at.map(times::from_now).unwrap_or_else(|| "never".to_owned()),
            token.sessions.join(" "),
            token.grants.len().to_string(),
        ]);
    }
    table.text()
}

fn status(token: &Shown) -> String {
    let word = match (token.status, token.with_program) {
        (Status::Active, false) => "active",
        (Status::Active, true) => "active, while its program runs",
        (Status::Expired, _) => "expired",
        (Status::Revoked, false) => "revoked",
        (Status::Revoked, true) => "ended",
    };
    word.to_owned()
}

fn one(token: &Shown) -> String {
    let mut lines = vec![format!("{} {}: {}", token.id, token.name, status(token))];
    lines.push(format!("made {}", times::local(token.created_at)));
    if let Some(at) = token.expires_at {
        lines.push(format!("expires {}", times::from_now(at)));
    }
    if let Some(at) = token.revoked_at {
        lines.push(format!("revoked {}", times::local(at)));
    }
    let used = token.last_used_at.map_or("never".to_owned(), times::from_now);
    lines.push(format!("last used {used}"));
    if let Some(until) = token.overlap_until {
        lines.push(format!("its old secret is taken until {}", times::local(until)));
    }
    if let Some(most) = token.requests_per_hour {
        lines.push(format!("{most} requests an hour"));
    }
    if let Some(most) = token.max_sessions {
        lines.push(format!("{most} sessions at once"));
    }
    for (what, ids) in [("sessions", &token.sessions), ("grants", &token.grants)] {
        if !ids.is_empty() {
            lines.push(format!("{what}: {}", ids.join(" ")));
        }
    }
    lines.join("\n")
}
