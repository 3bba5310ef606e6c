//! `sgw audit`: the record of what was done, and whether it is whole.

use crate::{
    cli::{Context, Outcome, Run, proof::Proof, ui::exit::Exit, views},
    client::connection,
    protocol::{
        agent::Message,
        operator::{Event, Request},
        view,
    },
};

/// Read and verify the record of everything that was done
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw audit list --last 20
  sgw audit list --json | jq 'select(.kind == \"exec\")'
  sgw audit verify")]
pub struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the records, oldest first (with --json one object a line)
    #[command(after_help = "\
Examples:
  sgw audit list --last 20
  sgw audit list --since 118 --json")]
    List {
        /// Only records after this number
        #[arg(long, value_name = "SEQ")]
        since: Option<u64>,
        /// Only the last so many [default: all]
        #[arg(long, value_name = "N")]
        last: Option<u64>,
        #[command(flatten)]
        proof: Proof,
    },
    /// Check that no record was changed, dropped or put in between (0: whole, 1: not)
    #[command(after_help = "\
Examples:
  sgw audit verify
  sgw audit verify --json --passphrase-file ~/.sgw-passphrase")]
    Verify {
        #[command(flatten)]
        proof: Proof,
    },
}

impl Run for Audit {
    fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::List { since, last, proof } => list(context, &proof, since, last),
            What::Verify { proof } => verify(context, &proof),
        }
    }
}

fn list(context: &Context, proof: &Proof, since: Option<u64>, last: Option<u64>) -> Outcome {
    context.interactive(async {
        let mut connection = proof.open(context).await?.connect().await?;
        connection.begin(&Request::AuditList { since, last }).await?;
        loop {
            let frame = connection.read().await?;
            if let Ok(Event::Record { record }) = serde_json::from_slice(&frame.body) {
                if context.ui.json {
                    context.ui.object(&record);
                } else {
                    context.ui.line(&views::record(&record));
                }
                continue;
            }
            match connection::message(&frame)? {
                Message::Done { .. } => return Ok(Exit::DONE),
                Message::Error(failure) => return Err(failure.into()),
                Message::Note { text } => context.ui.note(&text),
                _ => {}
            }
        }
    })
}

fn verify(context: &Context, proof: &Proof) -> Outcome {
    let verified: view::Verified = context.interactive(async {
        let mut connection = proof.open(context).await?.connect().await?;
        Ok(connection.call(&Request::AuditVerify {}).await?)
    })?;
    context.ui.result(&verified, || views::verified(&verified));
    Ok(if verified.ok { Exit::DONE } else { Exit::FAILED })
}
