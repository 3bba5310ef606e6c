//! The operator's settings: sealed, because each of them could weaken something.

use serde::{Deserialize, Serialize};

/// Every setting, with its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The command that is run when a request waits, as an argv; JSON on its stdin. Empty: none.
    pub notify: Vec<String>,
    /// Whoever shows no token on the agents' door is turned away.
    pub require_token: bool,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingError {
    #[error("there is no setting {name}{}", .nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    Unknown { name: String, nearest: Option<&'static str> },
    #[error("{name} takes {expected}")]
    Value { name: &'static str, expected: &'static str },
}

const MAX_WORDS: usize = 64;
const MAX_WORD_BYTES: usize = 4096;

impl Settings {
    pub const NAMES: [&'static str; 2] = ["notify", "require_token"];

    /// What a setting is for, in a line.
    pub fn about(name: &str) -> &'static str {
        match name {
            "notify" => {
                "command that is run when a request waits; the request as JSON on its stdin"
            }
            "require_token" => "true: agents without a token are turned away; a uid is no identity",
            _ => "",
        }
    }

    /// Sets one setting from what the operator typed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        match known(name)? {
            "notify" => self.notify = argv("notify", value)?,
            "require_token" => self.require_token = flag("require_token", value)?,
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    pub fn unset(&mut self, name: &str) -> Result<(), SettingError> {
        let default = Self::default();
        match known(name)? {
            "notify" => self.notify = default.notify,
            "require_token" => self.require_token = default.require_token,
            other => return Err(unknown(other)),
        }
        Ok(())
    }
}

fn known(name: &str) -> Result<&'static str, SettingError> {
    Settings::NAMES.into_iter().find(|known| *known == name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> SettingError {
    let name: String = name.chars().take(64).collect();
    let nearest = Settings::NAMES
        .into_iter()
        .map(|known| (strsim::jaro_winkler(known, &name), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known);
    SettingError::Unknown { name, nearest }
}

fn flag(name: &'static str, value: &str) -> Result<bool, SettingError> {
    value.trim().parse().map_err(|_| SettingError::Value { name, expected: "true or false" })
}

/// `["CMD", "ARG"]`, or the same as it is typed in a shell.
fn argv(name: &'static str, value: &str) -> Result<Vec<String>, SettingError> {
    let value = value.trim();
    let words = match value.starts_with('[') {
        true => serde_json::from_str::<Vec<String>>(value).ok(),
        false => shlex::split(value),
    };
    let fits = |word: &String| word.len() <= MAX_WORD_BYTES && !word.contains('\0');
    let named = |words: &Vec<String>| words.first().is_none_or(|program| !program.is_empty());
    words
        .filter(|words| words.len() <= MAX_WORDS && words.iter().all(fits) && named(words))
        .ok_or(SettingError::Value { name, expected: "a command, or a JSON list of its words" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_a_program_or_a_list() {
        let mut settings = Settings::default();
        settings.set("notify", r#"["/usr/bin/notify-send", "sgw", "a b"]"#).unwrap();
        assert_eq!(settings.notify, ["/usr/bin/notify-send", "sgw", "a b"]);
        settings.set("notify", "/bin/true 'a b'").unwrap();
        assert_eq!(settings.notify, ["/bin/true", "a b"]);
        for refused in ["it's", "[1]", "[\"/bin/true\"", "[\"\"]", "/bin/\0"] {
            let error = settings.set("notify", refused).unwrap_err();
            assert!(matches!(error, SettingError::Value { name: "notify", .. }), "{refused}");
        }
        assert_eq!(settings.notify, ["/bin/true", "a b"]);
        settings.unset("notify").unwrap();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn a_flag_is_true_or_false() {
        let mut settings = Settings::default();
        settings.set("require_token", "true").unwrap();
        assert!(settings.require_token);
        assert!(settings.set("require_token", "yes").is_err() && settings.require_token);
        settings.unset("require_token").unwrap();
        assert!(!settings.require_token);
    }

    #[test]
    fn an_unknown_setting_names_the_nearest() {
        let mut settings = Settings::default();
        let message = settings.set("notfy", "x").unwrap_err().to_string();
        assert_eq!(message, "there is no setting notfy; did you mean notify?");
        let message = settings.unset("zzz").unwrap_err().to_string();
        assert_eq!(message, "there is no setting zzz");
    }

    #[test]
    fn every_name_can_be_set_and_unset() {
        for name in Settings::NAMES {
            assert!(!matches!(
                Settings::default().set(name, ""),
                Err(SettingError::Unknown { .. })
            ));
            Settings::default().unset(name).unwrap();
        }
    }
}
