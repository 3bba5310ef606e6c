//! The operator's settings: sealed, because each of them could weaken something.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Every setting, with its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The command that is run when a request waits, as an argv; JSON on its stdin. Empty: none.
    pub notify: Vec<String>,
    /// Whoever shows no token on the agents' door is turned away.
    pub require_token: bool,
    /// How long nobody may use sgw before it locks itself. None: for ever.
    #[serde(rename = "auto-lock")]
    pub auto_lock: Option<Idle>,
}

/// A time without use, in whole seconds; `90s`, `30m`, `2h`, `1d` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Idle(Duration);

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
    pub const NAMES: [&'static str; 3] = ["notify", "require_token", "auto-lock"];

    /// What a setting is for, in a line.
    pub fn about(name: &str) -> &'static str {
        match name {
            "notify" => {
                "command that is run when a request waits; the request as JSON on its stdin"
            }
            "require_token" => "true: agents without a token are turned away; a uid is no identity",
            "auto-lock" => {
                "time like 30m after which sgw locks itself when nobody uses it; null: never"
            }
            _ => "",
        }
    }

    /// Sets one setting from what the operator typed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        match known(name)? {
            "notify" => self.notify = argv("notify", value)?,
            "require_token" => self.require_token = flag("require_token", value)?,
            "auto-lock" => {
                let expected = "a time from 10s to 30d, like 30m";
                let idle = value.parse().ok().filter(Idle::is_sensible);
                self.auto_lock =
                    Some(idle.ok_or(SettingError::Value { name: "auto-lock", expected })?);
            }
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    pub fn unset(&mut self, name: &str) -> Result<(), SettingError> {
        let default = Self::default();
        match known(name)? {
            "notify" => self.notify = default.notify,
            "require_token" => self.require_token = default.require_token,
            "auto-lock" => self.auto_lock = default.auto_lock,
            other => return Err(unknown(other)),
        }
        Ok(())
    }
}

impl Idle {
    /// Long enough to prove it anew and set another one.
    const LEAST: Duration = Duration::from_secs(10);
    const MOST: Duration = Duration::from_secs(30 * 86_400);
    const UNITS: [(&'static str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

    pub fn duration(self) -> Duration {
        self.0
    }

    fn is_sensible(&self) -> bool {
        (Self::LEAST..=Self::MOST).contains(&self.0)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a time like 90s, 30m, 2h or 1d")]
pub struct NotIdle;

impl FromStr for Idle {
    type Err = NotIdle;

    fn from_str(text: &str) -> Result<Self, NotIdle> {
        let unit = Self::UNITS.iter().find(|(unit, _)| text.ends_with(unit)).ok_or(NotIdle)?;
        let number = text.strip_suffix(unit.0).unwrap_or_default();
        // Digits alone: parse() would take a sign.
        let number = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let seconds = number.and_then(|number| number.parse::<u64>().ok()?.checked_mul(unit.1));
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or(NotIdle)
    }
}

impl TryFrom<String> for Idle {
    type Error = NotIdle;

    fn try_from(text: String) -> Result<Self, NotIdle> {
        text.parse()
    }
}

impl From<Idle> for String {
    fn from(Idle(time): Idle) -> Self {
        let seconds = time.as_secs();
        let unit = Idle::UNITS.iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
        unit.map_or_else(String::new, |(name, unit)| format!("{}{name}", seconds / unit))
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
    fn auto_lock_is_a_time() {
        let mut settings = Settings::default();
        assert_eq!(settings.auto_lock, None);
        for (text, seconds) in
            [("10s", 10), ("60s", 60), ("1m", 60), ("90m", 5400), ("2h", 7200), ("30d", 2_592_000)]
        {
            settings.set("auto-lock", text).unwrap();
            assert_eq!(settings.auto_lock.unwrap().duration().as_secs(), seconds);
            let json = serde_json::to_string(&settings).unwrap();
            assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
        }
        assert_eq!(serde_json::to_value(settings.auto_lock).unwrap(), "30d");
        for refused in
            ["", "0", "0s", "9s", "31d", "30", "m", "-5m", "+5m", "5 m", "18446744073709551615d"]
        {
            let error = settings.set("auto-lock", refused).unwrap_err();
            assert!(matches!(error, SettingError::Value { name: "auto-lock", .. }), "{refused}");
        }
        settings.unset("auto-lock").unwrap();
        assert_eq!(settings, Settings::default());
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
