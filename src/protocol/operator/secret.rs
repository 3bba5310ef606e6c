//! What the operator says about named secrets. Nothing here, nor any answer, ever holds a value.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Keeps a new one, or with `replace` a new value of one that is there. Answer: [`Shown`].
    Add {
        name: String,
        about: Option<String>,
        /// The number of the secret frame with its value.
        secret: u32,
        replace: bool,
    },
    /// All of them, or those whose name or words have this text in them. Answer: [`Secrets`].
    List { search: Option<String> },
    /// Answer: [`Shown`], as it was.
    Remove { name: String },
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub kind: Kind,
    pub name: String,
    pub about: Option<String>,
    pub created_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Secret,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    pub secrets: Vec<Shown>,
}
