//! Which passphrases are too weak to guard the vault, and six words that are not.

use zxcvbn::zxcvbn;

use super::secret::Secret;

/// Shorter ones fall to a list of all short ones.
pub const MIN_CHARACTERS: usize = 10;
/// Longer ones gain nothing, and are more likely a file given by mistake.
pub const MAX_BYTES: usize = 1024;
/// A guess costs about half a second and 256 MiB: 10¹⁰ of them are some 150 years of one core.
const MIN_GUESSES_LOG10: f64 = 10.0;
/// Words that come to mind first here, and so to whoever guesses.
const NEAR: [&str; 5] = ["sgw", "ssh", "gateway", "passphrase", "operator"];

/// Why a passphrase is refused, and what would help.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the passphrase is too weak: {why}")]
pub struct Weak {
    pub why: String,
    pub help: String,
}

/// Estimates how many guesses a passphrase withstands (zxcvbn).
pub fn judge(passphrase: &Secret<String>) -> Result<(), Weak> {
    let text = passphrase.expose();
    let weak = |why: String, help: &str| Err(Weak { why, help: help.to_owned() });
    if text.len() > MAX_BYTES {
        return weak(format!("it is longer than {MAX_BYTES} bytes"), "is this the right file?");
    }
    if text.chars().any(char::is_control) {
        let why = "it has a control character, which a terminal can't type".to_owned();
        return weak(why, "one line of printable characters");
    }
    if text.chars().count() < MIN_CHARACTERS {
        let why = format!("it is shorter than {MIN_CHARACTERS} characters");
        return weak(why, "several words that have nothing to do with each other");
    }
    let estimate = zxcvbn(text, &NEAR);
    if estimate.guesses_log10() >= MIN_GUESSES_LOG10 {
        return Ok(());
    }
    let feedback = estimate.feedback();
    let why = feedback
        .and_then(|feedback| feedback.warning())
        .map(|warning| warning.to_string())
        .unwrap_or_else(|| "it can be guessed".to_owned());
    let help: Vec<String> = feedback
        .map(|feedback| feedback.suggestions().iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    let help = if help.is_empty() { "Add another word or two.".to_owned() } else { help.join(" ") };
    Err(Weak { why: sentence(&why), help })
}

/// Without the capital and the full stop, to stand after a colon.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Six words of the English list of BIP 39, each of 2,048 equally likely: 66 bits.
pub fn six_words(random: &[u8; 12]) -> Secret<String> {
    let list = bip39::Language::English.word_list();
    let words: Vec<&str> = random
        .chunks_exact(2)
        .map(|pair| list[usize::from(u16::from_be_bytes([pair[0], pair[1]])) % list.len()])
        .collect();
    Secret::new(words.join(" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(text: &str) -> Result<(), Weak> {
        judge(&Secret::new(text.to_owned()))
    }

    #[test]
    fn what_people_type_first_is_refused_with_a_reason_and_help() {
        for text in [
            "",
            "short",
            "password123",
            "aaaaaaaaaaaaaaaaaaaa",
            "1234567890123",
            "qwertyuiop[]",
            "sgw passphrase",
            "abcdefghijklmnop",
            "correct\nhorse battery staple",
            &"x".repeat(MAX_BYTES + 1),
        ] {
            let Err(weak) = verdict(text) else { panic!("{text} passes") };
            assert!(!weak.why.is_empty() && !weak.help.is_empty(), "{text}");
            assert!(text.len() < 6 || !weak.to_string().contains(text));
        }
    }

    #[test]
    fn good_ones_pass() {
        for text in
            ["dress kiwi orbit lamp", "Tr0ub4dor&3-and-more!", "größe übt zwölf mal täglich"]
        {
            assert_eq!(verdict(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn every_word_of_the_list_can_come_and_all_bits_count() {
        // 65,536 is a multiple of 2,048, so that each word has the same 32 numbers.
        assert_eq!(65_536 % bip39::Language::English.word_list().len(), 0);
        assert_eq!(six_words(&[0; 12]).expose(), &["abandon"; 6].join(" "));
        let last = [0x07, 0xff].repeat(6).try_into().unwrap();
        assert_eq!(six_words(&last).expose(), &["zoo"; 6].join(" "));
    }

    proptest! {
        #[test]
        fn six_random_words_are_strong(random: [u8; 12]) {
            // Repetition makes them weak, about once in 10⁶: then `init` draws again.
            let words = six_words(&random);
            let mut each: Vec<&str> = words.expose().split(' ').collect();
            prop_assert_eq!(each.len(), 6);
            each.sort_unstable();
            each.dedup();
            prop_assume!(each.len() == 6);
            prop_assert_eq!(judge(&words), Ok(()));
        }
    }
}
