//! Which known word someone may have meant who wrote another.

/// The most words that are looked at: a mistake must not cost more than a moment.
const MOST_WORDS: usize = 10_000;
/// Longer ones are no slip of the finger.
const MOST_BYTES: usize = 320;

/// The one of `known` that a slip or two turn into `written`: a letter left out, doubled, exchanged
/// or swapped, twice in a long word.
pub fn nearest(written: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> Option<String> {
    if written.len() > MOST_BYTES {
        return None;
    }
    let slips = if written.chars().count() < 8 { 1 } else { 2 };
    known
        .into_iter()
        .take(MOST_WORDS)
        .map(|known| (strsim::osa_distance(written, known.as_ref()), known))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known.as_ref().to_owned())
}

/// To stand after "no such thing".
pub fn told(nearest: Option<String>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; the nearest of yours is {nearest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let known = ["staging", "s-4fk", "web1"];
        let found = |written| nearest(written, known);
        for slip in ["stagin", "stagging", "stagnig", "stabing"] {
            assert_eq!(found(slip).as_deref(), Some("staging"), "{slip}");
        }
        assert_eq!(found("s-4fx").as_deref(), Some("s-4fk"));
        for other in ["", "s-zzz", "production", "web", &"staging".repeat(100)] {
            let expected = (other == "web").then_some("web1");
            assert_eq!(found(other).as_deref(), expected, "{other}");
        }
    }
}
