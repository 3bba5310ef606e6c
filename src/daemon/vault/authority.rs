//! Where tokens, standing grants, what was used of them, and the operator's policy are kept.

use super::Record;
use crate::domain::{
    grant::standing::{Standing, Usage},
    guard::own::Own,
    token::Token,
};

impl Record for Token {
    const TABLE: &'static str = "token";

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Record for Standing {
    const TABLE: &'static str = "grant";

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Record for Usage {
    const TABLE: &'static str = "usage";

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Record for Own {
    const TABLE: &'static str = "policy";

    fn id(&self) -> &str {
        Self::ID
    }
}
