//! The operator's settings: sealed, and every change recorded with what it was before.

use serde_json::Value;

use super::Operator;
use crate::{
    daemon::{audit, door::link::value, vault::VaultError},
    protocol::{
        error::{Code, Failure},
        view::{Kind, Setting, Settings},
    },
};

impl Operator {
    pub(super) fn settings(&self) -> Result<Value, Failure> {
        value(&self.all_settings()?)
    }

    fn all_settings(&self) -> Result<Settings, Failure> {
        let now = value(&self.parts.vault.settings())?;
        let usual = value(&crate::daemon::vault::Settings::default())?;
        let about = crate::daemon::vault::Settings::about;
        let of = |values: &Value, name: &str| values.get(name).cloned().unwrap_or_default();
        let mut settings: Vec<Setting> = crate::daemon::vault::Settings::NAMES
            .into_iter()
            .map(|name| Setting {
                name: name.to_owned(),
                kind: Kind::Setting,
                value: of(&now, name),
                default: of(&usual, name),
                about: about(name).to_owned(),
            })
            .collect();
        let set = |set: bool| Value::from(if set { "set" } else { "none" });
        settings.push(Setting {
            name: "pin".to_owned(),
            kind: Kind::Setting,
            value: set(self.parts.vault.has_pin()),
            default: set(false),
            about: "what the desk asks for where others could type: sgw pin sets it".to_owned(),
        });
        Ok(Settings { settings })
    }

    /// Sets a setting, or gives it its default again.
    pub(super) async fn set(&self, name: &str, to: Option<&Value>) -> Result<Value, Failure> {
        let before = value(&self.parts.vault.settings())?;
        if name == "notify" && to.is_some() {
            self.parts.may_run("notify")?;
        }
        let known = crate::daemon::vault::Settings::NAMES.contains(&name);
        if known {
            let was = before.get(name).cloned().unwrap_or_default();
            let becomes = to.cloned().unwrap_or_default();
            audit::settings_changed(&self.parts.evidence, name, &was, &becomes).await?;
        }
        let changed = tokio::task::block_in_place(|| match to {
            Some(Value::String(text)) => self.parts.vault.set(name, text),
            Some(other) => self.parts.vault.set(name, &other.to_string()),
            None => self.parts.vault.unset(name),
        });
        changed.map_err(|error| refused(&error))?;
        self.settings()
    }
}

pub(super) fn refused(error: &VaultError) -> Failure {
    match error {
        VaultError::Setting(_) => Failure::new(
            Code::UsageSetting,
            error.to_string(),
            "sgw config list shows every setting",
        ),
        VaultError::HeaderChanged => Failure::new(
            Code::VaultChanged,
            error.to_string(),
            "prove it anew: nothing was changed",
        ),
        VaultError::Exists { .. } => Failure::new(
            Code::VaultExists,
            error.to_string(),
            "nothing was changed; rename or remove it, or take the export in place of all: --replace",
        ),
        VaultError::Changed { .. } | VaultError::Missing { .. } => Failure::new(
            Code::VaultChanged,
            error.to_string(),
            "nothing was changed; look again at what is there",
        ),
        VaultError::WrongPassphrase => {
            Failure::new(Code::OperatorProof, error.to_string(), "try again: nothing was changed")
        }
        VaultError::Foreign(_) => Failure::new(
            Code::VaultExport,
            error.to_string(),
            "nothing was changed; use the sgw that wrote it, or a newer one",
        ),
        VaultError::Limit(_) => {
            Failure::new(Code::LimitVault, error.to_string(), "nothing was changed")
        }
        VaultError::Damaged { .. } => Failure::new(
            Code::VaultDamaged,
            error.to_string(),
            "nothing was changed; put back a copy of the file that you trust",
        ),
        _ => Failure::new(
            Code::DaemonFailed,
            error.to_string(),
            "nothing was changed; look at the disk that holds sgw's home",
        ),
    }
}
