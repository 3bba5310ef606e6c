//! `sgw doctor`: what an agent reaches without sgw, and what is not as it should be.

use serde_json::json;

use crate::cli::{
    Context, Outcome, Run,
    doctor::{self, Finding, Ground, Status},
    ui::exit::Exit,
};

/// Say what agents can reach without sgw, and what is not as it should be
///
/// Looks at the keys, agents, connections and tokens that every program of yours can use, at sgw's own
/// files and daemon, and at this machine; each finding comes with what to type about it. Changes
/// nothing, uses no key, shows no secret, and needs no passphrase and no daemon. Ends with 1 where
/// something is wrong (`warn` or `fail`; a `note` is not): as root always, to whom nothing is closed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw doctor
  sgw doctor --json")]
pub struct Doctor {
    #[command(flatten)]
    proof: crate::cli::proof::Unneeded,
}

impl Run for Doctor {
    fn run(self, context: &Context) -> Outcome {
        let findings = doctor::examine(&Ground::here(std::env::var_os("SGW_HOME")));
        context.ui.result(&json!({ "checks": findings }), || text(&findings));
        Ok(if doctor::is_wrong(&findings) { Exit::FAILED } else { Exit::DONE })
    }
}

/// What is wrong first, with all its words; then what is well, a line each.
fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for status in [Status::Fail, Status::Warn, Status::Note] {
        for finding in findings.iter().filter(|finding| finding.status == status) {
            text += &format!("{:<6}{:<24}{}\n", word(status), finding.id, finding.what);
            text += &format!("{:30}{}\n", "", finding.why);
            if let Some(remedy) = &finding.remedy {
                text += &format!("{:30}$ {remedy}\n", "");
            }
        }
    }
    for finding in findings.iter().filter(|finding| finding.status == Status::Ok) {
        text += &format!("{:<6}{:<24}{}\n", word(Status::Ok), finding.id, finding.what);
    }
    let wrong = findings.iter().filter(|finding| finding.status >= Status::Warn).count();
    text + &match wrong {
        0 => "nothing is wrong\n".to_owned(),
        1 => "1 finding to look at\n".to_owned(),
        more => format!("{more} findings to look at\n"),
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Note => "note",
        Status::Warn => "WARN",
        Status::Fail => "FAIL",
    }
}
