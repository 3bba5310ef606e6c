//! Where named targets and secrets are kept.

use super::Record;
use crate::domain::{secret::named::Named, target::named::Target};

impl Record for Target {
    const TABLE: &'static str = "target";

    fn id(&self) -> &str {
        self.name.as_str()
    }
}

/// The values are apart, and are opened for their use alone.
impl Record for Named {
    const TABLE: &'static str = "secret";

    fn id(&self) -> &str {
        self.name.as_str()
    }
}
