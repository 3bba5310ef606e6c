//! Targets as people read them.

use crate::{
    cli::{Context, approval::named::credential, ui::Table},
    domain::{escape::exact, target::named::Authority},
    protocol::operator::target::{Sessions, Shown, Tested},
};

pub fn list(targets: &[Shown]) -> String {
    if targets.is_empty() {
        return "no targets".to_owned();
    }
    let mut table = Table::new(&["TARGET", "ACCOUNT", "OVER", "LOGIN", ""]);
    for shown in targets {
        let target = &shown.target;
        let over = match (&target.proxy_command, shown.way.is_empty()) {
            (Some(_), _) => "a command".to_owned(),
            (None, true) => String::new(),
            (None, false) => shown.way.join(", "),
        };
        let broken = shown.broken.as_ref().map(|_| "leads nowhere");
        let prod = target.prod.then_some("PROD");
        let marks: Vec<&str> = prod.into_iter().chain(broken).collect();
        table.row(vec![
            target.name.to_string(),
            word(&target.hop().to_string()),
            over,
            target.credential.kind().to_owned(),
            marks.join(", "),
        ]);
    }
    table.text()
}

pub fn one(shown: &Shown) -> String {
    let target = &shown.target;
    let prod = if target.prod { "  PROD" } else { "" };
    let mut lines = vec![format!("{} = {}{prod}", target.name, word(&target.hop().to_string()))];
    let mut line = |name: &str, text: String| lines.push(format!("  {name:<10}{text}"));
    if let Some(why) = &shown.broken {
        line("broken", word(why));
    }
    if !shown.way.is_empty() {
        line("over", shown.way.join(", "));
    }
    if let Some(command) = &target.proxy_command {
        line("by", word(command));
    }
    line("log in", credential(target));
    let keys = match target.host_keys.is_empty() {
        false => target.host_keys.clone(),
        true => shown.pinned.clone(),
    };
    let authorities = target.host_ca.iter().map(Authority::fingerprint);
    let keys: Vec<String> =
        keys.into_iter().chain(authorities.map(|key| format!("signed by {key}"))).collect();
    line("host key", if keys.is_empty() { "not known yet".to_owned() } else { keys.join(", ") });
    if let Some(shell) = target.surroundings.shell {
        line("shell", shell.to_string());
    }
    if let Some(directory) = &target.surroundings.directory {
        line("in", word(directory));
    }
    for (name, value) in &target.surroundings.environment {
        line("with", format!("{}={}", word(name), word(value)));
    }
    if !target.pty {
        line("terminal", "none".to_owned());
    }
    if let Some(mode) = target.guard.mode {
        line("mode", format!("{mode} at least"));
    }
    if let Some(policy) = &target.guard.policy {
        line("policy", policy.to_string());
    }
    lines.join("\n")
}

/// What a change did to open sessions.
pub fn sessions(context: &Context, name: &str, sessions: &Sessions) {
    if !sessions.ended.is_empty() {
        let ended = sessions.ended.join(", ");
        context.ui.note(&format!("ended with what {name} was: {ended}"));
    }
    for id in &sessions.go_on {
        let note = format!("{id} was approved on what {name} was, and goes on: sgw close {id}");
        context.ui.note(&note);
    }
}

pub fn tested(tested: &Tested) -> String {
    let mut table = Table::new(&["TARGET", "STEP", "", "TIME", "FOUND"]);
    for step in &tested.steps {
        table.row(vec![
            step.target.clone(),
            step.step.as_str().to_owned(),
            if step.ok { "ok" } else { "FAILED" }.to_owned(),
            format!("{} ms", step.duration_ms),
            step.found.as_deref().map(word).unwrap_or_default(),
        ]);
    }
    table.text()
}

fn word(text: &str) -> String {
    exact(text.as_bytes(), 200)
}
