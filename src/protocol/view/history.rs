//! What was run and done in a session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Kind, Run};
use crate::domain::bytes::Bytes;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub history: Vec<Happened>,
}

/// A command that was run, or something that was done with files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Happened {
    Exec(Run),
    Files(FilesRun),
}

/// Something that is or was done with files; it has no id, since nothing can be asked of it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesRun {
    pub id: Option<String>,
    pub kind: Kind,
    /// As in `sgw files VERB`.
    pub verb: String,
    /// The first of its paths, as the server resolved them.
    pub paths: Vec<Bytes>,
    /// How many there are.
    pub path_count: u64,
    /// As a person reads it.
    pub command: Bytes,
    /// Content that went to or fro, where that is known.
    pub bytes: Option<u64>,
    pub running: bool,
    /// The code where it failed.
    pub outcome: Option<String>,
    pub started_at: Timestamp,
    pub duration_ms: Option<u64>,
    /// The request whose approval let it be done, if it took one.
    pub request: Option<String>,
}

impl History {
    /// The commands alone.
    pub fn commands(self) -> Vec<Run> {
        let command = |one| match one {
            Happened::Exec(run) => Some(run),
            Happened::Files(_) => None,
        };
        self.history.into_iter().filter_map(command).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_keep_their_shape_and_files_have_one_of_their_own() {
        let text = r#"{"history":[
            {"id":"x-1","kind":"exec","command":"ls","exit_code":0,"signal":null,"running":false,
             "started_at":"2026-01-01T00:00:00Z","duration_ms":5,"request":null},
            {"id":null,"kind":"files","verb":"write","paths":["/srv/x"],"path_count":1,
             "command":"files write /srv/x","bytes":3,"running":false,"outcome":null,
             "started_at":"2026-01-01T00:00:01Z","duration_ms":5,"request":"r-9mq"}]}"#;
        let history: History = serde_json::from_str(text).unwrap();
        assert!(matches!(&history.history[1], Happened::Files(run) if run.verb == "write"));
        let again = serde_json::to_value(&history).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(history.commands().len(), 1);
    }
}
