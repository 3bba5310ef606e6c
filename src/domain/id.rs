//! Ids (`s-4fk`) and names (`web1`): how they look, and how they are made so that none comes twice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Letters and digits without look-alikes (no `0 1 i l o`).
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// What an id names; its first letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Session,
    Request,
    Exec,
    Job,
    Token,
    Grant,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Session, Kind::Request, Kind::Exec, Kind::Job, Kind::Token, Kind::Grant];

    pub fn letter(self) -> char {
        match self {
            Kind::Session => 's',
            Kind::Request => 'r',
            Kind::Exec => 'x',
            Kind::Job => 'j',
            Kind::Token => 't',
            Kind::Grant => 'g',
        }
    }
}

/// A whole id, of any kind.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an id: an id is s-, r-, x-, j-, t- or g- and 3 to 6 letters or digits")]
pub struct NotAnId;

impl Id {
    /// The id of the `number`th thing ever made. Numbers below 31³ take three characters, and so on
    /// to 31⁶ in total; the order is scattered so that neighbours do not look alike.
    pub fn from_number(kind: Kind, mut number: u64) -> Self {
        let mut width: u32 = 3;
        while width < 6 && number >= 31u64.pow(width) {
            number -= 31u64.pow(width);
            width += 1;
        }
        let size = 31u64.pow(width);
        // Any factor that 31 does not divide permutes 0..31^width.
        let mut rest = (number % size).wrapping_mul(7_919) % size;
        let mut text = vec![0u8; width as usize];
        for place in text.iter_mut().rev() {
            *place = ALPHABET[(rest % 31) as usize];
            rest /= 31;
        }
        let text: String = text.into_iter().map(char::from).collect();
        Self(format!("{}-{text}", kind.letter()))
    }

    pub fn kind(&self) -> Kind {
        // Every constructor checks the first letter.
        prefix_kind(&self.0).unwrap_or(Kind::Session)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The kind that a word claims by its first two characters: `s-4` is a session's, or the start of one.
pub fn prefix_kind(word: &str) -> Option<Kind> {
    let mut chars = word.chars();
    let letter = chars.next()?;
    if chars.next()? != '-' {
        return None;
    }
    Kind::ALL.into_iter().find(|kind| kind.letter() == letter)
}

impl TryFrom<String> for Id {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        let tail = text.get(2..).ok_or(NotAnId)?;
        let fits = prefix_kind(&text).is_some()
            && (3..=6).contains(&tail.len())
            && tail.bytes().all(|byte| ALPHABET.contains(&byte));
        if fits { Ok(Self(text)) } else { Err(NotAnId) }
    }
}

impl std::str::FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Self::try_from(text.to_owned())
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that a person or an agent gives: `[a-z0-9][a-z0-9._-]{0,62}`, and never like an id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAName {
    #[error("a name is 1 to 63 of a-z 0-9 . _ - and starts with a letter or digit")]
    Form,
    #[error("a name can't start like an id (s- r- x- j- t- g-)")]
    LikeAnId,
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=63).contains(&text.len())
            && text.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
            && text.bytes().next().is_some_and(plain);
        if !fits {
            return Err(NotAName::Form);
        }
        if prefix_kind(&text).is_some() {
            return Err(NotAName::LikeAnId);
        }
        Ok(Self(text))
    }
}

impl std::str::FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_comes_twice() {
        let ids: HashSet<Id> =
            (0..200_000).map(|number| Id::from_number(Kind::Exec, number)).collect();
        assert_eq!(ids.len(), 200_000);
    }

    #[test]
    fn ids_grow_from_three_to_six_characters() {
        let width = |number| Id::from_number(Kind::Session, number).as_str().len() - 2;
        assert_eq!(width(0), 3);
        assert_eq!(width(31u64.pow(3) - 1), 3);
        assert_eq!(width(31u64.pow(3)), 4);
        assert_eq!(width(800_000_000), 6);
    }

    #[test]
    fn what_is_made_can_be_read() {
        for number in [0, 1, 29_790, 29_791, 5_000_000] {
            let id = Id::from_number(Kind::Request, number);
            assert_eq!(id.to_string().parse::<Id>(), Ok(id.clone()));
            assert_eq!(id.kind(), Kind::Request);
        }
    }

    #[test]
    fn odd_words_are_no_ids() {
        for word in ["", "s-", "s-ab", "s-abcdefg", "s-abO", "q-abc", "sabc", "s-a\u{e9}c", "é-abc"]
        {
            assert_eq!(word.parse::<Id>(), Err(NotAnId), "{word}");
        }
    }

    #[test]
    fn names_have_one_form_and_do_not_look_like_ids() {
        for good in ["web1", "0", "a.b_c-d", "sx-1"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "A", "a/b", "a b", &"a".repeat(64)] {
            assert_eq!(bad.parse::<Name>(), Err(NotAName::Form), "{bad}");
        }
        for like_an_id in ["s-web", "t-web", "g-web"] {
            assert_eq!(like_an_id.parse::<Name>(), Err(NotAName::LikeAnId));
        }
    }
}
